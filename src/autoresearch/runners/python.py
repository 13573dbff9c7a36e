"""Which Python the word `python` means in a lab's commands."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import LabError

HARNESS = "autoresearch.harness"
_WORDS = ("python", "python3")
_TIMEOUT_S = 60
_PASSED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True, slots=True)
class ChosenPython:
    """The Python of a lab's trials: its program, whose it is, and why those before it were not taken."""

    program: str
    whose: str
    passed_over: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is said of it, on one line."""
        return "; ".join([f"python: {self.program}, {self.whose}", *self.passed_over])


def is_meant(word: str) -> bool:
    """Returns whether a command's first word leaves it to us which Python runs."""
    return word in _WORDS


def choose(root: Path, environment: Mapping[str, str], module: str | None) -> ChosenPython:
    """Returns the first Python that has what a lab needs: its own .venv's, the active one, the tool's own.

    root: the lab's folder; module: what must be there to import, None for nothing. Raises LabError
    where none has it.
    """
    passed_over: list[str] = []
    seen: set[str] = set()
    for program, whose in _offered(root, environment):
        if program in seen:
            continue
        seen.add(program)
        fault = why_not(program, environment, module)
        if fault is None:
            return ChosenPython(program, whose, tuple(passed_over))
        passed_over.append(f"not {whose} ({fault})")
    needed = f"with {module} " if module else ""
    raise LabError(
        f"there is no Python {needed}for this lab: {', '.join(passed_over)}. Install autoresearch into "
        f"{root / '.venv'}, or name a Python by its path in [task] command"
    )


def _offered(root: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields (program, whose it is) of the Pythons that are there, in their order."""
    own = _python_in(root / ".venv")
    if own is not None:
        yield own, "that of the lab's .venv"
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if environment.get(name) and (active := _python_in(Path(environment[name]))) is not None:
            yield active, f"that of the active environment ({name})"
    if sys.executable:
        yield sys.executable, "that which autoresearch runs with"


def _python_in(prefix: Path) -> str | None:
    places = (prefix / "bin" / "python", prefix / "bin" / "python3")
    return next((str(place) for place in places if os.access(place, os.X_OK)), None)


def why_not(program: str, environment: Mapping[str, str], module: str | None) -> str | None:
    """Returns why a Python does not start, or lacks a module; None where all is well."""
    env = {name: environment[name] for name in _PASSED if name in environment}
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as folder:
        try:
            done = subprocess.run(
                [program, "-c", f"import {module}" if module else "pass"], cwd=folder,
                env={**env, "HOME": folder}, stdin=subprocess.DEVNULL, capture_output=True,
                timeout=_TIMEOUT_S,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as fault:
            return f"it does not start: {fault}"
    if done.returncode == 0:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    last = said[-1][:200] if said else f"exit code {done.returncode}"
    return f"it lacks {module}" if module and "ModuleNotFoundError" in last else last
