"""Prepare data once: text to tokenizer to packed rows of token ids, all before any trial.

Guarantees: a folder that `current` names is whole (written beside, synced, moved into place), and
a second preparation of the same text by the same code leaves it alone. Memory holds a batch of
text, the packer's buffer and the held-out part, however large the source is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import cache as store
from ..cache import HarnessError, Manifest, UsageError
from .corpus import TRAIN, VAL, VAULT, Corpus
from .packing import Packer
from .progress import Bars, Say
from .sources import Source, open_source
from .tokenizer import Lengths, Tokenizer, Tokens

VOCAB_SIZE = 1024
SEQ_LEN = 64  # T, tokens per row: what a CPU can learn from in seconds
VAL_TOKENS = 131_072  # 2,048 rows; measured in about a second on two cores
MIN_VAL_ROWS = 16
# Text held out for each validation token: several times what a token stands for, so that the rows
# that are kept come from all over it.
HELD_OUT_BYTES = 16
BATCH_CHARS = 1 << 22  # text that is tokenised at once
# Part of the recipe: when one of these changes, the data is made anew.
MAKERS = (
    "data/corpus.py", "data/formats.py", "data/library.py", "data/packing.py", "data/prepare.py",
    "data/tokenizer.py",
)  # fmt: skip


def prepare(
    source: str,
    cache: Path,
    *,
    shards: int | None = None,
    vocab_size: int = VOCAB_SIZE,
    seq_len: int = SEQ_LEN,
    val_tokens: int = VAL_TOKENS,
    say: Say = print,
) -> Path:
    """Make `source` the current data of `cache`, and return its folder.

    shards: for training, of a source in shards. val_tokens: targets of the frozen validation rows;
    the vault has as many. Raises HarnessError for what the user can mend (no text, too little, a
    download that fails, a folder not writable), UsageError for a request out of range.
    """
    _check(vocab_size, seq_len, val_tokens)
    try:
        with store.writing(cache):
            cache.mkdir(parents=True, exist_ok=True)
        with store.locked(cache, say):
            for leftover in cache.glob(".partial-*"):  # of a preparation that was killed
                _remove(leftover)
            say(f"source {source}")
            opened = open_source(source, cache, shards, say)
            settings = (vocab_size, seq_len, val_tokens)
            recipe = _digest(opened.digest, *settings, store.harness_digest(MAKERS))
            folder = cache / f"{_short_name(source)}-{recipe[:12]}"
            if not _renew(folder, recipe, opened.hidden, say):
                with store.writing(cache):
                    beside = tempfile.TemporaryDirectory(
                        prefix=".partial-", dir=cache, ignore_cleanup_errors=True
                    )
                with beside as partial:
                    whole = Path(partial, folder.name)
                    with store.writing(whole):
                        whole.mkdir()
                    manifest = _make(source, opened, whole, recipe, settings, say)
                    _remove(folder)  # damaged, where there is one
                    with store.writing(folder):
                        whole.rename(folder)
                        store.sync(cache)
                say(f"prepared {folder} (fingerprint {manifest.fingerprint})")
            store.write_atomic(cache / store.CURRENT, folder.name + "\n")
    except OSError as fault:  # of a read: writes have an error of their own
        raise HarnessError(
            f"cannot read {fault.filename or cache}: {fault.strerror or fault}; see what is "
            "there and that you may read it"
        ) from fault
    return folder


def _remove(path: Path) -> None:
    """Whatever it is, if it is there; of a link the link."""
    with store.writing(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _check(vocab_size: int, seq_len: int, val_tokens: int) -> None:
    if not 257 <= vocab_size <= 65_536:
        raise UsageError(
            f"vocab_size {vocab_size}: 257 (a token for every byte, and BOS) to 65536 (ids are "
            "stored in 16 bits)"
        )
    if not 8 <= seq_len <= 65_536:
        raise UsageError(f"seq_len {seq_len}: 8 to 65536 tokens in a row")
    if val_tokens < MIN_VAL_ROWS * seq_len:
        raise UsageError(
            f"val_tokens {val_tokens}: at least {MIN_VAL_ROWS * seq_len}, which is {MIN_VAL_ROWS} "
            f"rows of {seq_len}"
        )


def _digest(*parts: str | int) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _short_name(source: str) -> str:
    """Of a path its last part, in characters that suit a folder's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", Path(source).name).lstrip(".")[:64] or "text"


def _renew(folder: Path, recipe: str, hidden: list[str], say: Say) -> bool:
    """Whether the folder holds this recipe whole; its manifest is brought up to date."""
    if not folder.exists():
        return False
    manifest = store.read_manifest(folder)
    if manifest is None or manifest.recipe != recipe:
        say(f"{folder / store.MANIFEST} is missing or damaged; making the data anew")
        return False
    for name, digest in manifest.digests.items():
        path = folder / name
        if not path.is_file() or store.file_digest(path) != digest:
            say(f"{path} is missing or damaged; making the data anew")
            return False
    harness = store.harness_digest()
    mark = store.fingerprint(manifest.digests, harness)
    renewed = dataclasses.replace(manifest, hidden=hidden, harness=harness, fingerprint=mark)
    if renewed != manifest:
        store.write_manifest(folder, renewed)
    if manifest.fingerprint != mark:
        say(f"the harness has changed since: fingerprint {manifest.fingerprint} is now {mark}")
    say(f"already prepared: {folder} (fingerprint {mark})")
    return True


