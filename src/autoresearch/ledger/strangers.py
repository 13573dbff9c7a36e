"""A results file of anybody's, read with care. Pure.

What is odd and has one meaning is read, with a notice; what could mean two things, or nothing, is
refused with its line. A number is never guessed, and no row is left out without a word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from autoresearch.errors import ResultsError
from autoresearch.ledger.encodings import decoded
from autoresearch.ledger.layout import Layout, is_conflict, is_decoration, layout_of
from autoresearch.records import Status
from autoresearch.text import listed, one_line

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)")
_NOTHING = frozenset({"", "-", "--", "\u2013", "\u2014", "n/a", "na", "none", "null"})
_MEMORY = re.compile(rf"({_NUMBER.pattern})\s*(gb|gib|mb|mib)", re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{4,64}", re.IGNORECASE)
_WHOLE_COMMIT = 12  # digits: the report cuts what has more
_LISTED = 3  # lines that a notice names
# Words that people and agents write for the three; those that could mean two of them are refused.
_STATUSES: dict[str, Status] = {
    **dict.fromkeys(("keep", "keeps", "kept", "accept", "accepted", "baseline", "best"), "keep"),
    **dict.fromkeys(("discard", "discarded", "revert", "reverted", "reject", "rejected"), "discard"),
    **dict.fromkeys(("crash", "crashed", "error", "oom", "timeout"), "crash"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a results file; None where it has no value."""

    commit: str
    value: float | None
    memory_gb: float | None
    status: Status
    description: str
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class ResultsFile:
    """What a results file says, and what was odd about it."""

    metric: str
    rows: tuple[Row, ...]
    notices: tuple[str, ...]


def read(content: bytes, where: str) -> ResultsFile:
    """Returns the rows of a results file; raises ResultsError with file, line and what would do."""
    reading = _Reading()
    try:
        return reading.file(content)
    except ResultsError as fault:
        odd = "".join(f" ({text})" for text, lines in reading.noticed.items() if not lines)
        raise ResultsError(f"{where}: {fault}{odd}") from None


