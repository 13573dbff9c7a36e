"""Asking again after outages and rate limits: for hours if need be, at no cost in experiments."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from autoresearch.errors import AnswerTimeout, BadAnswer, Outage, ResearcherError
from autoresearch.records import Answer, Event, Sink, Usage

_SHORTEST_S, _LONGEST_S = 1.0, 300.0  # of the pauses; they double where nobody says how long
_MOST_TIMEOUTS = 3  # each of them may have cost a whole answer


@dataclass
class Retry:
    """The retries of one proposal.

    `who` names the researcher. `breaking` is the context in which Ctrl-C may break in; `spent` is
    told what a broken answer has cost, before anything else is done about it; `emit` is told of a
    wait, and `check`, called with its seconds before it begins, may raise LimitReached.
    """

    who: str
    hours: float
    breaking: Callable[[], AbstractContextManager[None]]
    spent: Callable[[Usage], object]
    emit: Sink
    check: Callable[[float], None]
    timeouts: int = 0

    def answer(self, ask: Callable[[], Answer]) -> Answer:
        """Asks until there is an answer, and returns it; a wait that the provider asks for is kept.

        Raises ResearcherError when the hours are over, and BadAnswer after the third answer of this
        proposal that did not come or end in its time.
        """
        began, pause_s = time.monotonic(), _SHORTEST_S
        while True:
            try:
                with self.breaking():
                    return ask()
            except Outage as outage:
                if outage.usage is not None:
                    self.spent(outage.usage)
                self.timeouts += isinstance(outage, AnswerTimeout)
                if self.timeouts == _MOST_TIMEOUTS:
                    raise BadAnswer(f"no answer in {_MOST_TIMEOUTS} tries: {outage}") from None
                asked_s = outage.retry_after_s
                wait_s = pause_s if asked_s is None else max(asked_s, _SHORTEST_S)
                waited_s = time.monotonic() - began
                if waited_s + wait_s > self.hours * 3600:
                    raise ResearcherError(
                        f"{self.who} could not be reached for {waited_s / 3600:.1f} h "
                        f"(researcher.retry_hours = {self.hours:g}): {outage}. Nothing is lost; "
                        "call autoresearch run again when it is back"
                    ) from None
                self.emit(Event("wait", str(outage), data={"seconds": wait_s}))
                self.check(wait_s)
                with self.breaking():
                    time.sleep(wait_s)
                pause_s = min(2 * pause_s, _LONGEST_S)
