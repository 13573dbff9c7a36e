"""The verification before a keep: two fresh trials of the same candidate, examined with its weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from autoresearch.errors import InfrastructureError, Interrupted, LabError
from autoresearch.harness.names import Role
from autoresearch.ratchet.trial import Trials
from autoresearch.records import Candidate, Crash, Metrics
from autoresearch.rules import metrics, probes
from autoresearch.runners.base import finish

_MEASURED = ("replay", "rows", "gap", "twin")
_WORKERS: tuple[Role, Role] = ("true", "foreign")


def verify(
    trials: Trials,
    candidate: Candidate,
    measured: Metrics,
    full: bool,
    stopping: Callable[[], bool],
) -> Metrics | Crash:
    """The metrics as verified, with a calibration where it is a baseline; or the probe that failed.

    Raises Interrupted, with the candidate put off, where the person stops the run meanwhile, and
    what Examiner.finish raises.
    """
    run = trials.run
    found: dict[str, float] = {}
    try:
        for role in _WORKERS:
            result = _worker(trials, candidate, role, full, stopping)
            if isinstance(result, Crash):
                return result
            found |= {key: result[key] for key in _MEASURED if key in result}
    except (InfrastructureError, LabError, Interrupted):
        with contextlib.suppress(InfrastructureError):  # it is not held against the candidate
            run.note("pause", n=candidate.number)
        raise
    finally:
        trials.forget_exam()
    calibration = None if run.state.in_baseline else run.state.calibration
    why = probes.fault(found, measured.value, calibration)
    if why:
        return Crash("probe", why)
    calibration = {**(measured.calibration or {}), **found}
    return replace(measured, evidence="verified", calibration=calibration)


def _worker(
    trials: Trials, candidate: Candidate, role: Role, full: bool, stopping: Callable[[], bool]
) -> dict[str, Any] | Crash:
    """What one of the two found."""
    run = trials.run
    trial = trials.start(candidate, role, full=full)
    try:
        run.note("verification", n=candidate.number, identity=trial.identity)
        outcome = finish(trial, stopping)
    finally:
        trial.abandon()
    outcome = replace(outcome, tampered=trials.ended(candidate))
    examiner = trials.take_examiner()
    assert examiner is not None
    if outcome.interrupted:
        examiner.abandon()
        raise Interrupted
    trials.left_on_gpus()
    result = examiner.finish()
    crash = metrics.crash_of(outcome, run.paths.running_log, run.config.task.timeout_s)
    if crash is not None and crash.failure == "tampered":
        return crash
    if crash is None and not result["void"]:
        return result
    reason = result["void"]["reason"] if result["void"] else crash.reason if crash else ""
    return Crash(
        "probe",
        "it could not be verified: a fresh process of the same script, given the trained weights, "
        f"failed ({reason})",
    )
