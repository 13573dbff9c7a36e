"""The seam between the ratchet and whatever proposes.

A researcher is asked once per attempt and answers with text (or edits); the ratchet journals the
answer before `read` makes a proposal of it, so that a crash never pays twice. `read` is pure: the
same answer gives the same proposal on every resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from autoresearch.records import Answer, Direction, Edit, Experiment, Proposal

# Characters. A description is a line of a table; the other two stand in musings.md.
DESCRIPTION_LENGTH = 200
REMARK_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a researcher is told, as values.

    `files` maps the paths of the incumbent's mutable text files to their bytes, and
    `baseline_files` those of experiment 0, which the tuner's ranges hang on. `frozen` has the lines
    that name the files which can't be changed, with what they offer; `tree` is every path of the
    incumbent. `experiments` are all rows so far, oldest first, the baseline included, and
    `refusals` what was wrong with the proposals since the last one. `log_tail` is the end of the
    last trial's log, folded and bounded, without its training lines; `training` sums those up, for
    the last trial and for the incumbent's. `answers` holds (experiment number, text) of the last
    answer to every experiment; `asked` counts the answers of this run, refused ones included.
    `history` has lines about experiments from before the run, by other means; `gates` are sentences about
    what else a change must pass.
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
    answers: tuple[tuple[int, str], ...] = ()
    asked: int = 0
    history: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier answer to the same prompt, and what was wrong with it."""

    answer: str
    error: str


class Researcher(Protocol):
    """Whatever proposes. `attempts` is how often one proposal may be tried before it is a failure."""

    kind: str
    attempts: int

    def warm_up(self) -> None:
        """Begins, aside, what takes long before the first question; may be called at any time."""
        ...

    def prompt(self, brief: Brief) -> str:
        """Returns what is asked with a brief."""
        ...

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """Returns one answer to the prompt.

        Raises Outage (wait and ask again), NothingToPropose, ResearcherError (stop), or BadAnswer
        where there is nothing that could be read (a program that failed).
        """
        ...

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        """Returns the proposal in an answer.

        Raises BadAnswer where there is none, with the text that the researcher is told.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """How a program of the user's ended: why it failed, what it printed, what it changed.

    strays names what changed meanwhile of the user's own, outside of the workbench; notes say what of its
    files was dropped.
    """

    failure: str | None
    output: str
    edits: tuple[Edit, ...]
    strays: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Workbench(Protocol):
    """The place where a program of the user's works on the incumbent."""

    def run(self, command: Sequence[str], prompt: str, timeout_s: float) -> ProgramRun:
        """Lays the incumbent out, runs the program with the prompt, and reads what it changed.

        The prompt stands where a word of the command has {prompt}, and in the file that stands where
        one has {prompt_file}; where none has, it is on the standard input. A program that failed has
        made no edits.
        """
        ...
