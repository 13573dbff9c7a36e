"""Packing rows: nothing lost or doubled, whatever the documents are."""

from __future__ import annotations

from itertools import pairwise

import pytest

np = pytest.importorskip("numpy")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from autoresearch.harness.data.packing import Packer  # noqa: E402

BOS = 65_535


def numbered(lengths: list[int]) -> tuple[list[list[int]], np.ndarray]:
    """Documents whose tokens are all different, and the stream they make."""
    tokens = iter(range(sum(lengths)))
    documents = [[next(tokens) for _ in range(length)] for length in lengths]
    stream = [token for document in documents for token in (BOS, *document)]
    return documents, np.array(stream, dtype=np.uint16)


def pack(packer: Packer, streams: list[np.ndarray]) -> np.ndarray:
    raw = b"".join(packer.add(stream) for stream in streams) + packer.finish()
    return np.frombuffer(raw, "<u2").reshape(-1, packer.seq_len + 1)


def pieces_of(rows: np.ndarray) -> list[list[int]]:
    """What stands between one BOS and the next, row by row."""
    pieces: list[list[int]] = []
    for row in rows.tolist():
        for token in row:
            if token == BOS:
                pieces.append([])
            else:
                pieces[-1].append(token)
    return [piece for piece in pieces if piece]


lengths_of_documents = st.lists(
    st.one_of(st.integers(0, 12), st.integers(0, 90), st.just(15), st.just(16)), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(
    batches=st.lists(lengths_of_documents, max_size=4),
    seq_len=st.integers(1, 24),
    held_tokens=st.integers(0, 300),
)
def test_every_token_is_a_target_once_and_in_its_documents_order(
    batches: list[list[int]], seq_len: int, held_tokens: int
) -> None:
    lengths = [length for batch in batches for length in batch]
    documents, stream = numbered(lengths)
    starts = np.cumsum([0] + [length + 1 for length in lengths])
    first = np.cumsum([0] + [len(batch) for batch in batches])
    streams = [stream[starts[a] : starts[b]] for a, b in pairwise(first)]
    packer = Packer(seq_len, BOS, held_tokens)
    rows = pack(packer, streams)

    assert packer.rows == len(rows) and (rows[:, 0] == BOS).all()
    targets = rows[:, 1:]
    assert sorted(targets[targets != BOS].tolist()) == list(range(sum(lengths)))
    pieces = pieces_of(rows)
    assert all(len(piece) <= seq_len for piece in pieces)
    # Each piece is a run of one document, and the pieces of a document come in its order.
    owner = [number for number, document in enumerate(documents) for _ in document]
    of_document: dict[int, list[int]] = {}
    for piece in pieces:
        assert piece == list(range(piece[0], piece[0] + len(piece)))
        of_document.setdefault(owner[piece[0]], []).extend(piece)
    assert of_document == {n: document for n, document in enumerate(documents) if document}
    # A document is cut where it is longer than a row, and once more for each gap filled.
    needed = sum(-(-length // seq_len) for length in lengths)
    assert len(pieces) == needed + packer.cuts
    assert (rows == BOS).sum() == len(pieces) + packer.filling


@settings(max_examples=100, deadline=None)
@given(lengths=lengths_of_documents, seq_len=st.integers(2, 24))
def test_only_the_last_row_is_filled_by_more_than_one_place(
    lengths: list[int], seq_len: int
) -> None:
    rows = pack(Packer(seq_len, BOS), [numbered(lengths)[1]])
    for row in rows[:-1].tolist():
        assert all(a != BOS or b != BOS for a, b in pairwise(row))


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 16), max_size=40), held_tokens=st.integers(0, 200))
def test_a_document_that_fits_into_a_row_is_cut_only_when_no_piece_fits_the_gap(
    lengths: list[int], held_tokens: int
) -> None:
    """Held against a plain packer that searches its buffer for the best fit."""
    seq_len = 16
    _, stream = numbered(lengths)
    rows = pack(Packer(seq_len, BOS, held_tokens), [stream])
    assert rows.tolist() == plain(lengths, seq_len, held_tokens)


def plain(lengths: list[int], seq_len: int, held_tokens: int) -> list[list[int]]:
    documents, _ = numbered(lengths)
    rows = [[BOS, *document] for document in documents if len(document) == seq_len]
    buffer = [[BOS, *document] for document in documents if len(document) < seq_len]

    def drain(most: int) -> None:
        while sum(map(len, buffer)) > most:
            row: list[int] = []
            while gap := seq_len + 1 - len(row):
                fitting = [piece for piece in buffer if len(piece) <= gap]
                longest = max(map(len, fitting or buffer), default=0)
                place = max((i for i, p in enumerate(buffer) if len(p) == longest), default=None)
                if fitting and place is not None:
                    row += buffer.pop(place)
                elif gap > 1 and place is not None:
                    piece = buffer.pop(place)
                    row += piece[:gap]
                    buffer.append([BOS, *piece[gap:]])
                else:
                    row += [BOS] * gap
            rows.append(row)

    drain(held_tokens)
    drain(0)
    return rows


def test_the_same_streams_give_the_same_rows() -> None:
    random = np.random.default_rng(1)
    streams = [numbered(random.integers(0, 200, 50).tolist())[1] for _ in range(5)]
    once, again = (pack(Packer(64, BOS, 1000), streams) for _ in range(2))
    assert (once == again).all()


def test_the_buffer_is_bounded() -> None:
    """What waits is at most `held_tokens`, so rows come out while documents go in."""
    random = np.random.default_rng(2)
    packer, went_in, came_out = Packer(64, BOS, held_tokens=500), 0, 0
    for _ in range(20):
        _, stream = numbered(random.integers(1, 60, 100).tolist())
        went_in += len(stream)
        came_out += len(packer.add(stream)) // 2
        assert went_in - came_out <= 500
