"""`autoresearch accept N`: a held experiment made the incumbent, by a person's word."""

from __future__ import annotations

from autoresearch.lab.lab import Lab
from autoresearch.lab.run import Run
from autoresearch.ledger import results
from autoresearch.ratchet.acceptance import accept_held
from autoresearch.records import Event
from autoresearch.runners.local import LocalRunner
from autoresearch.streams import say
from autoresearch.text import one_line


def accept(number: int, tag: str | None) -> None:
    """Makes a held experiment the incumbent, and says so. Raises LabError where that can't be."""
    lab = Lab.here()
    tag = lab.tag(tag)
    config = lab.config(tag)

    def emit(event: Event) -> None:
        if event.kind == "notice":
            say(f"notice: {one_line(event.text)}")

    with lab.locked(tag):
        accepted = accept_held(Run(lab, tag, config, emit), LocalRunner(), number)
    metric = config.task.metric.name
    say(
        f"accepted #{number} {accepted.short}: the incumbent of {tag} is {metric} "
        f"{results.number(accepted.value or 0.0, metric)} now, at the end of autoresearch/{tag}"
    )
