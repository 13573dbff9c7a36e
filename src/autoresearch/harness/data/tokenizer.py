"""A byte-pair tokenizer: trained by rustbpe, run by tiktoken, stored as plain ranks in JSON.

Every token is a byte string; a text's tokens joined are its UTF-8 bytes exactly. So the length of
a token is the length of those bytes, never of its decoded form, in which a piece of a character
would count as the three bytes of U+FFFD.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rustbpe
import tiktoken

BOS = "<|bos|>"
# Words with the blank or sign before them, numbers two digits at a time, runs of signs with the
# blanks and line ends after them (code is full of these), other blanks. No look-around, so that a
# text of any shape is cut in linear time.
PATTERN = r"[ \p{P}]?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]+\s*|\s+"
# What it is trained on, at most, as in the reference (karpathy/autoresearch, prepare.py).
TRAINING_CHARS = 1_000_000_000
DOCUMENT_CHARS = 10_000

Tokens = npt.NDArray[np.uint16]
Lengths = npt.NDArray[np.int64]


class Tokenizer:
    """Turns text into token ids; the one special token, BOS, has the last id."""

    def __init__(self, ranks: list[bytes], trained_on: str = "") -> None:
        self.ranks = ranks
        self.trained_on = trained_on
        self.bos = len(ranks)
        self.vocab_size = len(ranks) + 1
        self._encoding = tiktoken.Encoding(
            "autoresearch",
            pat_str=PATTERN,
            mergeable_ranks={piece: rank for rank, piece in enumerate(ranks)},
            special_tokens={BOS: self.bos},
        )

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, trained_on: str = "") -> Tokenizer:
        """Returns a tokenizer of at most `vocab_size` tokens, BOS included (a small text gives fewer).

        Of each text the first DOCUMENT_CHARS count, of all together the first TRAINING_CHARS.
        trained_on: names the texts; it is stored with the ranks.
        """
        trainer = rustbpe.Tokenizer()
        trainer.train_from_iterator(_beginnings(texts), vocab_size - 1, pattern=PATTERN)
        ranked = sorted(trainer.get_mergeable_ranks(), key=lambda pair: pair[1])
        return cls([bytes(piece) for piece, _ in ranked], trained_on)

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Returns the tokenizer that `dumps` wrote."""
        stored = json.loads(path.read_text())
        return cls([bytes.fromhex(piece) for piece in stored["ranks"]], stored["trained_on"])

    def dumps(self) -> str:
        """Returns JSON: the pattern, BOS, and the byte string of every rank in hexadecimal."""
        stored = {
            "pattern": PATTERN,
            "bos": self.bos,
            "trained_on": self.trained_on,
            "ranks": [piece.hex() for piece in self.ranks],
        }
        return json.dumps(stored, indent=0) + "\n"

    def encode(self, texts: list[str]) -> Tokens:
        """Returns all texts as one stream in which each begins with BOS."""
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        bos = np.array([self.bos], dtype=np.uint16)
        parts: list[npt.NDArray[np.unsignedinteger]] = []
        with ThreadPoolExecutor(threads) as pool:  # the encoder lets go of the interpreter's lock
            for ids in pool.map(self._ids, texts):
                parts += (bos, ids)
        return np.concatenate(parts or [bos[:0]], dtype=np.uint16, casting="same_kind")

    def _ids(self, text: str) -> npt.NDArray[np.uint32]:
        ids: npt.NDArray[np.uint32] = self._encoding.encode_to_numpy(text, disallowed_special=())
        return ids

    def decode_bytes(self, tokens: Tokens) -> bytes:
        """Returns the bytes of a stream; BOS gives none."""
        return b"".join(self.ranks[token] for token in tokens.tolist() if token != self.bos)

    def token_bytes(self) -> Lengths:
        """Returns the true byte length of every token, [V]; 0 for BOS, which stands for no text."""
        single = self._encoding.decode_single_token_bytes
        return np.array([len(single(rank)) for rank in range(self.bos)] + [0], dtype=np.int64)


def _beginnings(texts: Iterable[str]) -> Iterator[str]:
    left = TRAINING_CHARS
    for text in texts:
        if left <= 0:
            return
        beginning = text[: min(DOCUMENT_CHARS, left)]
        left -= len(beginning)
        yield beginning