@dataclass
class _Reading:
    """One file as it is read: what was noticed of which lines, and what later lines must agree with."""

    noticed: dict[str, list[int]] = field(default_factory=dict)  # text -> lines
    _with_percent: dict[bool, int] = field(default_factory=dict)  # -> the first such line
    _seen: dict[Row, int] = field(default_factory=dict)  # -> its line

    def file(self, content: bytes) -> ResultsFile:
        text = decoded(content)
        for place, notice in text.notices:
            self._notice(notice, place)
        layout: Layout | None = None
        rows: list[Row] = []
        for number, line in enumerate(text.lines, 1):
            if not line.strip(" \t\0"):
                if "\0" in line:
                    self._notice("nothing but zero bytes: left out", number)
                continue
            if is_conflict(line):
                raise ResultsError(
                    f"line {number} is git's mark of a conflict ({one_line(line, 30)}): choose the "
                    "rows that count, and take the marks out"
                )
            if is_decoration(line):
                self._notice("no row (a comment, a rule or a fence): left out", number)
            elif layout is None:
                layout = layout_of(line, number)
                for notice in layout.notices:
                    self._notice(notice)
            elif layout.is_header(line):
                self._notice("the header again: left out", number)
            else:
                row = self._row(line, number, layout, torn=number == text.torn)
                rows += [row] if row is not None else []
        if layout is None:
            raise ResultsError("line 1: the file has no header and no row")
        if len(self._with_percent) > 1:
            raise ResultsError(
                f"line {self._with_percent[False]} has a {layout.metric} without a % sign, line "
                f"{self._with_percent[True]} one with it: write all of them in one way"
            )
        notices = (_located(notice, lines) for notice, lines in self.noticed.items())
        return ResultsFile(layout.metric, tuple(rows), tuple(notices))

    def _notice(self, text: str, line: int | None = None) -> None:
        self.noticed.setdefault(text, []).extend([] if line is None else [line])

    def _row(self, line: str, number: int, layout: Layout, torn: bool) -> Row | None:
        """Returns a line as a row; None for a last line that was cut off before its status ended."""
        found = layout.cells(line, number)
        if len(found) < layout.width:
            whole = len(found) >= layout.needed and _word(found[layout.status]) in _STATUSES
            if torn and not whole:
                self._notice("cut off in the middle, without an end of line: left out", number)
                return None
            if len(found) < layout.needed:
                raise ResultsError(
                    f"line {number} has {_columns(len(found))} instead of {layout.width}: "
                    f"{one_line(line, 60)!r}; complete it, or take it out"
                )
            self._notice("fewer columns than the header has; the last are taken for empty", number)
            found += [""] * (layout.width - len(found))
        cell = layout.named(found)
        status, word = self._status(cell["status"], number)
        value = memory = None
        if status == "crash":
            self._crash(cell["metric"], layout.metric, number)
        else:
            value = self._value(cell["metric"], layout.metric, number)
            memory = self._memory(cell["memory"], layout.memory_unit, number)
            if value is not None and value <= 0 and layout.metric.casefold() == "val_bpb":
                self._notice(
                    f"val_bpb {cell['metric'].strip()} is none that can be: a crash, whatever its "
                    "status says",
                    number,
                )
                status, value, memory = "crash", None, None
        described = one_line(cell["description"])
        is_baseline = status == "keep" and "baseline" in (word, described.partition(":")[0])
        row = Row(
            self._commit(cell["commit"], number), value, memory, status, described, is_baseline
        )
        if (first := self._seen.setdefault(row, number)) != number:
            self._notice(f"the same as line {first}, and counted again", number)
        return row

    def _commit(self, cell: str, number: int) -> str:
        commit = one_line(_unquoted(cell))
        if not _COMMIT.fullmatch(commit):
            self._notice(f"{one_line(commit, 20)!r} is no commit's id", number)
        elif len(commit) > _WHOLE_COMMIT:
            self._notice("a commit's whole id, of which 7 digits are shown", number)
        return commit

    def _status(self, cell: str, number: int) -> tuple[Status, str]:
        """Returns the status, and the word that stands for it, in small letters."""
        word = _word(cell)
        if not word and cell.strip().casefold() in _NOTHING:
            self._notice("no status: counted as discard", number)
            return "discard", word
        if word not in _STATUSES:
            raise ResultsError(
                f"line {number}: status {one_line(cell, 30)!r} is not keep, discard or crash; write "
                "which of them it is"
            )
        status = _STATUSES[word]
        if cell.strip() != status:
            self._notice(f"status {one_line(cell, 20)!r} is read as {status}", number)
        return status, word

    def _crash(self, cell: str, metric: str, number: int) -> None:
        """Says it where a crash has what looks like a value."""
        text = _unquoted(cell).casefold()
        if _NUMBER.fullmatch(text) and float(text) == 0.0:
            return
        if text in _NOTHING:
            self._notice(f"no {metric}", number)
            return
        self._notice(f"{one_line(text, 20)!r} as the {metric} of a crash is not read", number)

    def _value(self, cell: str, metric: str, number: int) -> float | None:
        text = _unquoted(cell)
        if text[-1:] == "%" and _NUMBER.fullmatch(text[:-1].rstrip(" ")):
            text = text[:-1].rstrip(" ")
            self._with_percent.setdefault(True, number)
            self._notice(f"{metric} has a % sign: the number before it is read", number)
        elif _NUMBER.fullmatch(text):
            self._with_percent.setdefault(False, number)
        return self._number(text, metric, number)

    def _memory(self, cell: str, unit: float | None, number: int) -> float | None:
        """Returns a cell as GB; unit: what one of the column's numbers is in GB, None for no column."""
        if unit is None:
            return None
        text = _unquoted(cell)
        if found := _MEMORY.fullmatch(text):
            self._notice(f"memory has its unit with it ({found[2]}), and is read so", number)
            text, unit = found[1], 1.0 if found[2].casefold().startswith("g") else 1 / 1024
        memory = self._number(text, "memory", number)
        if memory is not None and memory < 0:
            self._notice("memory below 0 is taken for none", number)
            return None
        return None if memory is None else memory * unit

    def _number(self, text: str, name: str, number: int) -> float | None:
        if text.casefold() in _NOTHING:
            self._notice(f"no {name}", number)
            return None
        if _NOT_FINITE.fullmatch(text.casefold()):
            self._notice(f"{name} is {text}, which is no value", number)
            return None
        shown = one_line(text, 30)
        if "," in text:
            raise ResultsError(
                f"line {number}: {name} {shown!r} has a comma, and whether that is a decimal one is "
                "not guessed: write the number with a point"
            )
        if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
            raise ResultsError(
                f"line {number}: {name} {shown!r} is not a number; write one, or - for none"
            )
        return float(text) + 0.0


def _word(cell: str) -> str:
    """Returns a status in small letters, without the signs around it."""
    return re.sub(r"^[\W_]+|[\W_]+$", "", cell).casefold()


def _unquoted(cell: str) -> str:
    text = cell.strip(" \t")
    return text[1:-1].strip(" \t") if len(text) > 1 and text[0] == text[-1] == '"' else text


def _columns(count: int) -> str:
    return f"{count} column{'' if count == 1 else 's'}"


def _located(notice: str, lines: Iterable[int]) -> str:
    """Returns a notice with the lines that it is about, a few of them named."""
    numbers = list(map(str, lines))
    if not numbers:
        return notice
    return f"line{'' if len(numbers) == 1 else 's'} {listed(numbers, _LISTED)}: {notice}"
