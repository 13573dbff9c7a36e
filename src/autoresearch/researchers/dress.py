"""What one line of an answer is, whatever dress it wears: a marker, a fence, a header, a file's path.

Every pattern is anchored or bounded, so that a line of any length is read in one pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

OPEN, DIVIDE, CLOSE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
Marker = Literal["open", "divide", "close"]

_NO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"
_INVISIBLE = dict.fromkeys(map(ord, _NO_WIDTH))
_END_TOKEN = r"(?:<[|｜][\w▁]{2,30}[|｜]>|</s>|<eos>|<end_of_turn>|\[/INST\])"
_MARKERS: dict[Marker, re.Pattern[str]] = {
    "open": re.compile(r"<{5,9}[ \t]*SEARCH[ \t]*[>:]?\s*$", re.IGNORECASE),
    "divide": re.compile(r"={5,9}\s*$"),
    "close": re.compile(
        rf">{{5,9}}[ \t]*REPLACE[ \t]*[>:]?\s*(?:`{{3,}}\s*)?(?:{_END_TOKEN}\s*)*$", re.IGNORECASE
    ),
}
_ENDED = re.compile(rf"{_END_TOKEN}\s*$", re.IGNORECASE)
_HEADER = re.compile(
    r"[\s>*_#-]*(description|hypothesis|lesson)[*_]*\s*:[*_]*\s*(.*)$", re.IGNORECASE
)
_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*([^`]*)$")
_WRAPPER = re.compile(r"\s*</?(?:source|answer|output|response|result|final)>\s*$", re.IGNORECASE)

_LEADING = re.compile(r"(?:#+|//+|--|;+|%+)\s*(?=\S)|(?:[-*+•]|\d{1,3}[.)])\s+")
_LABEL = re.compile(
    r"(?:(?:in|edit|update|modify)\s+)?(?:the\s+)?(?:file\s?path|file\s?name|file|path)(?:\s*[:=]\s*|\s+)",
    re.IGNORECASE,
)
_REMARK = re.compile(r"\s+\([^()]{1,80}\)$")
_LINK = re.compile(r"\[([^\[\]]+)\]\([^()]*\)$")
_COMMENT = re.compile(r"(?:<!--(.*)-->|/\*(.*)\*/)$")
_PAIRS = (("**", "**"), ("__", "__"), ("*", "*"), ("`", "`"), ('"', '"'), ("'", "'"))
_PATHLIKE = re.compile(r"\S*(?:[/\\]\S*|\.[A-Za-z]\w*)$")
_FILE_NAME = re.compile(
    r"[\w./\\+-]*\w\.(?:py|pyi|ipynb|rs|go|c|h|cc|cpp|hpp|cu|cuh|js|mjs|jsx|ts|tsx|java|jl|kt|swift|rb|"
    r"sh|lua|zig|toml|json|ya?ml|ini|cfg|txt|md|rst|html|css|sql|proto|patch|diff)$",
    re.IGNORECASE,
)
_PLAIN_NAMES = frozenset(["Makefile", "Dockerfile", "Snakefile", "Justfile", "LICENSE", "README"])
_WORD = re.compile(r"[\w./\\+-]+")
_TICKED = re.compile(r"`([^`\s]+)`")


@dataclass(frozen=True, slots=True)
class Fence:
    """A line that opens or closes a code fence: its sign and how many, what follows, its indentation."""

    sign: str
    count: int
    info: str
    indent: int

    def is_closed_by(self, other: Fence) -> bool:
        """Whether another fence line ends the code that this one began."""
        return (
            self.sign == other.sign
            and other.count >= self.count
            and not other.info
            and other.indent <= self.indent + 3
        )


def marker(line: str) -> Marker | None:
    """Returns which of the three markers a line is, unindented and alone; None for any other line."""
    if line[:1] not in ("<", "=", ">") and not line[:1] > "\x7f":
        return None
    plain = visible(line)
    return next((kind for kind, form in _MARKERS.items() if form.match(plain)), None)


def ends_answer(line: str) -> bool:
    """Whether a line ends in the token by which a model ends its turn."""
    return _ENDED.search(line[-40:]) is not None


def header(line: str) -> tuple[str, str] | None:
    """Returns the name and the text of a header line; None for any other line."""
    match = _HEADER.match(line)
    return (match[1].lower(), match[2].strip().rstrip("*_")) if match else None


def fence(line: str) -> Fence | None:
    """Returns the fence that a line opens or closes; None for any other line."""
    match = _FENCE.match(line)
    if match is None:
        return None
    return Fence(match[2][0], len(match[2]), match[3].strip(), len(match[1].expandtabs(4)))


def end_of(lines: Sequence[str], at: int, opened: Fence) -> tuple[int | None, bool]:
    """Returns the index of the line that closes a fence, and whether another begins before it."""
    nested = False
    for n in range(at, len(lines)):
        inner = fence(lines[n])
        if inner is None:
            continue
        if opened.is_closed_by(inner):
            return n, nested
        nested = nested or (inner.sign == opened.sign and inner.count >= opened.count)
    return None, nested


def dedented(lines: list[str], indent: int) -> list[str]:
    """Returns the lines in a fence without the fence's own indentation, where all of them have it."""
    blank = " " * indent
    if not all(line.startswith(blank) for line in lines if line.strip()):
        return lines
    return [line.removeprefix(blank) for line in lines]


