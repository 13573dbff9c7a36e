"""The journal: what is torn is cut, what is damaged stops the run, what is reported is on disk."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.errors import InfrastructureError, JournalError
from autoresearch.ledger.journal import Journal, read

WRITTEN = [
    {"kind": "run", "tag": "t", "at": 1.5},
    {"kind": "ask", "n": 1, "text": "tab\t, line\n, é日本𝟘, \u2028, \0"},
    {"kind": "result", "n": 1, "value": 0.1, "none": None, "list": [1, [2]]},
]


def write(path: Path) -> bytes:
    """A journal with three records; its bytes."""
    journal = Journal(path)
    for record in WRITTEN:
        fields = dict(record)
        journal.append(str(fields.pop("kind")), **fields)
    journal.close()
    return path.read_bytes()


def opened(path: Path) -> list[dict[str, object]]:
    journal = Journal(path)
    journal.close()
    return journal.records


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "journal"
    content = write(path)
    assert content.count(b"\n") == 3 and content.isascii()
    assert read(path) == WRITTEN == opened(path)
    assert not path.with_name("journal.torn").exists()


def test_none_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "journal") == []
    assert opened(tmp_path / "journal") == []
    assert read(tmp_path / "journal") == []


def test_torn_at_every_byte(tmp_path: Path) -> None:
    path, torn = tmp_path / "journal", tmp_path / "journal.torn"
    content = write(path)
    ends = [0, *(i + 1 for i, byte in enumerate(content) if byte == ord("\n"))]
    for length in range(len(content) + 1):
        torn.unlink(missing_ok=True)
        path.write_bytes(content[:length])
        whole = max(end for end in ends if end <= length)
        count = ends.index(whole)
        assert read(path) == WRITTEN[:count]
        assert path.stat().st_size == length, "a reader mends nothing"
        journal = Journal(path)
        assert journal.records == WRITTEN[:count]
        assert path.read_bytes() == content[:whole]
        if length > whole:
            assert torn.read_bytes() == content[whole:length]
        else:
            assert not torn.exists()
        journal.append("next", n=length)
        journal.close()
        assert read(path) == [*WRITTEN[:count], {"kind": "next", "n": length}]


@pytest.mark.parametrize("tail", [b"\0" * 100, b"garbage\n", b"00000000 {}\n", b"\n", b"\xff\xfe"])
def test_rubbish_at_the_end_is_cut(tail: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(write(path) + tail)
    assert opened(path) == WRITTEN
    assert path.with_name("journal.torn").read_bytes() == tail


def test_damage_before_the_end_stops_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    content = write(path)
    second, third = (content.index(b"\n") + 1, content.rindex(b"\n", 0, -1) + 1)
    for place in range(third - 1):
        damaged = bytearray(content)
        damaged[place] ^= 0x01
        path.write_bytes(damaged)
        for use in (read, Journal):
            with pytest.raises(JournalError) as caught:
                use(path)
            message = str(caught.value)
            assert message.startswith(f"{path}: line {1 if place < second else 2} is damaged")
            assert message.isprintable() and "init" in message
        assert path.read_bytes() == bytes(damaged)


def test_lines_that_are_swapped_lost_or_doubled(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    one, two, three = write(path).splitlines(keepends=True)
    for order in (
        (two, one, three),
        (one, three, two),
        (two, three),
        (one, one, two),
        (three, two),
    ):
        path.write_bytes(b"".join(order))
        with pytest.raises(JournalError):
            read(path)
    path.write_bytes(one + three)  # as a torn end: there is nothing behind it
    assert read(path) == WRITTEN[:1]
    path.write_bytes(one + two + three + three)
    assert read(path) == WRITTEN


def test_a_line_of_another_journal_does_not_fit(tmp_path: Path) -> None:
    path, other = tmp_path / "journal", Journal(tmp_path / "other")
    content = write(path)
    other.append("run", tag="u")
    other.append("ask", n=1)
    other.close()
    foreign = (tmp_path / "other").read_bytes().splitlines(keepends=True)[1]
    path.write_bytes(content + foreign + content)
    with pytest.raises(JournalError, match="line 4"):
        Journal(path)


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file can grow beyond this size: the kernel writes what fits, then refuses (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("fits", [0, 1, 30])
def test_a_short_write_leaves_the_journal_as_it_was(fits: int, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    content = write(path)
    journal = Journal(path)
    with room(len(content) + fits), pytest.raises(InfrastructureError) as caught:
        journal.append("result", text="x" * 1000)
    assert str(caught.value).isprintable() and str(path) in str(caught.value)
    assert path.read_bytes() == content and journal.records == WRITTEN
    journal.append("next", n=4)
    journal.close()
    assert read(path) == [*WRITTEN, {"kind": "next", "n": 4}]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.lists(VALUES, max_size=5))
def test_any_value_comes_back(
    tmp_path_factory: pytest.TempPathFactory, values: list[object]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    journal = Journal(path)
    for value in values:
        journal.append("any", value=value)
    journal.close()
    assert [record["value"] for record in read(path)] == values
