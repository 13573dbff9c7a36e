"""Outages and rate limits, sat out: for hours if need be, and without consuming an experiment."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

from autoresearch.errors import Outage, ResearcherError
from autoresearch.records import Answer, Event

_SHORTEST_S, _LONGEST_S = 1.0, 300.0  # of the pauses; they double where nobody says how long


def sit_out(
    ask: Callable[[], Answer],
    who: str,
    retry_hours: float,
    breaking: Callable[[], AbstractContextManager[None]],
) -> Generator[Event, None, Answer]:
    """Ask until there is an answer; ResearcherError when retry_hours are over.

    breaking: the context in which Ctrl-C may break in. A wait that the provider asks for is kept.
    """
    began, pause_s = time.monotonic(), _SHORTEST_S
    while True:
        try:
            with breaking():
                return ask()
        except Outage as outage:
            asked_s = outage.retry_after_s
            wait_s = pause_s if asked_s is None else max(asked_s, _SHORTEST_S)
            waited_s = time.monotonic() - began
            if waited_s + wait_s > retry_hours * 3600:
                raise ResearcherError(
                    f"{who} could not be reached for {waited_s / 3600:.1f} h "
                    f"(researcher.retry_hours = {retry_hours:g}): {outage}. Nothing is lost; call "
                    "autoresearch run again when it is back"
                ) from None
            yield Event("wait", str(outage), data={"seconds": wait_s})
            with breaking():
                time.sleep(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_S)
