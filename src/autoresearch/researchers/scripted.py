"""Answers read from a file: for tests, demonstrations and runs that must repeat exactly."""

from __future__ import annotations

from pathlib import Path

from autoresearch.errors import NothingToPropose, ResearcherError
from autoresearch.records import Answer, Proposal
from autoresearch.researchers import blocks
from autoresearch.researchers.base import Brief, Turn
from autoresearch.researchers.prompt import render

SEPARATOR = "--- answer ---"


class ScriptedResearcher:
    """Gives the answers of a UTF-8 file in order; a line `--- answer ---` parts them.

    The next answer is number brief.asked, which counts every answer that the run has journaled,
    refused ones and those of earlier turns included. So nothing is remembered here, and a run
    that is taken up again goes on where it stopped.
    """

    kind = "scripted"
    attempts = 3

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as err:
            raise ResearcherError(f"can't read the script of answers {path}: {err}") from err
        self.answers = _split(text)

    def warm_up(self) -> None:
        """There is nothing to prepare."""

    def prompt(self, brief: Brief) -> str:
        """Returns the prompt of a model."""
        return render(brief)

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """Returns the next answer; raises NothingToPropose behind the last."""
        if brief.asked >= len(self.answers):
            raise NothingToPropose(f"{self.path} has no more than {len(self.answers)} answers")
        return Answer(self.answers[brief.asked])

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        """Returns the proposal that the answer's blocks make."""
        return blocks.parse(answer.text, brief.files, brief.tree)


def _split(text: str) -> tuple[str, ...]:
    """Returns the answers; a separator on the first line is allowed, and an empty file has none."""
    parts: list[list[str]] = [[]]
    for line in text.removeprefix("\ufeff").splitlines(keepends=True):
        if line.rstrip("\r\n") == SEPARATOR:
            parts.append([])
        else:
            parts[-1].append(line)
    if not "".join(parts[0]).strip():
        parts = parts[1:]
    return tuple("".join(part) for part in parts)
