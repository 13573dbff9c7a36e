"""Functions, methods and classes of a Python file: where they stand, and where their bodies begin."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections.abc import Iterator

from autoresearch.rules.symbols.base import SymbolError, nearest

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definition(source: bytes, symbol: str) -> bytes:
    """Returns the whole lines of a symbol's definition, decorators included; raises SymbolError."""
    node = _find(_parse(source), symbol)
    lines = source.splitlines(keepends=True)
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return b"".join(lines[first - 1 : node.end_lineno])


def around(source: bytes, symbols: tuple[str, ...]) -> list[bytes]:
    """Returns the pieces of a source around the bodies of the symbols; raises SymbolError."""
    tree = _parse(source)
    try:
        spans = sorted(_body(source, _find(tree, symbol)) for symbol in symbols)
    except (SyntaxError, ValueError, tokenize.TokenError) as fault:
        raise SymbolError(str(fault)) from None
    pieces, at = [], 0
    for start, end in spans:
        if start < at:
            raise SymbolError("has symbols inside one another")
        pieces.append(source[at:start])
        at = end
    return [*pieces, source[at:]]


def same_code(old: bytes, new: bytes) -> bool:
    """Returns whether two sources differ in comments and layout at most; raises SymbolError."""
    try:
        return ast.dump(_parse(old)) == ast.dump(_parse(new))
    except RecursionError:
        raise SymbolError("is nested too deeply") from None


def _parse(source: bytes) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a candidate's "\\d"
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        raise SymbolError(f"is no valid Python ({type(fault).__name__})") from None


def _find(tree: ast.Module, symbol: str) -> _Definition:
    scope: list[ast.stmt] = tree.body
    found: _Definition | None = None
    for name in symbol.split("."):
        here = [node for node in scope if isinstance(node, _Definition) and node.name == name]
        if not here:
            raise SymbolError(f"has 0 definitions of {symbol}" + nearest(symbol, _names(tree)))
        if len(here) > 1:
            raise SymbolError(f"has {len(here)} definitions of {symbol}")
        found = here[0]
        scope = found.body
    assert found is not None
    return found


def _names(scope: ast.AST, above: str = "") -> Iterator[str]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, _Definition):
            yield above + node.name
            yield from _names(node, f"{above}{node.name}.")


def _body(source: bytes, node: _Definition) -> tuple[int, int]:
    """Returns the byte offsets of a body: behind the signature's colon, to the end of its last line.

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


def _colon(source: bytes, node: _Definition) -> tuple[int, int]:
    """Returns the line and the byte column behind the colon that ends a definition's signature."""
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
    raise SymbolError(f"has no body of {node.name}")
