"""What two fresh workers say about a model that was scored: replay, rows, vault and twin.

Each runs the training script again without training, has the checkpoint loaded into the model that
it hands over, and is asked as the trial was. Deviations are in nats a token:
    replay  batches as they were scored, in another order: |difference of loss|. A state outside the
            checkpoint, a count of calls, a memory, training on the rows that are asked
    rows    the same rows in other company and places: |difference of loss|. What mixes rows
    gap     bits per byte of the vault, which no trial has seen, less that of the validation rows.
            What was trained on them
    twin    the other worker gets the same rows with other tokens after a cut in each: divergence of
            the distributions at the cut and before, and |difference of loss| of the tokens that
            truly follow. What looks ahead
The orchestrator compares them with what the baseline's workers gave.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ..names import LOSSES, TWIN
from ..protocol import PIECE_BYTES, Connection, ProtocolError, joint_digest
from ..rows import Rows
from .granting import HandOver, TensorSpec
from .losses import PICKS, Losses, Picks, bits_per_byte, counted_nats, divergences, losses
from .plan import ExamData, Plan, VoidError
from .scorer import Batch, Scorer

SAMPLE_ROWS = 512  # at least: a look ahead at 1 % of the positions shows with a chance of 0.994
VAULT_ROWS = 2048  # or an eighth of them
TWIN_ROWS = 4096  # at most, of which logits are kept: 0.5 GB of 8192 tokens


def write_checkpoint(file: BinaryIO, handed: HandOver, scorer: Scorer) -> None:
    """Writes the state_dict into one file: 4 bytes of length, the list in JSON, then the raw tensors.

    Raises VoidError where it is not what was handed over: a model that is trained on while it is
    asked has a better score than the one that the workers load, and their replay tells.
    """
    listed = json.dumps([[t.name, t.dtype, list(t.shape)] for t in handed.tensors]).encode()
    file.write(struct.pack(">I", len(listed)) + listed)
    digests = []
    for tensor in handed.tensors:
        digest = hashlib.sha256()
        for piece in scorer.receive_tensor(tensor):
            digest.update(piece)
            file.write(piece)
        digests.append(digest.digest())
    if joint_digest(digests) != handed.digest:
        raise VoidError("exam", "the tensors that were sent are not those that were handed over")


def load_checkpoint(
    path: Path, tensors: tuple[TensorSpec, ...], connection: Connection, deadline: float | None
) -> None:
    """Sends the checkpoint's tensors to a worker.

    Raises VoidError where the worker's model has others, or does not take them.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack(">I", file.read(4))
        saved = tuple(TensorSpec(n, d, tuple(s)) for n, d, s in json.loads(file.read(length)))
        if saved != tensors:
            raise VoidError(
                "exam", f"a fresh process makes another model: {_other(saved, tensors)}"
            )
        try:
            for tensor in saved:
                connection.begin("load", tensor.size_bytes, deadline)
                for left in range(tensor.size_bytes, 0, -PIECE_BYTES):
                    connection.more(file.read(min(left, PIECE_BYTES)), deadline)
        except ProtocolError as error:
            raise VoidError("exam", f"a worker did not take the checkpoint: {error}") from error


def _other(saved: tuple[TensorSpec, ...], found: tuple[TensorSpec, ...]) -> str:
    """Returns the first tensor that differs, in words for a person."""
    for left, right in zip(saved, found, strict=False):
        if left != right:
            return f"{left.name[:80]!r} {left.shape} is {right.name[:80]!r} {right.shape} there"
    return f"{len(found)} tensors, not {len(saved)}"


