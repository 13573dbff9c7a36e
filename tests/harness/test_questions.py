"""What the two workers are asked, and what comes of their answers: drawn, hidden, compared."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from autoresearch.harness import names
from autoresearch.harness.exam import checking
from autoresearch.harness.exam import questions as questions_
from autoresearch.harness.exam.checking import CLIP_NATS, Verifier, _Twin, scored_batches
from autoresearch.harness.exam.granting import TrainingRows
from autoresearch.harness.exam.losses import PICKS, losses
from autoresearch.harness.exam.plan import ExamData
from autoresearch.harness.exam.questions import (
    TRAIN,
    VAL,
    VAULT,
    Questions,
    draw_questions,
    true_rows,
)
from autoresearch.rules.probes import BLIND_ERRORS
from tests.examroom import BOS, ROWS, VOCAB, T, prepared


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExamData:
    cache = tmp_path_factory.mktemp("questions")
    prepared(cache, free=T)  # rows that are alike by no chance
    return ExamData.open(cache)


@pytest.fixture
def granted(data: ExamData, tmp_path: Path) -> np.ndarray:
    """Which training rows a trial had: every third is left."""
    found = np.arange(len(data.train)) % 3 > 0
    np.save(tmp_path / names.GRANTED, found)
    return found


def drawn(data: ExamData, folder: Path, seed: int = 0, full: bool = False) -> Any:
    return draw_questions(data, folder, full, np.random.default_rng(seed))


def test_what_a_trial_was_granted_is_noted(data: ExamData) -> None:
    source = TrainingRows(data, 7)
    rows = [source.rows(place, 8) for place in (0, 8, 10**9)]
    shown = {row.tobytes() for part in rows for row in part}
    train = np.asarray(data.train)
    assert {row.tobytes() for row in train[source.granted]} == shown
    assert source.granted.sum() == len(shown)


@pytest.mark.usefixtures("granted")
def test_the_first_worker_is_shown_no_true_end(data: ExamData, tmp_path: Path) -> None:
    for seed in range(20):
        asked, rows = drawn(data, tmp_path, seed)
        true = true_rows(data, asked)
        cut = asked.picks[:, :1]
        place = np.arange(T + 1)
        assert (rows == true)[place <= cut].all()
        # Two rows may go on alike, and training rows are alike now and then: no row is whole.
        assert ((rows == true) | (place <= cut)).all(axis=1).mean() < 0.1
        shown = {row[at:].tobytes() for row, (at,) in zip(rows, cut + 4, strict=True) if at < T - 4}
        hidden = {
            row[at:].tobytes() for row, (at,) in zip(true, cut + 4, strict=True) if at < T - 4
        }
        asked_train = np.asarray(data.train)[asked.places[asked.of(TRAIN)]]
        hidden |= {row[at:].tobytes() for row in asked_train for at in range(4, T - 4)}
        assert not shown & hidden


def test_no_training_row_is_asked_that_was_granted(
    data: ExamData, tmp_path: Path, granted: np.ndarray
) -> None:
    asked, _ = drawn(data, tmp_path)
    places = asked.places[asked.of(TRAIN)]
    assert len(places) == (~granted).sum() and not granted[places].any()


def test_where_all_training_rows_were_granted_the_vault_is_left(
    data: ExamData, tmp_path: Path
) -> None:
    np.save(tmp_path / names.GRANTED, np.ones(len(data.train), bool))
    asked, rows = drawn(data, tmp_path)
    assert len(asked.of(TRAIN)) == 0 and len(rows) == ROWS[names.VAL] + ROWS[names.VAULT]


@pytest.mark.usefixtures("granted")
def test_the_sample_is_drawn_anew(
    data: ExamData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions_, "BLIND_ROWS", 20)
    samples = []
    for seed in range(3):
        asked, _ = drawn(data, tmp_path, seed)
        samples.append(set(asked.places[asked.of(VAULT)].tolist()))
    assert samples[0] != samples[1] != samples[2] != samples[0]
    assert {len(sample) for sample in samples} == {20}


@pytest.mark.usefixtures("granted")
def test_kinds_are_mixed_and_none_stands_out(data: ExamData, tmp_path: Path) -> None:
    asked, _ = drawn(data, tmp_path)
    for first in range(0, len(asked) - 32, 32):
        assert set(asked.kinds[first : first + 32].tolist()) == {VAL, TRAIN, VAULT}


@pytest.mark.usefixtures("granted")
def test_the_questions_are_kept_for_the_second_worker(data: ExamData, tmp_path: Path) -> None:
    asked, _ = drawn(data, tmp_path)
    asked.save(tmp_path)
    again = Questions.load(tmp_path)
    for name in ("kinds", "places", "picks"):
        assert (getattr(asked, name) == getattr(again, name)).all()


def test_each_kind_of_rows_has_a_mean_of_its_own(tmp_path: Path) -> None:
    """A look ahead in the vault's rows alone, which are few."""
    kinds = np.array([VAL] * 90 + [VAULT] * 10)
    asked = Questions(kinds, np.arange(100), np.zeros((100, PICKS), np.int64))
    np.save(tmp_path / names.TWIN, np.zeros((100, PICKS, VOCAB), np.float32))
    twin = _Twin(asked, np.zeros((100, T + 1), np.uint16), tmp_path)
    assert np.isnan(twin.deviation())  # nothing was compared yet
    moved = np.zeros((100, PICKS, VOCAB), np.float32)
    moved[90:, 0, 0] = 5.0
    twin.compare(np.arange(100), SimpleNamespace(picked=moved))
    one = float(losses(np.zeros((1, VOCAB), np.float32), np.zeros(1, int))[0])
    other = float(losses(moved[90:91, 0], np.zeros(1, int))[0])
    assert twin.deviation() == pytest.approx(one - other)


