"""The seam between the ratchet and whatever proposes.

A researcher is asked once per attempt and answers with text (or edits); the ratchet journals the
answer before `read` makes a proposal of it, so that a crash never pays twice. `read` is pure: the
same answer gives the same proposal on every resume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from autoresearch.records import Answer, Direction, Experiment, Proposal


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a researcher is told, as values.

    files: mutable text files of the incumbent, path to bytes. frozen: lines that name the files
    which can't be changed and their interface. tree: every path of the incumbent. baseline_files:
    the mutable files at experiment 0 (the tuner's ranges hang on them). experiments: all rows so
    far, oldest first, the baseline included. refusals: what was wrong with the proposals since the
    last experiment, oldest first. log_tail: the last trial's log, folded and bounded, without its
    points; training: lines computed from those, of the last trial and of the incumbent's.
    """

    number: int
    charter: str
    files: dict[str, bytes]
    frozen: tuple[str, ...]
    tree: frozenset[str]
    mutable: tuple[str, ...]
    metric: str
    direction: Direction
    timeout_s: float
    experiments: tuple[Experiment, ...] = ()
    refusals: tuple[str, ...] = ()
    log_tail: str = ""
    training: tuple[str, ...] = ()
    baseline_files: dict[str, bytes] | None = None
    answers: tuple[
        tuple[int, str], ...
    ] = ()  # (experiment number, answer text) of every experiment
    asked: int = 0  # answers given in this run so far, refused ones included


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier answer to the same prompt, and what was wrong with it."""

    answer: str
    error: str


class Researcher(Protocol):
    """Whatever proposes. `attempts` is how often one proposal may be tried before it is a failure."""

    kind: str
    attempts: int

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """One answer to the prompt.

        Raises Outage (wait and ask again), NothingToPropose, ResearcherError (stop), or BadAnswer
        where there is nothing that could be read (a program that failed).
        """
        ...

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        """The proposal in an answer; BadAnswer, with the text that the researcher is told, if none."""
        ...
