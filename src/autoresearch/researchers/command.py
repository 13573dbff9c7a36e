"""Any program that edits files in place: the prompt on its standard input, its edits from the worktree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from autoresearch.errors import BadAnswer
from autoresearch.records import Answer, Proposal
from autoresearch.researchers import blocks
from autoresearch.researchers.base import (
    DESCRIPTION_LENGTH,
    REMARK_LENGTH,
    Brief,
    Turn,
    Workbench,
)
from autoresearch.researchers.dress import marker
from autoresearch.text import one_line

_TEXT_MAX = 20_000
_HEADER = re.compile(r"^(description|hypothesis|lesson):[ \t]*(.+)$", re.MULTILINE)


class CommandResearcher:
    """Runs a program on a workbench, for timeout_s at most.

    The description stands in for a header that the program does not print.
    """

    kind = "command"
    attempts = 1

    def __init__(
        self,
        workbench: Workbench,
        command: Sequence[str],
        timeout_s: float,
        description: str | None = None,
    ) -> None:
        self._workbench = workbench
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._description = description

    def warm_up(self) -> None:
        """There is nothing to prepare."""

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """Returns what the program printed, with its edits; raises BadAnswer where it failed."""
        ran = self._workbench.run(self._command, prompt, self._timeout_s)
        if ran.failure is not None:
            last = ran.output.strip().splitlines()[-1:]
            said = one_line(": ".join([f"the program {ran.failure}", *last]), 500)
            raise BadAnswer(said + _strayed(ran.strays))
        return Answer(ran.output[-_TEXT_MAX:], edits=ran.edits, strays=ran.strays)

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        """Returns the edits as a proposal, or the blocks that were printed; raises BadAnswer."""
        if not answer.edits:
            try:
                return self._printed(answer.text, brief)
            except BadAnswer as bad:
                raise BadAnswer(f"{bad}{_strayed(answer.strays)}", bad.final) from None
        said = dict(_HEADER.findall(answer.text))
        last = (answer.text.strip().splitlines() or [""])[-1]
        return Proposal(
            one_line(said.get("description") or self._description or last, DESCRIPTION_LENGTH),
            answer.edits,
            one_line(said.get("hypothesis", ""), REMARK_LENGTH),
            one_line(said.get("lesson", ""), REMARK_LENGTH),
        )

    def _printed(self, text: str, brief: Brief) -> Proposal:
        """Returns the proposal in search/replace blocks that a program printed instead of editing."""
        if not any(marker(line) == "open" for line in text.splitlines()):
            raise BadAnswer("the program changed no file and printed no block")
        if len(text) == _TEXT_MAX:
            raise BadAnswer("the program printed too much for its blocks to be read whole")
        proposal = blocks.parse(text, brief.files, brief.tree)
        if proposal.description or not self._description:
            return proposal
        return replace(proposal, description=one_line(self._description, DESCRIPTION_LENGTH))


def _strayed(strays: tuple[str, ...]) -> str:
    """Returns what a program is told that changed no file of its worktree, and perhaps the user's own."""
    if not strays:
        return ""
    return (
        f"; meanwhile {one_line(', '.join(strays), 500)} changed in the user's checkout, which is not where "
        "it works: edit the files of the working directory, by relative paths, and make no branches or tags"
    )
