"""The limits of a training: their notation, the defaults of a device, and what time a trial has.

Nothing here loads torch: the examiner, which holds a trial to these limits, has none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from .cache import HarnessError
from .names import BUDGET_VARIABLE, read_budget, usual_budget

Time = Literal["processor", "wall"]  # what seconds are of


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

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


def budget_in(text: str, device_type: str) -> Budget:
    """Returns the budget in a text, the device's own where it is empty.

    Raises HarnessError for a text that is no budget.
    """
    return Budget.parse(text or usual_budget(device_type))


def budget_of_trial(device_type: str) -> Budget:
    """Returns the budget that the environment gives, else the device's own."""
    return budget_in(os.environ.get(BUDGET_VARIABLE, ""), device_type)


@dataclass(frozen=True)
class TimeLimit:
    """Bounds a phase of a trial: an honest one ends within `told_s`; past `most_s` it is void."""

    told_s: float
    most_s: float
    of: Time
