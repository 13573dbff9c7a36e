"""The knobs of a Python file: numeric constants at its top level, found, valued and rewritten.

A knob is `NAME = literal` (or `NAME: int = literal`) with an upper-case name and a number: an int,
a float, one with a minus, or a power of two integers such as 2**19. Bools, names with SEED in
them, names that begin with an underscore, with DEVICE_ or with LOG_ (they say how and not what is
trained) and names bound more than once are none.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from dataclasses import dataclass

_BOM = b"\xef\xbb\xbf"
_MAX_INT = 2**53  # beyond it a float no longer tells neighbours apart


@dataclass(frozen=True, slots=True)
class Knob:
    """One constant. start and stop are the bytes to rewrite: the literal, or k alone in 2**k."""

    name: str
    value: int | float
    start: int
    stop: int
    power: bool  # written as 2**k
    grouped: bool  # written as 10_000

    def literal(self, value: int | float) -> str:
        """The value as it is written here; ValueError where it can't be."""
        if isinstance(self.value, float):
            return repr(float(value))
        if not isinstance(value, int):
            raise ValueError(f"{self.name} takes whole numbers")
        if not self.power:
            return f"{value:_}" if self.grouped else str(value)
        if value < 1 or value & (value - 1):
            raise ValueError(f"{self.name} takes powers of two")
        return str(value.bit_length() - 1)

    def shown(self, value: int | float) -> str:
        """The value as a reader of the file would write it."""
        return f"2**{self.literal(value)}" if self.power else self.literal(value)


def find(source: bytes) -> dict[str, Knob]:
    """The knobs of a Python file by name; {} where it is not UTF-8 or does not parse."""
    offset = len(_BOM) if source.startswith(_BOM) else 0
    body = source[offset:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in somebody's strings
            tree = ast.parse(body.decode("utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    # The parser counts lines by these three ends, and columns in bytes of UTF-8.
    starts = [offset] + [offset + m.end() for m in re.finditer(rb"\r\n|\r|\n", body)]
    found: dict[str, Knob] = {}
    bound: set[str] = set()
    for node in tree.body:
        names = _bound(node)
        knob = _knob(node, source, starts)
        for name in names & bound:
            found.pop(name, None)
        if knob is not None and knob.name not in bound:
            found[knob.name] = knob
        bound |= names
    return found


def rewrite(source: bytes, values: dict[str, int | float]) -> bytes:
    """The file with these constants set, byte for byte the same elsewhere.

    Raises KeyError for a name that is no knob, ValueError for a value that does not suit it.
    """
    knobs = find(source)
    for knob in sorted((knobs[name] for name in values), key=lambda k: -k.start):
        literal = knob.literal(values[knob.name]).encode("ascii")
        source = source[: knob.start] + literal + source[knob.stop :]
    return source


def _bound(node: ast.AST) -> set[str]:
    """The names that a statement binds at the top level, branches and loops included."""
    if isinstance(node, ast.Name):
        return set() if isinstance(node.ctx, ast.Load) else {node.id}
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return set()  # a scope of its own
    return {name for child in ast.iter_child_nodes(node) for name in _bound(child)}


def _knob(node: ast.stmt, source: bytes, starts: list[int]) -> Knob | None:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target: ast.expr = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    else:
        return None
    if not isinstance(target, ast.Name) or node.value is None:
        return None
    name = target.id
    if not name.isupper() or name.startswith(("_", "DEVICE_", "LOG_")) or "SEED" in name:
        return None
    value = _number(node.value)
    if value is None:
        return None
    site, power = node.value, False
    if isinstance(site, ast.BinOp):
        power = _number(site.left) == 2
        site = site.right if power else site
    if site.end_lineno is None or site.end_col_offset is None:
        return None
    start = starts[site.lineno - 1] + site.col_offset
    stop = starts[site.end_lineno - 1] + site.end_col_offset
    return Knob(name, value, start, stop, power, b"_" in source[start:stop])


def _number(node: ast.expr) -> int | float | None:
    """The number that a literal stands for; None for anything else, and for what is too large."""
    value: int | float
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        value = node.value  # type: ignore[assignment]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand) if isinstance(node.operand, ast.Constant) else None
        if inner is None:
            return None
        value = -inner
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base = _number(node.left) if isinstance(node.left, ast.Constant) else None
        exponent = _number(node.right) if isinstance(node.right, ast.Constant) else None
        if not isinstance(base, int) or not isinstance(exponent, int) or exponent > 64:
            return None
        value = base**exponent
    else:
        return None
    if isinstance(value, int):
        return value if abs(value) <= _MAX_INT else None
    return value if math.isfinite(value) and (value == 0 or abs(value) > 1e-300) else None