class Verifier:
    """Asks the two workers, and compares what they answer with what was scored."""

    def __init__(self, plan: Plan, data: ExamData, scorer: Scorer, size: int) -> None:
        """size: rows of a batch, as they were scored."""
        self._plan = plan
        self._data = data
        self._scorer = scorer
        self._size = size
        self._folder = Path(plan.folder)
        self._scored: Losses = np.load(self._folder / LOSSES, mmap_mode="r", allow_pickle=False)
        self._rng = np.random.default_rng()  # seeded by the system: no trial can know it

    def true(self, bpb: float) -> dict[str, Any]:
        """Returns replay, rows and gap of a model that scored `bpb`; leaves the twin's rows behind."""
        val, bos = self._data.val, self._data.manifest.bos
        # All of them: a model that cheats in one batch alone must not hope that it is not drawn.
        firsts = self._rng.permutation(np.arange(0, len(val), self._size))
        order = np.concatenate([np.arange(f, min(f + self._size, len(val))) for f in firsts])
        batches = (Batch.of(val[f : f + self._size], self._size) for f in firsts)
        again = np.concatenate(list(self._replayed(batches)))
        counts = val[order, 1:] != bos
        replay = np.abs(again - self._scored[order])[counts].mean(dtype=np.float64)
        few = len(val) if self._plan.full else SAMPLE_ROWS
        rows, gap = self._mixed(order[:few], again[:few], bpb)
        return {
            "replay": float(replay),
            "rows": rows,
            "gap": gap,
            "positions": int(counts.sum()),
        }

    def _replayed(self, batches: Iterable[Batch]) -> Iterator[Losses]:
        """Yields losses of the batches, [n, T] each, and keeps logits of the first rows for the twin."""
        picked, twins = [], []
        left = TWIN_ROWS if self._plan.full else SAMPLE_ROWS
        for part in self._scorer.score(batches, keep_picked=True):
            if left > 0:
                twins.append(part.batch)
                picked.append(part.picked)
                left -= part.batch.count
            yield part.losses
        np.savez(
            self._folder / TWIN,
            rows=np.stack([self._foreign(batch) for batch in twins]).astype(np.uint16),
            picks=np.stack([batch.picks for batch in twins]),
            targets=np.stack([_following(batch) for batch in twins]),
            counts=np.array([batch.count for batch in twins]),
            logits=np.concatenate(picked),
        )

    def _foreign(self, batch: Batch) -> npt.NDArray[np.int64]:
        """Returns the batch's rows, [B, T+1], with a training row's tokens after each first pick.

        Those of a validation row would let a worker that remembers them look ahead in it later.
        """
        train = np.asarray(self._data.train)
        others = train[self._rng.integers(len(train), size=len(batch.rows))].astype(np.int64)
        before = np.arange(batch.rows.shape[1]) <= batch.picks[:, :1]
        return np.where(before, batch.rows, others)

    def _mixed(
        self, sample: npt.NDArray[np.int64], again: Losses, bpb: float
    ) -> tuple[float, float]:
        """Asks sampled rows and vault rows in one random order; returns (rows in nats, gap in bpb).

        The vault's rows are the company that no row was scored in. Its sample is the same for all
        trials, so that the gaps of two can be compared.
        """
        vault, bos = self._data.vault, self._data.manifest.bos
        most = max(VAULT_ROWS, len(vault) // 8)
        if self._plan.full or len(vault) <= most:
            held = np.asarray(vault)
        else:
            held = np.asarray(vault[np.linspace(0, len(vault) - 1, most).astype(np.int64)])
        rows = np.concatenate([self._data.val[sample], held])
        order = self._rng.permutation(len(rows))
        batches = (
            Batch.of(rows[order[first : first + self._size]], self._size)
            for first in range(0, len(rows), self._size)
        )
        found = np.empty((len(rows), rows.shape[1] - 1), np.float32)
        place = 0
        for part in self._scorer.score(batches):
            found[order[place : place + part.batch.count]] = part.losses
            place += part.batch.count
        counts = rows[: len(sample), 1:] != bos
        deviation = np.abs(found[: len(sample)] - again)[counts].mean(dtype=np.float64)
        nats = counted_nats(found[len(sample) :], held[:, 1:], bos)
        vault_bpb = bits_per_byte(nats, self._data.size_bytes(held))
        return float(deviation), vault_bpb - bpb

    def foreign(self) -> dict[str, Any]:
        """Returns the twin: the larger of the means just before the cut, and further before.

        Of each position the larger of the divergence and of what the true next token's loss moved:
        a faint look ahead gains in proportion to its size, and diverges with the square of it.
        """
        with np.load(self._folder / TWIN, allow_pickle=False) as kept:
            rows, picks, counts = kept["rows"], kept["picks"], kept["counts"]
            true, targets = kept["logits"], kept["targets"]
        batches = [
            Batch(batch.astype(np.int64), int(count), pick)
            for batch, pick, count in zip(rows, picks, counts, strict=True)
        ]
        apart: list[npt.NDArray[np.float64]] = []
        place = 0
        for wanted, part in zip(
            targets, self._scorer.score(batches, keep_picked=True), strict=True
        ):
            known = true[place : place + part.batch.count].reshape(-1, true.shape[2])
            found = part.picked.reshape(-1, true.shape[2])
            next_true = wanted[: part.batch.count].reshape(-1)
            lost = np.abs(losses(known, next_true) - losses(found, next_true))
            apart.append(np.maximum(divergences(known, found), lost).reshape(-1, PICKS))
            place += part.batch.count
        every = np.concatenate(apart)
        twin = max(every[:, 0].mean(), every[:, 1:].mean())
        return {"twin": float(twin), "positions": int(every.size)}


def _following(batch: Batch) -> Picks:
    """Returns the tokens after the picks, [B, K]."""
    return batch.rows[np.arange(len(batch.rows))[:, None], batch.picks + 1]


def scored_batches(rows: Rows, size: int) -> Iterator[Batch]:
    """Yields the validation rows in the file's order, in batches of `size`."""
    for first in range(0, len(rows), size):
        yield Batch.of(rows[first : first + size], size)
