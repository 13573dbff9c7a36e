"""The limits of a training: their notation, the defaults of a device, what an examiner forgives.

Nothing here loads torch: the examiner, which holds a trial to these limits, has none.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass

from .cache import HarnessError

GPU_BUDGET = "300s"
CPU_BUDGET = "600steps"
CPU_TFLOP = 1.7  # the cap that goes with CPU_BUDGET, in 10^12; train.py as shipped takes 0.74


@dataclass(frozen=True)
class Budget:
    """So much training: an amount of seconds, steps or tokens."""

    amount: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`300s`, `600steps` or `614400tokens`; anything else is a HarnessError that says so."""
        match = re.fullmatch(r"(\d{1,15})(s|steps|tokens)", text.strip(), re.ASCII)
        if match is None or int(match[1]) == 0:
            raise HarnessError(
                f"AUTORESEARCH_BUDGET is {text!r}: give whole seconds, steps or tokens, such as "
                "300s, 600steps or 614400tokens"
            )
        return cls(int(match[1]), match[2])


def limits(budget: str, cap: str, device_type: str) -> tuple[Budget, float | None]:
    """The budget and the cap in 10^12 operations, from their texts; "" is the device's own.

    Raises HarnessError for a text that is neither.
    """
    on_cpu = device_type == "cpu"
    default = CPU_TFLOP if on_cpu and not budget else None
    return (
        Budget.parse(budget or (CPU_BUDGET if on_cpu else GPU_BUDGET)),
        _tflop(cap) if cap else default,
    )


def limits_of_trial(device_type: str) -> tuple[Budget, float | None]:
    """The limits that the environment gives, else the device's own."""
    budget = os.environ.get("AUTORESEARCH_BUDGET") or ""
    return limits(budget, os.environ.get("AUTORESEARCH_MAX_TFLOP") or "", device_type)


def token_limit(budget: Budget, max_tflop: float | None, flops_per_token: float | None) -> float:
    """Tokens that the limits leave room for, by whichever comes first; inf where none does."""
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
            f"AUTORESEARCH_MAX_TFLOP is {text!r}: give a number above 0, in 10^12 floating-point "
            "operations, such as 1.3; without a cap leave it out"
        )
    return amount
