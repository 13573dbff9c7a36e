"""What a candidate may change. Pure: paths, bytes and modes in, reasons out.

`refusals` is the whole rule; `autoresearch check`, every proposal and `try` call it.
"""

from __future__ import annotations

import ast
import io
import tokenize
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

from autoresearch.paths import CHARTER, CONFIG, MUSINGS
from autoresearch.records import Edit
from autoresearch.rules import obfuscation

_FILE_MODES = ("100644", "100755")


@dataclass(frozen=True, slots=True)
class Mutable:
    """The patterns and symbols of a task's `mutable` and `protected`."""

    spec: GitIgnoreSpec
    symbols: Mapping[str, tuple[str, ...]]  # path -> symbols of which the body may change
    protected: Mapping[str, tuple[str, ...]]  # path -> symbols that stay byte for byte
    code_only: bool = False  # Python sources may not carry data, such as weights

    @classmethod
    def of(
        cls, mutable: Iterable[str], protected: Iterable[str] = (), code_only: bool = False
    ) -> Mutable:
        """From the configuration's lists."""
        patterns = list(mutable)
        return cls(
            GitIgnoreSpec.from_lines(p for p in patterns if "::" not in p),
            _by_path(p for p in patterns if "::" in p),
            _by_path(protected),
            code_only,
        )

    def names(self, path: str) -> bool:
        """Whether a path is mutable, as a whole or in one of its symbols."""
        if never(path) is not None:
            return False
        return path in self.symbols or self.spec.match_file(path)


