"""The training budget, which belongs to the harness and not to the script that it bounds.

On CUDA the budget is training time. On a CPU it is a number of steps: wall clock varies several
fold on a shared machine, and with a fixed number of steps the same seed gives the same score to
the last bit. What a step may cost is then bounded by the trial's timeout alone.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass

CUDA_BUDGET = "300s"
CPU_BUDGET = "600steps"
LOADED = time.perf_counter()  # total_seconds counts from here: as early as the harness can see


@dataclass(frozen=True)
class Budget:
    """So many seconds of training, or so many steps; one of the two is None."""

    seconds: float | None
    steps: int | None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`300s` or `600steps`; anything else is a ValueError that says so."""
        match = re.fullmatch(r"(\d+)(s|steps)", text.strip())
        if match is None or int(match[1]) == 0:
            raise ValueError(f"budget {text!r}: give seconds or steps, such as 300s or 600steps")
        amount = int(match[1])
        return cls(float(amount), None) if match[2] == "s" else cls(None, amount)

    @classmethod
    def of_trial(cls, device_type: str) -> Budget:
        """AUTORESEARCH_BUDGET, else the default of the device."""
        default = CUDA_BUDGET if device_type == "cuda" else CPU_BUDGET
        return cls.parse(os.environ.get("AUTORESEARCH_BUDGET") or default)


class Clock:
    """Start it when compilation is over, tell it of every finished step, stop when it is done."""

    def __init__(self, device_type: str) -> None:
        self.budget = Budget.of_trial(device_type)
        self.steps = 0
        self._started: float | None = None
        self._stopped: float | None = None

    def start(self) -> None:
        """Training begins now; a second call is an error, so that no time is given twice."""
        if self._started is not None:
            raise RuntimeError("the training clock was started twice")
        self._started = time.perf_counter()

    def step(self) -> None:
        """One optimiser step is finished (and, on a GPU, synchronised)."""
        self.steps += 1
        if self.done():
            self._stopped = time.perf_counter()

    def progress(self) -> float:
        """Share of the budget that is used, 0 to 1."""
        if self.budget.steps is not None:
            return min(1.0, self.steps / self.budget.steps)
        assert self.budget.seconds is not None
        return min(1.0, self.training_seconds / self.budget.seconds)

    def done(self) -> bool:
        """Whether the budget is used up."""
        return self._stopped is not None or self.progress() >= 1.0

    @property
    def training_seconds(self) -> float:
        """Seconds from the start to the end of training, or to now."""
        if self._started is None:
            raise RuntimeError("the training clock was not started; call clock.start() first")
        return (self._stopped or time.perf_counter()) - self._started

    @property
    def total_seconds(self) -> float:
        """Seconds since this process loaded the harness."""
        return time.perf_counter() - LOADED
