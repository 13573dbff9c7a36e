"""The limits of a training: their notation, the defaults of a device, what an examiner forgives.

Nothing here loads torch: the examiner, which holds a trial to these limits, has none.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from .cache import HarnessError
from .names import BUDGET_VARIABLE, MAX_TFLOP_VARIABLE, read_budget, usual_budget

CPU_TFLOP = 1.7  # the cap that goes with CPU_BUDGET, in 10^12; train.py as shipped takes 0.74


@dataclass(frozen=True)
class Budget:
    """Bounds a training by an amount of seconds, steps or tokens."""

    amount: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Returns the budget in `300s`, `600steps` or `614400tokens`.

        Raises HarnessError for any other text.
        """
        found = read_budget(text.strip())
        if found is None:
            raise HarnessError(
                f"{BUDGET_VARIABLE} is {text!r}: give whole seconds, steps or tokens, such as "
                "300s, 600steps or 614400tokens"
            )
        return cls(*found)


def limits(budget: str, cap: str, device_type: str) -> tuple[Budget, float | None]:
    """Returns the budget and the cap in 10^12 operations, from their texts.

    An empty text is the device's own limit. Raises HarnessError for a text that is no limit.
    """
    default = CPU_TFLOP if device_type == "cpu" and not budget else None
    return Budget.parse(budget or usual_budget(device_type)), _tflop(cap) if cap else default


def limits_of_trial(device_type: str) -> tuple[Budget, float | None]:
    """Returns the limits that the environment gives, else the device's own."""
    budget = os.environ.get(BUDGET_VARIABLE, "")
    return limits(budget, os.environ.get(MAX_TFLOP_VARIABLE, ""), device_type)


def token_limit(budget: Budget, max_tflop: float | None, flops_per_token: float | None) -> float:
    """Returns how many tokens the limits leave room for, by the nearer one; inf where none does."""
    by_budget = budget.amount if budget.unit == "tokens" else math.inf
    by_cap = math.inf
    if max_tflop is not None and flops_per_token is not None:
        by_cap = max_tflop * 1e12 / flops_per_token
    return min(by_budget, by_cap) * (1 + 1e-9)


def _tflop(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise HarnessError(
            f"{MAX_TFLOP_VARIABLE} is {text!r}: give a number above 0, in 10^12 floating-point "
            "operations, such as 1.3; without a cap leave it out"
        )
    return amount
