"""Where the tuner may turn a knob: around its baseline value, or between the ends that the user wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from autoresearch.fit.constants import Knob

Number: TypeAlias = "int | float"

_LOGARITHMIC = 8  # a span whose ends are this many times apart is searched by factors


@dataclass(frozen=True, slots=True)
class Range:
    """Where a knob may go. The tuner sees a coordinate; value() and at() translate."""

    low: Number
    high: Number
    log: bool
    form: str  # float | int | power (exponent of two) | share (1 - x, for 0.95 and the like)
    sign: int = 1

    def value(self, at: Number) -> Number:
        """Returns the knob's value at a coordinate, in three digits where it is a float."""
        if self.form == "power":
            return int(self.sign * 2 ** int(at))
        if self.form == "int":
            return self.sign * int(at)
        if self.form == "share":
            return self.sign * round(1 - float(f"{at:.2g}"), 12)
        return self.sign * min(max(float(f"{at:.3g}"), self.low), self.high)

    def at(self, value: Number) -> Number | None:
        """Returns the coordinate of a value; None where it lies outside."""
        x = value * self.sign
        if self.form == "power":
            where: Number = int(x).bit_length() - 1
            if x < 1 or 2 ** int(where) != x:
                return None
        elif self.form == "share":
            where = 1 - x
        else:
            where = x
        return where if self.low <= where <= self.high else None

    def describe(self) -> str:
        """Returns the range in words, in the knob's own values."""
        low, high = sorted((self.value(self.low), self.value(self.high)))
        steps = "powers of two" if self.form == "power" else "logarithmic" if self.log else "linear"
        return f"{low} to {high}, {steps}"


def range_of(knob: Knob) -> Range | None:
    """Returns the range around a baseline value; None for the int 0, which says off, not how much."""
    value = knob.value
    sign = -1 if value < 0 else 1
    size = abs(value)
    if isinstance(value, float):
        if size == 0.0:
            return Range(0.0, 0.1, False, "float")
        if 0.5 < size < 1.0:  # a momentum, a decay: what counts is how far it is from 1
            return Range((1 - size) / 4, min(4 * (1 - size), 0.9), True, "share", sign)
        high = 4 * size if size >= 1.0 or size < 0.25 else 1.0  # a share stays one
        return Range(size / 4, high, True, "float", sign)
    if size == 0:
        return None
    if size == 1 and not knob.power:
        return Range(1, 4, True, "int", sign)
    exponent = int(size).bit_length() - 1
    if 2**exponent == size:
        return Range(max(0, exponent - 2), exponent + 2, False, "power", sign)
    return Range(max(1, int(size) // 2), 2 * int(size), True, "int", sign)


def written_range(knob: Knob, ends: Sequence[Number]) -> Range:
    """Returns the range between two ends that the user wrote; raises ValueError where it holds no value."""
    low, high = ends
    log = low > 0 and high / low >= _LOGARITHMIC
    if isinstance(knob.value, float):
        return Range(float(low), float(high), log, "float")
    whole = [int(end) for end in (low, high) if end == int(end)]
    if len(whole) < 2:
        raise ValueError(f"{knob.name} is a whole number: so are the ends of its range")
    powers = all(end > 0 and end & (end - 1) == 0 for end in (*whole, int(knob.value)))
    if powers or knob.power:
        if not powers:
            raise ValueError(f"{knob.name} is a power of two: so are the ends of its range")
        return Range(whole[0].bit_length() - 1, whole[1].bit_length() - 1, False, "power")
    return Range(whole[0], whole[1], log, "int")
