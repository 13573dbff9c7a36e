"""The verification before a keep: two fresh trials of the same candidate, examined with its weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from autoresearch.harness.names import Role
from autoresearch.ratchet.trial import Trials
from autoresearch.records import Candidate, Crash, Metrics
from autoresearch.rules import metrics, probes

_PROBED = ("replay", "rows", "gap", "twin", "blind", "blind_error")
# In this order: nothing of the candidate may have seen how the rows go on that the first is asked.
_WORKERS: tuple[Role, Role] = ("foreign", "true")


def verified(
    trials: Trials,
    candidate: Candidate,
    examined: Metrics,
    calibration: dict[str, Any] | None,
    full: bool,
) -> Metrics | Crash:
    """Returns the metrics as verified, with what the probes showed; or the probe that failed.

    `calibration` is what the baseline's probes showed, None for a baseline itself; with `full` every
    row is looked at. Raises what Trials.try_out raises.
    """
    found: dict[str, float] = {}
    try:
        for role in _WORKERS:
            trials.forget_files()
            result = _worker(trials, candidate, role, full)
            if isinstance(result, Crash):
                return result
            found |= {key: result[key] for key in _PROBED if key in result}
    finally:
        trials.forget_exam()
        trials.forget_files()  # for the trials of other candidates
    why = probes.failed_probe(found, examined.value, calibration)
    if why:
        return Crash("probe", why)
    if calibration is None:
        trials.keep_control()
    return replace(
        examined, evidence="verified", calibration={**(examined.calibration or {}), **found}
    )


def _worker(trials: Trials, candidate: Candidate, role: Role, full: bool) -> dict[str, Any] | Crash:
    """What one of the two found."""
    ended = trials.try_out(candidate, role, full=full)
    result = ended.score
    assert result is not None
    crash = metrics.crash_of(ended.outcome, ended.log, trials.run.config.task.timeout_s)
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
