"""What a reviewer can't see: characters that hide, names of two scripts, data in the place of code."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from autoresearch.records import Edit
from autoresearch.rules import obfuscation
from autoresearch.rules.guard import Mutable, refusals

TEMPLATE = (Path(obfuscation.__file__).parents[1] / "template" / "train.py").read_bytes()


def refusal(new: str, old: str = "x = 1\n", path: str = "train.py", code_only: bool = True) -> str:
    """What the guard says of a change of one file."""
    rules = Mutable.of(["*"], code_only=code_only)
    edits = [Edit(path, new.encode())]
    return "; ".join(refusals(edits, rules, {path: "100644"}, lambda _: old.encode()))


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("x = 1  # \u202e evil\n", "U+202E"),
        ("x = 1\nif a\u200b: pass\n", "line 2: the invisible character U+200B"),
        ("l\u043ess = 0\n", "line 1: the name 'l\\u043ess'"),
        ("def f(l\u043ess): pass\n", "several scripts"),
        ("a.l\u043ess = 1\n", "several scripts"),
    ],
)
def test_what_hides_is_refused(new: str, words: str) -> None:
    assert words in refusal(new)
    assert words in refusal(new, code_only=False)
    assert refusal(new, old=new + "y = 2\n") == "", "what was there before is its owner's"


@pytest.mark.parametrize(
    ("new", "path"),
    [
        ("β = 0.9  # σ, ümlaut, 漢字, 👩‍🔬\n".replace("\u200d", ""), "train.py"),
        ("größe = 1\n", "train.py"),
        ("a family: 👩\u200d👩\u200d👦\n", "notes.md"),
        ("\ufeffx = 1\n", "train.py"),
    ],
)
def test_other_languages_are_not(new: str, path: str) -> None:
    assert refusal(new, path=path) == ""


WEIGHTS = base64.b64encode(os.urandom(6000)).decode()
CARRIERS = {
    "base64": f"W = {WEIGHTS!r}\n",
    "in a comment": f"x = 2  # {WEIGHTS}\n",
    "bytes": f"W = {os.urandom(5000)!r}\n",
    "numbers": f"W = {[round(i * 0.37, 3) for i in range(600)]!r}\n",
    "nested": f"W = {[[i, -i, i] for i in range(200)]!r}\n",
    "lines": "W = (\n"
    + "".join(f"    '{WEIGHTS[i : i + 80]}'\n" for i in range(0, 8000, 80))
    + ")\n",
    "many lines": "".join(f"# {WEIGHTS[:99]}\n" for _ in range(400)),
}


@pytest.mark.parametrize("new", CARRIERS.values(), ids=CARRIERS.keys())
def test_data_in_the_place_of_code(new: str) -> None:
    assert "data is no code" in refusal(new) or "it grew by" in refusal(new)
    assert refusal(new, code_only=False) == "", "other tasks may have tables"
    assert refusal(new, path="table.csv") == ""


def test_what_was_long_before_may_stay_but_not_grow() -> None:
    old = f"W = {'a' * 500!r}\n"
    assert refusal(old + "x = 2\n", old=old) == ""
    assert "505 characters" in refusal(f"W = {'a' * 503!r}\n", old=old)


def test_the_template_and_a_file_that_cannot_be_parsed() -> None:
    text = TEMPLATE.decode()
    assert refusal(text + "\n# a comment\n", old=text) == ""
    assert refusal("def broken(:\n") == ""
    assert refusal("x = " + "[" * 5000) == "" or "characters" in refusal("x = " + "[" * 5000)
