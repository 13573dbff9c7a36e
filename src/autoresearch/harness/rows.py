"""The prepared rows on disk: checked, mapped, and the order in which training sees them.

Nothing here loads torch: the examiner grants rows without it.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import cache as store
from .cache import HarnessError, Manifest

Rows = npt.NDArray[np.uint16]  # [B, T+1]
TRIAL_FILES = (store.TRAIN, store.VAL, store.TOKENIZER, store.TOKEN_BYTES)


def checked_folder(cache: Path, vault: bool = False) -> tuple[Path, Manifest]:
    """The current data folder, each file read whole and compared with its digest.

    vault: the vault too; else it must be in the manifest and is not opened. Raises HarnessError
    where a file is absent, short, damaged or of another version.
    """
    # Digests cost 0.7 s per GB on a server core with SHA instructions (measured), about 2.5 s on
    # one without, and the disk's time where rows are not in memory yet; then they are.
    folder = store.current_folder(cache)
    manifest = store.read_manifest(folder)
    if manifest is None or not {*TRIAL_FILES, store.VAULT} <= manifest.digests.keys():
        raise _unusable(folder / store.MANIFEST, "is missing, damaged or of another version")
    for name in (*TRIAL_FILES, store.VAULT) if vault else TRIAL_FILES:
        _check(folder / name, manifest)
    return folder, manifest


def _check(path: Path, manifest: Manifest) -> None:
    rows = _rows_of(manifest).get(path.name)
    try:
        size = path.stat().st_size
        if rows is not None and size != (wanted := rows * (manifest.seq_len + 1) * 2):
            raise _unusable(path, f"has {size} bytes, not {wanted}")
        if store.file_digest(path) != manifest.digests[path.name]:
            raise _unusable(path, "is damaged: its SHA-256 is not the one in the manifest")
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror})") from error


def _rows_of(manifest: Manifest) -> dict[str, int]:
    return {
        store.TRAIN: manifest.train_rows,
        store.VAL: manifest.val_rows,
        store.VAULT: manifest.vault_rows,
    }


def _unusable(path: Path, fault: str) -> HarnessError:
    return HarnessError(f"{path} {fault}; run: autoresearch prepare")


def mapped(folder: Path, name: str, manifest: Manifest) -> Rows:
    """A file of rows, [N, T+1], as a read-only memory map."""
    shape = (_rows_of(manifest)[name], manifest.seq_len + 1)
    return np.memmap(folder / name, dtype="<u2", mode="r", shape=shape)


def token_lengths(folder: Path, manifest: Manifest) -> npt.NDArray[np.int64]:
    """[V] bytes of every token, 0 for BOS."""
    lengths: npt.NDArray[np.int64] = np.load(folder / store.TOKEN_BYTES, allow_pickle=False)
    if lengths.shape != (manifest.vocab_size,):
        raise _unusable(folder / store.TOKEN_BYTES, "is of another version")
    return lengths


def permutation(seed: int, rows: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order of all rows in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


class Order:
    """The permutations of `rows` rows, one for each epoch, one after another."""

    def __init__(self, seed: int, rows: int) -> None:
        self._rows = rows
        # Two, since a batch and those read ahead may lie on both sides of an epoch's end.
        self._epoch = functools.lru_cache(maxsize=2)(functools.partial(permutation, seed, rows))
        self._epoch(0)  # now and not when the clock runs

    def rows_at(self, place: int, count: int) -> npt.NDArray[np.int64]:
        """Which rows are at places `place` to `place + count - 1`, [count]."""
        stop = place + count
        parts = []
        while place < stop:
            epoch, first = divmod(place, self._rows)
            parts.append(self._epoch(epoch)[first : first + stop - place])
            place += len(parts[-1])
        return np.concatenate(parts)
