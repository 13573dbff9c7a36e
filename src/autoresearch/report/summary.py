"""What a run found, in figures, from its rows. Pure.

A gain is positive where the value is better, whichever way the metric goes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autoresearch.records import Direction, Status

_LARGEST = 5


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One row of a report, of this tool's run or of anybody's file; None where there is no value.

    Without equality: two rows with the same words are two rows.
    """

    number: int | None
    commit: str
    value: float | None
    memory_gb: float | None
    status: Status
    description: str
    reason: str = ""
    failure: str | None = None
    seconds: float | None = None
    usd: float | None = None
    is_baseline: bool = False  # what a person committed, and no candidate


@dataclass(frozen=True, slots=True)
class Step:
    """An entry in its place, with its gain over the incumbent of its time, and the best value until then."""

    position: int  # from 0, in the order of the file
    entry: Entry
    gain: float | None
    best: float | None

    @property
    def number(self) -> int:
        """The experiment's number; of a file without numbers the row's."""
        return self.position if self.entry.number is None else self.entry.number


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run; a number that is not known is None."""

    metric: str
    direction: Direction
    count: int
    kept: int
    discarded: int
    crashed: int
    crashes: dict[str, int]  # by kind, the most frequent first; "" where the file does not say
    baseline: Entry | None  # the first kept row
    best: Entry | None
    gain: float | None  # of the best over the baseline
    gain_percent: float | None
    tried: int  # experiments after the first baseline, further baselines apart
    won: int  # those of them that were kept
    seconds: float | None
    usd: float | None
    largest: tuple[Step, ...]  # single gains of keeps after the baseline, the largest first
    steps: tuple[Step, ...]

    @property
    def goes_backwards(self) -> bool:
        """Whether the value gets worse from keep to keep more often than better: a wrong direction."""
        gains = [
            step.gain
            for step in self.steps
            if step.entry.status == "keep" and not step.entry.is_baseline and step.gain
        ]
        return sum(gain < 0 for gain in gains) > sum(gain > 0 for gain in gains)

    @property
    def keep_rate(self) -> float | None:
        """The share of the experiments after the baseline that were kept."""
        return self.won / self.tried if self.tried else None


def summarise(
    entries: Iterable[Entry],
    metric: str,
    direction: Direction,
    usd: float | None = None,
    seconds: float | None = None,
) -> Summary:
    """Returns the figures of a run; without its whole dollars and seconds, those of its rows are added up."""
    rows = list(entries)
    steps: list[Step] = []
    incumbent: float | None = None
    baseline: Entry | None = None
    best: Entry | None = None
    tried = won = 0
    for position, entry in enumerate(rows):
        value = entry.value if entry.status != "crash" else None
        step_gain = None
        if value is not None and incumbent is not None:
            step_gain = gain_of(value, incumbent, direction)
        if baseline is not None and not entry.is_baseline:
            tried += 1
            won += entry.status == "keep"
        if entry.status == "keep" and value is not None:
            incumbent = value
            baseline = baseline or entry
            if best is None or gain_of(value, _value(best), direction) > 0:
                best = entry
        steps.append(Step(position, entry, step_gain, None if best is None else best.value))
    total = gain_of(_value(best), _value(baseline), direction) if best and baseline else None
    percent = None
    if total is not None and baseline and baseline.value:
        percent = 100 * total / abs(baseline.value)
    crashes = Counter(entry.failure or "" for entry in rows if entry.status == "crash")
    gains = [
        step
        for step in steps
        if step.entry.status == "keep" and not step.entry.is_baseline and (step.gain or 0.0) > 0
    ]
    return Summary(
        metric=metric,
        direction=direction,
        count=len(rows),
        kept=sum(entry.status == "keep" for entry in rows),
        discarded=sum(entry.status == "discard" for entry in rows),
        crashed=crashes.total(),
        crashes=dict(crashes.most_common()),
        baseline=baseline,
        best=best,
        gain=total,
        gain_percent=percent if percent is not None and math.isfinite(percent) else None,
        tried=tried,
        won=won,
        seconds=_sum(entry.seconds for entry in rows) if seconds is None else seconds,
        usd=_sum(entry.usd for entry in rows) if usd is None else usd,
        largest=tuple(sorted(gains, key=lambda s: -(s.gain or 0.0))[:_LARGEST]),
        steps=tuple(steps),
    )


def filtered(
    entries: Sequence[Entry],
    kept_only: bool = False,
    top: int | None = None,
    grep: str | None = None,
    direction: Direction = "minimize",
) -> list[Entry]:
    """Returns the rows to show: kept ones, those with all words in the description, the best N of them.

    `top` orders by value, best first, and leaves out rows without one.
    """
    words = (grep or "").casefold().split()
    found = [
        entry
        for entry in entries
        if (entry.status == "keep" or not kept_only)
        and all(word in entry.description.casefold() for word in words)
    ]
    if top is None:
        return found
    valued = [entry for entry in found if entry.value is not None and entry.status != "crash"]
    return sorted(valued, key=_value, reverse=direction == "maximize")[:top]


def gain_of(value: float, incumbent: float, direction: Direction) -> float:
    """Returns how much better a value is than the incumbent's; negative where it is worse."""
    return incumbent - value if direction == "minimize" else value - incumbent


def _value(entry: Entry) -> float:
    assert entry.value is not None
    return entry.value


def _sum(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
