"""Limits: read from a log as the metric is, and compared."""

from __future__ import annotations

import pytest

from autoresearch.records import Crash
from autoresearch.rules.limits import compares_with_baseline, exceeded
from autoresearch.rules.metrics import numbers


@pytest.mark.parametrize(
    ("limit", "number", "beyond"),
    [
        ("<= 3", 3, False), ("<= 3", 3.0000001, True), ("< 3", 3, True), ("< 3", 2.9, False),
        (">= 3", 3, False), (">= 3", 2.9, True), ("> 3", 3, True), ("> 3", 3.1, False),
        ("<= baseline", 2, False), ("< baseline", 2, True), ("<= baseline * 1.01", 2.02, False),
        ("<= baseline * 1.01", 2.03, True), (">= baseline * -1", -2, False),
    ],
)  # fmt: skip
def test_comparisons(limit: str, number: float, beyond: bool) -> None:
    said = exceeded({"a": limit}, {"a": number}, {"a": 2.0})
    assert (said is not None) == beyond
    assert said is None or (f"a is {number:.8g}, and must be {limit}" in said)


def test_all_that_are_beyond_are_named() -> None:
    limits = {"a": "< 1", "b": "<= baseline * 1.5", "c": "> 0"}
    said = exceeded(limits, {"a": 1, "b": 4, "c": 1}, {"b": 2})
    assert said == "a is 1, and must be < 1; b is 4, and must be <= baseline * 1.5 (3)"
    assert compares_with_baseline(limits) == ["b"]


def test_a_log_is_read_as_for_the_metric() -> None:
    log = [
        "p95 = 12.5 (ms)",
        "\x1b[1m acc: 93.5 %\x1b[0m",
        "acc2: 4",
        "ppl: 1",
        "ppl: 2",
        "x: much",
    ]
    found = numbers(log, ["p95", "acc", "ppl", "x", "y"])
    assert (found["p95"], found["acc"]) == (12.5, 93.5)
    kinds = [
        each.failure for each in (found["ppl"], found["x"], found["y"]) if isinstance(each, Crash)
    ]
    assert kinds == ["two_summaries", "no_summary", "no_summary"]
    assert numbers(log, ["ppl"], "last") == {"ppl": 2.0}
