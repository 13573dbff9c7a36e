"""Trying again: how often, how long to wait between attempts, and when to stop."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from ..cache import HarnessError
from .progress import Say


@dataclass(frozen=True)
class RetryLimits:
    """How often and how long to try; waits double from `wait_s` to `longest_wait_s`."""

    attempts: int = 8
    silence_s: float = 30.0
    wait_s: float = 1.0
    longest_wait_s: float = 60.0


class PassingError(Exception):
    """The next attempt may not meet this fault.

    wait_s: what the server asked for. afresh: what has come so far is of no use.
    """

    def __init__(self, reason: str, wait_s: float = 0.0, afresh: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.afresh = afresh


class StoppedError(Exception):
    """Another file failed, or the person interrupted: this one is left as it is."""


class Attempts:
    """Counts the attempts for one address, and waits between them."""

    def __init__(self, url: str, limits: RetryLimits, stop: threading.Event, say: Say) -> None:
        self.url = url
        self.say = say
        self.limits = limits
        self.stop = stop
        self.count = 0

    def failed(self, fault: PassingError, left: str = "") -> None:
        """Waits for the next attempt.

        Raises HarnessError where there have been enough, StoppedError where `stop` is set meanwhile.
        """
        self.count += 1
        if self.count >= self.limits.attempts:
            raise HarnessError(
                f"{self.url}: no whole copy after {self.count} attempts ({fault}){left}; "
                "look at the network and run the same command again to go on"
            ) from fault
        backoff_s = min(self.limits.wait_s * 2.0 ** (self.count - 1), self.limits.longest_wait_s)
        # Half of it by chance, so that eight downloads do not come back at the same moment.
        wait_s = max(fault.wait_s, backoff_s * random.uniform(0.5, 1.0))
        self.say(f"{self.url}: {fault}; trying again in {wait_s:.0f} s")
        if self.stop.wait(wait_s):
            raise StoppedError
