"""What a reviewer of a candidate can't see: hidden characters, look-alike names, data as code. Pure.

Each function looks at what a change brings in; what the file held before is its owner's. Each returns
the reason for a refusal, or None.
"""

from __future__ import annotations

import ast
import re
import unicodedata
import warnings

# Bytes and counts that no honest change of a training script comes near, and that are too little for
# the weights of a model: 32 KiB of base64 are 6,000 numbers of 32 bits.
GROWTH_BYTES = 32 << 10  # of a file in one change
WORD_CHARS = 256  # without a blank; base64 and tables of numbers are such words
TEXT_BYTES = 4 << 10  # of one string that is no docstring
ELEMENTS = 512  # constants in one list, tuple, set or dictionary

# Controls of the direction of writing (Trojan Source, Boucher and Anderson 2021, CVE-2021-42574);
# what has no width has a place in prose, in emoji, and none in code.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NO_WIDTH = re.compile(_DIRECTION.pattern[:-1] + "\u200b-\u200d\u2060-\u2064\u206a-\u206f\ufeff]")


def invisible_character(before: bytes | None, after: bytes, code: bool) -> str | None:
    """Returns the place of the first new character that hides; a program may have none without width."""
    old, new = _text(before or b""), _text(after)
    if old is None or new is None:
        return None
    for found in (_NO_WIDTH if code else _DIRECTION).finditer(new.removeprefix("\ufeff")):
        if found[0] not in old:
            line = new.count("\n", 0, found.start()) + 1
            return f"line {line}: the invisible character U+{ord(found[0]):04X}"
    return None


def mixed_scripts(before: bytes | None, after: bytes) -> str | None:
    """Returns the first new name in a Python source whose letters are of several scripts.

    `lоss` with a Cyrillic o is another name than `loss`.
    """
    known = {name for name, _ in _names(_tree(before or b""))}
    for name, line in _names(_tree(after)):
        if name not in known and len(_scripts(name)) > 1:
            return f"line {line}: the name {name!a} mixes the letters of several scripts"
    return None


def embedded_data(before: bytes | None, after: bytes) -> str | None:
    """Returns what data, such as weights, a change puts into a Python source in the place of code."""
    grown = len(after) - len(before or b"")
    if grown > GROWTH_BYTES:
        return f"it grew by {grown} bytes at once, and {GROWTH_BYTES} are the most"
    for what, most, (was, _), (now, line) in (
        ("a word of {} characters", WORD_CHARS, _longest_word(before or b""), _longest_word(after)),
        ("a text of {} bytes", TEXT_BYTES, _longest_text(before or b""), _longest_text(after)),
        ("{} constants in one place", ELEMENTS, _most_elements(before or b""), _most_elements(after)),
    ):  # fmt: skip
        if now > max(most, was):
            return f"line {line}: {what.format(now)}, and {most} are the most: data is no code"
    return None


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _tree(content: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # it can't run either


def _names(tree: ast.Module | None) -> list[tuple[str, int]]:
    found = []
    for node in ast.walk(tree) if tree else ():
        for field in ("id", "attr", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str) and not name.isascii():
                found.append((name, getattr(node, "lineno", 0)))
    return found


def _scripts(name: str) -> set[str]:
    """Returns the scripts of a name's letters, by the first word of their Unicode names."""
    return {unicodedata.name(c, "?").split()[0] for c in name if c.isalpha()}


def _longest_word(content: bytes) -> tuple[int, int]:
    """Returns the length of the longest run without blanks, comments included, and its line."""
    found = max(re.finditer(rb"\S+", content), key=lambda word: len(word[0]), default=None)
    return (len(found[0]), content.count(b"\n", 0, found.start()) + 1) if found else (0, 0)


def _longest_text(content: bytes) -> tuple[int, int]:
    """Returns the size of the largest string or bytes constant that is no docstring, and its line."""
    tree = _tree(content)
    if tree is None:
        return 0, 0
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    sizes = [
        (len(node.value), node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, (str, bytes))
        and id(node) not in docstrings
    ]
    return max(sizes, default=(0, 0))


def _most_elements(content: bytes) -> tuple[int, int]:
    """Returns the most constants in one display, nested ones included, and its line."""
    counts = []
    for node in ast.walk(tree) if (tree := _tree(content)) else ():
        if isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)):
            inside = sum(isinstance(each, ast.Constant) for each in ast.walk(node))
            counts.append((inside, node.lineno))
    return max(counts, default=(0, 0))
