"""What the doctor finds, and how it asks other programs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Condition = Literal["ok", "degraded", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` is the command or line that mends it, "" where nothing does.

    The fields are those of `doctor --json`.
    """

    name: str
    state: Condition
    what: str
    mend: str = ""


def printed_by(
    command: list[str], timeout_s: float, cwd: Path | None = None, env: dict[str, str] | None = None
) -> str:
    """Returns what a program prints; raises OSError or SubprocessError where it can't be run or fails."""
    if env is not None and cwd is not None:
        env = {**env, "PWD": str(cwd)}
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_s,
        cwd=cwd, env=env, check=True,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")


def in_one_line(fault: Exception) -> str:
    """Returns a fault in one line: of a program that failed, the last line that it printed."""
    if isinstance(fault, subprocess.TimeoutExpired):
        return f"no answer within {fault.timeout:g} s"
    if isinstance(fault, subprocess.CalledProcessError):
        said = (fault.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        return said[-1][:200] if said else f"exited with {fault.returncode}"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return f"{type(fault).__name__}: {fault}"
