"""What the workers are asked about a row twice: first with a foreign end, then with its own.

A row's question is where it is cut, and which positions are compared. The first worker gets the row
up to the cut and another row's tokens after it; the second gets the row as it is. The true ends of
what is asked first must be known to no process of the candidate by then, so most of the rows are
such that none was shown: training rows that the trial was not granted, and rows of the vault.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..names import GRANTED, QUESTIONS
from ..rows import Rows
from .losses import Picks, draw_picks
from .plan import ExamData

# Of each kind at least so many rows, where there are as many: a look ahead at 1 % of the positions of
# 512 rows shows with a chance of 0.994. The vault's are also those of the blind figure.
VAL_ROWS, UNSEEN_TRAIN_ROWS, BLIND_ROWS = 512, 256, 2048
FULL_ROWS = 4096  # where all rows are looked at: 0.5 GB of logits of 8192 tokens
VAL, TRAIN, VAULT = 0, 1, 2  # kinds of rows


@dataclass(frozen=True)
class Questions:
    """The rows that both workers are asked about, in the order in which the first one is."""

    kinds: npt.NDArray[np.int64]  # [n]
    places: npt.NDArray[np.int64]  # [n], of the rows in their files
    picks: Picks  # [n, K], of which the first is the last position before the cut

    def __len__(self) -> int:
        return len(self.kinds)

    def of(self, kind: int) -> npt.NDArray[np.int64]:
        """Returns which of the questions are about rows of this kind."""
        return np.flatnonzero(self.kinds == kind)

    def save(self, folder: Path) -> None:
        np.savez(folder / QUESTIONS, kinds=self.kinds, places=self.places, picks=self.picks)

    @classmethod
    def load(cls, folder: Path) -> Questions:
        with np.load(folder / QUESTIONS, allow_pickle=False) as kept:
            return cls(kept["kinds"], kept["places"], kept["picks"])


def held_rows(data: ExamData, full: bool) -> npt.NDArray[np.int64]:
    """Returns which rows of the vault are asked whole: the same for all trials, to compare their gaps."""
    most = len(data.vault) if full else max(2048, len(data.vault) // 8)
    if len(data.vault) <= most:
        return np.arange(len(data.vault))
    return np.linspace(0, len(data.vault) - 1, most).astype(np.int64)


def draw_questions(
    data: ExamData, folder: Path, full: bool, rng: np.random.Generator
) -> tuple[Questions, Rows]:
    """Draws the questions anew, in a random order; returns them, and the rows with foreign ends, [n, T+1].

    The ends are of training rows: one of a validation or vault row would show a worker what comes
    there. None of them belongs to a training row that is asked about.
    """
    granted = np.load(folder / GRANTED, allow_pickle=False)
    few = FULL_ROWS // 2 if full else 0
    drawn = {
        VAL: _some(np.arange(len(data.val)), max(VAL_ROWS, few), rng),
        TRAIN: _some(np.flatnonzero(~granted), UNSEEN_TRAIN_ROWS, rng),
        VAULT: _some(held_rows(data, full=False), max(BLIND_ROWS, few), rng),
    }
    kinds = np.concatenate([np.full(len(places), kind) for kind, places in drawn.items()])
    order = rng.permutation(len(kinds))
    places = np.concatenate([*drawn.values()])[order]
    picks = draw_picks(rng, len(places), data.manifest.seq_len)
    questions = Questions(kinds[order], places, picks)
    others = np.setdiff1d(np.arange(len(data.train)), drawn[TRAIN])
    if not len(others):
        others = np.arange(len(data.train))
    ends = np.asarray(data.train)[rng.choice(others, size=len(places))]
    before = np.arange(ends.shape[1]) <= picks[:, :1]
    return questions, np.where(before, true_rows(data, questions), ends).astype(np.uint16)


def true_rows(data: ExamData, questions: Questions) -> Rows:
    """Returns the rows of the questions as they are, [n, T+1]."""
    found = np.empty((len(questions), data.manifest.seq_len + 1), np.uint16)
    for kind, rows in ((VAL, data.val), (TRAIN, data.train), (VAULT, data.vault)):
        which = questions.of(kind)
        found[which] = rows[questions.places[which]]
    return found


def _some(
    places: npt.NDArray[np.int64], most: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Returns at most so many of the places, by chance."""
    return rng.permutation(places)[:most]
