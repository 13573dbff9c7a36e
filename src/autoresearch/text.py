"""Text from outside (a model, a log, a file's name) as it can be shown or parsed here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Control, format (bidi, zero width), half a character, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]{0,1000}(?:\x07|\x1b\\)?"  # titles and links
    r"|\x1b[\[][0-?]*[ -/]*[@-~]?"  # colours and cursor moves
    r"|\x1b[!-/]+[0-~]"  # character sets, which `tput sgr0` sets back
    r"|\x1b[@-_]?"
)


def without_colours(text: str) -> str:
    """Returns the text without escape sequences."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def printable(text: str) -> str:
    """Returns the text without escape sequences and unseen characters; newlines and tabs stay."""
    plain = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(c for c in plain if c in "\n\t" or unicodedata.category(c) not in _UNSEEN)


def one_line(text: str, limit: int | None = None) -> str:
    """Returns the text on one line, without escape sequences, cut at `limit` characters."""
    plain = _ESCAPES.sub("", text if limit is None else text[: limit * 8])
    if not plain.isprintable():
        plain = "".join(" " if unicodedata.category(c) in _UNSEEN else c for c in plain)
    line = " ".join(plain.split())
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def listed(words: Sequence[str], most: int) -> str:
    """Returns words in a row, at most so many of them, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def path_fault(path: str) -> str | None:
    """Returns what is wrong with a path that an answer names; None where nothing is."""
    if not path:
        return "the path is empty"
    if len(path.encode("utf-8", "replace")) > 1000:
        return "the path is too long"
    if any(unicodedata.category(c) in _UNSEEN for c in path):
        return "the path holds control characters"
    if "\\" in path:
        return "the path holds a backslash"
    if path.startswith("/"):
        return "the path is absolute"
    parts = path.split("/")
    if ".." in parts:
        return "the path leads out with `..`"
    if "" in parts or "." in parts:
        return "the path is not in its plain form"
    return None


def fenced(text: str, info: str = "") -> str:
    """Returns the text in a code fence that is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{info}\n{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{fence}"
