"""What a trial reads: the prepared rows, checked, and batches of them in a fixed order for a seed."""

from __future__ import annotations

import functools
import os
import re
import weakref
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from . import cache as store
from .cache import HarnessError, Manifest
from .clock import Clock
from .staging import Pair, Rows, Sending, make_ring

DEFAULT_SEED = 42
DUMMY_SEED = 0  # of the tokens of a warm-up
READ_AHEAD = 4  # batches whose rows the kernel is told to read before they are wanted


@dataclass(frozen=True)
class Data:
    """The current data of the cache; T is `seq_len`, V is `vocab_size`."""

    folder: Path
    vocab_size: int
    seq_len: int
    bos: int
    fingerprint: str  # of data, tokenizer, byte table and the harness that runs now
    train: Rows  # [N, T+1], a memory map
    val: Rows  # [M, T+1], a memory map
    val_bytes: int  # UTF-8 bytes of the targets that count
    token_bytes: npt.NDArray[np.int64]  # [V], 0 for BOS


def open_data(cache: Path | None = None) -> Data:
    """Open the current data read-only. Raises HarnessError where a file is absent or damaged.

    Every file but the vault is read whole and compared with its digest at every start. The vault
    is for examinations: it must be in the manifest, and is not opened here.
    """
    # Digests cost 0.7 s per GB on a server core with SHA instructions (measured), about 2.5 s on
    # one without, and the disk's time where rows are not in memory yet; then they are.
    folder = store.current_folder(cache or store.cache_folder())
    manifest = store.read_manifest(folder)
    names = (store.TRAIN, store.VAL, store.TOKENIZER, store.TOKEN_BYTES)
    if manifest is None or not {*names, store.VAULT} <= manifest.digests.keys():
        raise _unusable(folder / store.MANIFEST, "is missing, damaged or of another version")
    for name in names:
        _check(folder / name, manifest)
    token_bytes = np.load(folder / store.TOKEN_BYTES, allow_pickle=False)
    if token_bytes.shape != (manifest.vocab_size,):
        raise _unusable(folder / store.TOKEN_BYTES, "is of another version")
    return Data(
        folder=folder,
        vocab_size=manifest.vocab_size,
        seq_len=manifest.seq_len,
        bos=manifest.bos,
        fingerprint=store.fingerprint(manifest.digests, store.harness_digest()),
        train=_mapped(folder / store.TRAIN, manifest.train_rows, manifest.seq_len),
        val=_mapped(folder / store.VAL, manifest.val_rows, manifest.seq_len),
        val_bytes=manifest.val_bytes,
        token_bytes=token_bytes,
    )


def _check(path: Path, manifest: Manifest) -> None:
    rows = {store.TRAIN: manifest.train_rows, store.VAL: manifest.val_rows}.get(path.name)
    try:
        size = path.stat().st_size
        if rows is not None and size != (wanted := rows * (manifest.seq_len + 1) * 2):
            raise _unusable(path, f"has {size} bytes, not {wanted}")
        if store.file_digest(path) != manifest.digests[path.name]:
            raise _unusable(path, "is damaged: its SHA-256 is not the one in the manifest")
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror})") from error


def _unusable(path: Path, fault: str) -> HarnessError:
    return HarnessError(f"{path} {fault}; run: autoresearch prepare")


def _mapped(path: Path, rows: int, seq_len: int) -> Rows:
    return np.memmap(path, dtype="<u2", mode="r", shape=(rows, seq_len + 1))


def trial_seed() -> int:
    """AUTORESEARCH_SEED, which the tool sets for every trial; 42 without it."""
    text = os.environ.get("AUTORESEARCH_SEED", str(DEFAULT_SEED))
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise HarnessError(f"AUTORESEARCH_SEED is {text!r}: give a whole number from 0, such as 42")
    return int(text)


def permutation(seed: int, rows: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order of all rows in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


class Batches:
    """Training batches in turn; each epoch is a new permutation of the rows, given by the seed.

    `rows` is the number of rows B of one forward pass. Batch n is rows nB to nB + B - 1 of the
    permutations one after another, so another B gives the same rows in the same order.
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
        self._staged: Sending | None = None  # the batch to be granted next
        self._train = np.asarray(data.train)  # a map's own class makes each access slower
        self._dummies = np.random.default_rng(DUMMY_SEED)
        # Two, since a batch and those read ahead may lie on both sides of an epoch's end.
        self._order = functools.lru_cache(maxsize=2)(
            functools.partial(permutation, seed, len(self._train))
        )
        self._advised = 0  # batches that the kernel was told of
        self._file: int | None = None
        if isinstance(data.train, np.memmap) and hasattr(os, "posix_fadvise"):
            self._file = os.open(str(data.train.filename), os.O_RDONLY)
            weakref.finalize(self, os.close, self._file)
        self._order(0)  # now and not when the clock runs

    def next(self) -> Pair:
        """(x, y), each int64 [B, T] on the device; y is x one token later.

        Inside `clock.warm_up` uniform random tokens, which count for nothing. Else the next batch:
        the first one starts the clock, and its tokens are counted by it.
        """
        self._clock.grant(self.rows * self.data.seq_len)
        if self._clock.warming_up:
            return self._ring.start(self._fill_dummy).pair()
        batch = self._staged or self._stage()
        pair = batch.pair()
        self._granted += 1
        self._staged = self._stage()
        return pair

    @property
    def position(self) -> int:
        """Training rows granted so far."""
        return self._granted * self.rows

    def rows_of(self, index: int) -> npt.NDArray[np.int64]:
        """The rows of the training file, [B], that are batch `index`."""
        place, stop = index * self.rows, (index + 1) * self.rows
        parts = []
        while place < stop:
            epoch, first = divmod(place, len(self._train))
            parts.append(self._order(epoch)[first : first + stop - place])
            place += len(parts[-1])
        return np.concatenate(parts)

    def _stage(self) -> Sending:
        """Gather the next batch and send it on its way."""
        self._read_ahead()
        picks = self.rows_of(self._granted)
        # mode: the default checks first in a buffer of its own.
        return self._ring.start(lambda out: self._train.take(picks, axis=0, out=out, mode="clip"))

    def _read_ahead(self) -> None:
        """Rows that are not in memory would be read one by one, as each is first touched."""
        while self._file is not None and self._advised <= self._granted + READ_AHEAD:
            size = self._train.strides[0]
            for row in self.rows_of(self._advised).tolist():
                os.posix_fadvise(self._file, row * size, size, os.POSIX_FADV_WILLNEED)
            self._advised += 1

    def _fill_dummy(self, out: Rows) -> None:
        out[:] = self._dummies.integers(self.data.vocab_size, size=out.shape, dtype=np.uint16)
