"""Good answers spoilt at random: the edit that was meant, or an error, and never another edit."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from autoresearch.errors import BadAnswer
from autoresearch.researchers.blocks import parse
from tests.researchers.mutations import FILES, FROZEN, MUTATIONS, Mutant, meaning, mutant, sample
from tests.sizes import SMOKE_SPOILT_ANSWERS, SPOILT_ANSWERS

BYTES = {path: text.encode() for path, text in FILES.items()}


def read(text: str) -> dict[str, str] | None:
    """The files that an answer changes, as they are then; None where it is refused."""
    try:
        edits = parse(text, BYTES, frozenset(BYTES) | FROZEN).edits
    except BadAnswer:
        return None
    return {edit.path: edit.content.decode() for edit in edits if edit.content is not None}


def is_meant(spoilt: Mutant, got: dict[str, str]) -> bool:
    """Whether an edit is one that the answer can mean; a new file's spoilt path may be any."""
    if got in spoilt.allowed:
        return True
    new = sorted(text for path, text in got.items() if path not in FILES)
    old = {path: text for path, text in got.items() if path in FILES}
    return bool(spoilt.new_paths) and any(
        sorted(text for path, text in one.items() if path not in FILES) == new
        and {path: text for path, text in one.items() if path in FILES} == old
        for one in spoilt.allowed
    )


def test_good_answers_are_read_as_they_are_meant() -> None:
    for seed in range(SMOKE_SPOILT_ANSWERS):
        good = sample(random.Random(seed))
        assert read(good.text) == meaning(good.pieces, good), good.text


def spoil(count: int) -> Counter[tuple[str, str]]:
    """Reads spoilt answers, and counts by the way what became of those that were spoilt in one."""
    found: Counter[tuple[str, str]] = Counter()
    for seed in range(count):
        spoilt = mutant(random.Random(f"mutant {seed}"))
        got = read(spoilt.text)
        assert got is None or is_meant(spoilt, got), f"{seed} {spoilt.ways}:\n{spoilt.text}\n{got}"
        if len(spoilt.ways) == 1:
            found[spoilt.ways[0], "refused" if got is None else "applied"] += 1
    return found


@pytest.mark.smoke
def test_a_spoilt_answer_is_never_another_edit() -> None:
    assert spoil(SMOKE_SPOILT_ANSWERS)


@pytest.mark.slow
def test_no_spoilt_answer_is_another_edit() -> None:
    found = spoil(SPOILT_ANSWERS)
    assert {way for way, _ in found} == {way.__name__ for way in MUTATIONS} | {"cut"}
    refused = sum(count for (_, how), count in found.items() if how == "refused")
    assert 0.25 < refused / found.total() < 0.75, "the mutations are neither all fatal nor all idle"
