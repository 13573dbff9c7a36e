"""What a program's edits are called: its header, else the command line's words, else its last line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from autoresearch.errors import BadAnswer
from autoresearch.records import Answer, Edit
from autoresearch.researchers.base import Brief, ProgramRun
from autoresearch.researchers.command import CommandResearcher

BRIEF = Brief(1, "", {}, (), frozenset(), (), "val_bpb", "minimize", 600)
EDITS = (Edit("train.py", b"x = 1\n"),)


@dataclass
class Bench:
    """A workbench in memory: every program ends the same way."""

    end: ProgramRun
    ran: list[tuple[tuple[str, ...], str, float]] = field(default_factory=list)

    def run(self, command: Sequence[str], prompt: str, timeout_s: float) -> ProgramRun:
        self.ran.append((tuple(command), prompt, timeout_s))
        return self.end


def researcher(end: ProgramRun, description: str | None = None) -> CommandResearcher:
    return CommandResearcher(Bench(end), ["program"], 5.0, description)


@pytest.mark.parametrize(
    ("said", "given", "expected"),
    [
        ("description: wider\nlast", "flag", "wider"),
        ("noise\nlast", "flag", "flag"),
        ("noise\nlast\n\n", "", "last"),
        ("", "", ""),
    ],
)
def test_who_describes(said: str, given: str, expected: str) -> None:
    command = researcher(ProgramRun(None, said, EDITS), given)
    answer = command.propose("", BRIEF, ())
    assert command.read(answer, BRIEF).description == expected


def test_no_edits_and_failures_are_told() -> None:
    silent = researcher(ProgramRun(None, "done", ()))
    with pytest.raises(BadAnswer, match="changed no file"):
        silent.read(Answer("done", edits=()), BRIEF)
    failing = researcher(ProgramRun("exited with 3", "a\nno key", ()))
    with pytest.raises(BadAnswer, match="exited with 3: no key"):
        failing.propose("", BRIEF, ())


def test_a_program_gets_its_prompt_and_its_time() -> None:
    bench = Bench(ProgramRun(None, "wider", EDITS))
    command = CommandResearcher(bench, ["sh", "-c", "true"], 7.0)
    answer = command.propose("the prompt", BRIEF, ())
    assert bench.ran == [(("sh", "-c", "true"), "the prompt", 7.0)]
    assert answer == Answer("wider", edits=EDITS)


def test_blocks_that_a_program_prints_are_read_where_it_edited_nothing() -> None:
    brief = replace(BRIEF, files={"a.py": b"x = 1\n"}, tree=frozenset({"a.py"}))
    printed = "working\n\na.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"
    changed = (Edit("a.py", b"x = 2\n"),)
    command = researcher(ProgramRun(None, printed, ()), "flag")
    got = command.read(command.propose("", brief, ()), brief)
    assert (got.edits, got.description) == (changed, "flag")
    got = command.read(Answer("description: d\n\n" + printed, edits=()), brief)
    assert (got.edits, got.description) == (changed, "d")
    with pytest.raises(BadAnswer, match="SEARCH is not in the file"):
        command.read(Answer(printed.replace("x = 1", "y = 1"), edits=()), brief)
    with pytest.raises(BadAnswer, match="read whole"):
        command.read(Answer(printed.rjust(20_000), edits=()), brief)
    assert command.read(Answer(printed, edits=EDITS), brief).edits == EDITS, "its edits go first"
