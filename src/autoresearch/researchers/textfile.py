"""A text file that is edited by lines, and keeps its byte order mark, line ends and last newline."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from autoresearch.errors import BadAnswer
from autoresearch.researchers.dress import marker
from autoresearch.researchers.nearest import nearest

_BOM = b"\xef\xbb\xbf"
_SHOWN_PLACES = 10
_MOST_PLACES = 50  # more are as good as several
_TAB_WIDTHS = (4, 2, 8)


@dataclass(frozen=True, slots=True)
class TextFile:
    """The bytes of a file behind its byte order mark, and that mark."""

    mark: bytes
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> TextFile:
        mark = _BOM if data.startswith(_BOM) else b""
        return cls(mark, data[len(mark) :])

    @property
    def text(self) -> str:
        """The body as text; raises UnicodeDecodeError where it is not UTF-8."""
        return self.body.decode("utf-8")

    @property
    def end(self) -> str:
        """The file's line end, which is that of its first line."""
        newline = self.body.find(b"\n")
        return "\r\n" if newline > 0 and self.body[newline - 1 : newline] == b"\r" else "\n"

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines without their ends; raises UnicodeDecodeError."""
        return tuple(self._rows()[0])

    def replaced_whole(self, lines: Sequence[str]) -> bytes:
        """Returns the file with these lines instead of its own; a new or empty one ends in a newline."""
        if not lines:
            return self.mark
        last = self.end if not self.body or self.body.endswith(b"\n") else ""
        return self.mark + (self.end.join(lines) + last).encode("utf-8")

    def replaced(self, search: Sequence[str], lines: Sequence[str], name: str) -> bytes:
        """Returns the file with `lines` where `search` stands.

        Raises BadAnswer, beginning with the name, unless that is exactly one place.
        """
        rows, ends = self._rows()
        at, stop, lines = _only_place(rows, search, lines, name)
        if stop < len(rows) and marker(rows[stop]) == "divide":
            raise BadAnswer(
                f"{name}: in the file a line `{rows[stop].strip()}` follows on SEARCH, so it is not plain "
                "where SEARCH ends. Take other lines, or give the whole file in a code fence."
            )
        own = ends[at:stop]
        new_ends = [own[min(n, len(own) - 1)] or self.end for n in range(len(lines))]
        is_last = stop == len(rows)
        ends[at:stop] = new_ends
        rows[at:stop] = lines
        if is_last and own[-1] == "" and ends:
            ends[-1] = ""  # the file had no newline at its end
        return self.mark + "".join(r + e for r, e in zip(rows, ends, strict=True)).encode("utf-8")

    def _rows(self) -> tuple[list[str], list[str]]:
        """Returns the lines, and their ends ("" for a last line without one)."""
        rows, ends = [], []
        pieces = self.text.split("\n")
        for n, piece in enumerate(pieces):
            last = n == len(pieces) - 1
            if last and not piece:
                break
            crlf = not last and piece.endswith("\r")
            rows.append(piece[:-1] if crlf else piece)
            ends.append("" if last else "\r\n" if crlf else "\n")
        return rows, ends


def stands_in(rows: Sequence[str], search: Sequence[str]) -> bool:
    """Whether the searched lines stand somewhere in a file, blanks at their ends aside."""
    return bool(_places([_bare(row) for row in rows], [_bare(line) for line in search]))


def _only_place(
    rows: list[str], search: Sequence[str], lines: Sequence[str], name: str
) -> tuple[int, int, Sequence[str]]:
    """Returns the rows from and to which the searched lines stand, and what takes their place.

    Looks for them as they are, then without blanks at the lines' ends, then with one uniform shift of
    indentation, then all of that without surplus blank lines at SEARCH's end. The first of these that
    fits anywhere decides. Raises BadAnswer for no place or several.
    """
    trimmed, trimmed_lines = _without_blank_end(search, lines)
    for wanted, new in ((search, lines), (trimmed, trimmed_lines)):
        if not wanted:
            break
        for found in _matches(rows, wanted, new):
            if len(found) == 1:
                at, put = found[0]
                return at, at + len(wanted), put()
            if found:
                shown = ", ".join(str(at + 1) for at, _ in found[:_SHOWN_PLACES])
                count = len(found) if len(found) < _MOST_PLACES else f"{_MOST_PLACES} or more"
                more = ", ..." if len(found) > _SHOWN_PLACES else ""
                raise BadAnswer(
                    f"{name}: SEARCH matches {count} places, at the lines {shown}{more}. Add lines before "
                    "or after it until only one place fits."
                )
        if len(trimmed) == len(search):
            break
    raise BadAnswer(f"{name}: SEARCH is not in the file. {nearest(rows, search)}")


_Match = tuple[int, Callable[[], Sequence[str]]]


def _matches(
    rows: list[str], search: Sequence[str], lines: Sequence[str]
) -> Iterator[list[_Match]]:
    """Yields, from the strictest reading to the most lenient, where it fits and what is then put there."""
    for view in (str, _bare):
        places = _places([view(row) for row in rows], [view(line) for line in search])
        yield [(at, lambda: lines) for at in places]
    yield _shifted(rows, search, lines)


def _shifted(rows: list[str], search: Sequence[str], lines: Sequence[str]) -> list[_Match]:
    """Returns the places where SEARCH fits once its indentation is another one, in all lines alike."""
    found: list[_Match] = []
    alike = _places([row.strip() for row in rows], [line.strip() for line in search])
    if len(alike) == _MOST_PLACES:
        return [(at, lambda: lines) for at in alike]
    for at in alike:
        there = rows[at : at + len(search)]
        for change in _shifts(search, there):
            if all(change(s) == _bare(r) for s, r in zip(search, there, strict=True) if s.strip()):
                found.append((at, lambda change=change: [_moved(line, change) for line in lines]))  # type: ignore[misc]
                break
    return found


def _shifts(search: Sequence[str], there: Sequence[str]) -> Iterator[Callable[[str], str | None]]:
    """Yields how SEARCH's indentation may become that of the lines there: None where it can't."""
    first = next(n for n, line in enumerate(search) if line.strip())
    ours, theirs = _indent(search[first]), _indent(there[first])
    if theirs.endswith(ours):
        yield lambda line: theirs[: len(theirs) - len(ours)] + _bare(line)
    if ours.endswith(theirs):
        extra = ours[: len(ours) - len(theirs)]
        yield lambda line: _bare(line).removeprefix(extra) if line.startswith(extra) else None
    yield lambda line: theirs + _bare(line)[len(ours) :] if line.startswith(ours) else None
    for width in _TAB_WIDTHS:
        yield lambda line, width=width: _reindented(line, lambda i: i.expandtabs(width))  # type: ignore[misc]
        yield lambda line, width=width: _reindented(line, lambda i: i.replace(" " * width, "\t"))  # type: ignore[misc]


def _moved(line: str, change: Callable[[str], str | None]) -> str:
    if not line.strip():
        return line
    moved = change(line)
    if moved is None:
        raise BadAnswer(
            "SEARCH stands in the file with another indentation, and REPLACE has a line that is indented "
            "less than SEARCH, so its indentation can't be carried over. Copy SEARCH as it stands."
        )
    return moved


def _reindented(line: str, change: Callable[[str], str]) -> str:
    indent = _indent(line)
    return change(indent) + _bare(line)[len(indent) :]


def _indent(line: str) -> str:
    return re.match(r"[ \t]*", line)[0]  # type: ignore[index]


def _bare(line: str) -> str:
    return line.rstrip(" \t\r")


def _without_blank_end(
    search: Sequence[str], lines: Sequence[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Returns both without the blank lines at SEARCH's end, and as many at REPLACE's."""
    surplus = 0
    while surplus < len(search) and not search[len(search) - 1 - surplus].strip():
        surplus += 1
    less = 0
    while less < min(surplus, len(lines)) and not lines[len(lines) - 1 - less].strip():
        less += 1
    return search[: len(search) - surplus], lines[: len(lines) - less]


def _places(rows: list[str], search: list[str]) -> list[int]:
    """Returns the indices at which the searched lines begin, the first _MOST_PLACES of them."""
    if not search:
        return []
    text, wanted = "\n".join(["", *rows, ""]), "\n".join(["", *search, ""])
    found: list[int] = []
    at = row = 0
    while len(found) < _MOST_PLACES and (next_at := text.find(wanted, at)) >= 0:
        row += text.count("\n", at, next_at)
        found.append(row)
        at, row = next_at + 1, row + 1
    return found
