"""Data for the harness's tests, small enough to compute by hand: in memory, or as a cache."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoresearch.harness import cache as store
from autoresearch.harness import names
from autoresearch.harness.fingerprint import fingerprint
from autoresearch.harness.loader import Data


def small_data(rows: npt.ArrayLike, token_bytes: list[int], bos: int) -> Data:
    """The same rows [N, T+1] for training and validation, in memory."""
    tokens = np.array(rows, dtype=np.uint16)
    lengths = np.array(token_bytes, dtype=np.int64)
    return Data(
        folder=Path(),
        vocab_size=len(token_bytes),
        seq_len=tokens.shape[1] - 1,
        bos=bos,
        fingerprint="0123456789abcdef",
        train=tokens,
        val=tokens,
        val_bytes=int(lengths[tokens[:, 1:]].sum()),
        token_bytes=lengths,
    )


def write_cache(cache: Path, train: npt.ArrayLike, val: npt.ArrayLike, vocab_size: int) -> Path:
    """A prepared cache of these rows, BOS the last token, all others of one byte; its folder.

    Of the vault there is a digest and no file: nothing here may open it.
    """
    folder = cache / "hand-0123456789ab"
    folder.mkdir(parents=True)
    lengths = np.array([1] * (vocab_size - 1) + [0], dtype=np.int64)
    array = io.BytesIO()
    np.save(array, lengths)
    rows = {names.TRAIN: np.array(train, dtype="<u2"), names.VAL: np.array(val, dtype="<u2")}
    files = {name: part.tobytes() for name, part in rows.items()}
    files |= {names.TOKENIZER: b"{}\n", names.TOKEN_BYTES: array.getvalue()}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    digests = {name: store.file_digest(folder / name) for name in files} | {names.VAULT: "0" * 64}
    manifest = store.Manifest(
        source="hand",
        settings={"source": "hand"},
        recipe="0" * 64,
        vocab_size=vocab_size,
        seq_len=rows[names.VAL].shape[1] - 1,
        bos=vocab_size - 1,
        train_rows=len(rows[names.TRAIN]),
        val_rows=len(rows[names.VAL]),
        vault_rows=1,
        val_bytes=int(lengths[rows[names.VAL][:, 1:]].sum()),
        vault_bytes=1,
        hidden=[],
        digests=digests,
        fingerprint=fingerprint(digests),
    )
    store.write_manifest(folder, manifest)
    store.write_atomic(cache / names.CURRENT, folder.name + "\n")
    return folder