def is_wrapper(line: str) -> bool:
    """Whether a line is a tag that some models put around their answer, and that says nothing."""
    return _WRAPPER.match(line) is not None


def visible(line: str) -> str:
    """Returns the line without characters of no width."""
    return line if line.isascii() else line.translate(_INVISIBLE)


class Paths:
    """The files that an answer may name: those that can be changed, and all that there are."""

    def __init__(self, mutable: Iterable[str], existing: Iterable[str]) -> None:
        self.mutable = frozenset(mutable)
        self.existing = frozenset(existing) | self.mutable
        self._named: dict[str, list[str]] = {}
        for path in self.existing:
            self._named.setdefault(path.rpartition("/")[2], []).append(path)

    @property
    def only(self) -> str | None:
        """The one file that can be changed; None where there are several."""
        return next(iter(self.mutable)) if len(self.mutable) == 1 else None

    def resolve(self, word: str) -> str | None:
        """Returns the existing file that a word can mean and no other; None where it means none.

        Beside a path as it stands these are `./path`, `a/path` and `b/path` as in a diff, `/path`,
        backslashes, and the end of a path that no other file shares.
        """
        plain = word.replace("\\", "/")
        written = [word, plain, plain.removeprefix("/")]
        written += [plain[2:]] if plain[:2] in ("./", "a/", "b/") else []
        for path in written:
            if path in self.existing:
                return path
        if plain.startswith("/"):
            return None
        ends = [p for p in self._named.get(plain.rpartition("/")[2], ()) if p.endswith("/" + plain)]
        return ends[0] if len(ends) == 1 else None

    def known(self, word: str) -> str:
        """Returns the file that a written path means: an existing one, else the path as it stands."""
        return self.resolve(word) or word.removeprefix("./")

    def alone(self, line: str) -> str | None:
        """Returns the path that a line consists of, as written, its dress taken off; None for prose."""
        word = line[:2000].strip().strip(_NO_WIDTH).strip()
        ticked = remarked = False
        for _ in range(6):
            if word in self.existing:
                return word
            before = word
            if match := _COMMENT.match(word):
                word = (match[1] or match[2] or "").strip()
            if match := _LEADING.match(word):
                word = word[match.end() :]
            word = _LINK.sub(r"\1", word).removesuffix(":").strip()
            if label := _LABEL.match(word):
                word = word[label.end() :]
            for left, right in _PAIRS:
                if len(word) > len(left + right) and word.startswith(left) and word.endswith(right):
                    word = word[len(left) : -len(right)].strip()
                    ticked = ticked or left == "`"
            if remark := _REMARK.search(word[-100:]):
                word = word[: len(word) - (remark.end() - remark.start())]
                remarked = True
            if word == before:
                break
        if self.resolve(word):
            return word
        single = not any(c.isspace() for c in word)
        named = ticked or word in _PLAIN_NAMES or (single and _PATHLIKE.match(word))
        if not re.search(r"[\w.]", word) or remarked or "`" in word or not named:
            return None
        return word

    def mentioned(self, line: str) -> set[str]:
        """Returns the files that a line of prose names: existing ones, and what is named like a file."""
        found = set()
        for word in _TICKED.findall(line):
            if known := self.resolve(word):
                found.add(known)
        for word in _WORD.findall(line):
            word = word.rstrip(".").removeprefix("-")
            if "." in word or "/" in word:
                if known := self.resolve(word):
                    found.add(known)
                elif len(word) < 300 and _FILE_NAME.match(word):
                    found.add(word)
        return found

    def of_info(self, info: str) -> str | None:
        """Returns the path in what stands behind a fence, as `python:train.py`; None without one."""
        for word in re.split(r"[\s:={}\"',;()]+", info[:500]):
            if word and (known := self.resolve(word)) and ("." in word or "/" in word):
                return known
            if _FILE_NAME.match(word):
                return word
        return None
