"""The bytes of a text file of anybody's as lines, in whatever encoding it was saved. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.errors import ResultsError

_BOMS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (b"\xff\xfe\0\0", "utf-32-le"), (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"),
)  # fmt: skip
_PACKED = (
    (b"\x1f\x8b", "compressed (gzip): zcat FILE | autoresearch report --file -"),
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet: save it as text, with tabs between the columns"),
    (b"SQLite format 3\0", "a database: export the table as text, with tabs between the columns"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A file's lines, what was odd (line or None, notice), and the number of a last line without an end."""

    lines: tuple[str, ...]
    notices: tuple[tuple[int | None, str], ...]
    torn: int | None


def decoded(content: bytes) -> DecodedText:
    """Returns the lines of a file; raises ResultsError where it is no text, or an empty one."""
    if not content.strip():
        raise ResultsError("line 1: the file is empty; name one that has a header and rows")
    for mark, what in _PACKED:
        if content.startswith(mark):
            raise ResultsError(f"line 1: this is no text but {what}")
    wide = _wide(content)
    if wide is not None:
        text = content.decode(wide, "replace").removeprefix("\ufeff")
        notice = f"the file is {wide[:6].upper()}, and read so"
        return _split(text.encode(), ((None, notice),))
    return _split(content.removeprefix(b"\xef\xbb\xbf"), ())


def _wide(content: bytes) -> str | None:
    """Returns UTF-16 or UTF-32 where a file is in it, by its first bytes, or by every other byte being 0."""
    for mark, name in _BOMS:
        if content.startswith(mark):
            return name
    if content[:64].count(0) * 3 > len(content[:64]):
        return "utf-16-le" if content[1:64:2].count(0) > content[:64:2].count(0) else "utf-16-be"
    return None


def _split(content: bytes, notices: tuple[tuple[int | None, str], ...]) -> DecodedText:
    lines: list[str] = []
    found = list(notices)
    raw = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    torn = len(raw) if raw[-1] else None
    for number, line in enumerate(raw, 1):
        try:
            lines.append(line.decode())
        except UnicodeDecodeError:
            # Of the old encodings all have ASCII's digits and tabs: no number hangs on the choice.
            lines.append(line.decode("latin-1"))
            found.append((number, "not UTF-8, and read as Latin-1"))
    return DecodedText(tuple(lines), tuple(found), torn)
