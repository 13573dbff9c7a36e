"""How a results file of anybody's is laid out: its separator, and which column is which. Pure."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from autoresearch.errors import ResultsError
from autoresearch.text import one_line

_HEADER = "commit, the metric's name, memory_gb, status, description"
_SED = r"sed -E 's/ +/\t/;s/ +/\t/;s/ +/\t/;s/ +/\t/' FILE | autoresearch report --file -"
_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "the bars of a Markdown table"}
_MEMORY_UNITS = {"memory_gb": 1.0, "memory_mb": 1 / 1024}  # in GB
_KNOWN = ("commit", "status", "description", *_MEMORY_UNITS)
_STATUS_WORDS = frozenset({"keep", "discard", "crash"})


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the columns of a file are, from 0; None for one that it doesn't have."""

    separator: str
    quoted: bool
    names: tuple[str, ...]
    metric: str
    value: int
    status: int
    commit: int
    memory: int | None
    description: int | None
    memory_unit: float | None  # in GB
    notices: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.names)

    @property
    def needed(self) -> int:
        """How many columns a row must have at least: without a description it is a row."""
        return max(self.value, self.status, self.commit, self.memory or 0) + 1

    def is_header(self, line: str) -> bool:
        """Says whether a line is the file's header again."""
        if "commit" not in line.casefold():
            return False
        try:
            return tuple(_name(cell) for cell in self._split(line)) == self.names
        except csv.Error:
            return False

    def cells(self, line: str, number: int) -> list[str]:
        """Returns a line's cells, as many as there are columns, or fewer; what is too much is refused."""
        try:
            cells = self._split(line)
        except csv.Error:
            raise ResultsError(
                f"line {number}: a quote is not closed, or text follows it: {one_line(line, 60)!r}; "
                'write the row on one line, and a quote in it as ""'
            ) from None
        if _name(cells[0]) == "commit":
            raise ResultsError(
                f"line {number} is another header than the first one ({one_line(line, 60)!r}): make "
                "two files of it"
            )
        while len(cells) > self.width and not cells[-1].strip():
            cells.pop()
        if len(cells) > self.width and self.description == self.width - 1:
            last = self.separator.join(cells[self.width - 1 :])
            cells = [*cells[: self.width - 1], last]
        if len(cells) > self.width:
            raise ResultsError(
                f"line {number} has {len(cells)} columns instead of {self.width}: "
                f"{one_line(line, 60)!r}; take the surplus one out"
            )
        return cells

    def named(self, cells: list[str]) -> dict[str, str]:
        """Returns the cells by what they are; "" for a column that the file doesn't have."""
        return {
            "commit": cells[self.commit],
            "metric": cells[self.value],
            "memory": "" if self.memory is None else cells[self.memory],
            "status": cells[self.status],
            "description": "" if self.description is None else cells[self.description],
        }

    def _split(self, line: str) -> list[str]:
        return _split(line, self.separator, self.quoted)


def is_conflict(line: str) -> bool:
    """Says whether a line is one of those that git leaves at a conflict."""
    return bool(re.fullmatch(r"(?:<{7}|\|{7}|>{7}) .*|={7}|<{7}|>{7}|\|{7}", line.rstrip()))


def is_decoration(line: str) -> bool:
    """Says whether a line is a comment, the rule under a Markdown table's header, or a code fence."""
    text = line.strip()
    if text.startswith("#"):
        is_header = {"commit", "status"} <= {_name(cell) for cell in re.split(r"[\t,;|]", text)}
        return not is_header and not re.match(r"#[0-9]{1,6}\s*[\t,;|]", text)  # a row's number
    return text.startswith("```") or bool(re.fullmatch(r"[-=|:+\s]*-{3}[-=|:+\s]*", text))


def layout_of(line: str, number: int) -> Layout:
    """Returns the layout that a header says; raises ResultsError where it is none."""
    for separator, words in _SEPARATORS.items():
        quoted = separator in ",;" or line.lstrip().startswith('"')
        try:
            cells = _split(line, separator, quoted)
        except csv.Error:
            continue
        names = tuple(_name(cell) for cell in cells)
        if {"commit", "status"} <= {*names}:
            return _layout(cells, names, separator, quoted, words, number)
    raise ResultsError(f"line {number} is {_no_header(line)}")


