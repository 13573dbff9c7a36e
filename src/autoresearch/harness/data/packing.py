"""Packing: documents as token streams to rows of T + 1 tokens, without losing or doubling a token.

Best fit by length over a bounded buffer, as in the reference (karpathy/autoresearch, prepare.py),
with two differences. There a document longer than a row stays in the buffer until it is cropped and
its rest thrown away; here it is split before, into pieces of at most T tokens. And where no piece
fits a gap, a piece is cut and its rest goes back into the buffer, so that nothing is thrown away.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

# Tokens that wait for a row that they fit, at most. More find better fits; 2 bytes each, and the
# overhead of a Python object for every piece.
HELD_TOKENS = 1 << 22

Tokens = npt.NDArray[np.uint16]


class Packer:
    """Takes streams with `add`, and gives whole rows as raw little-endian uint16.

    A row is T + 1 tokens: a BOS, then pieces of documents, each behind a BOS of its own. So every
    token of the text stands behind the row's first place once, where it is a target. A document
    that is no longer than a row is cut only to fill a gap for which the buffer holds no piece.
    Further BOS fill a gap of a single place (a piece needs two), and the end of the last row.

    What comes out depends on the streams and their order alone.
    """

    def __init__(self, seq_len: int, bos: int, held_tokens: int = HELD_TOKENS) -> None:
        self.seq_len = seq_len
        self.bos = bos
        self.rows = 0  # given out so far
        self.cuts = 0  # pieces that were cut to fill a gap
        self.filling = 0  # BOS that no text follows
        self._held_tokens = held_tokens
        self._mark = bos.to_bytes(2, "little")
        # Pieces, BOS included, by their number of tokens; bit n of `_lengths` is set where some
        # piece has n, so that the best fit is found by arithmetic and without a search.
        self._pieces: defaultdict[int, list[bytes]] = defaultdict(list)
        self._lengths = 0
        self._held = 0

    def add(self, stream: Tokens) -> bytes:
        """Takes whole documents, each behind its BOS; returns the rows that are full."""
        seq_len, raw = self.seq_len, stream.astype("<u2", copy=False).tobytes()
        starts = np.flatnonzero(stream == self.bos) + 1
        ends = np.append(starts[1:] - 1, len(stream))[: len(starts)]
        full = (ends - starts) // seq_len  # pieces of T tokens, each a row of its own
        rows = self._full_rows(stream, starts, full)
        rests = starts + full * seq_len
        some = rests < ends
        for start, end in zip(rests[some].tolist(), ends[some].tolist(), strict=True):
            self._hold(self._mark + raw[2 * start : 2 * end], end - start + 1)
        return rows + self._drain(self._held_tokens)

    def finish(self) -> bytes:
        """Returns the rows of what is left; the last one is filled with BOS, which count for nothing."""
        return self._drain(0)

    def _full_rows(
        self, stream: Tokens, starts: npt.NDArray[np.int64], full: npt.NDArray[np.int64]
    ) -> bytes:
        count = int(full.sum())
        if not count:
            return b""
        before = np.cumsum(full) - full
        first = np.repeat(starts - before * self.seq_len, full) + np.arange(count) * self.seq_len
        rows = np.full((count, self.seq_len + 1), self.bos, dtype="<u2")
        rows[:, 1:] = np.lib.stride_tricks.sliding_window_view(stream, self.seq_len)[first]
        self.rows += count
        return rows.tobytes()

    def _hold(self, piece: bytes, length: int) -> None:
        self._pieces[length].append(piece)
        self._lengths |= 1 << length
        self._held += length

    def _take(self, length: int) -> bytes:
        pieces = self._pieces[length]
        piece = pieces.pop()
        if not pieces:
            self._lengths ^= 1 << length
        self._held -= length
        return piece

    def _drain(self, most: int) -> bytes:
        """Returns rows, until the buffer holds no more than `most` tokens."""
        parts: list[bytes] = []
        while self._held > most:
            gap = self.seq_len + 1
            while gap:
                fitting = self._lengths & ((2 << gap) - 1)
                if fitting:
                    length = fitting.bit_length() - 1
                    parts.append(self._take(length))
                    gap -= length
                elif gap > 1 and self._lengths:
                    length = self._lengths.bit_length() - 1  # the longest leaves the longest rest
                    piece = self._take(length)
                    parts.append(piece[: 2 * gap])
                    self._hold(self._mark + piece[2 * gap :], length - gap + 1)
                    self.cuts += 1
                    gap = 0
                else:
                    parts.append(self._mark * gap)
                    self.filling += gap
                    gap = 0
            self.rows += 1
        return b"".join(parts)
