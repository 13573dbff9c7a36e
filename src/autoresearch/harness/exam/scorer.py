"""The examiner asks a model about rows, one batch at a time, and scores what it answers.

Two ways, by the size of all logits:
    logits  every logit comes over the socket as fp32, and the losses are taken here. The next batch
            is asked for before this one is scored, so that trial and examiner work at once.
    losses  commit and audit, where all logits would be more than FULL_BYTES. The trial commits
            itself to the loss of each token that follows within the row, and sends the logits of
            the last position, whose target it cannot know, whole. Then the examiner names PICKS
            positions of each row, drawn after the commitment, and their logits, normalised here,
            must give the losses that were committed. None may be below 0, so that a lie gains no
            more than the loss that it hides. Of 10,240 rows, a lie about one token in a hundred
            escapes with a probability below 1e-44; one about the worst token in 10,000, at late
            positions, which are picked least, in one attempt of three, for 0.0005 of the score.

What an audit does not find: the targets of all but the last position are in the row itself, so a
model that looks ahead can commit to small losses and open logits that agree with them. Logits alone
prove no more in the other way. It is the twin and the replay (checking.py) that find a look ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..protocol import ClosedError, Connection, Frame, LateError, ProtocolError
from ..rows import Rows
from .granting import TensorSpec, said
from .losses import PICKS, AnswerError, Logits, Losses, Picks, draw_picks, losses
from .plan import ExamData, VoidError

FULL_BYTES = 4_000_000_000  # most of all validation rows' logits that are sent whole
ANSWER_BYTES = 1 << 30  # most of one batch's logits that are sent whole
# How far a committed loss may be from the one that its logits give: two ways to take one softmax in
# fp32, 1e-6 apart as measured, and on average less, or a lie at every position would be worth it.
LOSS_TOLERANCE, MEAN_TOLERANCE = 1e-4, 1e-5
LATE = "the examination took more than four times as long as the baseline's and a minute"


@dataclass(frozen=True)
class Batch:
    """Rows to ask about, [B, T+1]; those after the first `count` only fill it up."""

    rows: npt.NDArray[np.int64]
    count: int
    picks: Picks  # [B, K] positions whose logits are wanted

    @classmethod
    def of(cls, rows: Rows, size: int, picks: Picks | None = None) -> Batch:
        """Returns a batch of `size` rows: those given, and copies of the first of them.

        picks: of the given rows, [n, K]; None: by chance.
        """
        rng = np.random.default_rng()  # from the system, so that no picks tell of later ones
        wide = rows.astype(np.int64)
        wide = np.concatenate([wide, np.repeat(wide[:1], size - len(wide), axis=0)])
        drawn = draw_picks(rng, size, wide.shape[1] - 1)
        if picks is not None:
            drawn[: len(rows)] = picks
        return cls(wide, len(rows), drawn)


@dataclass(frozen=True)
class ScoredBatch:
    """The losses on a batch, without the rows that fill it up."""

    batch: Batch
    losses: Losses  # [n, T]
    picked: Logits  # [n, K, V], at the picks


class Scorer:
    """Asks a model about batches and scores its answers, until its deadline."""

    def __init__(
        self, connection: Connection, data: ExamData, size: int, deadline: float | None
    ) -> None:
        """size: rows of every batch. deadline: of time.monotonic, of the whole examination."""
        self._connection = connection
        self._length, self._vocab_size = data.manifest.seq_len, data.manifest.vocab_size
        self.size = size
        self.deadline = deadline
        row_bytes = 4 * self._length * self._vocab_size
        self.whole = (
            data.manifest.val_rows * row_bytes <= FULL_BYTES and size * row_bytes <= ANSWER_BYTES
        )
        room = (size * self._length if self.whole else size * PICKS, self._vocab_size)
        self._room = np.empty(room, np.float32)

    def score(self, batches: Iterable[Batch], keep_picked: bool = False) -> Iterator[ScoredBatch]:
        """Yields the batches scored, in turn. Raises VoidError where an answer is late, missing or wrong."""
        waiting: Batch | None = None
        try:
            for batch in batches:
                if waiting is None:
                    self._ask(batch)
                else:
                    yield self._receive_answer(waiting, batch, keep_picked)
                waiting = batch
            if waiting is not None:
                yield self._receive_answer(waiting, None, keep_picked)
        except LateError:
            raise VoidError("budget", LATE) from None
        except ClosedError as error:
            raise VoidError("exam", "the trial ended during the examination") from error
        except ProtocolError as error:
            raise VoidError("exam", f"the trial broke the rules of the exam: {error}") from error
        except AnswerError as error:
            raise VoidError("exam", str(error)) from error

    def _ask(self, batch: Batch) -> None:
        inputs = np.ascontiguousarray(batch.rows[:, :-1], dtype=np.uint16)
        way = "logits" if self.whole else "losses"
        self._connection.send("ask", inputs, self.deadline, way=way)

    def _receive_answer(self, batch: Batch, after: Batch | None, keep_picked: bool) -> ScoredBatch:
        """Returns a batch scored; the next one is asked for before that."""
        if self.whole:
            self._receive_logits()
        else:
            committed, last = self._receive_losses(batch)
        if after is not None:
            self._ask(after)
        n = batch.count
        targets = batch.rows[:, 1:]
        if not self.whole:
            found = np.concatenate([committed, losses(last, targets[:, -1])[:, None]], axis=1)
            self._audit(found, batch)
            picked = self._room.reshape(self.size, PICKS, -1)[:n].copy()
            return ScoredBatch(batch, found[:n], picked)
        flat = losses(self._room[: n * self._length], targets[:n].reshape(-1))
        kept = n if keep_picked else 0
        cube = self._room.reshape(self.size, self._length, -1)
        picked = cube[np.arange(kept)[:, None], batch.picks[:kept]]
        return ScoredBatch(batch, flat.reshape(n, self._length), picked)

    def _receive_logits(self) -> None:
        """Receives all logits of a batch, in as many frames as the trial makes of it."""
        place, row_bytes = 0, 4 * self._length * self._vocab_size
        room = self._room.data.cast("B")
        while place < len(room):
            frame = self._receive("logits", room[place:])
            _rows_in(frame, row_bytes, len(room) - place)
            place += len(frame.payload)

    def _receive_losses(self, batch: Batch) -> tuple[Losses, Logits]:
        """Receives commitments, each followed by its audit; returns losses [B, T-1], last logits [B, V]."""
        T, V = self._length, self._vocab_size
        committed = np.empty((self.size, T - 1), np.float32)
        last = np.empty((self.size, V), np.float32)
        room = np.empty(self.size * (T - 1 + V), np.float32).data.cast("B")
        opened = self._room.data.cast("B")
        row = 0
        while row < self.size:
            frame = self._receive("losses", room)
            n = _rows_in(frame, 4 * (T - 1 + V), 4 * (T - 1 + V) * (self.size - row))
            values = np.frombuffer(frame.payload, np.float32)
            committed[row : row + n] = values[: n * (T - 1)].reshape(n, T - 1)
            last[row : row + n] = values[n * (T - 1) :].reshape(n, V)
            flat = (np.arange(n)[:, None] * T + batch.picks[row : row + n]).reshape(-1)
            self._connection.send("audit", flat, self.deadline)
            size = 4 * n * PICKS * V
            answer = self._receive("opened", opened[4 * row * PICKS * V :])
            if len(answer.payload) != size:
                raise ProtocolError(
                    f"{len(answer.payload)} bytes of logits for an audit, not {size}"
                )
            row += n
        return committed, last

    def _audit(self, found: Losses, batch: Batch) -> None:
        """Raises AnswerError where the opened logits, [B * K, V], do not give the committed losses."""
        rows = np.arange(self.size)[:, None]
        true = losses(self._room, batch.rows[rows, batch.picks + 1].reshape(-1))
        apart = found[rows, batch.picks].reshape(-1).astype(np.float64) - true
        # None below zero: a single one without bound would be worth more than all others.
        if not (
            np.isfinite(found).all()
            and found.min() >= -MEAN_TOLERANCE
            and np.abs(apart).max() <= LOSS_TOLERANCE
            and abs(apart.mean()) <= MEAN_TOLERANCE
        ):
            raise AnswerError(
                "an audit failed: the losses that were committed are not those of the model's "
                f"logits ({np.abs(apart).max():.2g} nats apart at most)"
            )

    def _receive(self, kind: str, room: memoryview) -> Frame:
        frame = self._connection.receive(len(room), self.deadline, room)
        if frame.kind == "fail":
            raise AnswerError(said(frame))
        if frame.kind != kind:
            raise ProtocolError(f"a frame {frame.kind!r} where {kind!r} is due")
        return frame

    def receive_tensor(self, tensor: TensorSpec) -> Iterator[memoryview]:
        """Yields the bytes of the next tensor of the state_dict that was asked for, piece by piece."""
        try:
            kind, _, size = self._connection.receive_header(tensor.size_bytes, self.deadline)
            if kind != "tensor" or size != tensor.size_bytes:
                raise VoidError(
                    "exam", f"{tensor.name[:80]!r} came as something else than was said"
                )
            yield from self._connection.pieces(size, self.deadline)
        except LateError:
            raise VoidError("budget", LATE) from None
        except ProtocolError as error:
            raise VoidError("exam", f"no checkpoint came of the model: {error}") from error


def _rows_in(frame: Frame, row_bytes: int, most_bytes: int) -> int:
    """Returns how many rows a frame holds. Raises ProtocolError for no whole number of them, or none."""
    count, rest = divmod(len(frame.payload), row_bytes)
    if rest or not count or len(frame.payload) > most_bytes:
        raise ProtocolError(f"{frame.kind}: {len(frame.payload)} bytes are no rows of {row_bytes}")
    return count


def rows_at_once(data: ExamData, wanted: int) -> int:
    """Returns the rows of a batch: what the script wants, but no more than there are or memory allows.

    A script that works on more at once fills what it is asked up to its own size.
    """
    opened = 4 * (1 + PICKS) * data.manifest.vocab_size + 4 * data.manifest.seq_len
    return max(1, min(wanted, data.manifest.val_rows, ANSWER_BYTES // opened))


def deadline_after(start: float, allowance_s: float | None) -> float | None:
    """Returns the end of an allowance as a time of time.monotonic; None where there is no allowance."""
    return None if allowance_s is None else start + allowance_s
