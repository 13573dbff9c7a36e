"""The prepared rows on disk: checked, mapped, and the order in which training sees them.

Nothing here loads torch: the examiner grants rows without it.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import cache as store
from . import names
from .cache import HarnessError, Manifest

Rows = npt.NDArray[np.uint16]  # [B, T+1]
TRIAL_FILES = (names.TRAIN, names.VAL, names.TOKENIZER, names.TOKEN_BYTES)


def checked_folder(
    cache: Path, name: str | None = None, vault: bool = False
) -> tuple[Path, Manifest]:
    """Returns the data folder of this name, each file read whole and compared with its digest.

    Without a name it is the one that a trial is told, or the one prepared last. With `vault` the
    vault is read too; else it must be in the manifest and is not opened. Raises HarnessError
    where a file is absent, short, damaged or of another version.
    """
    # Digests cost 0.7 s per GB on a server core with SHA instructions (measured), about 2.5 s on
    # one without, and the disk's time where rows are not in memory yet; then they are.
    folder = store.data_folder(cache, name)
    manifest = store.read_manifest(folder)
    if manifest is None or not {*TRIAL_FILES, names.VAULT} <= manifest.digests.keys():
        raise _unusable(folder / names.MANIFEST, "is missing, damaged or of another version")
    for file in (*TRIAL_FILES, names.VAULT) if vault else TRIAL_FILES:
        _check(folder / file, manifest)
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
        names.TRAIN: manifest.train_rows,
        names.VAL: manifest.val_rows,
        names.VAULT: manifest.vault_rows,
    }


def _unusable(path: Path, fault: str) -> HarnessError:
    return HarnessError(f"{path} {fault}; run: autoresearch prepare")


def mapped(folder: Path, name: str, manifest: Manifest) -> Rows:
    """Returns a file of rows, [N, T+1], as a read-only memory map."""
    shape = (_rows_of(manifest)[name], manifest.seq_len + 1)
    return np.memmap(folder / name, dtype="<u2", mode="r", shape=shape)


def token_lengths(folder: Path, manifest: Manifest) -> npt.NDArray[np.int64]:
    """Returns the bytes of every token, [V]; 0 for BOS."""
    lengths: npt.NDArray[np.int64] = np.load(folder / names.TOKEN_BYTES, allow_pickle=False)
    if lengths.shape != (manifest.vocab_size,):
        raise _unusable(folder / names.TOKEN_BYTES, "is of another version")
    return lengths


def permutation(seed: int, rows: int, epoch: int) -> npt.NDArray[np.int64]:
    """Returns the order of all rows in an epoch, [rows]."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


class Order:
    """Puts the epochs one after another, each a permutation of `rows` rows."""

    def __init__(self, seed: int, rows: int) -> None:
        self._rows = rows
        # Two, since a batch and those read ahead may lie on both sides of an epoch's end.
        self._epoch = functools.lru_cache(maxsize=2)(functools.partial(permutation, seed, rows))
        self._epoch(0)  # now and not when the clock runs

    def rows_at(self, place: int, count: int) -> npt.NDArray[np.int64]:
        """Returns which rows are at places `place` to `place + count - 1`, [count]."""
        stop = place + count
        parts = []
        while place < stop:
            epoch, first = divmod(place, self._rows)
            parts.append(self._epoch(epoch)[first : first + stop - place])
            place += len(parts[-1])
        return np.concatenate(parts)
