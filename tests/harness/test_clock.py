"""The budget, the time that an examiner leaves, and what the clock counts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from autoresearch.harness.cache import HarnessError  # noqa: E402
from autoresearch.harness.clock import Budget, Clock, budget_of_trial  # noqa: E402
from autoresearch.harness.loader import Batches  # noqa: E402
from tests.handmade import small_data  # noqa: E402

CPU = torch.device("cpu")
B, T = 4, 8
DATA = small_data(np.random.default_rng(0).integers(0, 32, (64, T + 1)), [1] * 32, bos=31)


pytestmark = pytest.mark.usefixtures("limits")


def test_budgets_are_seconds_steps_or_tokens(limits: Callable[..., None]) -> None:
    assert Budget.parse("300s") == Budget(300, "s")
    assert Budget.parse("600steps") == Budget(600, "steps")
    assert Budget.parse("614400tokens") == Budget(614400, "tokens")
    for wrong in ("300", "9" * 5000 + "s", "0s", "-1s", "3 minutes", "1.5s", "٣s"):
        with pytest.raises(HarnessError, match=r"AUTORESEARCH_BUDGET is .* such as 300s"):
            Budget.parse(wrong)
    limits()
    assert budget_of_trial("cpu") == Budget(614_400, "tokens")
    assert budget_of_trial("cuda") == budget_of_trial("mps") == Budget(300, "s")
    limits("20steps")
    assert budget_of_trial("cpu") == Budget(20, "steps")
    assert str(budget_of_trial("cpu")) == "20steps"


def told(clock: Clock, left_s: float, whole_s: float = 10.0) -> None:
    clock.limit(Budget(64 * B * T, "tokens"), "processor")
    clock.allow(left_s, whole_s, clock.reading_s())


def test_the_time_that_an_examiner_leaves_ends_training(limits: Callable[..., None]) -> None:
    clock = Clock(CPU)
    assert clock.seconds_left is None and clock.tokens_left is None
    batches = Batches(DATA, B, CPU, 1, clock)
    batches.next()
    told(clock, 9.6)  # less than a twentieth of it is used: a slow first step moves no schedule
    clock.step()
    assert clock.progress() == 1 / 64 and clock.tokens_left == 63 * B * T
    told(clock, 4.0)
    assert 0.6 <= clock.progress() < 0.7
    assert clock.seconds_left is not None and 3.0 < clock.seconds_left <= 4.0
    told(clock, -0.1)
    assert clock.progress() == 1.0 and clock.done()
    with pytest.raises(HarnessError, match="the training budget is used up"):
        batches.next()


def test_no_step_begins_that_would_end_too_late(limits: Callable[..., None]) -> None:
    clock = Clock(CPU)
    batches = Batches(DATA, B, CPU, 1, clock)
    for left_s, done in ((9.9, False), (0.3, True)):  # each step takes half a second
        batches.next()
        told(clock, 9.9)
        clock.step()
        busy = time.process_time() + 0.5
        while time.process_time() < busy:
            pass
        told(clock, left_s)
        clock.step()
        assert clock.done() is done
        if done:
            break


def test_the_first_batch_starts_the_clock_and_the_last_step_stops_it(
    limits: Callable[..., None],
) -> None:
    limits("2steps")
    clock = Clock(CPU)
    batches = Batches(DATA, B, CPU, 1, clock)
    with pytest.raises(HarnessError, match="no training batch was granted"):
        _ = clock.training_seconds
    assert clock.progress() == 0.0 and not clock.done()
    shares = []
    while not clock.done():
        batches.next()
        batches.next()  # two passes to a step
        clock.step()
        shares.append(clock.progress())
    assert shares == [0.5, 1.0]
    assert (clock.steps, clock.tokens) == (2, 2 * 2 * B * T)
    spent = clock.training_seconds
    assert clock.training_seconds == spent > 0
    assert clock.total_seconds > clock.startup_seconds + spent
    with pytest.raises(HarnessError, match="budget is used up"):
        batches.next()


def test_a_larger_batch_gets_no_more_tokens(limits: Callable[..., None]) -> None:
    limits("64tokens")
    steps = []
    for rows in (1, 2):
        clock = Clock(CPU)
        batches = Batches(DATA, rows, CPU, 1, clock)
        while not clock.done():
            batches.next()
            clock.step()
        steps.append(clock.steps)
    assert steps == [8, 4]


def test_no_step_begins_that_would_pass_a_budget_of_tokens(limits: Callable[..., None]) -> None:
    for budget, steps in (("100tokens", 3), ("96tokens", 3), ("5tokens", 1)):  # the first may
        limits(budget)
        clock = Clock(CPU)
        batches = Batches(DATA, B, CPU, 1, clock)
        while not clock.done():
            batches.next()
            clock.step()
        assert (clock.steps, clock.tokens) == (steps, steps * B * T)


def test_a_budget_of_seconds_ends(limits: Callable[..., None]) -> None:
    limits("1s")
    clock = Clock(CPU)
    time.sleep(0.2)  # before the first batch: free
    batches = Batches(DATA, B, CPU, 1, clock)
    while not clock.done():
        batches.next()
        time.sleep(0.02)
        clock.step()
    assert clock.progress() == 1.0 and clock.training_seconds >= 1.0
    assert clock.steps <= 50  # each took 20 ms at least


def test_once_the_clock_says_done_no_batch_is_granted(limits: Callable[..., None]) -> None:
    limits("1s")
    clock = Clock(CPU)
    batches = Batches(DATA, B, CPU, 1, clock)
    batches.next()
    clock.step()
    assert not clock.done()
    time.sleep(1.0)  # the budget ends between two steps
    assert clock.done()
    with pytest.raises(HarnessError, match="the training budget is used up"):
        batches.next()
    assert clock.training_seconds >= 1.0


def test_training_that_ends_early_ends_with_its_last_step() -> None:
    clock = Clock(CPU)
    Batches(DATA, B, CPU, 1, clock).next()
    clock.step()
    clock.finish()
    spent = clock.training_seconds
    time.sleep(0.01)
    assert clock.training_seconds == spent


@pytest.mark.slow
def test_startup_counts_from_the_start_of_the_process() -> None:
    script = (
        "import time; time.sleep(0.7); began = time.perf_counter()\n"
        "from autoresearch.harness.clock import STARTED\n"
        "print(began - STARTED)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    if sys.platform == "linux":
        assert float(done.stdout) >= 0.69  # the kernel's clock ticks 100 times a second
