"""How a trial ended -> its metrics, or the crash that it was; what is the machine's fault is raised."""

from __future__ import annotations

import contextlib
import shutil

from autoresearch import curve, metrics
from autoresearch.errors import InfrastructureError, Interrupted, LabError
from autoresearch.fingerprint import Fingerprint
from autoresearch.records import Candidate, Crash, Metrics, Outcome
from autoresearch.run import Run

_FULL_DISK_BYTES = 64 << 20


def measure(run: Run, outcome: Outcome, fingerprint: Fingerprint) -> Metrics | Crash:
    """The metrics of a trial that ended, or its crash.

    Raises, with the candidate put off until the next call: InfrastructureError where the disk is
    full, LabError where data or harness changed under the run, Interrupted.
    """
    log, task = run.paths.running_log, run.config.task
    measured = metrics.judge_outcome(outcome, log, task.metric, task.timeout_s)
    try:
        if isinstance(measured, Crash) and _disk_full(run):
            raise InfrastructureError(
                f"{run.paths.state}: the disk is full; make room and call autoresearch run again: "
                "the candidate is tried again then"
            )
        return fingerprint.judge(measured)
    except (InfrastructureError, LabError, Interrupted):
        with contextlib.suppress(InfrastructureError):  # it is not held against the candidate
            run.note("pause", n=run.state.next_number)
        raise


def _disk_full(run: Run) -> bool:
    return shutil.disk_usage(run.paths.state).free < _FULL_DISK_BYTES


def failed_baseline(run: Run, candidate: Candidate, crash: Crash) -> LabError:
    """A baseline that fails makes no row: what to say, in a first line and the log's end."""
    run.note("failed", n=candidate.number, reason=crash.reason)
    log = run.paths.experiment(candidate.number) / "trial.log"
    tail = metrics.tail(curve.without(metrics.lines(log)), 10, 1000) if log.exists() else ""
    last = "".join(f": {line}" for line in tail.splitlines()[-1:])
    branch = f"autoresearch/{run.tag}"
    return LabError(
        f"the baseline failed ({crash.failure}), {crash.reason}{last}. Mend the machine, or the "
        f"code (git checkout {branch}, edit, git commit), and call: autoresearch run. The log, of "
        f"which the end follows: {log}\n{tail}"
    )
