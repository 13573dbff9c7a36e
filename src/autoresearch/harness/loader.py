"""What a trial reads: the prepared rows, checked, and batches of them in a fixed order for a seed.

Under an examiner (`AUTORESEARCH_EXAMINER`) no file is read: rows come from it one batch at a time.
"""

from __future__ import annotations

import os
import re
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from . import names
from .cache import HarnessError
from .clock import Clock
from .fingerprint import fingerprint
from .rows import Order, Rows, checked_folder, mapped, token_lengths
from .trial.answering import ExaminerClient, GrantedRows, connected
from .trial.staging import CudaCopy, HostBatch, Pair, Ring, Sending, make_ring

DUMMY_SEED = 0  # of the tokens of a warm-up
READ_AHEAD = 4  # batches whose rows the kernel is told to read before they are wanted


@dataclass(frozen=True)
class Data:
    """The data of a trial; T is `seq_len`, V is `vocab_size`.

    Under an examiner `train` and `val` are empty, [0, T+1], and `val_bytes` is 0.
    """

    folder: Path
    vocab_size: int
    seq_len: int
    bos: int
    fingerprint: str  # of data, tokenizer, byte table and the harness that runs now
    train: Rows  # [N, T+1], a memory map
    val: Rows  # [M, T+1], a memory map
    val_bytes: int  # UTF-8 bytes of the targets that count
    token_bytes: npt.NDArray[np.int64]  # [V], 0 for BOS
    exam: ExaminerClient | None = None


def open_data(cache: Path | None = None) -> Data:
    """Opens the trial's data read-only. Raises HarnessError where a file is absent or damaged.

    Every file but the vault is read whole and compared with its digest at every start. The vault
    is for examinations: it must be in the manifest, and is not opened here. Under an examiner no
    file is opened at all: what there is to know comes from it.
    """
    exam = connected()
    if exam is not None:
        none = np.empty((0, exam.seq_len + 1), np.uint16)
        return Data(
            folder=exam.folder,
            vocab_size=exam.vocab_size,
            seq_len=exam.seq_len,
            bos=exam.bos,
            fingerprint=exam.fingerprint,
            train=none,
            val=none,
            val_bytes=0,
            token_bytes=exam.token_bytes,
            exam=exam,
        )
    folder, manifest = checked_folder(cache or names.cache_folder())
    return Data(
        folder=folder,
        vocab_size=manifest.vocab_size,
        seq_len=manifest.seq_len,
        bos=manifest.bos,
        fingerprint=fingerprint(manifest.digests),
        train=mapped(folder, names.TRAIN, manifest),
        val=mapped(folder, names.VAL, manifest),
        val_bytes=manifest.val_bytes,
        token_bytes=token_lengths(folder, manifest),
    )


def trial_seed() -> int:
    """Returns AUTORESEARCH_SEED, which the tool sets for every trial; 42 without it.

    Raises HarnessError where it is no whole number from 0.
    """
    text = os.environ.get(names.SEED_VARIABLE, str(names.SEED))
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise HarnessError(
            f"{names.SEED_VARIABLE} is {text!r}: give a whole number from 0, such as 42"
        )
    return int(text)


class Batches:
    """Training batches in turn; each epoch is a new permutation of the rows, given by the seed.

    `rows` is the number of rows B of one forward pass. Batch n is rows nB to nB + B - 1 of the
    permutations one after another, so another B gives the same rows in the same order. Under an
    examiner the seed is the examiner's, whatever is given here.
    """

    def __init__(
        self, data: Data, rows: int, device: torch.device, seed: int, clock: Clock
    ) -> None:
        if rows < 1:
            raise ValueError(f"rows {rows}: at least 1")
        self.data = data
        self.rows = rows
        self.device = device
        self.seed = seed
        self._clock = clock
        self._granted = 0  # batches
        self._ring = make_ring(rows, data.seq_len + 1, device)
        self._staged: Sending | Arriving | None = None  # the batch to be granted next
        self._dummies = np.random.default_rng(DUMMY_SEED)
        self._advised = 0  # batches that the kernel was told of
        self._file: int | None = None
        if data.exam is not None:
            data.exam.attend(clock)
            return
        self._train = np.asarray(data.train)  # a map's own class makes each access slower
        self._order = Order(seed, len(self._train))
        if isinstance(data.train, np.memmap) and hasattr(os, "posix_fadvise"):
            self._file = os.open(str(data.train.filename), os.O_RDONLY)
            weakref.finalize(self, os.close, self._file)

    def next(self) -> Pair:
        """Returns (x, y), each int64 [B, T] on the device; y is x one token later.

        Inside `clock.warm_up` uniform random tokens, which count for nothing. Else the next batch:
        the first one starts the clock, and its tokens are counted by it.
        """
        tokens = self.rows * self.data.seq_len
        self._clock.grant(tokens)
        if self._clock.warming_up:
            return self._ring.start(self._fill_dummy).pair()
        batch = self._staged or self._stage()
        pair = batch.pair()
        self._granted += 1
        # An examiner takes what it is asked for as spent, so that no batch is asked for in vain.
        ahead = self.data.exam is None or self._clock.has_room(tokens)
        self._staged = self._stage() if ahead else None
        return pair

    @property
    def position(self) -> int:
        """How many training rows were granted so far."""
        return self._granted * self.rows

    def rows_of(self, index: int) -> npt.NDArray[np.int64]:
        """Returns which rows of the training file are batch `index`, [B]; an examiner keeps them secret."""
        return self._order.rows_at(index * self.rows, self.rows)

    def _stage(self) -> Sending | Arriving:
        """Gathers the next batch and sends it on its way, or asks the examiner for it."""
        if self.data.exam is not None:
            asked = self.data.exam.ask_rows(self.position, self.rows)
            return Arriving(self._ring, asked)
        self._read_ahead()
        picks = self.rows_of(self._granted)
        # mode: the default checks first in a buffer of its own.
        return self._ring.start(lambda out: self._train.take(picks, axis=0, out=out, mode="clip"))

    def _read_ahead(self) -> None:
        """Has the kernel read rows ahead, which else are read one by one as each is first touched."""
        while self._file is not None and self._advised <= self._granted + READ_AHEAD:
            size = self._train.strides[0]
            for row in self.rows_of(self._advised).tolist():
                os.posix_fadvise(self._file, row * size, size, os.POSIX_FADV_WILLNEED)
            self._advised += 1

    def _fill_dummy(self, out: Rows) -> None:
        out[:] = self._dummies.integers(self.data.vocab_size, size=out.shape, dtype=np.uint16)


@dataclass(frozen=True)
class Arriving:
    """A batch that the examiner was asked for; it is read from the socket when it is wanted."""

    ring: Ring[CudaCopy] | Ring[HostBatch]
    rows: GrantedRows

    def pair(self) -> Pair:
        return self.ring.start(self.rows.read_into).pair()
