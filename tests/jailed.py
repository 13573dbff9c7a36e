"""What tests of the jail share: the jails that work on this machine, and one script in one of them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autoresearch.records import Outcome
from autoresearch.runners.base import Confinement, TrialSpec
from autoresearch.runners.local import LocalRunner
from autoresearch.sandbox.access import Access
from autoresearch.sandbox.jail import Jail, find_bwrap, find_landlock
from autoresearch.sandbox.policy import readable_of

KINDS = ("bwrap", "landlock")
EVERY = ("none", *KINDS)


@functools.cache
def jail_of(kind: str) -> Jail | None:
    """The jail of a kind; the test is skipped where this machine has none that works."""
    if kind == "none":
        return None
    found = find_bwrap() if kind == "bwrap" else find_landlock()
    if found is None:
        pytest.skip(f"{kind} is not on this machine")
    if kind == "bwrap":
        asked = [found.program, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
        if subprocess.run(asked, capture_output=True).returncode:
            pytest.skip("bwrap may make no namespaces here")
    return found


@functools.cache
def python_places() -> tuple[Path, ...]:
    """What a script needs that the Python of the tests runs."""
    return readable_of([sys.executable], dict(os.environ), Path("/nonexistent"))


@dataclass
class Trial:
    """One script as a trial in a folder of its own, which it may write."""

    folder: Path
    kind: str
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    timeout_s: float = 60
    descriptors: tuple[int, ...] = ()

    def access(self) -> Access:
        return Access(
            (*python_places(), *self.readable), (self.folder, *self.writable), self.hidden
        )

    def jail(self) -> Jail | None:
        return jail_of(self.kind)

    def confinement(self) -> Confinement:
        jail = self.jail()
        return jail.confinement(self.access(), self.folder) if jail else Confinement(())

    def spec(self, *command: str) -> TrialSpec:
        self.folder.mkdir(parents=True, exist_ok=True)
        env = {
            "PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder),
            "AUTORESEARCH_SCRATCH": str(self.folder), "OMP_NUM_THREADS": "1", **self.env,
        }  # fmt: skip
        return TrialSpec(
            (command,), self.folder, env, self.folder.with_name(f"{self.folder.name}.log"),
            self.timeout_s, confinement=self.confinement(), descriptors=self.descriptors,
        )  # fmt: skip

    def run(self, *command: str) -> tuple[Outcome, str]:
        """How a command ended, and what it printed."""
        spec = self.spec(*command)
        spec.log.unlink(missing_ok=True)
        outcome = LocalRunner().start(spec).run(lambda: False)
        return outcome, spec.log.read_text() if spec.log.exists() else ""

    def python(self, script: str, *arguments: str) -> tuple[Outcome, str]:
        return self.run(sys.executable, "-c", script, *arguments)

    def tries(self, **attempts: str) -> dict[str, Any]:
        """name -> an expression; what it gave, or the name of the fault."""
        lines = ["import json, os, socket, pathlib", "P, found = pathlib.Path, {}"]
        for name, expression in attempts.items():
            lines += [
                f"try: found[{name!r}] = {expression}",
                f"except Exception as fault: found[{name!r}] = type(fault).__name__",
            ]
        outcome, said = self.python("\n".join([*lines, "print(repr(found))"]))
        assert outcome.exit_code == 0, said
        found: dict[str, Any] = eval(said.splitlines()[-1])
        return found
