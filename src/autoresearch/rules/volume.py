"""What a candidate's source may carry over a whole run, more than the baseline's did. Pure.

A script that is examined may be any program, but not a container of weights or of text. So it is
weighed, all mutable files together, against those of the baseline, however many keeps lie between:

    source     bytes in all, at most 64 KiB more
    literals   bytes of numbers and texts, and of long tables of anything, at most 4 KiB more; a file
               that is no program, or does not parse, counts as a literal whole
    remarks    comments, docstrings and names, packed by zlib, at most 6 KiB more: some 15 KiB of prose,
               and what is packed already does not get smaller
    packed     all of it, packed by zlib, at most 16 KiB more: a quarter of 64 KiB, as programs pack
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields

MOST_SOURCE = 64 << 10
MOST_LITERALS = 4 << 10
MOST_REMARKS = 6 << 10
MOST_PACKED = 16 << 10
TABLE = 16  # entries; a longer list of names is a table too

_C_LIKE = frozenset(
    (".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".js", ".rs", ".go", ".java", ".ts")
)
# A comment, a string, or a number of a language like C.
_C_PARTS = re.compile(
    rb"//[^\n]*|/\*.*?\*/"
    rb"|(?P<literal>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`|(?<![\w.])\.?[0-9][\w.]*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Volume:
    """What files carry, in bytes."""

    source: int = 0
    literals: int = 0
    remarks: int = 0
    packed: int = 0


_MOST = Volume(MOST_SOURCE, MOST_LITERALS, MOST_REMARKS, MOST_PACKED)
_WORDS = {
    "source": "{} bytes of source",
    "literals": "{} bytes of literals (numbers, texts, tables)",
    "remarks": "{} bytes of comments, docstrings and names (packed)",
    "packed": "{} bytes of content (packed)",
}


def volume(files: Mapping[str, bytes]) -> Volume:
    """Returns what these files carry together."""
    literals, remarks = 0, []
    for path, content in sorted(files.items()):
        count, words = _parts(path, content)
        literals += count
        remarks += words
    return Volume(
        source=sum(map(len, files.values())),
        literals=literals,
        remarks=len(zlib.compress(b"\n".join(remarks), 9)),
        packed=len(zlib.compress(b"\n".join(files[path] for path in sorted(files)), 9)),
    )


def outgrown(now: Mapping[str, bytes], baseline: Mapping[str, bytes]) -> str | None:
    """Returns what the mutable files carry too much beyond the baseline's; None where they do not.

    Both hold the files that differ, by path: what is the same in both weighs nothing.
    """
    weighed = zip(
        fields(Volume), astuple(volume(now)), astuple(volume(baseline)), astuple(_MOST), strict=True
    )
    found = [
        f"{_WORDS[figure.name].format(new - old)}, and {most} are the most"
        for figure, new, old, most in weighed
        if new - old > most
    ]
    if not found:
        return None
    return (
        f"over the baseline's the mutable files together have {'; '.join(found)}: a script may learn, "
        "not carry; take out what is no longer needed"
    )


def _parts(path: str, content: bytes) -> tuple[int, list[bytes]]:
    """Returns the bytes of a file's literals, and its remarks."""
    suffix = path[path.rfind(".") :]
    if suffix == ".py":
        tree = _parsed(content)
        return (len(content), []) if tree is None else _python(content, tree)
    if suffix in _C_LIKE:
        parts = list(_C_PARTS.finditer(content))
        literals = sum(len(part["literal"]) for part in parts if part["literal"])
        return literals, [part[0] for part in parts if not part["literal"]]
    return len(content), []


def _parsed(content: bytes) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _python(content: bytes, tree: ast.Module) -> tuple[int, list[bytes]]:
    starts = [0]
    for line in content.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def size(node: ast.expr) -> int:
        """The bytes of an expression in the source; of what has no place there, its length."""
        if node.end_lineno is None or node.end_col_offset is None:
            return 0
        return (
            starts[node.end_lineno - 1]
            + node.end_col_offset
            - starts[node.lineno - 1]
            - node.col_offset
        )

    docstrings: list[bytes] = []
    literals = sum(size(node) for node in _literals(tree, docstrings))
    names = {name.encode() for name in _names(tree)}
    return literals, [*_comments(content), *docstrings, *sorted(names)]


def _literals(tree: ast.Module, docstrings: list[bytes]) -> Iterator[ast.expr]:
    """Yields the outermost expressions that are data; adds docstrings to the list."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings.append(str(node.value.value).encode(errors="replace"))
        elif isinstance(node, (ast.Constant, ast.JoinedStr)) or _is_table(node):
            assert isinstance(node, ast.expr)
            if not (isinstance(node, ast.Constant) and node.value in (None, True, False, ...)):
                yield node
        else:
            waiting += ast.iter_child_nodes(node)


def _is_table(node: ast.AST) -> bool:
    """Whether a list, tuple, set, dictionary, call or sum is a table: long, and of plain entries."""
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        entries = node.elts
    elif isinstance(node, ast.Dict):
        entries = node.values
    elif isinstance(node, ast.Call):
        entries = node.args
    else:
        return False
    return len(entries) > TABLE


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name


def _comments(content: bytes) -> Iterator[bytes]:
    try:
        for token in tokenize.tokenize(io.BytesIO(content).readline):
            if token.type == tokenize.COMMENT:
                yield token.string.encode()
    except (tokenize.TokenError, SyntaxError, ValueError):
        return
