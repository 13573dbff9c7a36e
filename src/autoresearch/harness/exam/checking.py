"""What two fresh workers say about a model that was scored: twin, blind, rows, gap and replay.

Each runs the training script again without training, has the checkpoint loaded into the model that
it hands over, and is asked as the trial was. The first one is asked before any process of the
candidate has seen how its rows go on (questions.py), and only the second one is shown that:
    twin    of each position that was picked, what the two gave: divergence of the distributions, and
            |difference of loss| of the tokens that truly follow. What looks ahead
    blind   the vault's tokens after the cuts, as the first worker predicted them, against all of the
            vault's as the second did. What looks ahead where a process tells another what it was
            asked: no process had those tokens when they were predicted
    rows    the same rows in other company and places: |difference of loss|. What mixes rows
    gap     bits per byte of the vault, which no trial has seen, less that of the validation rows.
            What was trained on them
    replay  batches as they were scored, in another order: |difference of loss|. A state outside the
            checkpoint, a count of calls, a memory, training on the rows that are asked
Deviations are in nats a token. The orchestrator compares them with what the baseline's workers gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import cache as store
from ..cache import HarnessError
from ..names import CONTROL, LOSSES, TWIN
from ..rows import Rows
from .losses import (
    PICKS,
    Losses,
    bits_per_byte,
    counted_nats,
    divergences,
    draw_picks,
    losses,
)
from .plan import ExamData, Plan
from .questions import TRAIN, VAL, VAL_ROWS, VAULT, Questions, draw_questions, held_rows, true_rows
from .scorer import Batch, ScoredBatch, Scorer

# Of a position's difference from the baseline's loss. Unbounded, a single absurd answer would widen
# the error that is allowed by more than it costs.
CLIP_NATS = 4.0

Numbers = npt.NDArray[np.int64]


class Verifier:
    """Asks the two workers, and compares what they answer with what was scored."""

    def __init__(self, plan: Plan, data: ExamData, scorer: Scorer, size: int) -> None:
        """size: rows of a batch, as they were scored."""
        self._plan = plan
        self._data = data
        self._scorer = scorer
        self._size = size
        self._folder = Path(plan.folder)
        self._bos = data.manifest.bos
        self._rng = np.random.default_rng()  # seeded by the system: no trial can know it

    # -- the first worker ---------------------------------------------------------------------

    def foreign(self) -> dict[str, Any]:
        """Asks about rows with foreign ends, and leaves questions and answers for the second worker."""
        questions, rows = draw_questions(self._data, self._folder, self._plan.full, self._rng)
        shape = (len(questions), PICKS, self._data.manifest.vocab_size)
        store.need_space(self._folder, 4 * int(np.prod(shape)), "the answers of a worker")
        groups = _groups(np.arange(len(questions)), self._size)
        batches = (Batch.of(rows[g], self._size, questions.picks[g]) for g in groups)
        with store.writing(self._folder / TWIN):
            answers = np.lib.format.open_memmap(
                self._folder / TWIN, mode="w+", dtype=np.float32, shape=shape
            )
        scored = self._scorer.score(batches, keep_picked=True)
        for group, part in zip(groups, scored, strict=True):
            answers[group] = part.picked
        with store.writing(self._folder / TWIN):
            answers.flush()
            questions.save(self._folder)
        return {"positions": len(questions) * PICKS}

    # -- the second worker --------------------------------------------------------------------

    def true(self, bpb: float) -> dict[str, Any]:
        """Returns the figures of a model that scored `bpb`. The first worker must have been asked."""
        data, rng = self._data, self._rng
        questions = Questions.load(self._folder)
        twin = _Twin(questions, true_rows(data, questions), self._folder)
        sample = rng.permutation(len(data.val))[: len(data.val) if self._plan.full else VAL_ROWS]
        held, asked = held_rows(data, self._plan.full), questions.of(TRAIN)
        # The mixed rows come first: by the replay a model would know the validation rows among them.
        mixed = np.concatenate(
            [data.val[sample], data.vault[held], data.train[questions.places[asked]]]
        )
        numbers = np.full(len(mixed), -1)
        vault = questions.of(VAULT)
        numbers[len(sample) + np.searchsorted(held, questions.places[vault])] = vault
        numbers[len(mixed) - len(asked) :] = asked
        order = rng.permutation(len(mixed))
        found = self._ask(mixed, numbers, _groups(order, self._size), twin)
        of_vault = found[len(sample) : len(sample) + len(held)]
        replay, again = self._replay(questions, twin)
        counts = data.val[sample, 1:] != self._bos
        rows = np.abs(found[: len(sample)] - again[sample])[counts].mean(dtype=np.float64)
        nats = counted_nats(of_vault, data.vault[held, 1:], self._bos)
        gap = bits_per_byte(nats, data.size_bytes(data.vault[held])) - bpb
        blind, error = self._blind(questions, twin, held, of_vault)
        return {
            "replay": replay,
            "rows": float(rows),
            "gap": gap,
            "twin": twin.deviation(),
            "blind": blind,
            "blind_error": error,
            "positions": int((data.val[:, 1:] != self._bos).sum()),
        }

    def _replay(self, questions: Questions, twin: _Twin) -> tuple[float, Losses]:
        """Asks all validation rows in the batches that were scored; returns (replay, losses [N, T])."""
        val = self._data.val
        scored: Losses = np.load(self._folder / LOSSES, mmap_mode="r", allow_pickle=False)
        # All of them: a model that cheats in one batch alone must not hope that it is not drawn.
        groups = _groups(np.arange(len(val)), self._size)
        groups = [groups[at] for at in self._rng.permutation(len(groups))]
        numbers = np.full(len(val), -1)
        numbers[questions.places[questions.of(VAL)]] = questions.of(VAL)
        again = self._ask(val, numbers, groups, twin)
        counts = val[:, 1:] != self._bos
        return float(np.abs(again - scored)[counts].mean(dtype=np.float64)), again

    def _ask(self, rows: Rows, numbers: Numbers, groups: Sequence[Numbers], twin: _Twin) -> Losses:
        """Asks about rows in these groups; returns their losses [N, T].

        numbers: which question each row is of, -1 of none.
        """
        picks = draw_picks(self._rng, len(rows), self._data.manifest.seq_len)
        picks[numbers >= 0] = twin.questions.picks[numbers[numbers >= 0]]
        batches = (Batch.of(rows[g], self._size, picks[g]) for g in groups)
        found = np.empty((len(rows), self._data.manifest.seq_len), np.float32)
        for group, part in zip(groups, self._scorer.score(batches, keep_picked=True), strict=True):
            found[group] = part.losses
            twin.compare(numbers[group], part)
        return found

    def _blind(
        self, questions: Questions, twin: _Twin, held: Numbers, found: Losses
    ) -> tuple[float, float]:
        """Returns by how much the vault's tokens cost more where they were predicted blind, and its error.

        Both in nats a token. An honest model's cuts are a sample of its positions, so that it differs
        by chance alone; of each position the baseline's loss is taken off, which leaves little of that.
        """
        usual = held_rows(self._data, full=False)
        targets = self._data.vault[usual, 1:].astype(np.int64)
        own = found[np.searchsorted(held, usual)]
        control = self._control(own)
        which = questions.of(VAULT)
        row = np.searchsorted(usual, questions.places[which])
        cut = questions.picks[which, 0]
        blind = losses(twin.first[which, 0], targets[row, cut]) - control[row, cut]
        blind = blind.clip(-CLIP_NATS, CLIP_NATS)[targets[row, cut] != self._bos]
        # The last position is never cut: the row has no token after it.
        shown = (own - control).clip(-CLIP_NATS, CLIP_NATS)[:, :-1]
        apart = blind.mean(dtype=np.float64) - shown[targets[:, :-1] != self._bos].mean(
            dtype=np.float64
        )
        spread = blind.std(ddof=1, dtype=np.float64) if len(blind) > 1 else CLIP_NATS
        return float(apart), float(spread / np.sqrt(max(1, len(blind))))

    def _control(self, own: Losses) -> Losses:
        """Returns the baseline's losses on these rows; its own, which it leaves, where it is a baseline."""
        if self._plan.control is None:
            with store.writing(self._folder / CONTROL):
                np.save(self._folder / CONTROL, own)
            return own
        try:
            control: Losses = np.load(self._plan.control, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise HarnessError(
                f"the baseline's losses on the vault can't be read ({error}): start another run with "
                "autoresearch init TAG"
            ) from error
        return control


class _Twin:
    """What the first worker answered, against what the second one does."""

    def __init__(self, questions: Questions, rows: Rows, folder: Path) -> None:
        """rows: of the questions, as they are, [n, T+1]."""
        self.questions = questions
        self.first = np.load(folder / TWIN, mmap_mode="r", allow_pickle=False)  # [n, K, V]
        self._next = rows[np.arange(len(rows))[:, None], questions.picks + 1].astype(np.int64)
        self._apart = np.full(questions.picks.shape, np.nan)

    def compare(self, numbers: Numbers, part: ScoredBatch) -> None:
        """Takes the answers about a batch, whose rows are of these questions, -1 of none.

        Of each position the larger of the divergence and of what the true next token's loss moved:
        a faint look ahead gains in proportion to its size, and diverges with the square of it.
        """
        here = numbers >= 0
        which = numbers[here]
        if not len(which):
            return
        known = self.first[which].reshape(-1, self.first.shape[2])
        found = part.picked[here].reshape(-1, self.first.shape[2])
        true = self._next[which].reshape(-1)
        lost = np.abs(losses(known, true) - losses(found, true))
        self._apart[which] = np.maximum(divergences(known, found), lost).reshape(-1, PICKS)

    def deviation(self) -> float:
        """Returns the largest mean of any kind of rows, just before the cut and further before.

        By kind, so that what looks ahead in rows of one kind is not thinned by the others.
        """
        means = []
        for kind in (VAL, TRAIN, VAULT):
            apart = self._apart[self.questions.of(kind)]
            if len(apart):
                means += [apart[:, 0].mean(), apart[:, 1:].mean()]
        return float(np.max(means))  # nan where a question was left out


def _groups(places: Numbers, size: int) -> list[Numbers]:
    """Returns the places in their order, in groups of `size` rows, of which the last may have fewer."""
    return [places[first : first + size] for first in range(0, len(places), size)]


def scored_batches(rows: Rows, size: int) -> Iterator[Batch]:
    """Yields the validation rows in the file's order, in batches of `size`."""
    for first in range(0, len(rows), size):
        yield Batch.of(rows[first : first + size], size)
