"""The trial's side of an examination: it asks for training rows, then answers with logits.

`AUTORESEARCH_EXAMINER` names a socket on which the examiner, a process of its own, waits. The trial
has no data file: it says hello and is told the sizes, asks for training rows by their places, hands
the model over, and then does what it is asked: logits of rows, or their losses with some logits to
audit them by, its tensors, or to load others. Whatever is done to this module in a trial, the
examiner believes nothing of it: it is here so that an honest script need not know.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..budget import Budget, Time
from ..cache import HarnessError
from ..names import EXAMINER_VARIABLE
from ..protocol import Connection, Frame, ProtocolError, joint_digest, raw_digest
from ..rows import Rows
from .accelerator import synchronise
from .inference import half_batch, logits_of, padded
from .probes import EvaluationError
from .tensors import dtype_name, following_losses, on_host, plain_tensors, raw_bytes

if TYPE_CHECKING:
    from ..clock import Clock

HASHING_THREADS = 8  # of the hand-over's tensors, while the clock runs
REPLY_BYTES = 1 << 36  # of what the examiner may send: it is the one that is believed


def connected() -> ExaminerClient | None:
    """Returns the connection to this process's examiner, the same at every call; None without one."""
    number = os.environ.get(EXAMINER_VARIABLE)
    return _connect(number) if number else None


@functools.lru_cache(maxsize=1)
def _connect(number: str) -> ExaminerClient:
    try:
        end = socket.socket(fileno=int(number))
        end.set_inheritable(False)
    except (ValueError, OSError, OverflowError):
        raise HarnessError(
            f"{EXAMINER_VARIABLE} is {number!r}, which is no open socket: it is set by the tool for a trial "
            "that is examined; run the script without it"
        ) from None
    return ExaminerClient(Connection(end))


class GrantedRows:
    """Training rows [B, T+1] that were asked for, and may still be on their way."""

    def __init__(self, exam: ExaminerClient, shape: tuple[int, int]) -> None:
        self._exam = exam
        self._shape = shape
        self._early: Rows | None = None

    def read_into(self, out: Rows) -> None:
        """Puts the rows into a buffer [B, T+1]."""
        if self._early is None:
            self._exam.receive_rows(out)
        else:
            out[:] = self._early

    def read_early(self) -> None:
        """Receives the rows now, into memory of their own, so that other frames can follow."""
        self._early = np.empty(self._shape, np.uint16)
        self._exam.receive_rows(self._early)


class ExaminerClient:
    """Talks with the examiner, from hello to the score; there is one for each process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._under_way: GrantedRows | None = None
        self._handed_over = False
        self._asked_s = 0.0  # the clock's reading when rows were asked for
        self._clock: Clock | None = None
        self._say("hello")
        told = self._hear("welcome")
        facts: dict[str, Any] = told.fields
        self.replaying: bool = facts["mode"] == "replay"
        self.vocab_size: int = facts["vocab_size"]
        self.seq_len: int = facts["seq_len"]
        self.bos: int = facts["bos"]
        self.train_rows: int = facts["train_rows"]
        self.val_rows: int = facts["val_rows"]
        self.seed: int = facts["seed"]
        self.budget: str = facts["budget"]
        self.time: Time | None = facts["time"]
        self.fingerprint: str = facts["fingerprint"]
        self.folder = Path(facts["folder"])  # of the tokenizer
        self.token_bytes: npt.NDArray[np.int64] = np.frombuffer(bytes(told.payload), np.int64)

    def attend(self, clock: Clock) -> None:
        """Takes this clock's steps as the trial's, and tells it the limits, and whether to train at all."""
        self._clock = clock
        clock.replaying = self.replaying
        clock.limit(Budget.parse(self.budget), self.time)

    def ask_rows(self, first: int, count: int) -> GrantedRows:
        """Asks for the training rows at places `first` to `first + count - 1` of the examiner's order."""
        if self._handed_over:
            raise HarnessError("the model was handed over: no training batch is granted after that")
        self._settle()
        self._asked_s = self._clock.reading_s() if self._clock else 0.0
        self._say("rows", first=first, count=count)
        self._under_way = GrantedRows(self, (count, self.seq_len + 1))
        return self._under_way

    def receive_rows(self, out: Rows) -> None:
        """Receives the rows that are under way, into a buffer [B, T+1]."""
        self._under_way = None
        told = self._hear("batch", out.data.cast("B")).fields
        if self._clock is not None and told["seconds_left"] is not None:
            self._clock.allow(told["seconds_left"], told["seconds"], self._asked_s)

    def _settle(self) -> None:
        if self._under_way is not None:
            self._under_way.read_early()

    def examine(
        self, model: object, device: torch.device, batch_rows: int
    ) -> tuple[float, float, int, int]:
        """Hands the model over and answers until the end; returns (bpb, nats, bytes, rows) as told then.

        Raises HarnessError where the model is no module, or was examined before, or where the
        examiner ends it, and EvaluationError where the model's answers cannot be sent.
        """
        if self._handed_over:
            raise HarnessError("this trial was examined: `evaluate` may be called once")
        if not isinstance(model, nn.Module):
            raise HarnessError(
                f"`evaluate` was given a {type(model).__name__}: an examined trial hands over a "
                "torch.nn.Module, whose state_dict a fresh process can load"
            )
        self._settle()
        self._handed_over = True
        synchronise(device)
        try:
            state = plain_tensors(model)
            with ThreadPoolExecutor(HASHING_THREADS) as threads:
                saved = list(threads.map(raw_bytes, state.values()))
                digest = joint_digest(threads.map(raw_digest, saved))
            self._say(
                "handover",
                rows=batch_rows,
                steps=self._clock.steps if self._clock else 0,
                tokens=self._clock.tokens if self._clock else 0,
                tensors=[[name, dtype_name(t), list(t.shape)] for name, t in state.items()],
                digest=digest,
            )
            return Responder(self, model, device, batch_rows, state, saved).serve()
        except EvaluationError as error:
            self._say("fail", reason=str(error))
            raise

    def _say(self, kind: str, payload: Any = b"", **fields: Any) -> None:
        try:
            self._connection.send(kind, payload, **fields)
        except ProtocolError as error:
            self._ended(error)

    def _hear(self, kind: str | None, room: memoryview | None = None) -> Frame:
        """Returns the next frame, which must be of this kind; of any kind where that is None."""
        try:
            frame = self._connection.receive(
                REPLY_BYTES if room is None else room.nbytes, None, room
            )
        except ProtocolError as error:
            self._ended(error)
        if frame.kind == "refused":
            raise HarnessError(f"the examiner ended this trial: {frame.fields.get('reason')}")
        due_bytes = frame.payload.nbytes if room is None else room.nbytes
        if frame.kind != (kind or frame.kind) or frame.payload.nbytes != due_bytes:
            raise HarnessError(f"the examiner sent {frame.kind!r} where {kind!r} was due")
        return frame

    def _ended(self, error: ProtocolError) -> NoReturn:
        """Raises HarnessError with what the examiner said last, if anything, else that it is gone."""
        reason: object = error
        with contextlib.suppress(ProtocolError):
            frame = self._connection.receive(REPLY_BYTES, time.monotonic() + 1)
            reason = frame.fields.get("reason", error)
        raise HarnessError(f"the examiner ended this trial: {reason}") from error