def _make(
    source: str, opened: Source, folder: Path, recipe: str, settings: tuple[int, int, int], say: Say
) -> Manifest:
    """Fill an empty folder; its manifest is written last."""
    vocab_size, seq_len, val_tokens = settings
    corpus = opened.corpus(HELD_OUT_BYTES * val_tokens, say)
    say(f"training a tokenizer of {vocab_size} tokens")
    tokenizer = Tokenizer.train(corpus.tokenizer_texts(), vocab_size, corpus.trained_on)
    lengths = tokenizer.token_bytes()
    array = io.BytesIO()
    np.save(array, lengths)
    _write(folder / store.TOKENIZER, tokenizer.dumps().encode())
    _write(folder / store.TOKEN_BYTES, array.getvalue())

    say("tokenising and packing")
    held = {part: _held_rows(corpus, part, tokenizer, seq_len) for part in (VAL, VAULT)}
    asked = val_tokens // seq_len
    count = min(asked, len(held[VAL]), len(held[VAULT]))
    counted = {}
    for part, name in ((VAL, store.VAL), (VAULT, store.VAULT)):
        # Evenly spaced: the first rows alone would be those of a few long documents.
        rows = held[part][np.arange(count) * len(held[part]) // max(1, count)]
        _write(folder / name, rows.tobytes())
        counted[part] = int(lengths[rows[:, 1:]].sum())
    if 0 < count < asked:
        say(f"the held-out text gives {count} rows of {seq_len} tokens, fewer than {asked}")
    packer = Packer(seq_len, tokenizer.bos)
    if count:
        mean_bytes = lengths[held[VAL]].sum() / (len(held[VAL]) * (seq_len + 1))
        needed = 2 * corpus.size_bytes(TRAIN) / mean_bytes
        store.need_space(folder, round(needed), f"the rows of {store.TRAIN}")
        _write_train(corpus, tokenizer, packer, folder / store.TRAIN)
    if count < MIN_VAL_ROWS or packer.rows < count:
        raise HarnessError(
            f"source {source!r} is too small: {packer.rows} training rows and {count} rows each "
            f"for validation and vault, of {seq_len} tokens; at least {MIN_VAL_ROWS} for "
            "validation, and as many for training; give more text"
        )
    say(
        f"vocabulary {tokenizer.vocab_size}; rows of {seq_len} tokens: {packer.rows} for training, "
        f"{count} for validation, {count} in the vault"
    )
    say(
        f"{packer.cuts} documents cut to fill a gap, {packer.filling} places filled with BOS, "
        "no token left out"
    )

    names = (store.TRAIN, store.VAL, store.VAULT, store.TOKENIZER, store.TOKEN_BYTES)
    for name in names:
        with store.writing(folder / name):
            store.sync(folder / name)
    digests = {name: store.file_digest(folder / name) for name in names}
    harness = store.harness_digest()
    manifest = Manifest(
        source=source,
        recipe=recipe,
        vocab_size=tokenizer.vocab_size,
        seq_len=seq_len,
        bos=tokenizer.bos,
        train_rows=packer.rows,
        val_rows=count,
        vault_rows=count,
        val_bytes=counted[VAL],
        vault_bytes=counted[VAULT],
        hidden=opened.hidden,
        digests=digests,
        harness=harness,
        fingerprint=store.fingerprint(digests, harness),
    )
    store.write_manifest(folder, manifest)
    return manifest


def _write(path: Path, content: bytes) -> None:
    with store.writing(path):
        path.write_bytes(content)


def _held_rows(
    corpus: Corpus, part: str, tokenizer: Tokenizer, seq_len: int
) -> npt.NDArray[np.uint16]:
    """[N, T+1]: all rows of a held-out part but the last, which is filled up."""
    packer = Packer(seq_len, tokenizer.bos)
    packed = [packer.add(stream) for stream, _ in _streams(corpus, part, tokenizer)]
    rows = np.frombuffer(b"".join(packed) + packer.finish(), "<u2").reshape(-1, seq_len + 1)
    return rows[:-1]


def _write_train(corpus: Corpus, tokenizer: Tokenizer, packer: Packer, path: Path) -> None:
    """All training rows, appended batch by batch."""
    with Bars() as bars:
        bar = bars.add("tokenising", corpus.size_bytes(TRAIN))
        # A corpus that cannot be read raises a HarnessError of its own.
        with store.writing(path), path.open("wb") as file:
            done_bytes = 0
            for stream, text_bytes in _streams(corpus, TRAIN, tokenizer):
                file.write(packer.add(stream))
                done_bytes += text_bytes
                bar(done_bytes)
            file.write(packer.finish())


def _streams(corpus: Corpus, part: str, tokenizer: Tokenizer) -> Iterator[tuple[Tokens, int]]:
    """(tokens, UTF-8 bytes of their text) of a part, in batches of whole documents."""
    lengths: Lengths = tokenizer.token_bytes()
    for batch in _batches(corpus.texts(part)):
        stream = tokenizer.encode(batch)
        text_bytes = sum(len(text.encode()) for text in batch)
        token_bytes = int(lengths[stream].sum())
        if token_bytes != text_bytes:
            raise AssertionError(f"{part}: tokens hold {token_bytes} bytes, text {text_bytes}")
        yield stream, text_bytes


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    chars = 0
    for text in texts:
        batch.append(text)
        chars += len(text)
        if chars >= BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch
