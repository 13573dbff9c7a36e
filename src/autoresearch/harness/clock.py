"""The training budget, which belongs to the harness and not to the script that it bounds.

On a GPU the budget is training time. On a CPU it is a number of tokens: wall clock varies several
fold on a shared machine, while so many tokens with the same seed give the same score to the last
bit. Under an examiner this clock is for the script's own use. The examiner grants the tokens and
reads the time, on a CPU that of the processor, and tells with each batch how much is left: what a
larger model may cost is bounded by it. Whichever limit is reached first ends training.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from .budget import Budget, Time, budget_of_trial
from .cache import HarnessError
from .trial.accelerator import synchronise
from .trial.warmup import Snapshot

__all__ = ["Budget", "Clock", "budget_of_trial"]

# Of two shares of the budget the larger one counts, but not that of time before it is a twentieth:
# first steps are slow, and a schedule that followed their time would not be the same each time.
LEAST_TIME_SHARE = 0.05


def process_started() -> float:
    """Returns when this process began, on the scale of `time.perf_counter`; now, where none tells."""
    now = time.perf_counter()
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        since_boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):  # no Linux
        return now
    # Field 22 of the file, its clock's ticks since boot; the name in field 2 may hold blanks.
    age_s = since_boot_s - int(fields[22 - 3]) / os.sysconf("SC_CLK_TCK")
    return now - max(0.0, age_s)


STARTED = process_started()


class Clock:
    """Starts with the first batch that is granted, is told of every finished step, and says when done.

    `budget` is the trial's limit, `steps` and `tokens` what was spent of it. It is `Batches` that asks
    for grants, so no training token goes uncounted.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.budget = budget_of_trial(device.type)
        self.steps = 0
        self.tokens = 0
        self.warming_up = False
        self.replaying = False  # the model is not to be trained: one step, then done
        self._time: Time = "wall"  # what the examiner's seconds are of
        self._left_s: float | None = None  # at the reading below; None: no limit was told
        self._whole_s = 0.0
        self._left_at = 0.0
        self._step_at: float | None = None  # the reading at the end of the last step
        self._first_grant: float | None = None
        self._last_step: float | None = None
        self._tokens_before = 0  # the step that is under way
        self._stopped = False
        self._step_end: torch.cuda.Event | None = None

    @contextmanager
    def warm_up(self, model: nn.Module, optimisers: Iterable[Optimizer]) -> Iterator[None]:
        """Lets the script compile and settle on dummy batches; nothing counts and nothing stays.

        Weights, buffers, optimiser state and random states are as before afterwards, gradients are
        None. May be repeated until the first batch is granted.
        """
        if self._first_grant is not None:
            raise HarnessError(
                "clock.warm_up after the first training batch: what it puts back would be lost "
                "training; warm up before `batches.next()` is called outside of it"
            )
        optimisers = list(optimisers)
        for optimiser in optimisers:
            if not isinstance(optimiser, Optimizer):
                raise HarnessError(
                    f"clock.warm_up was given a {type(optimiser).__name__} as an optimiser: derive "
                    "it from torch.optim.Optimizer, so that its state can be put back"
                )
        saved = Snapshot(model, optimisers, self.device)
        self.warming_up = True
        try:
            yield
        finally:
            saved.restore()
            synchronise(self.device)
            self.warming_up = False

    def grant(self, tokens: int) -> None:
        """Counts a batch of so many tokens that is handed out; the first one starts the clock."""
        if self.warming_up:
            return
        if self._stopped:
            raise HarnessError(
                "the training budget is used up, and no batch is granted after it: end the loop "
                "with `while not clock.done():`"
            )
        if self._first_grant is None:
            self._first_grant = time.perf_counter()
        self.tokens += tokens

    def step(self) -> None:
        """Counts an optimiser step that is finished, or on a GPU asked for."""
        if self.warming_up:
            return
        self.steps += 1
        if self.device.type == "cuda":
            # At most one step may wait in the queue of the device, or the clock would hear of
            # steps long before they are done.
            if self._step_end is not None:
                self._step_end.synchronize()
            self._step_end = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._step_end.record(torch.cuda.current_stream(self.device))
        self._last_step = time.perf_counter()
        step_tokens, self._tokens_before = self.tokens - self._tokens_before, self.tokens
        if not (self.has_room(step_tokens) and self._has_time()):
            self._stop()  # for one more like this one
        self.done()

    def has_room(self, tokens: int) -> bool:
        """Whether so many tokens more stay within a budget of tokens."""
        return self.budget.unit != "tokens" or self.tokens + tokens <= self.budget.amount

    # -- what an examiner tells ---------------------------------------------------------------

    def limit(self, budget: Budget, of: Time | None) -> None:
        """Takes the budget from the examiner, and what its seconds are of (None: there is no limit)."""
        self.budget, self._time = budget, of or "wall"

    def reading_s(self) -> float:
        """Returns seconds of this process, or on the wall, as the examiner counts them."""
        return time.process_time() if self._time == "processor" else time.perf_counter()

    def allow(self, left_s: float, whole_s: float, at: float) -> None:
        """Takes how many seconds were left, of how many in all, when the clock read `at`."""
        self._left_s, self._whole_s, self._left_at = left_s, whole_s, at

    @property
    def tokens_left(self) -> int | None:
        """How many tokens the budget leaves; None where it is none of tokens."""
        return self.budget.amount - self.tokens if self.budget.unit == "tokens" else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds of training that the examiner leaves; None where it told no limit."""
        if self._left_s is None:
            return None
        return self._left_s - (self.reading_s() - self._left_at)

    def _has_time(self) -> bool:
        """Whether one more step like the last one ends in time; a budget of seconds may be passed by one."""
        now, before = self.reading_s(), self._step_at
        self._step_at = now
        left_s = self.seconds_left
        if left_s is None or before is None or self.budget.unit == "s":
            return True
        return now - before <= left_s

    def progress(self) -> float:
        """Returns the share of the budget that is used, 0 to 1; of two limits the larger."""
        if self._first_grant is None:
            return 0.0
        if self.replaying:
            return 1.0 if self.steps else 0.0
        spent = {"s": self.training_seconds, "steps": self.steps, "tokens": self.tokens}
        share = spent[self.budget.unit] / self.budget.amount
        left_s = self.seconds_left
        if left_s is not None:
            by_time = 1.0 - left_s / self._whole_s
            share = max(share, by_time) if by_time > LEAST_TIME_SHARE else share
        return min(1.0, share)

    def done(self) -> bool:
        """Whether the budget is used up; once it is, no batch is granted any more."""
        if not self._stopped and self.progress() >= 1.0:
            self._stop()
        return self._stopped

    def _stop(self) -> None:
        """Ends training, when what was asked of the device is done."""
        synchronise(self.device)
        self._stopped, self._last_step = True, time.perf_counter()

    def finish(self) -> None:
        """Ends training though budget may be left: its seconds end with the last step."""
        self._stopped = self._last_step is not None

    @property
    def training_seconds(self) -> float:
        """Seconds from the first batch to the end of training, or to now."""
        if self._first_grant is None:
            raise HarnessError("no training batch was granted: draw them with `batches.next()`")
        end = self._last_step if self._stopped else None
        return (time.perf_counter() if end is None else end) - self._first_grant

    @property
    def startup_seconds(self) -> float:
        """Seconds from the start of the process to the first batch: imports, data, compilation."""
        if self._first_grant is None:
            raise HarnessError("no training batch was granted: draw them with `batches.next()`")
        return self._first_grant - STARTED

    @property
    def total_seconds(self) -> float:
        """Seconds since the process began."""
        return time.perf_counter() - STARTED
