"""The judgement of what a trial found: the rule, the lab's hook, the probes, and what looks odd."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from autoresearch.lab.run import Run
from autoresearch.ratchet import hook
from autoresearch.ratchet.trial import Trials
from autoresearch.ratchet.verification import verified
from autoresearch.records import Candidate, Crash, Event, Metrics, Verdict
from autoresearch.rules import keep


@dataclass(frozen=True)
class Judgement:
    """A verdict, what it rests on, and why a person should look at it, if one should."""

    verdict: Verdict
    found: Metrics | Crash
    flag: str | None = None


def judge_baseline(trials: Trials, candidate: Candidate, found: Metrics | Crash) -> Judgement:
    """Returns the judgement of a baseline: a keep, once what an examiner found is verified.

    Raises what Trials.try_out raises.
    """
    if isinstance(found, Metrics):
        found = _verified(trials, candidate, found, None)
    if isinstance(found, Crash):
        return _crash(found)
    trials.keep_compiled()
    words = "the baseline" if candidate.number == 0 else "a new baseline"
    return Judgement(Verdict("keep", words), found)


def judge(trials: Trials, candidate: Candidate, found: Metrics | Crash) -> Judgement:
    """Returns the judgement of a candidate against the incumbent; raises what Trials.try_out raises."""
    if isinstance(found, Crash):
        return _crash(found)
    verdict, run = _kept_or_not(trials, candidate, found), trials.run
    if verdict.status == "discard":
        return Judgement(verdict, found)
    flag = _flag(run, found)
    if flag is not None:
        run.emit(Event("notice", flag, candidate.number))
    after = _verified(trials, candidate, found, run.state.calibration, full=flag is not None)
    return _crash(after, flag) if isinstance(after, Crash) else Judgement(verdict, after, flag)


def _crash(crash: Crash, flag: str | None = None) -> Judgement:
    return Judgement(Verdict("crash", crash.reason, crash.failure), crash, flag)


def _kept_or_not(trials: Trials, candidate: Candidate, found: Metrics) -> Verdict:
    """The rule's verdict; a keep only where the branch can move to it, and the lab's hook agrees."""
    run, incumbent = trials.run, trials.run.incumbent
    direction = run.config.task.metric.direction
    verdict = keep.strict(found, incumbent.value, direction, candidate.deletes_only)
    if verdict.status == "discard":
        return verdict
    if candidate.parent != incumbent.commit:
        return Verdict(
            "discard",
            f"{verdict.reason}, but made for an earlier incumbent than #{incumbent.number}, which was "
            "kept meanwhile",
        )
    if run.moved_by_hand():
        return Verdict("discard", f"{verdict.reason}, but the branch was moved by hand meanwhile")
    refusal = hook.refusal(run, trials.slot, candidate, trials.stopping)
    return verdict if refusal is None else Verdict("discard", refusal, "hook")


def _flag(run: Run, found: Metrics) -> str | None:
    """Why a person should look at a gain; None where it is like others."""
    kept = [e for e in run.state.experiments if e.status == "keep"]
    gains = [
        abs(b.value - a.value)
        for a, b in itertools.pairwise(kept)
        if not b.is_baseline and a.value is not None and b.value is not None
    ]
    assert run.incumbent.value is not None
    implausible = keep.implausible(found.value, run.incumbent.value, gains)
    return implausible or keep.unusually_slow(found.summary, run.state.calibration or {})


def _verified(
    trials: Trials,
    candidate: Candidate,
    found: Metrics,
    calibration: dict[str, Any] | None,
    full: bool = False,
) -> Metrics | Crash:
    """What an examiner found, once the probes hold; what a trial claims, as it is."""
    if found.evidence == "claimed":
        return found
    return verified(trials, candidate, found, calibration, full)
