"""The training budget, which belongs to the harness and not to the script that it bounds.

On CUDA the budget is training time. On a CPU it is a number of tokens: wall clock varies several
fold on a shared machine, and with a fixed number of tokens the same seed gives the same score to
the last bit. Tokens and not steps, since a larger batch would then be a gain for nothing. What a
token may cost is bounded by the trial's timeout alone.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass

CUDA_BUDGET = "300s"
CPU_BUDGET = "614400tokens"  # 600 steps of 16 rows of 64
LOADED = time.perf_counter()  # total_seconds counts from here: as early as the harness can see


@dataclass(frozen=True)
class Budget:
    """So much training: an amount of seconds, steps or tokens."""

    amount: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`300s`, `600steps` or `614400tokens`; anything else is a ValueError that says so."""
        match = re.fullmatch(r"(\d+)(s|steps|tokens)", text.strip(), re.ASCII)
        if match is None or int(match[1]) == 0:
            raise ValueError(
                f"budget {text!r}: give seconds, steps or tokens, such as 300s or 600steps"
            )
        return cls(int(match[1]), match[2])

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
        self.tokens = 0
        self._started: float | None = None
        self._stopped: float | None = None

    def start(self) -> None:
        """Training begins now; a second call is an error, so that no time is given twice."""
        if self._started is not None:
            raise RuntimeError("the training clock was started twice")
        self._started = time.perf_counter()

    def step(self, tokens: int) -> None:
        """One optimiser step over so many tokens is finished (and, on a GPU, synchronised)."""
        self.steps += 1
        self.tokens += tokens
        if self.done():
            self._stopped = time.perf_counter()

    def progress(self) -> float:
        """Share of the budget that is used, 0 to 1."""
        spent = {"s": self.training_seconds, "steps": self.steps, "tokens": self.tokens}
        return min(1.0, spent[self.budget.unit] / self.budget.amount)

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
