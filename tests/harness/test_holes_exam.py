"""Safeguards of the exam that no other test missed when they were taken out (tests/mutants)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

pytest.importorskip("torch")

from autoresearch.harness.exam import scorer
from autoresearch.harness.exam.losses import AnswerError, losses
from autoresearch.harness.exam.plan import ExamData
from autoresearch.harness.exam.scorer import Batch, Scorer
from autoresearch.harness.protocol import Connection
from tests.examroom import BOS, VOCAB, Nursery, Room, T, pair
from tests.harness.test_exam import WHOLE, granted, handed
from tests.harness.test_exam_cheats import CHEATS

pytest_plugins = ("tests.exam_fixtures",)


@pytest.fixture
def room(small_cache: Path, tmp_path: Path) -> Room:
    """The examiner's side alone: the tests here are the trial themselves, and none is forked."""
    return Room(small_cache, tmp_path / "exam", cast(Nursery, None))


def test_beyond_the_budget_one_batch_is_empty_and_the_next_is_refused(room: Room) -> None:
    with room.examiner(budget=f"{8 * T}tokens") as connection:
        granted(connection)
        for first, kind in ((8, "batch"), (16, "refused")):
            connection.send("rows", first=first, count=8)
            frame = connection.receive(1 << 20)
            assert frame.kind == kind
            if kind == "batch":
                assert set(np.frombuffer(frame.payload, np.uint16)) == {BOS}
    assert room.result()["void"]["failure"] == "budget"


def test_tensors_that_were_not_handed_over_are_no_checkpoint(room: Room) -> None:
    with room.examiner() as connection:
        handed(connection, digest="0" * 64)
        while (kind := connection.receive(1 << 20).kind) in ("ask", "keep"):
            if kind == "ask":
                connection.send("logits", WHOLE.astype(np.float32))
            else:
                connection.send("tensor", np.zeros(2, np.float32))
        assert kind == "refused"
    result = room.result()
    assert "not those that were handed over" in result["void"]["reason"]
    assert result["bpb"] is None and not result["checkpoint"]


# What is done to losses [B, T] that are true; audited: [B, K] positions of each row.
Found, Audited = np.ndarray, np.ndarray


def _cancelling(found: Found, audited: Audited) -> None:
    found[0, audited[0]] += 1e-3
    found[1, audited[1]] -= 1e-3


def _everywhere(found: Found, audited: Audited) -> None:
    found -= 5e-5


def _elsewhere(value: float) -> Callable[[Found, Audited], None]:
    def put(found: Found, audited: Audited) -> None:
        found[0, np.setdiff1d(np.arange(T), audited[0])[0]] = value

    return put


LIES: dict[str, Callable[[Found, Audited], None]] = {
    "two that cancel each other": _cancelling,
    "a little everywhere": _everywhere,
    "below zero, not audited": _elsewhere(-1.0),
    "no number, not audited": _elsewhere(np.inf),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_part_of_an_audit_finds_a_lie_of_its_own(
    lie: str, small_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scorer, "FULL_BYTES", 0)
    data = ExamData.open(small_cache)
    ours, theirs = pair()
    asking = Scorer(Connection(ours), data, 8, None)
    assert not asking.whole
    logits = np.random.default_rng(0).standard_normal((8, T, VOCAB)).astype(np.float32)
    batch = Batch.of(np.asarray(data.val[:8]), 8)
    found = losses(logits.reshape(8 * T, VOCAB), batch.rows[:, 1:].reshape(-1)).reshape(8, T)
    asking._room[:] = logits[np.arange(8)[:, None], batch.picks].reshape(-1, VOCAB)
    asking._audit(found, batch)
    LIES[lie](found, batch.picks)
    with pytest.raises(AnswerError, match="an audit failed"):
        asking._audit(found, batch)
    ours.close(), theirs.close()


def test_rows_of_full_batches_are_asked_in_other_company(
    small_cache: Path, tmp_path: Path, nursery: Nursery
) -> None:
    """A last batch that is short would move all others along by itself; 10 divides 90."""
    leaks = CHEATS["leaks across rows"].replace("data, CPU, 8)", "data, CPU, 10)")
    room = Room(small_cache, tmp_path / "exam", nursery)
    assert room.hold("score", leaks).result["batch_rows"] == 10
    room.hold("foreign", leaks)
    true = room.hold("true", leaks).result
    assert true["replay"] == 0.0 and true["rows"] > 1e-2
