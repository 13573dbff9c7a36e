"""What a program's edits are called: its header, else the command line's words, else its last line."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from autoresearch.errors import BadAnswer, Outage, ResearcherError
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
        ("last\nTokens: 10 sent, 5 received.\nApplied edit to a.py\n", "", "last"),
        ("last\n```\ntokens used\n1,234\n", "", "last"),
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


PROMPT = """\
# Experiment 3
Find a better value for the learning rate of the small model in train.py, and say in a line what it was.
An answer of last week looked like this one, which was taken back in the end:
description: raise the width
hypothesis: a wider model learns more from the same number of tokens
a.py
<<<<<<< SEARCH
x = 1
=======
x = 9
>>>>>>> REPLACE
Now go on, and stop when you have made one change which is as small as its idea allows.
"""


def echoed(form: str) -> str:
    """The prompt as programs print it."""
    if form == "wrapped":
        return textwrap.fill(PROMPT, 40)
    prefix = {"plain": "", "quoted": "> ", "indented": "    ", "boxed": "│ "}[form]
    return textwrap.indent(PROMPT, prefix, lambda line: True)


@pytest.mark.parametrize("form", ["plain", "quoted", "indented", "boxed", "wrapped"])
def test_what_a_program_repeats_of_its_prompt_is_not_its_own(form: str) -> None:
    brief = replace(BRIEF, files={"a.py": b"x = 1\n"}, tree=frozenset({"a.py"}))
    for said, expected in (
        (f"{echoed(form)}\ntokens: 5\nmade it smaller\n", "made it smaller"),
        (f"made it smaller\n{echoed(form)}", "made it smaller"),
        (
            f"{echoed(form)}\n**description:** made it smaller\n{echoed(form)}\nbye",
            "made it smaller",
        ),
        ("description: raise the width\nmade it smaller", "made it smaller"),
    ):
        command = researcher(ProgramRun(None, said, EDITS))
        got = command.read(command.propose(PROMPT, brief, ()), brief)
        assert (got.description, got.hypothesis) == (expected, ""), said
    command = researcher(ProgramRun(None, echoed(form), ()))
    with pytest.raises(BadAnswer, match="printed no block"):
        command.read(command.propose(PROMPT, brief, ()), brief)
    own = "a.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"
    command = researcher(ProgramRun(None, f"{echoed(form)}\n{own}", ()))
    got = command.read(command.propose(PROMPT, brief, ()), brief)
    assert got.edits == (Edit("a.py", b"x = 2\n"),)


@pytest.mark.parametrize("which", [slice(None, 1), slice(-1, None), slice(None)])
def test_a_line_of_the_prompt_is_no_description(which: slice) -> None:
    command = researcher(ProgramRun(None, "", EDITS))
    prompt = command.prompt(BRIEF)
    said = "\n".join(["lowered it", *prompt.splitlines()[which]])
    command = researcher(ProgramRun(None, said, EDITS))
    got = command.read(command.propose(prompt, BRIEF, ()), BRIEF)
    assert got.description == "lowered it"


def test_words_that_the_prompt_has_too_are_the_programs_own_in_a_few() -> None:
    command = researcher(ProgramRun(None, "description: Find a better value\nlesson: 1", EDITS))
    got = command.read(command.propose(PROMPT, BRIEF, ()), BRIEF)
    assert (got.description, got.lesson) == ("Find a better value", "1")


@pytest.mark.parametrize(
    ("program", "said", "code", "raised"),
    [
        ("any", "Invalid API key · Please run /login", 1, ResearcherError),
        ("any", "not found", 127, ResearcherError),
        ("any", "429 Too Many Requests", 1, BadAnswer),
        ("/usr/bin/claude", "429 Too Many Requests", 1, Outage),
        ("codex", "stream disconnected before completion", 1, Outage),
        ("aider", "Traceback: a bug", 1, BadAnswer),
    ],
)
def test_whether_a_failure_will_pass(
    program: str, said: str, code: int, raised: type[Exception]
) -> None:
    ended = ProgramRun(f"exited with {code}", f"{PROMPT}{said}\n", ())
    command = CommandResearcher(Bench(ended), [program], 5.0)
    with pytest.raises(raised, match=re.escape(said)):
        command.propose(PROMPT, BRIEF, ())


def test_a_prompt_about_limits_and_keys_stops_nothing() -> None:
    prompt = "## The charter\nNot logged in? Please run /login. A rate limit of 429 is an error of yours.\n"
    command = CommandResearcher(
        Bench(ProgramRun(None, prompt + "nothing to do", ())), ["claude"], 5.0
    )
    answer = command.propose(prompt, BRIEF, ())
    with pytest.raises(BadAnswer, match="changed no file"):
        command.read(answer, BRIEF)