class Responder:
    """Answers for a model that was handed over."""

    def __init__(
        self,
        exam: ExaminerClient,
        model: nn.Module,
        device: torch.device,
        size: int,
        state: dict[str, Tensor],
        saved: list[npt.NDArray[np.uint8]],
    ) -> None:
        """saved: the state's bytes as they were handed over, whatever the model does with it later."""
        self._exam = exam
        self._model = model
        self._device = device
        self._size = size  # rows of a forward pass; halved where memory runs out
        self._state = state
        self._saved = saved
        self._loaded: dict[str, Tensor] = {}

    def serve(self) -> tuple[float, float, int, int]:
        """Answers until the end; returns (bpb, nats, bytes, rows) as told then."""
        while True:
            frame = self._exam._hear(None)
            if frame.kind == "ask":
                self._answer(frame)
            elif frame.kind == "keep":
                for raw in self._saved:
                    self._exam._say("tensor", raw)
            elif frame.kind == "load":
                self._load(frame)
            elif frame.kind == "end":
                told = frame.fields
                return told["bpb"], told["nats"], told["counted_bytes"], told["rows"]
            else:
                raise HarnessError(f"the examiner sent {frame.kind!r}, which nothing here answers")

    def _answer(self, frame: Frame) -> None:
        """Answers for a batch, in as many passes as memory makes necessary."""
        flat = np.frombuffer(bytes(frame.payload), np.uint16).astype(np.int64)
        tokens = flat.reshape(-1, self._exam.seq_len)
        row = 0
        while row < len(tokens):
            rows = tokens[row : row + self._size]
            try:
                inputs = padded(rows, self._size)
                logits = logits_of(self._model, inputs, self._exam.vocab_size, self._device)
                if frame.fields["way"] == "logits":
                    found = on_host(logits[: len(rows)])
                    self._exam._say("logits", found)
                else:
                    self._commit(logits[: len(rows)], rows)
            except torch.OutOfMemoryError:
                self._size = half_batch(self._size)
                continue
            row += len(rows)

    def _commit(self, logits: Tensor, rows: npt.NDArray[np.int64]) -> None:
        """Sends losses of the tokens that are in the rows, then logits where the examiner wants them.

        The last token's target is not known here, so that its logits are sent as they are.
        """
        count, length, vocab_size = logits.shape
        committed = np.concatenate(
            [following_losses(logits, rows).reshape(-1), on_host(logits[:, -1]).reshape(-1)]
        )
        self._exam._say("losses", committed)
        picks = np.frombuffer(bytes(self._exam._hear("audit").payload), np.int64)
        flat = logits.reshape(count * length, vocab_size)
        where = torch.from_numpy(picks.copy()).to(logits.device)
        self._exam._say("opened", on_host(flat.index_select(0, where)))

    def _load(self, frame: Frame) -> None:
        """Takes a tensor of the checkpoint; with the last one the model becomes what it was."""
        names = list(self._state)
        name = names[len(self._loaded)]
        like = self._state[name]
        raw = torch.frombuffer(bytearray(frame.payload) or bytearray(1), dtype=torch.uint8)
        raw = raw[: len(frame.payload)]
        self._loaded[name] = raw.view(like.dtype).reshape(like.shape)
        if len(self._loaded) == len(names):
            self._model.load_state_dict(self._loaded)
            synchronise(self._device)
            self._loaded = {}
