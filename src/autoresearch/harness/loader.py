"""What a trial reads: the prepared rows, in a fixed order for a seed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from . import cache as store
from .cache import HarnessError
from .tokenizer import Lengths

DEFAULT_SEED = 42


@dataclass(frozen=True)
class Data:
    """The current data of the cache; T is `seq_len`, V is `vocab_size`."""

    folder: Path
    vocab_size: int
    seq_len: int
    bos: int
    fingerprint: str  # of data, tokenizer, byte table and the harness that runs now
    train: npt.NDArray[np.uint16]  # [N, T+1], a memory map
    val: npt.NDArray[np.uint16]  # [M, T+1]
    val_bytes: int
    token_bytes: Lengths  # [V], 0 for BOS


def open_data(cache: Path | None = None) -> Data:
    """Open the current data read-only. Raises HarnessError where it is absent or damaged.

    The files that the score depends on are checked by digest; the training rows, which may be
    large, by shape.
    """
    folder = store.current_folder(cache or store.cache_folder())
    manifest = store.read_manifest(folder)
    if manifest is None:
        raise HarnessError(f"no readable manifest in {folder}; run: autoresearch prepare")
    for name in (store.VAL, store.TOKEN_BYTES, store.TOKENIZER):
        path = folder / name
        if not path.is_file() or store.file_digest(path) != manifest.digests[name]:
            raise HarnessError(f"{path} is missing or damaged; run: autoresearch prepare")
    try:
        train = np.load(folder / store.TRAIN, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise HarnessError(f"{folder / store.TRAIN}: {error}; run: autoresearch prepare") from error
    if train.shape != (manifest.train_rows, manifest.seq_len + 1):
        raise HarnessError(f"{folder / store.TRAIN} is damaged; run: autoresearch prepare")
    return Data(
        folder=folder,
        vocab_size=manifest.vocab_size,
        seq_len=manifest.seq_len,
        bos=manifest.bos,
        fingerprint=store.fingerprint(manifest.digests, store.harness_digest()),
        train=train,
        val=np.load(folder / store.VAL, allow_pickle=False),
        val_bytes=manifest.val_bytes,
        token_bytes=np.load(folder / store.TOKEN_BYTES, allow_pickle=False),
    )


def trial_seed() -> int:
    """AUTORESEARCH_SEED, which the tool sets for every trial; 42 without it."""
    return int(os.environ.get("AUTORESEARCH_SEED", DEFAULT_SEED))


class Batches:
    """Training batches by index; each epoch is a new permutation of the rows, given by the seed."""

    def __init__(self, data: Data, batch_size: int, device: torch.device, seed: int) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size}: at least 1")
        self.rows = data.train
        self.batch_size = batch_size
        self.device = device
        self.seed = seed
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, y), each int64 [B, T]; y is x one token later."""
        first = index * self.batch_size
        picks = [self._row(position) for position in range(first, first + self.batch_size)]
        tokens = torch.from_numpy(self.rows[picks].astype(np.int64))  # [B, T+1]
        x, y = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        if self.device.type == "cuda":
            # Fresh pinned memory for each batch: reusing one buffer would race with the copy.
            x, y = x.pin_memory(), y.pin_memory()
        return x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)

    def _row(self, position: int) -> int:
        epoch, place = divmod(position, len(self.rows))
        if epoch != self._epoch:
            self._order = np.random.default_rng([self.seed, epoch]).permutation(len(self.rows))
            self._epoch = epoch
        return int(self._order[place])
