"""The judgement of what a trial found: limits, rule, checks, probes, hook, and what looks odd."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from autoresearch.lab.run import Run
from autoresearch.ratchet import hook
from autoresearch.ratchet.limited import baseline_numbers, limited_numbers
from autoresearch.ratchet.trial import Trials
from autoresearch.ratchet.verification import verified
from autoresearch.records import Candidate, Crash, Event, Metrics, Verdict
from autoresearch.rules import keep, limits


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
    if isinstance(found, Crash):
        return _crash(found)
    run = trials.run
    own = limited_numbers(run, found)
    beyond = limits.exceeded(run.config.task.limits, own, own)
    if beyond is not None:
        text = (
            f"the baseline itself is beyond task.limits ({beyond}): only what keeps to them is kept"
        )
        run.emit(Event("notice", text, candidate.number))
    refusal = trials.judges.failed_check(candidate)
    if refusal is not None:
        return _crash(refusal if isinstance(refusal, Crash) else Crash("check", refusal))
    after = _verified(trials, candidate, found, None)
    if isinstance(after, Crash):
        return _crash(after)
    trials.keep_compiled()
    words = "the baseline" if candidate.number == 0 else "a new baseline"
    return Judgement(Verdict("keep", words), after)


def judge(trials: Trials, candidate: Candidate, found: Metrics | Crash) -> Judgement:
    """Returns the judgement of a candidate against the incumbent; raises what Trials.try_out raises.

    In this order: limits, the rule, checks, verification, the hook, and what is too good to be true.
    """
    if isinstance(found, Crash):
        return _crash(found)
    verdict, run = _kept_or_not(trials, candidate, found), trials.run
    if verdict.status == "discard":
        return Judgement(verdict, found)
    refusal = trials.judges.failed_check(candidate)
    if isinstance(refusal, Crash):
        return _crash(refusal)
    if refusal is not None:
        return Judgement(Verdict("discard", refusal, "check"), found)
    implausible = _implausible(run, found)
    flag = implausible or keep.unusually_slow(found.summary, run.state.calibration or {})
    if flag is not None:
        run.emit(Event("notice", flag, candidate.number))
    after = _verified(trials, candidate, found, run.state.calibration, full=flag is not None)
    if isinstance(after, Crash):
        return _crash(after, flag)
    refused = hook.refusal(run, trials.slot, candidate, trials.stopping)
    if refused is not None:
        return Judgement(Verdict("discard", refused, "hook"), after, flag)
    if implausible is not None and run.config.keep.implausible == "hold":
        text = f"held, until a person has looked at it: autoresearch accept {candidate.number}"
        run.emit(Event("notice", text, candidate.number))
        verdict = Verdict("discard", "held", "held")
    return Judgement(verdict, after, flag)


def _crash(crash: Crash, flag: str | None = None) -> Judgement:
    return Judgement(Verdict("crash", crash.reason, crash.failure), crash, flag)


def _kept_or_not(trials: Trials, candidate: Candidate, found: Metrics) -> Verdict:
    """The verdict of limits and rule; a keep only where the branch can move to it."""
    run, incumbent = trials.run, trials.run.incumbent
    task = run.config.task
    beyond = limits.exceeded(task.limits, limited_numbers(run, found), baseline_numbers(run))
    if beyond is not None:
        return Verdict("discard", f"beyond task.limits: {beyond}", "limit")
    verdict = keep.strict(found, incumbent.value, task.metric.direction, candidate.deletes_only)
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
    return verdict


def _implausible(run: Run, found: Metrics) -> str | None:
    """Why a gain is too good to be true; None where it is like others."""
    kept = [e for e in run.state.experiments if e.status == "keep"]
    gains = [
        abs(b.value - a.value)
        for a, b in itertools.pairwise(kept)
        if not b.is_baseline and a.value is not None and b.value is not None
    ]
    assert run.incumbent.value is not None
    return keep.implausible(found.value, run.incumbent.value, gains)


def _verified(
    trials: Trials,
    candidate: Candidate,
    found: Metrics,
    calibration: dict[str, Any] | None,
    full: bool = False,
) -> Metrics | Crash:
    """What an examiner found, once the probes hold; anything else, as it is."""
    if found.evidence != "examined":
        return found
    return verified(trials, candidate, found, calibration, full)