def _layout(
    cells: list[str], names: tuple[str, ...], separator: str, quoted: bool, words: str, number: int
) -> Layout:
    twice = next((name for name in _KNOWN if names.count(name) > 1), None)
    if twice is not None:
        raise ResultsError(f"line {number} names {twice} twice: take one of the columns out")
    at = {name: names.index(name) for name in _KNOWN if name in names}
    others = [place for place, name in enumerate(names) if name not in _KNOWN and name]
    value = _metric_place(names, others, at["commit"], number)
    ignored = [one_line(cells[place], 30) for place in others if place != value]
    memory = next((name for name in _MEMORY_UNITS if name in at), None)
    notices = []
    if separator != "\t":
        notices.append(f"the columns are separated by {words}, and read so")
    elif quoted:
        notices.append("the cells are in quotes, which are taken off")
    if ignored:
        notices.append(f"further columns are ignored: {', '.join(ignored)}")
    if memory is None:
        notices.append("no column memory_gb: memory is not known")
    elif memory != "memory_gb":
        notices.append(f"the column {memory} is read as MB")
    if "description" not in at:
        notices.append("no column description")
    elif names != tuple(sorted(names, key=lambda name: _order(name, names[value]))):
        listed = ", ".join(name for name in names if name)
        notices.append(f"the columns stand in another order: {listed}")
    return Layout(
        separator, quoted, names, one_line(cells[value].strip(' "#*`')), value, at["status"],
        at["commit"], at.get(memory or ""), at.get("description"), _MEMORY_UNITS.get(memory or ""),
        tuple(notices),
    )  # fmt: skip


def _metric_place(names: tuple[str, ...], others: list[int], commit: int, number: int) -> int:
    """Returns which column bears the metric: val_bpb, the only one that is left, or that after commit."""
    known = [place for place in others if names[place] == "val_bpb"] or others
    if len(known) == 1 or commit + 1 in known:
        return known[0] if len(known) == 1 else commit + 1
    if not known:
        raise ResultsError(f"line {number} names no metric; a header is: {_HEADER}")
    listed = ", ".join(names[place] for place in known)
    raise ResultsError(
        f"line {number}: which of {listed} is the metric? Put its column after commit"
    )


def _order(name: str, metric: str) -> int:
    """Returns where a column belongs; those that are ignored may stand anywhere."""
    wanted = ("commit", metric, "memory_gb", "status", "description")
    return wanted.index(name) if name in wanted else 2


def _no_header(line: str) -> str:
    """Returns what a line is that stands where the header should, and what would do."""
    words = {_name(word) for word in line.split()}
    shown = one_line(line, 60)
    is_json = line.lstrip().startswith(("{", "["))
    if not is_json and {"commit", "status"} <= words:
        return (
            f"a header with blanks between the columns ({shown!r}), and descriptions have blanks too; "
            f"with tabs it can be read: {_SED}"
        )
    cells = [_name(cell) for cell in re.split(r"[\t,;|]", line)]
    if not is_json and _STATUS_WORDS & {*cells, *words}:
        return (
            f"a row and no header ({shown!r}): put one above it, with the metric's name second and "
            f"tabs between: {_HEADER}"
        )
    lacking = [name for name in ("commit", "status") if name not in cells]
    return (
        f"not the header of a results file: {shown!r} names no {' and no '.join(lacking)}. It would be: "
        f"{_HEADER}, separated by tabs"
    )


def _split(line: str, separator: str, quoted: bool) -> list[str]:
    """Returns the cells of a line; raises csv.Error where a quote has no end on it."""
    if separator == "|":
        inner = re.sub(r"^\s*\||(?<!\\)\|\s*$", "", line)
        cells = re.split(r"(?<!\\)\|", inner)
        return [cell.strip().strip("*`").replace(r"\|", "|") for cell in cells]
    if quoted:
        return next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True))
    return line.split(separator)


def _name(cell: str) -> str:
    """Returns a column's name in small letters, with a _ for all that is none."""
    return re.sub(r"[^a-z0-9]+", "_", cell.casefold()).strip("_")