# -- the blind figure -----------------------------------------------------------------------------


def blind(
    data: ExamData, folder: Path, first: np.ndarray, own: np.ndarray, control: np.ndarray | None
) -> tuple[float, float]:
    """(figure, error) of a first worker's losses at the cuts, the second's, and the baseline's."""
    rows = len(data.vault)
    cut = np.random.default_rng(3).integers(0, T - 1, rows)
    asked = Questions(np.full(rows, VAULT), np.arange(rows), np.repeat(cut[:, None], PICKS, 1))
    targets = np.asarray(data.vault)[np.arange(rows), cut + 1].astype(int)
    # Logits whose loss at the target is the one that is wanted: all others share what is left.
    logits = np.zeros((rows, PICKS, VOCAB), np.float32)
    wanted = first[np.arange(rows), cut].astype(np.float64)
    raised = np.log((VOCAB - 1) / np.expm1(wanted.clip(1e-3)))
    logits[np.arange(rows), :, targets] = raised[:, None]
    np.save(folder / names.TWIN, logits)
    plan = SimpleNamespace(full=False, folder=str(folder), control=None)
    if control is not None:
        np.save(folder / "control.npy", control)
        plan.control = str(folder / "control.npy")
    checks = Verifier(plan, data, SimpleNamespace(), 8)
    twin = _Twin(asked, true_rows(data, asked), folder)
    return checks._blind(asked, twin, np.arange(rows), own)


@pytest.fixture
def honest(data: ExamData) -> np.ndarray:
    """Losses of a model on the vault, [N, T]."""
    return np.random.default_rng(1).gamma(2.0, 1.5, (len(data.vault), T)).astype(np.float32) + 0.05


def test_an_honest_model_is_off_by_chance_alone(
    data: ExamData, tmp_path: Path, honest: np.ndarray
) -> None:
    base = honest + np.random.default_rng(2).normal(0.1, 0.4, honest.shape).astype(np.float32)
    apart, error = blind(data, tmp_path, honest, honest, base)
    assert abs(apart) < BLIND_ERRORS * error and 0.02 < error < 0.1
    assert not (tmp_path / names.CONTROL).exists()


def test_a_baseline_leaves_its_losses(data: ExamData, tmp_path: Path, honest: np.ndarray) -> None:
    apart, error = blind(data, tmp_path, honest, honest, None)
    assert abs(apart) < 1e-4 and error < 1e-4
    assert (np.load(tmp_path / names.CONTROL) == honest).all()


def test_a_look_ahead_that_is_honest_at_the_cuts_shows(
    data: ExamData, tmp_path: Path, honest: np.ndarray
) -> None:
    apart, error = blind(data, tmp_path, honest, honest - 0.04, honest)
    assert apart == pytest.approx(0.04, abs=1e-4) and error < 1e-4


