"""Any program that edits files in place, a coding agent for one: its edits are read from the worktree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from autoresearch.errors import BadAnswer, Outage, ResearcherError
from autoresearch.records import Answer, Proposal
from autoresearch.researchers import blocks, prompt
from autoresearch.researchers.agents import FILES, agent_of, lasting_fault, passing_fault
from autoresearch.researchers.base import (
    DESCRIPTION_LENGTH,
    REMARK_LENGTH,
    Brief,
    ProgramRun,
    Turn,
    Workbench,
)
from autoresearch.researchers.dress import header, marker
from autoresearch.researchers.echo import own_lines, without_echo
from autoresearch.text import one_line, without_colours

_TEXT_MAX = 20_000
_FILES_MAX = 40  # that are named to a program on its command line
# What agents print behind a model's last words: no description.
_CHATTER = re.compile(
    r"[\d.,\s]+$|(?:tokens(?: used)?|cost|applied edit to|saved trajectory to)\b|'/\S*'$",
    re.IGNORECASE,
)
_NOT_STARTED = (126, 127)  # a shell's words for a program that can't be run, and for none


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

    def prompt(self, brief: Brief) -> str:
        """Returns what a program is told, which reads and edits the files itself."""
        return prompt.for_program(brief)

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """Returns what the program printed, with its edits.

        Raises BadAnswer where it failed, ResearcherError where it will fail again, and Outage where
        a known agent's provider is down.
        """
        ran = self._workbench.run(_with_files(self._command, brief), prompt, self._timeout_s)
        said = without_echo(without_colours(ran.output), prompt)
        if ran.failure is not None or not (ran.edits or _has_blocks(said)):
            self._check(ran, said)
        if ran.failure is not None:
            last = said.strip().splitlines()[-1:]
            failed = one_line(": ".join([f"the program {ran.failure}", *last]), 500)
            raise BadAnswer(failed + _strayed(ran.strays))
        return Answer(said[-_TEXT_MAX:], edits=ran.edits, strays=ran.strays, notes=ran.notes)

    def _check(self, ran: ProgramRun, said: str) -> None:
        """Raises ResearcherError for a failure that will not pass, Outage for one that will by itself."""
        program, last = self._command[0], (said.strip().splitlines() or [""])[-1]
        why = lasting_fault(said)
        if why is None and ran.failure in [f"exited with {code}" for code in _NOT_STARTED]:
            why = last or ran.failure
        if why is not None:
            raise ResearcherError(one_line(f"{program} can't work here: {why}", 500))
        known = agent_of(self._command)
        if known is not None and (passing := passing_fault(said)):
            raise Outage(one_line(f"{program}: {passing}", 500))

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        """Returns the edits as a proposal, or the blocks that were printed; raises BadAnswer."""
        if not answer.edits:
            try:
                return replace(self._printed(answer, brief), notes=answer.notes)
            except BadAnswer as bad:
                raise BadAnswer(f"{bad}{_strayed(answer.strays)}", bad.final) from None
        said = dict(filter(None, map(header, answer.text.splitlines())))
        lines = own_lines(answer.text, self.prompt(brief))
        lines = [line for line in lines if not _CHATTER.match(line)]
        last = lines[-1] if lines else ""
        return Proposal(
            one_line(said.get("description") or self._description or last, DESCRIPTION_LENGTH),
            answer.edits,
            one_line(said.get("hypothesis", ""), REMARK_LENGTH),
            one_line(said.get("lesson", ""), REMARK_LENGTH),
            answer.notes,
        )

    def _printed(self, answer: Answer, brief: Brief) -> Proposal:
        """Returns the proposal in search/replace blocks that a program printed instead of editing."""
        text = answer.text
        if not _has_blocks(text):
            dropped = f" ({'; '.join(answer.notes)})" if answer.notes else ""
            raise BadAnswer(f"the program changed no file and printed no block{dropped}")
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


def _has_blocks(text: str) -> bool:
    return any(marker(line) == "open" for line in text.splitlines())


def _with_files(command: tuple[str, ...], brief: Brief) -> tuple[str, ...]:
    """Returns the command with the mutable files where it names them."""
    if FILES not in command:
        return command
    at = command.index(FILES)
    return (*command[:at], *sorted(brief.files)[:_FILES_MAX], *command[at + 1 :])
