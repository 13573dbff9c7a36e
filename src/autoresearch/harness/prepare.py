"""Prepare data once: text to tokenizer to rows of token ids, all tokenised before any trial.

Guarantees: a folder that `current` names is whole (written beside, synced, moved into place), and
a second preparation of the same text by the same code leaves it alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import cache as store
from .cache import HarnessError, Manifest, UsageError
from .data import Document, hold_out, read_source, source_digest
from .tokenizer import Tokenizer, Tokens

VOCAB_SIZE = 1024
SEQ_LEN = 64  # T, tokens per row: what a CPU can learn from in seconds
VAL_ROWS = 2048  # 131,072 targets; measured in about a second on two cores
MIN_VAL_ROWS = 16
VAL_SHARE = 1 / 16  # of the text's bytes, in whole documents
# Part of the recipe: when one of these changes, the data is made anew.
MAKERS = ("data.py", "tokenizer.py", "prepare.py")


def prepare(
    source: str,
    cache: Path,
    *,
    shards: int | None = None,
    vocab_size: int = VOCAB_SIZE,
    seq_len: int = SEQ_LEN,
    say: Callable[[str], None] = print,
) -> Path:
    """Make `source` the current data of `cache`, and return its folder.

    Raises HarnessError for what the user can mend (no text, too little, a folder not writable).
    """
    if shards is not None:
        raise UsageError(f"--shards {shards}: source {source!r} does not come in shards")
    documents = read_source(source)
    size = sum(len(document.text.encode()) for document in documents)
    say(f"source {source}: {len(documents)} documents, {size / 1e6:.1f} MB")
    recipe = _recipe(documents, vocab_size, seq_len)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with store.locked(cache):
            for leftover in cache.glob(".partial-*"):  # of a preparation that was killed
                shutil.rmtree(leftover)
            folder = cache / f"{_short_name(source)}-{recipe[:12]}"
            if not _renew(folder, recipe, say):
                with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache) as partial:
                    whole = Path(partial, folder.name)
                    whole.mkdir()
                    _make(source, documents, whole, recipe, vocab_size, seq_len, say)
                    if folder.exists():  # damaged
                        shutil.rmtree(folder)
                    whole.rename(folder)
                    store.sync(cache)
                say(f"prepared {folder}")
            store.write_atomic(cache / store.CURRENT, folder.name + "\n")
    except OSError as error:
        raise HarnessError(
            f"cannot write the cache {cache}: {error.strerror}; free space there, or name another "
            "folder with AUTORESEARCH_CACHE"
        ) from error
    return folder


def rows_of(stream: Tokens, seq_len: int) -> npt.NDArray[np.uint16]:
    """[N, T+1]: neighbours share one token, so each token but the first is a target just once."""
    count = max(0, (len(stream) - 1) // seq_len)
    starts = np.arange(count)[:, None] * seq_len
    rows: npt.NDArray[np.uint16] = stream[starts + np.arange(seq_len + 1)]
    return rows


def _recipe(documents: list[Document], vocab_size: int, seq_len: int) -> str:
    parts = [source_digest(documents), vocab_size, seq_len, store.harness_digest(MAKERS)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _short_name(source: str) -> str:
    """Of a path its last part, in characters that suit a folder's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", Path(source).name).lstrip(".") or "text"


def _renew(folder: Path, recipe: str, say: Callable[[str], None]) -> bool:
    """Whether the folder holds this recipe whole; its fingerprint is brought up to date."""
    manifest = store.read_manifest(folder)
    if manifest is None or manifest.recipe != recipe:
        return False
    for name, digest in manifest.digests.items():
        path = folder / name
        if not path.is_file() or store.file_digest(path) != digest:
            say(f"{path} is missing or damaged; making the data anew")
            return False
    harness = store.harness_digest()
    mark = store.fingerprint(manifest.digests, harness)
    if manifest.fingerprint != mark:
        renewed = dataclasses.replace(manifest, harness=harness, fingerprint=mark)
        store.write_manifest(folder, renewed)
        say(f"the harness has changed since: fingerprint {manifest.fingerprint} is now {mark}")
    say(f"already prepared: {folder} (fingerprint {mark})")
    return True


def _make(
    source: str,
    documents: list[Document],
    folder: Path,
    recipe: str,
    vocab_size: int,
    seq_len: int,
    say: Callable[[str], None],
) -> None:
    """Fill an empty folder; its manifest is written last."""
    size = sum(len(document.text.encode()) for document in documents)
    train, val = hold_out(documents, round(VAL_SHARE * size))
    say(f"training a tokenizer of {vocab_size} tokens")
    tokenizer = Tokenizer.train((document.text for document in train), vocab_size)
    lengths = tokenizer.token_bytes()
    (folder / store.TOKENIZER).write_text(tokenizer.dumps())
    np.save(folder / store.TOKEN_BYTES, lengths)

    say("tokenising")
    counts = {}
    for name, part in ((store.TRAIN, train), (store.VAL, val)):
        texts = [document.text for document in part]
        stream = tokenizer.encode(texts)
        text_bytes = sum(len(text.encode()) for text in texts)
        token_bytes = int(lengths[stream].sum())
        if token_bytes != text_bytes:
            raise AssertionError(f"{name}: tokens hold {token_bytes} bytes, text {text_bytes}")
        rows = rows_of(stream, seq_len)
        if name == store.VAL:
            # Evenly spaced: the first rows alone would be those of a few long documents.
            count = min(VAL_ROWS, len(rows))
            rows = rows[np.arange(count) * len(rows) // max(1, count)]
        np.save(folder / name, rows)
        counts[name] = rows
    train_rows, val_rows = counts[store.TRAIN], counts[store.VAL]
    if len(val_rows) < MIN_VAL_ROWS or len(train_rows) < len(val_rows):
        raise HarnessError(
            f"source {source!r} is too small: {len(train_rows)} training rows and {len(val_rows)} "
            f"validation rows of {seq_len} tokens; at least {MIN_VAL_ROWS} for validation, and "
            "more than that for training; give more text"
        )

    names = (store.TRAIN, store.VAL, store.TOKENIZER, store.TOKEN_BYTES)
    digests = {name: store.file_digest(folder / name) for name in names}
    harness = store.harness_digest()
    manifest = Manifest(
        source=source,
        recipe=recipe,
        vocab_size=tokenizer.vocab_size,
        seq_len=seq_len,
        bos=tokenizer.bos,
        train_rows=len(train_rows),
        val_rows=len(val_rows),
        val_bytes=int(lengths[val_rows[:, 1:]].sum()),
        digests=digests,
        harness=harness,
        fingerprint=store.fingerprint(digests, harness),
    )
    for name in names:
        store.sync(folder / name)
    store.write_manifest(folder, manifest)
    say(
        f"vocabulary {manifest.vocab_size}, {manifest.train_rows} training rows and "
        f"{manifest.val_rows} validation rows of {seq_len} tokens"
    )
    say(f"{manifest.val_bytes} validation bytes, fingerprint {manifest.fingerprint}")
