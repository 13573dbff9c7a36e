"""`autoresearch baseline`: experiment 0, or a new start where a person has committed on the branch."""

from __future__ import annotations

from autoresearch.commands.session import opened
from autoresearch.ratchet.drive import Limits
from autoresearch.streams import say


def baseline(tag: str | None) -> None:
    """Tries the branch's tip as it is, and says what it gave; what was tried already is only said."""
    with opened(tag) as session:
        config, state = session.config, session.ratchet.run.state
        with session.shown(Limits(budget=config.budget)):
            session.driver.baseline()
        last = [e for e in state.experiments if e.is_baseline][-1]
        say(f"baseline: {config.task.metric.name} {last.value} at {last.short}")
