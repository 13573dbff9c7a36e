"""An experiment under way, as the journal tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from autoresearch.records import Answer, Candidate, Usage

Record = dict[str, Any]


@dataclass
class Pending:
    """An experiment under way: what was asked, answered, committed and started of it."""

    number: int
    parent: str
    at: float
    researcher: str = ""
    by: str = "run"
    slot: int = 0
    answers: list[Answer] = field(default_factory=list)
    spent: list[Usage] = field(default_factory=list)  # on answers that broke off
    candidate: Candidate | None = None
    trials: int = 0  # starts in which the supervisor died: no verdict, no pause, no stop
    running: bool = False  # the last start has not ended yet
    trial: Record | None = None  # the last start, to clean up after
    faults: list[str] = field(
        default_factory=list
    )  # since the incumbent was last found to fail too
    incumbent_runs: bool | None = None  # None: it was not tried
    checkout: Record | None = None

    @property
    def is_baseline(self) -> bool:
        return self.by == "baseline"


def put_off(pending: Pending) -> None:
    """The start that has not ended is not held against the candidate."""
    if pending.running:
        pending.trials -= 1
        pending.running = False
