"""The tool's own helpers: programs of ours or of the user's, run aside on this machine to their end.

The pre-commit hook, the fingerprint, a `command` researcher: no model's code, so in no jail, but
killed like a trial at a deadline or at Ctrl-C, with everything that they started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from autoresearch.records import Outcome
from autoresearch.runners.base import Identity, TrialSpec
from autoresearch.runners.local import LocalRunner


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    timeout_s: float,
    stopping: Callable[[], bool],
    stdin: Path | None = None,
    descriptors: tuple[int, ...] = (),
    started: Callable[[Identity], None] | None = None,
) -> Outcome:
    """Runs a command to its end; what it prints begins the log anew. Returns how it ended.

    env is the whole environment; stdin is a file, None is /dev/null; the command inherits the
    descriptors. started is told what finds the process again after a crash of ours, before the
    command begins.
    """
    log.unlink(missing_ok=True)
    spec = TrialSpec(
        (tuple(command),), cwd, dict(env), log, timeout_s, stdin, descriptors=descriptors
    )
    trial = LocalRunner().start(spec)
    try:
        if started is not None:
            started(trial.identity)
        return trial.run(stopping)
    finally:
        trial.abandon()
