"""Answers in the shapes that models give: applied exactly as wanted, or refused, and never otherwise."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest

from autoresearch.errors import BadAnswer
from autoresearch.researchers.blocks import parse
from tests.researchers.answer_cases import FROZEN, Case, all_cases

CASES = all_cases()
Outcome = Literal["applied", "refused", "wrong"]


def outcome(case: Case) -> tuple[Outcome, str]:
    """What becomes of an answer, with what the model is told or what was applied."""
    files = {path: text.encode() for path, text in case.files.items()}
    try:
        edits = parse(case.text, files, frozenset(files) | FROZEN).edits
    except BadAnswer as err:
        return "refused", str(err)
    got = {edit.path: edit.content.decode() for edit in edits if edit.content is not None}
    return ("applied" if got == case.want and case.policy != "refuse" else "wrong"), repr(got)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.shape}: {case.name}")
def test_an_answer_is_read_as_it_was_meant_or_refused(case: Case) -> None:
    found, said = outcome(case)
    assert found != "wrong", said
    assert (found, case.policy) != ("refused", "apply"), said
    if found == "refused":
        assert 20 < len(said) < 4000, "a text from which the model can mend it"


def test_the_cases_are_many_and_each_is_one() -> None:
    count = Counter(case.policy for case in CASES)
    assert len(CASES) > 500 and min(count.values()) > 80, count
    assert len({(case.shape, case.name) for case in CASES}) == len(CASES)
