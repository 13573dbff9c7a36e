"""What a program's edits are called: its header, else the command line's words, else its last line."""

from __future__ import annotations

import pytest

from autoresearch.errors import BadAnswer
from autoresearch.records import Answer, Edit
from autoresearch.researchers.base import Brief
from autoresearch.researchers.command import CommandResearcher, Ran

BRIEF = Brief(1, "", {}, (), frozenset(), (), "val_bpb", "minimize", 600)
EDITS = (Edit("train.py", b"x = 1\n"),)


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
    researcher = CommandResearcher(lambda prompt: Ran("", said, EDITS), given)
    answer = researcher.propose("", BRIEF, ())
    assert researcher.read(answer, BRIEF).description == expected


def test_no_edits_and_failures_are_told() -> None:
    silent = CommandResearcher(lambda prompt: Ran("", "done", ()))
    with pytest.raises(BadAnswer, match="changed no file"):
        silent.read(Answer("done", edits=()), BRIEF)
    failing = CommandResearcher(lambda prompt: Ran("exited with 3", "a\nno key", EDITS))
    with pytest.raises(BadAnswer, match="exited with 3: no key"):
        failing.propose("", BRIEF, ())
