"""A text file that is edited by lines, and keeps its byte order mark, line ends and last newline."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.errors import BadAnswer
from autoresearch.text import one_line, printable

_BOM = b"\xef\xbb\xbf"
_SHOWN_LINES = 10
_SHOWN_WIDTH = 160


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
        at = _only_place(rows, search, name)
        stop = at + len(search)
        own = ends[at:stop]
        new_ends = [own[min(n, len(own) - 1)] or self.end for n in range(len(lines))]
        ends[at:stop] = new_ends
        rows[at:stop] = lines
        if stop - len(search) + len(lines) == len(rows) and own[-1] == "" and ends:
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


def _only_place(rows: list[str], search: Sequence[str], name: str) -> int:
    """Returns where the searched lines begin, as an index; raises BadAnswer for no place or several."""
    for view in (str, _no_trailing_blanks):
        places = _places([view(r) for r in rows], [view(s) for s in search])
        if len(places) == 1:
            return places[0]
        if places:
            shown = ", ".join(str(p + 1) for p in places[:_SHOWN_LINES])
            more = f" and {len(places) - _SHOWN_LINES} more" if len(places) > _SHOWN_LINES else ""
            raise BadAnswer(
                f"{name}: SEARCH matches {len(places)} places, at the lines {shown}{more}. Add "
                "lines before or after it until only one place fits."
            )
    raise BadAnswer(f"{name}: SEARCH is not in the file. {_nearest(rows, search)}")


def _no_trailing_blanks(line: str) -> str:
    return line.rstrip(" \t\r")


def _places(rows: list[str], search: list[str]) -> list[int]:
    first, count = search[0], len(search)
    return [
        n
        for n in range(len(rows) - count + 1)
        if rows[n] == first and rows[n : n + count] == search
    ]


def _nearest(rows: list[str], search: Sequence[str]) -> str:
    """Returns the lines of the file that SEARCH may have meant, with their numbers."""
    bare = [row.strip()[:_SHOWN_WIDTH] for row in rows]
    wanted = [line.strip()[:_SHOWN_WIDTH] for line in search]
    why = "The nearest lines are:"
    start = None
    places = _places(bare, wanted) if any(wanted) else []
    if places:
        start, why = places[0], "These lines differ only in their indentation:"
    else:
        # The longest lines say most about the place; each one votes.
        votes: dict[int, float] = {}
        for offset in sorted(range(len(wanted)), key=lambda n: -len(wanted[n]))[:4]:
            found = difflib.get_close_matches(wanted[offset], bare[:20000], n=1, cutoff=0.6)
            if wanted[offset] and found:
                place = max(0, bare.index(found[0]) - offset)
                votes[place] = votes.get(place, 0.0) + len(wanted[offset])
        if votes:
            start = max(votes, key=lambda place: (votes[place], -place))
    if start is None:
        return "No line of the file resembles it; copy the lines from the file as shown."
    shown = rows[start : start + min(_SHOWN_LINES, len(search) + 2)]
    numbered = [
        f"{start + n + 1:5d}  {printable(row)[:_SHOWN_WIDTH]}" for n, row in enumerate(shown)
    ]
    return "\n".join([why, *numbered]) if numbered else one_line(why, 80)
