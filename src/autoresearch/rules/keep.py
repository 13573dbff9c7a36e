"""When a candidate is kept. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autoresearch.records import Direction, Metrics, Verdict


def improves(value: float, incumbent: float, direction: Direction) -> bool:
    """Whether a value is strictly better than the incumbent's."""
    return value < incumbent if direction == "minimize" else value > incumbent


def strict(
    metrics: Metrics, incumbent: float | None, direction: Direction, deletes_only: bool
) -> Verdict:
    """The rule `strict`: better than the incumbent, else discard.

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
_UNHEARD_SHARE, _UNHEARD_TIMES = 0.1, 3.0


def unheard(value: float, incumbent: float, gains: Sequence[float]) -> str:
    """Why a gain is too good to be believed unseen; "" where it is not.

    It is where it is beyond anything that the run has seen: over a tenth of the incumbent's value,
    and over three times the largest of its earlier gains.
    """
    gain = abs(value - incumbent)
    largest = max(gains, default=0.0)
    if gain <= max(_UNHEARD_SHARE * abs(incumbent), _UNHEARD_TIMES * largest):
        return ""
    before = f"the largest before was {_number(largest)}" if largest else "the first of this run"
    share = f"{100 * gain / abs(incumbent):.0f} % at once" if incumbent else "from 0"
    return f"too good to be true? {_number(gain)} better, {share}; {before}"


# No budget counts start-up, and one of steps or tokens no training.
_ASKED = {
    "startup_seconds": "what did it do before its first batch?",
    "training_seconds": "what did it do with its batches?",
}


def slow(spent: Mapping[str, float], usual: Mapping[str, float]) -> str:
    """Why the time that a trial took should be looked at; "" where it is like the baseline's.

    spent, usual: seconds by the examiner's name for them; nothing is usual where none measured.
    """
    for name, question in _ASKED.items():
        seconds, usual_s = spent.get(name, 0.0), usual.get(name, math.inf)
        if seconds > 2 * usual_s + 10:
            return f"{question} {seconds:.0f} s, and the baseline {usual_s:.0f} s"
    return ""


def _number(value: float) -> str:
    return f"{value:.6f}" if value >= 1e-6 else f"{value:.3g}"
