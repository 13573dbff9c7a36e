"""The points of a training log, and what they say in a few computed lines. Pure.

A point is one JSON object on a line of its own that begins with `{"step"` and is shorter than 1 KiB:

    {"step": 50, "loss": 4.12, "progress": 0.083, "tokens_per_s": 51234.0, "step_ms": 19.9, ...}

Anything else is no point and stays what it is: a line of the log.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoresearch.paths import open_plain

_BEGINS = '{"step"'
_LINE_MAX = 1024
_SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
_NEAR = 0.05  # a loss at a share of the budget is the mean over this share before it
_BEFORE = 5  # a spike stands out from the median of so many losses before it ...
_SPIKE = 1.2  # ... by this factor
_LIVE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Point:
    """One logging step: the loss in nats per token (NaN and infinity stay), progress from 0 to 1.

    Progress is the share of the budget that is spent. Tokens per second and milliseconds per step are
    None where the line does not have them.
    """

    step: int
    loss: float
    progress: float
    tokens_per_s: float | None = None
    step_ms: float | None = None


def point(line: str) -> Point | None:
    """Returns the point that a line is; None where it is none."""
    if not line.startswith(_BEGINS) or len(line) >= _LINE_MAX:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    step, loss, progress = (_number(found.get(key)) for key in ("step", "loss", "progress"))
    if step is None or not 0 <= step < 1e15 or loss is None:
        return None
    if progress is None or not 0 <= progress <= 1:
        return None
    speed, pace = (_positive(found.get(key)) for key in ("tokens_per_s", "step_ms"))
    return Point(int(step), loss, progress, speed, pace)


def _number(value: Any) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0 < number < math.inf else None


def points(log: Iterable[str]) -> list[Point]:
    """Returns the points of a log, in its order."""
    return [found for line in log if (found := point(line)) is not None]


def without(log: Iterable[str]) -> Iterator[str]:
    """Returns the lines of a log that are no points."""
    return (line for line in log if point(line) is None)


def last(log: Path) -> Point | None:
    """Returns the last point of a log that is still being written, of which only the end is read."""
    try:
        # A trial may put anything in its place, and a pipe would be waited for.
        opened = open_plain(log)
        if opened is None:
            return None
        with opened as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LIVE_BYTES))
            text = file.read(_LIVE_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    whole = text.split("\n")[:-1]  # the last piece may be half a line
    return next((found for line in reversed(whole) if (found := point(line)) is not None), None)


# -- what they say ----------------------------------------------------------------------------


def digest(curves: Sequence[tuple[str, Sequence[Point]]]) -> list[str]:
    """Returns lines that compare named curves: losses by share of the budget, speed, what went wrong.

    They are [] where no curve has a point.
    """
    curves = [(name, curve) for name, curve in curves if curve]
    if not curves:
        return []
    width = max(len(name) for name, _ in curves)
    head = "".join(f"{share:>9.0%}" for share in _SHARES)
    lines = [f"{'loss at':<{width}} {head}   tokens/s  ms/step"]
    for name, curve in curves:
        losses = "".join(f"{_shown(_loss_at(curve, share)):>9}" for share in _SHARES)
        speed = _median([p.tokens_per_s for p in curve])
        pace = _median([p.step_ms for p in curve])
        lines.append(
            f"{name:<{width}} {losses} {_shown(speed, '.0f'):>10} {_shown(pace, '.1f'):>8}"
        )
    for name, curve in curves:
        lines += [f"{name}: {remark}" for remark in _remarks(curve)]
    return lines


def _loss_at(curve: Sequence[Point], share: float) -> float | None:
    """Returns the mean loss just before a share of the budget; None where training did not get there."""
    if curve[-1].progress < share - _NEAR:
        return None
    near = [p.loss for p in curve if share - _NEAR < p.progress <= share]
    if near:
        return sum(near) / len(near)  # fmean would raise for infinities
    return min(curve, key=lambda p: abs(p.progress - share)).loss


def _remarks(curve: Sequence[Point]) -> Iterator[str]:
    """Yields what a glance at the curve would notice."""
    broken = next((p for p in curve if not math.isfinite(p.loss)), None)
    if broken is not None:
        yield f"the loss was {broken.loss} at step {broken.step}"
    before: deque[float] = deque(maxlen=_BEFORE)
    spikes: list[tuple[float, Point, float]] = []
    for p in curve:
        if not math.isfinite(p.loss):
            continue
        usual = statistics.median(before) if len(before) == _BEFORE else math.inf
        if p.loss > _SPIKE * usual > 0:
            spikes.append((p.loss / usual, p, usual))
        before.append(p.loss)
    if spikes:
        _, worst, usual = max(spikes, key=lambda spike: spike[0])
        count = f"{len(spikes)} spikes of the loss, the largest" if len(spikes) > 1 else "a spike"
        yield f"{count} at step {worst.step}: {usual:.3f} -> {worst.loss:.3f}"
    if curve[-1].progress < 1 - _NEAR:
        yield f"the log ends at {curve[-1].progress:.0%} of the budget"


def _median(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return statistics.median(known) if known else None


def _shown(number: float | None, form: str = ".4f") -> str:
    if number is None:
        return "-"
    return format(number, form) if abs(number) < 1e6 or form != ".4f" else f"{number:.3g}"
