"""Holds a trial to its time: start-up and training, on the wall and, on a CPU, of the processor.

All that counts is read here, outside of the trial. What of it is left is told with each grant, so
that an honest script ends in time; it is void only where it goes on.
"""

from __future__ import annotations

import time
from typing import NoReturn

from ..budget import TimeLimit
from .plan import Plan, VoidError
from .processor import ProcessorTime, cores

WAKE_S = 0.05  # least between two looks at a trial that says nothing


class Timekeeper:
    """Measures the phases of one trial; `began` is of time.monotonic, at the examiner's start.

    processor: what counts the trial's processor time; None where nothing of it is limited.
    """

    def __init__(self, plan: Plan, began: float, processor: ProcessorTime | None) -> None:
        self._plan = plan
        self._processor = processor
        self._began = began
        self._phase, self._limit = "start-up", plan.startup() if plan.role == "score" else None
        startup_s = plan.allowance_s("startup_seconds")
        self.deadline = None if startup_s is None else began + startup_s  # of time.monotonic
        if self._limit is not None and self._limit.of == "wall":
            self.deadline = began + self._limit.most_s
        self._since = began
        self._since_processor_s = 0.0 if processor is None else processor.seconds()
        self.first_grant: float | None = None
        self.startup_processor_s: float | None = None
        self.training_processor_s: float | None = None

    def start_training(self) -> None:
        """Ends the start-up, with the first request for rows. Raises VoidError where it was too long."""
        used_s = self.startup_processor_s = self._used_processor_s()
        self.check(exactly=True)
        self.first_grant = self._since = time.monotonic()
        if self._plan.role != "score":
            return
        self._since_processor_s += used_s or 0.0
        self._phase, self._limit = "training", self._plan.training()
        wall_s = self._plan.training_wall_s()
        self.deadline = None if wall_s is None else self.first_grant + wall_s

    def end_training(self) -> None:
        """Ends the training, with the hand-over. Raises VoidError where it was too long."""
        if self._plan.role == "score":
            self.training_processor_s = self._used_processor_s()
            self.check(exactly=True)

    def check(self, exactly: bool = False) -> None:
        """Raises VoidError where the phase has had its time; of the processor `exactly`, or as last seen."""
        if self._limit is None:
            return
        used_s, limit = self._used_s(exactly), self._limit
        if used_s > limit.most_s and limit.of == "wall":
            self.late()
        if used_s > limit.most_s:
            raise VoidError(
                "budget",
                f"{self._phase} took {used_s:.1f} s of processor time, and {limit.most_s:.1f} s are the "
                "most, by what the baseline's took",
            )

    def late(self) -> NoReturn:
        """Raises the VoidError of a phase that is past its deadline."""
        wall_s = time.monotonic() - self._since
        if self.first_grant is None:
            raise VoidError("budget", f"no training batch was asked for in {wall_s:.0f} s")
        raise VoidError("budget", f"training was not over after {wall_s:.1f} s")

    def left(self) -> tuple[float, float] | None:
        """Returns the seconds that an honest training may still take, and all it has; None: no limit."""
        if self._limit is None or self.first_grant is None:
            return None
        return self._limit.told_s - self._used_s(exactly=False), self._limit.told_s

    def wake_at(self) -> float | None:
        """Returns when to look at the trial again, of time.monotonic; None: it may take for ever."""
        limit, now = self._limit, time.monotonic()
        times = [] if self.deadline is None else [self.deadline]
        if limit is not None and limit.of == "processor":
            left_s = (limit.most_s - self._used_s(exactly=False)) / cores()
            times.append(now + max(WAKE_S, left_s))
        return min(times, default=None)

    def told(self) -> TimeLimit | None:
        """Returns the limit of the training, for the welcome."""
        return self._plan.training() if self._plan.role == "score" else None

    def _used_s(self, exactly: bool) -> float:
        assert self._limit is not None
        if self._limit.of == "wall":
            return time.monotonic() - self._since
        return self._used_processor_s(exactly) or 0.0

    def _used_processor_s(self, exactly: bool = True) -> float | None:
        if self._processor is None:
            return None
        now_s = self._processor.seconds() if exactly else self._processor.recent_s()
        return now_s - self._since_processor_s
