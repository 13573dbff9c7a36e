"""A byte-pair tokenizer: trained by rustbpe, run by tiktoken, stored as plain ranks in JSON.

Every token is a byte string; a text's tokens joined are its UTF-8 bytes exactly. So the length of
a token is the length of those bytes, never of its decoded form, in which a piece of a character
would count as the three bytes of U+FFFD.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
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
BATCH = 256  # documents handed to the encoder at once: bounds the memory of its Python lists

Tokens = npt.NDArray[np.uint16]
Lengths = npt.NDArray[np.int64]


class Tokenizer:
    """Text to token ids; the one special token, BOS, has the last id."""

    def __init__(self, ranks: list[bytes]) -> None:
        self.ranks = ranks
        self.bos = len(ranks)
        self.vocab_size = len(ranks) + 1
        self._encoding = tiktoken.Encoding(
            "autoresearch",
            pat_str=PATTERN,
            mergeable_ranks={piece: rank for rank, piece in enumerate(ranks)},
            special_tokens={BOS: self.bos},
        )

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """At most `vocab_size` tokens, BOS included (a very small text gives fewer)."""
        if not 257 <= vocab_size <= 65_536:
            raise ValueError(f"vocab_size {vocab_size}: 257 to 65536 (ids are stored as uint16)")
        trainer = rustbpe.Tokenizer()
        trainer.train_from_iterator(iter(texts), vocab_size - 1, pattern=PATTERN)
        ranked = sorted(trainer.get_mergeable_ranks(), key=lambda pair: pair[1])
        return cls([bytes(piece) for piece, _ in ranked])

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read what `dumps` wrote."""
        return cls([bytes.fromhex(piece) for piece in json.loads(path.read_text())["ranks"]])

    def dumps(self) -> str:
        """JSON: the pattern, BOS, and the byte string of every rank in hexadecimal."""
        ranks = [piece.hex() for piece in self.ranks]
        return json.dumps({"pattern": PATTERN, "bos": self.bos, "ranks": ranks}, indent=0) + "\n"

    def encode(self, texts: list[str]) -> Tokens:
        """All texts as one stream in which each begins with BOS."""
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        parts: list[Tokens] = []
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            for ids in self._encoding.encode_ordinary_batch(batch, num_threads=threads):
                parts.append(np.array([self.bos, *ids], dtype=np.uint16))
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint16)

    def decode_bytes(self, tokens: Tokens) -> bytes:
        """The bytes of a stream; BOS gives none."""
        return b"".join(self.ranks[token] for token in tokens.tolist() if token != self.bos)

    def token_bytes(self) -> Lengths:
        """[V] true byte length of every token; 0 for BOS, which stands for no text."""
        single = self._encoding.decode_single_token_bytes
        return np.array([len(single(rank)) for rank in range(self.bos)] + [0], dtype=np.int64)
