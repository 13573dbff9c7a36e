"""An LLM's answer (header lines, then search/replace blocks or whole files) made into a proposal.

Strict where a guess could change the wrong line, lenient about the dress: prose between blocks,
fences around them, decorated paths, CRLF. Blocks apply in order, each to the result of those
before; one that does not fit fails the whole answer, with a text that the model can act on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from autoresearch.errors import BadAnswer
from autoresearch.records import Edit, Proposal
from autoresearch.researchers.base import DESCRIPTION_LENGTH, REMARK_LENGTH
from autoresearch.researchers.textfile import TextFile
from autoresearch.text import one_line, path_fault

FORM = """\
The answer is `description: ...` on a line of its own (then `hypothesis:` and `lesson:`), and blocks:
the file's path on a line, `<<<<<<< SEARCH`, whole lines as they stand in the file, `=======`,
the lines that take their place, `>>>>>>> REPLACE`. Each marker stands alone on its line."""

_OPEN, _DIVIDE, _CLOSE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
_HEADER = re.compile(
    r"^[\s>*_#-]*(description|hypothesis|lesson)[*_]*\s*:[*_]*\s*(.*)$", re.IGNORECASE
)
_FENCE = re.compile(r"^ {0,3}(`{3,})([^`]*)$")
_DECORATED = re.compile(
    r"^(?:[-*]\s+|#+\s*|\d+[.)]\s+)?(?:(?:file|path)\s*:\s*)?(.*)$", re.IGNORECASE
)
_PATHLIKE = re.compile(r"^\S*(?:[/\\]\S*|\.[A-Za-z]\w*)$")


@dataclass(frozen=True, slots=True)
class _Block:
    """One block of an answer. search is None for a whole file."""

    number: int
    path: str
    search: tuple[str, ...] | None
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"block {self.number} ({one_line(self.path, 120)})"


def parse(text: str, files: dict[str, bytes], existing: frozenset[str]) -> Proposal:
    """Returns the proposal in an answer.

    files are the mutable files as they are, existing every path there is. Raises BadAnswer, whose
    text says which block is wrong and why; nothing is applied then.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadAnswer("The answer holds half a character (a lone surrogate).") from None
    reader = _Reader(text, files.keys() | existing)
    blocks = reader.blocks()
    if not blocks:
        raise BadAnswer(f"The answer holds no block, so there is nothing to apply.\n{FORM}")
    changed: dict[str, bytes] = {}
    for block in blocks:
        current = changed.get(block.path, files.get(block.path))
        changed[block.path] = _apply(block, current, existing | changed.keys())
    edits = tuple(Edit(p, data) for p, data in changed.items() if files.get(p) != data)
    if not edits:
        raise BadAnswer("The answer changes nothing: after its blocks every file is as it was.")
    said = reader.header
    return Proposal(
        description=one_line(said.get("description", ""), DESCRIPTION_LENGTH),
        edits=edits,
        hypothesis=one_line(said.get("hypothesis", ""), REMARK_LENGTH),
        lesson=one_line(said.get("lesson", ""), REMARK_LENGTH),
    )


def _apply(block: _Block, current: bytes | None, existing: frozenset[str]) -> bytes:
    """Returns the file's bytes after the block; current is None where the path is no mutable file."""
    if current is None:
        _check_new(block, existing)
    if "\0" in "".join(block.lines):
        raise BadAnswer(f"{block.name}: the new text holds a NUL character.")
    if block.search is None:
        return TextFile.of(current or b"").replaced_whole(block.lines)
    empty = not any(line.strip() for line in block.search)
    if current is None:
        if not empty:
            raise BadAnswer(
                f"{block.name}: there is no file of this name. The files that can be changed are "
                "those shown in the prompt; to make a new file, leave SEARCH empty."
            )
        return TextFile.of(b"").replaced_whole(block.lines)
    if not block.search:
        raise BadAnswer(
            f"{block.name}: SEARCH is empty, which makes a new file, but this file exists. Put the "
            "lines to be replaced into SEARCH, as they stand in the file."
        )
    try:
        file = TextFile.of(current)
        file.text  # noqa: B018
    except UnicodeDecodeError:
        raise BadAnswer(f"{block.name}: the file is not UTF-8 text, leave it as it is.") from None
    return file.replaced(block.search, block.lines, block.name)


def _check_new(block: _Block, existing: frozenset[str]) -> None:
    """Raises BadAnswer where a path outside the mutable files could not become a file."""
    path = block.path
    if fault := path_fault(path):
        raise BadAnswer(f"{block.name}: {fault}. A path is relative to the repository, as shown.")
    if path in existing:
        raise BadAnswer(f"{block.name}: this file can't be changed; it is frozen in this run.")
    for other in existing:
        if path.startswith(other + "/"):
            raise BadAnswer(f"{block.name}: {one_line(other, 120)} is a file, not a folder.")
        if other.startswith(path + "/"):
            raise BadAnswer(f"{block.name}: this is a folder, not a file.")


