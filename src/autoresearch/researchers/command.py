"""Any program that edits files in place: the prompt on its standard input, its edits from the worktree."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch.errors import BadAnswer
from autoresearch.records import Answer, Edit, Proposal
from autoresearch.researchers.base import Brief, Turn
from autoresearch.researchers.blocks import DESCRIPTION_LENGTH, REMARK_LENGTH
from autoresearch.text import one_line

_TEXT_MAX = 20_000
_HEADER = re.compile(r"^(description|hypothesis|lesson):[ \t]*(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended: its failure in words ("" for none), what it printed, what it changed."""

    failure: str
    output: str
    edits: tuple[Edit, ...]


class CommandResearcher:
    """Runs a program in the worktree, laid out as the incumbent.

    execute does the running; description stands in for a header that the program does not print.
    """

    kind = "command"
    attempts = 1

    def __init__(self, execute: Callable[[str], Ran], description: str = "") -> None:
        self._execute = execute
        self._description = description

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        ran = self._execute(prompt)
        if ran.failure:
            last = ran.output.strip().splitlines()[-1:]
            raise BadAnswer(one_line(": ".join([f"the program {ran.failure}", *last]), 500))
        return Answer(ran.output[-_TEXT_MAX:], edits=ran.edits)

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        if not answer.edits:
            raise BadAnswer("the program changed no file")
        said = dict(_HEADER.findall(answer.text))
        last = (answer.text.strip().splitlines() or [""])[-1]
        return Proposal(
            one_line(said.get("description") or self._description or last, DESCRIPTION_LENGTH),
            answer.edits,
            one_line(said.get("hypothesis", ""), REMARK_LENGTH),
            one_line(said.get("lesson", ""), REMARK_LENGTH),
        )
