"""One finding of the doctor, and how other programs are asked for it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "degraded", "missing"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. mend: the command or line that mends it; "" where there is nothing to mend."""

    name: str
    state: State
    what: str
    mend: str = ""


def output(
    command: list[str], timeout_s: float, cwd: Path | None = None, env: dict[str, str] | None = None
) -> str:
    """What a program prints; OSError or SubprocessError where it can't be run or fails."""
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_s,
        cwd=cwd, env=env, check=True,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")


def why(fault: Exception) -> str:
    """A fault in one line: of a failed program its own last line."""
    if isinstance(fault, subprocess.TimeoutExpired):
        return f"no answer within {fault.timeout:g} s"
    if isinstance(fault, subprocess.CalledProcessError):
        said = (fault.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        return said[-1][:200] if said else f"exited with {fault.returncode}"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return f"{type(fault).__name__}: {fault}"