class _Reader:
    """One pass over the answer's lines."""

    def __init__(self, text: str, known: frozenset[str] | set[str]) -> None:
        plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self.lines = plain.split("\n")
        self.known = known
        self.header: dict[str, str] = {}
        self.found: list[_Block] = []
        self.at = 0
        self.path = ""  # of the last block
        self.candidate = ""  # the last line with text since then
        self.heading = ""  # the header line that may go on
        self.fences: list[int] = []  # of fences around blocks

    def blocks(self) -> list[_Block]:
        """Returns every block, in order; the header is read on the way."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            mark = line.strip()
            fence = _FENCE.match(line)
            if line.rstrip() == _OPEN:
                self._edit()
            elif mark.startswith(("<<<<<<<", ">>>>>>>")):
                raise BadAnswer(
                    f"block {len(self.found) + 1}: the line {one_line(mark, 60)!r} stands where a "
                    f"block should begin with `{_OPEN}`, alone and unindented.\n{FORM}"
                )
            elif fence is not None:
                self._fence(len(fence[1]), fence[2].strip())
            else:
                self._prose(line)
        return self.found

    def _prose(self, line: str) -> None:
        header = _HEADER.match(line)
        if header is not None:
            name = header[1].lower()
            self.heading = "" if name in self.header else name
            if self.heading:
                self.header[name] = header[2].strip().rstrip("*_")
        elif not line.strip():
            self.heading = ""
        elif self.heading and not self._path_of(line):
            self.header[self.heading] += " " + line.strip()
        if line.strip():
            self.candidate = "" if header else line

    def _edit(self) -> None:
        """Reads a search/replace block; `at` is behind its opening line."""
        path = self._take_path(len(self.found) + 1)
        search: list[str] = []
        replace: list[str] = []
        part, name = search, f"block {len(self.found) + 1} ({one_line(path, 120)})"
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            mark = line.rstrip()
            if mark == _DIVIDE:
                if part is replace:
                    raise BadAnswer(
                        f"{name}: a second `{_DIVIDE}` line. Where the file holds such a line, give "
                        "the whole file in a code fence."
                    )
                part = replace
            elif mark == _CLOSE:
                if part is search:
                    raise BadAnswer(f"{name}: no `{_DIVIDE}` line between SEARCH and REPLACE.")
                self._add(path, tuple(search), tuple(replace))
                return
            elif mark.startswith(("<<<<<<<", ">>>>>>>")):
                wanted = _CLOSE if part is replace else _DIVIDE
                raise BadAnswer(
                    f"{name}: `{wanted}` was expected before the line {one_line(mark, 60)!r}."
                )
            else:
                part.append(line)
        missing = _CLOSE if part is replace else _DIVIDE
        raise BadAnswer(
            f"{name}: the answer ends inside the block, before `{missing}`: was it cut off?"
        )

    def _fence(self, ticks: int, info: str) -> None:
        """Reads a fence: around blocks, of a whole file, or of code that is only talk."""
        if not info and self.fences and self.fences[-1] == ticks:
            self.fences.pop()
            return
        end = marker = nested = None
        for n in range(self.at, len(self.lines)):
            inner = _FENCE.match(self.lines[n])
            if inner is not None and len(inner[1]) == ticks:
                if not inner[2].strip():
                    end = n
                    break
                nested = n
            elif marker is None and self.lines[n].rstrip() == _OPEN:
                marker = n
        if marker is not None:
            self.fences.append(ticks)
            return
        path = self._path_of(self.candidate)
        if not path:
            if end is not None and nested is None:
                self.at = end + 1  # code that belongs to no path is talk
            return
        name = f"block {len(self.found) + 1} ({one_line(path, 120)})"
        if end is None:
            raise BadAnswer(f"{name}: the code fence is never closed: was the answer cut off?")
        if nested is not None:
            raise BadAnswer(
                f"{name}: the file holds a fence as long as the one around it; use more backticks."
            )
        lines = self.lines[self.at : end]
        self.at = end + 1
        self._add(path, None, tuple(lines))

    def _add(self, path: str, search: tuple[str, ...] | None, lines: tuple[str, ...]) -> None:
        number = len(self.found) + 1
        if fault := path_fault(path):
            raise BadAnswer(
                f"block {number} ({one_line(path, 120)}): {fault}. "
                "A path is relative to the repository, as shown."
            )
        self.found.append(_Block(number, path, search, lines))
        self.path, self.candidate, self.heading = path, "", ""

    def _take_path(self, number: int) -> str:
        """Returns the path of the block that begins here: the line before it, else the block before."""
        path = self._path_of(self.candidate) or self.path
        word = self.candidate.strip()
        if not path and word and not re.search(r"\s", word):
            path = word  # a name without a dot, as Makefile
        if not path:
            raise BadAnswer(f"block {number}: the line before `{_OPEN}` must be the file's path.")
        return path

    def _path_of(self, line: str) -> str:
        """Returns the path that a line names, its dress taken off; "" where it is prose."""
        bare = line.strip()
        if bare in self.known:
            return bare
        match = _DECORATED.match(bare)
        word = (match[1] if match else bare).strip()
        ticked = False
        for _ in range(4):
            word = word.removesuffix(":").strip()
            for mark in ("**", "__", "`", '"', "'"):
                if len(word) > 2 * len(mark) and word.startswith(mark) and word.endswith(mark):
                    word = word[len(mark) : -len(mark)].strip()
                    ticked = ticked or mark == "`"
        if word in self.known or _PATHLIKE.match(word) or (ticked and "`" not in word):
            return word
        return ""
