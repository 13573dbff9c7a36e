"""The examiner's side of a trial's start-up and training: rows are granted, counted and timed.

The trial is taken for hostile. Rows come in the examiner's order whatever seed the trial has, none
before its clock starts, none after the hand-over, none beyond the limits. Tokens are those that were
granted, each time anew where one row is granted twice, and time is what the timekeeper reads. What
is done with them, and in how many steps, is the trial's affair.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..protocol import ClosedError, Connection, Frame, LateError, ProtocolError
from ..rows import Order, Rows
from .plan import ExamData, Plan, VoidError
from .timekeeper import Timekeeper

MOST_ROWS = 1 << 16  # of a batch
BATCH_BYTES = 1 << 30
PLACES = 1 << 48  # of rows in the order of training
STATE_BYTES = 1 << 34  # of a state_dict
ITEM_BYTES = {
    **dict.fromkeys(("bool", "uint8", "int8", "float8_e4m3fn", "float8_e5m2"), 1),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2),
    **dict.fromkeys(("float32", "int32", "uint32"), 4),
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 8),
    "complex128": 16,
}


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the state_dict, as the trial names it."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return ITEM_BYTES[self.dtype] * math.prod(self.shape)


@dataclass(frozen=True)
class HandOver:
    """What the trial says when it hands its model over."""

    at: float  # of time.monotonic
    steps: int
    batch_rows: int
    tensors: tuple[TensorSpec, ...]
    digest: str  # of their bytes

    @property
    def state_bytes(self) -> int:
        return sum(tensor.size_bytes for tensor in self.tensors)


class RowSource(Protocol):
    """Gives the rows of a training."""

    def rows(self, first: int, count: int) -> Rows:
        """Returns the rows at places `first` to `first + count - 1`, [count, T+1]."""


class TrainingRows:
    """Gives a trial the training rows, in the order of the examiner's seed."""

    def __init__(self, data: ExamData, seed: int) -> None:
        self._train = np.asarray(data.train)
        self._order = Order(seed, len(self._train))
        self.granted = np.zeros(len(self._train), bool)  # of each row, whether it was given

    def rows(self, first: int, count: int) -> Rows:
        which = self._order.rows_at(first, count)
        self.granted[which] = True
        return self._train[which]


class RandomRows:
    """Gives a worker, which trains nothing, random tokens."""

    def __init__(self, data: ExamData, rng: np.random.Generator) -> None:
        self._vocab_size, self._length = data.manifest.vocab_size, data.manifest.seq_len + 1
        self._rng = rng

    def rows(self, first: int, count: int) -> Rows:
        return self._rng.integers(self._vocab_size, size=(count, self._length), dtype=np.uint16)