@pytest.mark.parametrize("absurd", [1, 3, 10])
def test_absurd_answers_buy_no_tolerance(
    data: ExamData, tmp_path: Path, honest: np.ndarray, absurd: int
) -> None:
    """A first worker that gives some answers away may widen the error: it must cost more than it brings."""
    base = honest + np.random.default_rng(2).normal(0.0, 0.6, honest.shape).astype(np.float32)
    plain, noise = blind(data, tmp_path, honest, honest - 0.2, base)
    wild = honest.copy()
    wild[:absurd] += 60.0
    apart, error = blind(data, tmp_path, wild, honest - 0.2, base)
    assert apart - BLIND_ERRORS * error > plain - BLIND_ERRORS * noise - 0.05
    assert error <= CLIP_NATS


def test_the_vault_holds_text(data: ExamData) -> None:
    assert (np.asarray(data.vault)[:, 1:] != BOS).any()


# -- both workers, by a scorer without a socket ---------------------------------------------------


class Answers:
    """Scores batches by a table of logits: a token says what comes next, and `ahead` what it sees there."""

    def __init__(self, ahead: float = 0.0) -> None:
        self._table = np.random.default_rng(0).normal(0, 2, (VOCAB, VOCAB)).astype(np.float32)
        self._ahead = ahead

    def score(self, batches: Any, keep_picked: bool = False) -> Any:
        for batch in batches:
            rows = batch.rows[: batch.count]
            logits = self._table[rows[:, :-1]]
            np.put_along_axis(
                logits[:, :-1], rows[:, 1:-1, None],
                np.take_along_axis(logits[:, :-1], rows[:, 1:-1, None], 2) + self._ahead, 2,
            )  # fmt: skip
            flat = losses(logits.reshape(-1, VOCAB), rows[:, 1:].reshape(-1)).reshape(len(rows), T)
            picked = logits[np.arange(len(rows))[:, None], batch.picks[: batch.count]]
            yield SimpleNamespace(batch=batch, losses=flat, picked=picked)


@pytest.mark.usefixtures("granted")
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("ahead", [0.0, 2.0])
def test_rows_of_all_kinds_find_their_questions(
    data: ExamData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool, ahead: float
) -> None:
    """Also where all rows are looked at, and the vault has more than are compared with the baseline."""

    def held(data: ExamData, full: bool) -> np.ndarray:
        return np.arange(0, len(data.vault), 1 if full else 2)

    for module in (questions_, checking):
        monkeypatch.setattr(module, "held_rows", held)
    plan = SimpleNamespace(full=full, folder=str(tmp_path), control=None)
    scored = [part.losses for part in Answers(ahead).score(scored_batches(data.val, 8))]
    np.save(tmp_path / names.LOSSES, np.concatenate(scored))
    Verifier(plan, data, Answers(ahead), 8).foreign()
    found = Verifier(plan, data, Answers(ahead), 8).true(1.0)
    assert found["replay"] == found["rows"] == 0.0
    assert (found["twin"] > 0.5) == (ahead > 0) == (found["blind"] > 0.5), found
    if not ahead:
        assert found["twin"] == 0.0


@pytest.mark.usefixtures("granted")
def test_the_second_worker_meets_mixed_rows_before_the_replay(
    data: ExamData, tmp_path: Path
) -> None:
    """By the replay it would know the validation rows among them."""
    plan = SimpleNamespace(full=False, folder=str(tmp_path), control=None)
    np.save(tmp_path / names.LOSSES, np.zeros(data.val[:, 1:].shape, np.float32))
    Verifier(plan, data, Answers(), 8).foreign()
    held = {row.tobytes() for row in np.asarray(data.vault).astype(np.int64)}
    order: list[bool] = []

    class Noting(Answers):
        def score(self, batches: Any, keep_picked: bool = False) -> Any:
            for part in super().score(batches, keep_picked):
                rows = part.batch.rows[: part.batch.count]
                order.append(any(row.tobytes() in held for row in rows))
                yield part

    Verifier(plan, data, Noting(), 8).true(1.0)
    replayed = -(-len(data.val) // 8)
    assert not any(order[-replayed:]) and sum(order[:-replayed]) > 10
