"""When a candidate is kept, and which keeps a person should look at. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autoresearch.records import Direction, Metrics, Verdict


def improves(value: float, incumbent: float, direction: Direction) -> bool:
    """Returns whether a value is strictly better than the incumbent's."""
    return value < incumbent if direction == "minimize" else value > incumbent


def strict(
    metrics: Metrics, incumbent: float | None, direction: Direction, deletes_only: bool
) -> Verdict:
    """Returns the verdict of the rule `strict`: keep what is better than the incumbent, discard the rest.

    A tie is discarded too, unless the change only deletes lines: the reference's simplicity
    criterion (karpathy/autoresearch, program.md: equal with less code is a gain).
    """
    if incumbent is None:
        return Verdict("keep", "the baseline")
    if improves(metrics.value, incumbent, direction):
        gain = abs(metrics.value - incumbent)
        return Verdict("keep", f"better by {_number(gain)}")
    if metrics.value == incumbent:
        if deletes_only:
            return Verdict("keep", "equal with less code")
        return Verdict("discard", "equal, and not simpler")
    loss = abs(metrics.value - incumbent)
    return Verdict("discard", f"worse by {_number(loss)}")


# A step of a tenth in one experiment is more than most nights bring in all.
_IMPLAUSIBLE_SHARE, _IMPLAUSIBLE_TIMES = 0.1, 3.0


def implausible(value: float, incumbent: float, gains: Sequence[float]) -> str | None:
    """Returns why a person should look at a gain before believing it; None where it is like others.

    A gain is implausible where it is more than a tenth of the incumbent's value and more than three
    times the largest of the run's earlier gains.
    """
    gain = abs(value - incumbent)
    largest = max(gains, default=0.0)
    if gain <= max(_IMPLAUSIBLE_SHARE * abs(incumbent), _IMPLAUSIBLE_TIMES * largest):
        return None
    before = f"the largest before was {_number(largest)}" if largest else "the first of this run"
    share = f"{100 * gain / abs(incumbent):.0f} % at once" if incumbent else "from 0"
    return f"too good to be true? {_number(gain)} better, {share}; {before}"


# No budget counts start-up, and one of tokens no training. On a CPU an examiner holds a trial to
# processor time, and seconds on the wall say only how busy the machine was.
_QUESTIONS = {
    "startup": "what did it do before its first batch?",
    "training": "what did it do with its batches?",
}


def unusually_slow(spent: Mapping[str, float], baseline: Mapping[str, float]) -> str | None:
    """Returns what a person should ask about the time a trial took; None where it is like the baseline's.

    Both hold seconds by the examiner's name for them; a baseline without an exam has none, and then
    nothing is unusual.
    """
    for phase, question in _QUESTIONS.items():
        name = f"{phase}_seconds"
        seconds, usual_s = spent.get(name, 0.0), baseline.get(name, math.inf)
        if f"{phase}_processor_s" in baseline:
            continue
        if seconds > 2 * usual_s + 10:
            return f"{question} {seconds:.0f} s, and the baseline {usual_s:.0f} s"
    return None


def _number(value: float) -> str:
    return f"{value:.6f}" if value >= 1e-6 else f"{value:.3g}"