def _by_path(entries: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        path, _, symbol = entry.partition("::")
        found[path] = (*found.get(path, ()), symbol)
    return found


def unknown_symbols(rules: Mutable, content: Callable[[str], bytes | None]) -> list[str]:
    """The entries path::symbol of mutable and protected that name nothing; content reads a path."""
    found = []
    for path, symbols in (*rules.symbols.items(), *rules.protected.items()):
        source = content(path)
        for symbol in symbols:
            try:
                if source is None:
                    raise LookupError("does not exist")
                _find(_parse(source), symbol)
            except (ValueError, LookupError) as fault:
                found.append(f"{path}::{symbol}: {path} {fault}")
    return found


def never(path: str) -> str | None:
    """Why no candidate may ever change this path, whatever `mutable` says; None if it may."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "not a plain path inside the lab"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in path) or "\\" in path:
        return "a path with control characters or backslashes"
    folded = [part.rstrip(" .").casefold() for part in parts]
    if any(part.startswith((".git", "git~")) for part in folded):
        return "git's own"
    if folded == [CONFIG]:
        return "the configuration"
    if folded == [CHARTER]:
        return "the charter"
    if len(parts) == 1 and (
        folded[0] == MUSINGS or (folded[0].startswith("results") and folded[0].endswith(".tsv"))
    ):
        return "the tool's own file"
    return None


def refusals(
    edits: Iterable[Edit],
    rules: Mutable,
    before: Mapping[str, str],
    content: Callable[[str], bytes],
) -> list[str]:
    """Why these edits may not be made: one line a path, none if they may.

    before: path -> mode of every path of the tree that they are put on; content reads one of
    those paths' bytes.
    """
    edits = list(edits)
    made = [edit.path for edit in edits if edit.content is not None]
    gone = {edit.path for edit in edits if edit.content is None}
    after = (set(before) | set(made)) - gone
    by_case: dict[str, set[str]] = {}
    for path in after | set(before):
        by_case.setdefault(unicodedata.normalize("NFC", path).casefold(), set()).add(path)
    folders = {path[:i] for path in after for i, c in enumerate(path) if c == "/"}
    found = []
    for edit in edits:
        reason = _refusal(edit, rules, before, content)
        if reason is None and edit.content is not None:
            twins = by_case[unicodedata.normalize("NFC", edit.path).casefold()] - {edit.path}
            if twins:
                reason = f"differs from {min(twins)} in case alone"
            elif edit.path in folders or any(edit.path.startswith(f"{path}/") for path in after):
                reason = "a file where a folder is"
        if reason is not None:
            found.append(f"{printable_path(edit.path)}: {reason}")
    return found


def _refusal(
    edit: Edit, rules: Mutable, before: Mapping[str, str], content: Callable[[str], bytes]
) -> str | None:
    path, old_mode = edit.path, before.get(edit.path)
    forbidden = never(path)
    if forbidden is not None:
        return f"{forbidden}; never a candidate's to change"
    for mode in (old_mode, edit.mode):
        if mode == "120000":
            return "a symlink; never a candidate's to change"
        if mode == "160000":
            return "a submodule; never a candidate's to change"
        if mode is not None and mode not in _FILE_MODES:
            return f"a file of mode {mode}; plain files only"
    whole = rules.spec.match_file(path)
    symbols = rules.symbols.get(path, ())
    if not whole and not symbols:
        return "not mutable"
    if not whole:
        if old_mode is None or edit.content is None or edit.mode not in (None, old_mode):
            return f"only the body of {', '.join(symbols)} is mutable"
        reason = _bodies_only(content(path), edit.content, symbols)
        if reason is not None:
            return reason
    if path in rules.protected and old_mode is not None:
        reason = _protected(content(path), edit.content, rules.protected[path])
        if reason is not None:
            return reason
    if edit.content is None:
        return None
    return _illegible(path, content(path) if old_mode else None, edit.content, rules.code_only)


def _illegible(path: str, old: bytes | None, new: bytes, code_only: bool) -> str | None:
    """Why a person could not read what a file says."""
    python = path.endswith(".py")
    reason = obfuscation.hidden(old, new, code=python)
    if python:
        reason = reason or obfuscation.disguised(old, new)
        reason = reason or (obfuscation.carried(old, new) if code_only else "")
    return reason or None


def _bodies_only(old: bytes, new: bytes, symbols: tuple[str, ...]) -> str | None:
    """Why a change is not confined to the bodies of the symbols."""
    try:
        if _outside(old, symbols) == _outside(new, symbols):
            return None
    except (SyntaxError, ValueError, LookupError, tokenize.TokenError) as fault:
        return f"{fault}; only the body of {', '.join(symbols)} is mutable"
    return f"only the body of {', '.join(symbols)} is mutable"


def _protected(old: bytes, new: bytes | None, symbols: tuple[str, ...]) -> str | None:
    """Why a protected symbol did not stay byte for byte."""
    for symbol in symbols:
        try:
            if new is None or _whole(old, symbol) != _whole(new, symbol):
                return f"{symbol} is protected and must stay byte for byte"
        except (ValueError, LookupError) as fault:
            return f"{fault}; {symbol} is protected and must stay byte for byte"
    return None


_Symbol = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _parse(source: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a candidate's "\\d" no one wants to hear
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        raise ValueError(f"is no valid Python ({type(fault).__name__})") from None


def _find(tree: ast.Module, symbol: str) -> _Symbol:
    scope: list[ast.stmt] = tree.body
    found: _Symbol | None = None
    for name in symbol.split("."):
        here = [node for node in scope if isinstance(node, _Symbol) and node.name == name]
        if len(here) != 1:
            raise LookupError(f"has {len(here)} definitions of {symbol}")
        found = here[0]
        scope = found.body
    assert found is not None
    return found


def _whole(source: bytes, symbol: str) -> bytes:
    node = _find(_parse(source), symbol)
    lines = source.splitlines(keepends=True)
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return b"".join(lines[first - 1 : node.end_lineno])


def _outside(source: bytes, symbols: tuple[str, ...]) -> list[bytes]:
    """The pieces of a source around the bodies of the symbols."""
    tree = _parse(source)
    spans = sorted(_body(source, _find(tree, symbol)) for symbol in symbols)
    pieces, at = [], 0
    for start, end in spans:
        if start < at:
            raise ValueError("has symbols inside one another")
        pieces.append(source[at:start])
        at = end
    return [*pieces, source[at:]]


def _body(source: bytes, node: _Symbol) -> tuple[int, int]:
    """Byte offsets of a body: behind the signature's colon, to the end of its last line.

    Comment lines behind the last statement that are indented deeper than the definition are the
    body's too.
    """
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    row, column = _colon(source, node)
    assert node.end_lineno is not None
    last = node.end_lineno
    for number in range(node.end_lineno, len(lines)):
        text = lines[number].strip()
        indent = len(lines[number]) - len(lines[number].lstrip())
        if text.startswith(b"#") and indent > node.col_offset:
            last = number + 1
        elif text:
            break
    return starts[row - 1] + column, starts[last]


def _colon(source: bytes, node: _Symbol) -> tuple[int, int]:
    """Line and byte column behind the colon that ends a definition's signature."""
    after = (node.lineno, node.col_offset)
    if not isinstance(node, ast.ClassDef) and node.returns is not None:
        after = (node.returns.end_lineno or 0, node.returns.end_col_offset or 0)
    depth = 0
    lines = source.splitlines(keepends=True)
    encoding = "utf-8"
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.ENCODING:
            encoding = token.string
        if token.type != tokenize.OP:
            continue
        row, column = token.end
        width = len(token.line[: token.start[1]].encode()) if token.line else column - 1
        if (row, width) < after:
            continue
        if token.string in "([{":
            depth += 1
        elif token.string in ")]}":
            depth = max(0, depth - 1)
        elif token.string == ":" and depth == 0:
            prefix = lines[row - 1].decode(encoding)[:column]
            return row, len(prefix.encode(encoding))
    raise ValueError(f"has no body of {node.name}")


def changes_code(path: str, old: bytes | None, new: bytes | None) -> bool:
    """Whether an edit changes more than comments and layout (known for Python files alone)."""
    if old == new:
        return False
    if old is None or new is None or not path.endswith(".py"):
        return True
    try:
        return ast.dump(_parse(old)) != ast.dump(_parse(new))
    except (ValueError, RecursionError):
        return True


def printable_path(path: str) -> str:
    """A path as it can be shown on one line."""
    return path if path.isprintable() else ascii(path)
