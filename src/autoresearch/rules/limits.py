"""The lab's limits: other numbers than the metric that a candidate must keep to. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

from autoresearch.config import Bound, bound

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compares_with_baseline(limits: Mapping[str, str]) -> list[str]:
    """Returns the names of which the baseline's number is needed."""
    return [name for name, text in limits.items() if bound(text).of_baseline]


def exceeded(
    limits: Mapping[str, str], numbers: Mapping[str, float], baseline: Mapping[str, float]
) -> str | None:
    """Returns which limits the numbers are beyond, in words; None where they keep to all.

    `numbers` has every name of `limits` (the mean, where there were several trials), and `baseline`
    those of `compares_with_baseline`.
    """
    beyond = []
    for name, text in limits.items():
        limit = bound(text)
        most = _most(limit, baseline.get(name))
        if not _COMPARE[limit.operator](numbers[name], most):
            exact = f" ({most:.8g})" if limit.of_baseline else ""
            beyond.append(f"{name} is {numbers[name]:.8g}, and must be {limit.text()}{exact}")
    return "; ".join(beyond) or None


def _most(limit: Bound, baseline: float | None) -> float:
    if not limit.of_baseline:
        return limit.number
    assert baseline is not None
    return limit.number * baseline
