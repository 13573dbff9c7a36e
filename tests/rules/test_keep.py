"""The rule `strict`, both ways."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.records import Direction, Metrics
from autoresearch.rules.keep import implausible, improves, strict, unusually_slow

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "incumbent", "direction", "deletes_only", "status", "reason"),
    [
        (0.9979, None, "minimize", False, "keep", "the baseline"),
        (0.99, 0.9979, "minimize", False, "keep", "better by 0.007900"),
        (0.9979, 0.99, "minimize", False, "discard", "worse by 0.007900"),
        (0.99, 0.99, "minimize", False, "discard", "equal, and not simpler"),
        (0.99, 0.99, "minimize", True, "keep", "equal with less code"),
        (0.991, 0.99, "minimize", True, "discard", "worse by 0.001000"),
        (0.5, 0.25, "maximize", False, "keep", "better by 0.250000"),
        (0.25, 0.5, "maximize", True, "discard", "worse by 0.250000"),
        (-3.0, -2.0, "minimize", False, "keep", "better by 1.000000"),
        (0.0, 1e-9, "minimize", False, "keep", "better by 1e-09"),
        (math.nextafter(1.0, 0), 1.0, "minimize", False, "keep", "better by 1.11e-16"),
    ],
)
def test_strict(
    value: float,
    incumbent: float | None,
    direction: Direction,
    deletes_only: bool,
    status: str,
    reason: str,
) -> None:
    verdict = strict(Metrics(value), incumbent, direction, deletes_only)
    assert (verdict.status, verdict.reason, verdict.failure) == (status, reason, None)


@given(FINITE, FINITE, st.booleans())
def test_of_two_different_values_one_wins_and_the_directions_mirror(
    one: float, two: float, deletes_only: bool
) -> None:
    assert improves(one, two, "minimize") is improves(two, one, "maximize")
    assert improves(one, two, "minimize") is improves(-one, -two, "maximize")
    kept = strict(Metrics(one), two, "minimize", deletes_only).status == "keep"
    assert kept is (one < two or (one == two and deletes_only))


@pytest.mark.parametrize(
    ("value", "incumbent", "gains", "flagged"),
    [
        (1.55, 1.7, [], False),
        (1.5, 1.7, [], True),
        (1.5, 1.7, [0.08], False),
        (1.5, 1.7, [0.05, 0.06], True),
        (0.0, 1.0, [0.2], True),
        (200.0, 100.0, [10.0], True),
        (-1.0, 0.0, [], True),
    ],
)
def test_a_gain_that_is_implausible(
    value: float, incumbent: float, gains: list[float], flagged: bool
) -> None:
    why = implausible(value, incumbent, gains)
    assert (why is not None) is flagged
    if why is not None:
        assert why.startswith("too good to be true?") and "nan" not in why


@pytest.mark.parametrize(
    ("spent", "asked"),
    [
        ({"startup_seconds": 25.0, "training_seconds": 70.0}, ""),
        ({"startup_seconds": 27.0, "training_seconds": 30.0}, "before its first batch? 27 s"),
        ({"startup_seconds": 8.0, "training_seconds": 71.0}, "with its batches? 71 s"),
        ({}, ""),
    ],
)
def test_time_that_no_budget_counts(spent: dict[str, float], asked: str) -> None:
    why = unusually_slow(spent, {"startup_seconds": 8.0, "training_seconds": 30.0, "bpb": 1.7})
    assert asked in (why or "") and (why is not None) is bool(asked)
    assert unusually_slow(spent, {}) is None, "without an exam nothing is measured from outside"
