"""A runner with faults: the command line, with trials that end in a fault of the machine as they are told.

    python -m tests.faultyrunner run --max 3

FAULTY is JSON: what each trial ends in, in the order of their starts, "" where it goes well; the last
one holds for all that follow. {"poison": [...], "other": [...]} tells the candidates whose train.py has
the word POISON from all others, the incumbent among them. A fault is a name below, or "kill": the tool
is killed there. Each start adds a line to the file that FAULTY_STARTS names.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from autoresearch.commands import session
from autoresearch.errors import InfrastructureError, OutsideError
from autoresearch.records import Outcome
from autoresearch.runners import local
from autoresearch.runners.base import Progress, TrialSpec, unwatched


def _fail(name: str) -> None:
    if name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "sandbox":
        raise InfrastructureError("the sandbox could not be made for a trial (of a test)")
    if name == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere")
    if name == "forbidden":
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/somewhere")
    if name == "bug":
        raise ValueError("embedded null byte")
    if name == "preempted":
        raise OutsideError("the job was preempted; call autoresearch run again")
    assert not name, name


class FaultyTrial(local.LocalTrial):
    """A real trial, and then its fault."""

    def __init__(self, spec: TrialSpec) -> None:
        poisoned = "POISON" in (spec.cwd / "train.py").read_text()
        self._kind = "poison" if poisoned else "other"
        self._starts = Path(os.environ["FAULTY_STARTS"])
        super().__init__(spec)

    def run(
        self, stopping: Callable[[], bool], watch: Callable[[Progress], None] = unwatched
    ) -> Outcome:
        before = self._starts.read_text().split() if self._starts.exists() else []
        self._starts.write_text("\n".join([*before, self._kind]) + "\n")
        outcome = super().run(stopping, watch)
        told = json.loads(os.environ["FAULTY"]).get(self._kind, [""])
        _fail(told[min(before.count(self._kind), len(told) - 1)])
        return outcome


class FaultyRunner(local.LocalRunner):
    """Runs trials that end in a fault where they are told."""

    def start(self, spec: TrialSpec) -> FaultyTrial:
        return FaultyTrial(spec)


if __name__ == "__main__":
    session.LocalRunner = FaultyRunner  # type: ignore[misc]
    from autoresearch.__main__ import main

    sys.exit(main())
