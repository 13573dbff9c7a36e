"""From text to a data folder: tokenizer, byte table and packed rows of token ids.

What is here and in the modules that it imports decides what the data is; prepare.py decides where
and when. Memory holds a batch of text, the packer's buffer and the held-out part, however large the
source is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import cache as store
from .. import names
from ..cache import HarnessError
from .corpus import TRAIN, VAL, VAULT, Corpus
from .packing import Packer
from .progress import Bars, Say
from .sources import Source
from .tokenizer import Lengths, Tokenizer, Tokens

MIN_VAL_ROWS = 16
# Text held out for each validation token: several times what a token stands for, so that the rows
# that are kept come from all over it.
HELD_OUT_BYTES = 16
BATCH_CHARS = 1 << 22  # text that is tokenised at once
FILES = (names.TRAIN, names.VAL, names.VAULT, names.TOKENIZER, names.TOKEN_BYTES)


@dataclass(frozen=True)
class Built:
    """What a folder's files hold, for its manifest."""

    vocab_size: int
    bos: int
    train_rows: int
    held_rows: int  # for validation, and as many in the vault
    val_bytes: int
    vault_bytes: int


def build(
    source: str,
    opened: Source,
    folder: Path,
    vocab_size: int,
    seq_len: int,
    val_tokens: int,
    say: Say,
) -> Built:
    """Writes FILES into an empty folder, and returns what they hold.

    Raises HarnessError where the text is too little.
    """
    corpus = opened.corpus(HELD_OUT_BYTES * val_tokens, say)
    say(f"training a tokenizer of {vocab_size} tokens")
    tokenizer = Tokenizer.train(corpus.tokenizer_texts(), vocab_size, corpus.trained_on)
    lengths = tokenizer.token_bytes()
    array = io.BytesIO()
    np.save(array, lengths)
    _write(folder / names.TOKENIZER, tokenizer.dumps().encode())
    _write(folder / names.TOKEN_BYTES, array.getvalue())

    say("tokenising and packing")
    held = {part: _held_rows(corpus, part, tokenizer, seq_len) for part in (VAL, VAULT)}
    asked = val_tokens // seq_len
    count = min(asked, len(held[VAL]), len(held[VAULT]))
    counted = {}
    for part, name in ((VAL, names.VAL), (VAULT, names.VAULT)):
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
        store.need_space(folder, round(needed), f"the rows of {names.TRAIN}")
        _write_train(corpus, tokenizer, packer, folder / names.TRAIN)
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
    for name in FILES:
        with store.writing(folder / name):
            store.sync(folder / name)
    return Built(
        vocab_size=tokenizer.vocab_size,
        bos=tokenizer.bos,
        train_rows=packer.rows,
        held_rows=count,
        val_bytes=counted[VAL],
        vault_bytes=counted[VAULT],
    )


def _write(path: Path, content: bytes) -> None:
    with store.writing(path):
        path.write_bytes(content)


def _held_rows(
    corpus: Corpus, part: str, tokenizer: Tokenizer, seq_len: int
) -> npt.NDArray[np.uint16]:
    """Returns the rows of a held-out part, [N, T+1], but the last one, which is filled up."""
    packer = Packer(seq_len, tokenizer.bos)
    packed = [packer.add(stream) for stream, _ in _streams(corpus, part, tokenizer)]
    rows = np.frombuffer(b"".join(packed) + packer.finish(), "<u2").reshape(-1, seq_len + 1)
    return rows[:-1]


def _write_train(corpus: Corpus, tokenizer: Tokenizer, packer: Packer, path: Path) -> None:
    """Writes all training rows, batch by batch."""
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
    """Yields (tokens, UTF-8 bytes of their text) of a part, in batches of whole documents."""
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
