"""A trial's time: start-up and training apart, on the wall and of the processor, told and held to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest

from autoresearch.harness.exam.plan import STARTUP, Plan, VoidError
from autoresearch.harness.exam.timekeeper import Timekeeper

KNOWN = {
    "startup_seconds": 1.0, "training_seconds": 2.0, "startup_processor_s": 1.0,
    "training_processor_s": 2.0, "tokens": 1000, "steps": 10,
}  # fmt: skip
STARTUP_S = STARTUP["processor"][0] + STARTUP["processor"][1]
TOLD_S = 2.3 * 2.0 + 0.5
MOST_S = 1.1 * TOLD_S + 0.5


@dataclass
class Counted:
    """Processor time by hand."""

    now_s: float = 5.0

    def seconds(self) -> float:
        return self.now_s

    recent_s = seconds


def kept(role: str = "score", **changes: Any) -> tuple[Timekeeper, Counted]:
    counted = Counted()
    plan = Plan(role, 3, "", "", 1, "cpu", "1000tokens", None, **({"calibration": KNOWN} | changes))
    return Timekeeper(plan, time.monotonic(), counted), counted


def test_a_start_up_has_its_processor_time() -> None:
    keeper, counted = kept()
    counted.now_s += STARTUP_S - 0.01
    keeper.check()
    keeper.start_training()
    assert keeper.startup_processor_s == pytest.approx(STARTUP_S - 0.01)
    keeper, counted = kept()
    counted.now_s += STARTUP_S + 0.01
    for late in (keeper.check, keeper.start_training):
        with pytest.raises(
            VoidError, match=r"start-up took 3\.0 s of processor time, and 3\.0 s are the"
        ):
            late()


def test_training_has_its_own_and_is_told_what_is_left() -> None:
    keeper, counted = kept()
    assert keeper.left() is None
    counted.now_s += 2.0
    keeper.start_training()
    assert keeper.left() == pytest.approx((TOLD_S, TOLD_S))
    counted.now_s += 3.0
    assert keeper.left() == pytest.approx((TOLD_S - 3, TOLD_S))
    counted.now_s += MOST_S - 3.01
    keeper.check()
    keeper.end_training()
    assert keeper.training_processor_s == pytest.approx(MOST_S - 0.01)
    counted.now_s += 0.02
    for late in (keeper.check, keeper.end_training):
        with pytest.raises(VoidError, match=r"training took \d\.\d s of processor time"):
            late()


def test_a_trial_that_says_nothing_is_looked_at_in_time() -> None:
    keeper, counted = kept()
    keeper.start_training()
    wake_at = keeper.wake_at()
    assert wake_at is not None and wake_at <= time.monotonic() + MOST_S
    counted.now_s += MOST_S + 1
    wake_at = keeper.wake_at()
    assert wake_at is not None and wake_at <= time.monotonic() + 0.06


def test_a_baseline_and_a_worker_have_no_limit() -> None:
    for keeper, counted in (kept(calibration=None), kept("true")):
        counted.now_s += 1000
        keeper.check()
        keeper.start_training()
        counted.now_s += 1000
        keeper.check()
        assert keeper.left() is None
        keeper.end_training()


def test_on_a_gpu_seconds_are_on_the_wall() -> None:
    plan = Plan("score", 3, "", "", 1, "cuda", "1000tokens", None, KNOWN)
    keeper = Timekeeper(plan, time.monotonic() - 40, None)
    with pytest.raises(VoidError, match="no training batch was asked for in 40 s"):
        keeper.start_training()
    keeper = Timekeeper(plan, time.monotonic(), None)
    keeper.start_training()
    assert keeper.deadline == pytest.approx(time.monotonic() + MOST_S, abs=1)
    left = keeper.left()
    assert left is not None and left[1] == TOLD_S and TOLD_S - 1 < left[0] <= TOLD_S