class DataServer:
    """Serves training rows to one trial, from its hello to the hand-over of its model."""

    def __init__(
        self,
        connection: Connection,
        plan: Plan,
        data: ExamData,
        source: RowSource,
        timekeeper: Timekeeper,
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._data = data
        self._source = source
        self._time = timekeeper
        self._budget = plan.trial_budget
        self._most_rows = min(MOST_ROWS, BATCH_BYTES // (2 * data.manifest.seq_len + 2))
        limited = plan.role == "score" and self._budget.unit == "tokens"
        self._limit: int | None = self._budget.amount if limited else None  # of tokens
        self._last = 0  # tokens of a batch
        self._beyond = False  # whether a batch was asked for that the limit has no room for
        self.served = 0  # tokens

    def until_handover(self) -> HandOver:
        """Serves the trial until it hands its model over. Raises VoidError where it does not."""
        try:
            self._welcome()
            while True:
                frame = self._receive()
                if frame.kind == "rows":
                    self._grant(frame)
                elif frame.kind == "handover":
                    return self._handed_over(frame)
                elif frame.kind == "fail":
                    raise VoidError("exam", said(frame))
                else:
                    raise ProtocolError(f"a frame {frame.kind!r} where none is due")
        except LateError:
            self._time.late()
        except ClosedError as error:
            raise VoidError("exam", "the trial ended before it handed over a model") from error
        except ProtocolError as error:
            raise VoidError("exam", f"the trial broke the rules of the exam: {error}") from error

    def _receive(self) -> Frame:
        """Returns the trial's next frame; while it says nothing its time is looked at."""
        while not self._connection.wait(self._time.wake_at()):
            self._time.check()
            if self._time.deadline is not None and time.monotonic() >= self._time.deadline:
                raise LateError("it sends nothing")
        return self._connection.receive(0, self._time.deadline)

    def _welcome(self) -> None:
        frame = self._receive()
        if frame.kind != "hello":
            raise ProtocolError(f"{frame.kind!r} before hello")
        manifest, time_limit = self._data.manifest, self._time.told()
        self._connection.send(
            "welcome",
            self._data.token_bytes,
            self._time.deadline,
            budget=str(self._budget),
            time=None if time_limit is None else time_limit.of,
            mode="trial" if self._plan.role == "score" else "replay",
            vocab_size=manifest.vocab_size,
            seq_len=manifest.seq_len,
            bos=manifest.bos,
            train_rows=manifest.train_rows,
            val_rows=manifest.val_rows,
            seed=self._plan.seed,
            fingerprint=self._data.fingerprint,
            folder=str(self._data.folder),
        )

    def _grant(self, frame: Frame) -> None:
        length = self._data.manifest.seq_len
        count = frame.whole("count", 1, self._most_rows)
        first = frame.whole("first", 0, PLACES)
        if self._time.first_grant is None:
            self._time.start_training()
        self._time.check()
        tokens = count * length
        if self._limit is not None and self.served + tokens > self._limit:
            # A batch is asked for while the model works on the one before it, so one may be under
            # way that is never used: it holds nothing.
            if self._beyond:
                limit = f"{self._limit} training tokens"
                raise VoidError("budget", f"more than {limit} were asked for")
            self._beyond = True
            nothing = np.full((count, length + 1), self._data.manifest.bos, np.uint16)
            self._send(nothing)
            return
        self.served += tokens
        self._last = tokens
        self._send(self._source.rows(first, count))

    def _send(self, rows: Rows) -> None:
        """Sends a batch, with what is left after it of tokens and, in seconds, of time (null: no limit)."""
        left_s, whole_s = self._time.left() or (None, None)
        tokens_left = None if self._limit is None else max(0, self._limit - self.served)
        self._connection.send(
            *("batch", rows, self._time.deadline),
            tokens_left=tokens_left,
            seconds_left=left_s,
            seconds=whole_s,
        )

    def _handed_over(self, frame: Frame) -> HandOver:
        at = time.monotonic()
        if self._time.first_grant is None:
            raise VoidError("exam", "a model was handed over before any training batch was granted")
        steps = frame.whole("steps", 0, PLACES)
        self._time.end_training()
        budget = self._budget  # of steps in a baseline alone, which is the user's own
        if self._plan.role == "score" and budget.unit == "steps" and steps > budget.amount:
            raise VoidError("budget", f"{steps} steps were taken, not {budget.amount}")
        # The last batch counts unless the trial says that it was left unused.
        claimed = frame.whole("tokens", 0, PLACES)
        if self.served - self._last <= claimed < self.served:
            self.served = claimed
        digest = frame.fields.get("digest")
        if not isinstance(digest, str):
            raise ProtocolError("a hand-over without a digest")
        rows = frame.whole("rows", 1, self._most_rows)
        return HandOver(at, steps, rows, _tensors(frame), digest)


def said(frame: Frame) -> str:
    """Returns what the trial says went wrong: its own words, short and in plain characters."""
    reason = frame.fields.get("reason")
    text = reason[:300] if isinstance(reason, str) else "it does not say why"
    words = "".join(c if c.isprintable() else " " for c in text)
    return f"the trial could not answer: {words}"


def _tensors(frame: Frame) -> tuple[TensorSpec, ...]:
    """Returns the tensors that a hand-over lists.

    Raises ProtocolError where it is no such list, VoidError where the state is too large.
    """
    listed = frame.fields.get("tensors")
    if not isinstance(listed, list):
        raise ProtocolError("a hand-over without tensors")
    tensors: list[TensorSpec] = []
    for item in listed:
        if not (isinstance(item, list) and len(item) == 3):
            raise ProtocolError("a tensor without name, dtype and shape")
        name, dtype, shape = item
        if not (isinstance(name, str) and isinstance(dtype, str) and dtype in ITEM_BYTES):
            raise ProtocolError("a tensor of no known dtype")
        if not (
            isinstance(shape, list)
            and len(shape) <= 16
            and all(type(side) is int and 0 <= side <= PLACES for side in shape)
        ):
            raise ProtocolError("a tensor of no possible shape")
        tensors.append(TensorSpec(name, dtype, tuple(shape)))
    total = sum(tensor.size_bytes for tensor in tensors)
    if total > STATE_BYTES:
        raise VoidError(
            "exam", f"a state_dict of {total / 1e9:.4g} GB; at most {STATE_BYTES / 1e9:.1f} GB"
        )
    return tuple(tensors)
