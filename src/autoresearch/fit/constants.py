"""The constants at the top level of a Python file, read and rewritten in place.

A constant is `NAME = literal` (or `NAME: int = literal`) with an upper-case name that is bound once:
a number, one with a minus, a power of two integers such as 2**19, a text, True or False. `values` and
`assign` take all of them, for profiles. `find` and `rewrite` take the knobs, which a tuner may turn:
numbers alone, and no name with SEED in it or that begins with an underscore, with DEVICE_ or with LOG_
(those say how training runs, and not what is trained).
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = "int | float | str"

_BOM = b"\xef\xbb\xbf"
_MAX_INT = 2**53  # beyond it a float no longer tells neighbours apart


@dataclass(frozen=True, slots=True)
class Knob:
    """A number that a tuner may turn.

    The bytes from start to stop are rewritten: the literal, or k alone in 2**k and 1 << k.
    """

    name: str
    value: int | float
    start: int
    stop: int
    power: bool  # written as 2**k, or as 1 << k
    grouped: bool  # written as 10_000
    shift: bool = False  # written as 1 << k

    def literal(self, value: int | float) -> str:
        """Returns the value as it is written in the file; raises ValueError where it can't be."""
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
        """Returns the value as a reader of the file would write it."""
        written = self.literal(value)
        return f"1 << {written}" if self.shift else f"2**{written}" if self.power else written


def find(source: bytes) -> dict[str, Knob]:
    """Returns the knobs of a Python file by name; {} where it is not UTF-8 or does not parse."""
    literals, starts = _literals(source)
    found = {}
    for name, node in literals.items():
        value = _number(node)
        if value is None or not may_turn(name):
            continue
        power = isinstance(node, ast.BinOp) and _number(node.left) == 2
        start, stop = _span(node.right if power and isinstance(node, ast.BinOp) else node, starts)
        found[name] = Knob(name, value, start, stop, power, b"_" in source[start:stop])
    return found


def may_turn(name: str) -> bool:
    """Returns whether a constant of this name says what is trained, and not how training runs."""
    return not name.startswith(("_", "DEVICE_", "LOG_")) and "SEED" not in name.upper()


def rewrite(source: bytes, knobs: Mapping[str, Knob], new: Mapping[str, int | float]) -> bytes:
    """Returns the file with these knobs of it set, each in the form that it has, the same elsewhere.

    Raises KeyError for a name that is no knob, ValueError for a value that does not suit it.
    """
    chosen = [(knobs[name], value) for name, value in new.items()]
    return _spliced(source, ((k.start, k.stop, k.literal(value)) for k, value in chosen))


def values(source: bytes) -> dict[str, Value]:
    """Returns the constants of a Python file by name; {} where it is not UTF-8 or does not parse."""
    read = {name: _value(node) for name, node in _literals(source)[0].items()}
    return {name: value for name, value in read.items() if value is not None}


def assign(source: bytes, new: Mapping[str, Value]) -> bytes:
    """Returns the file with these constants set; what has its value already stays as it is written.

    Raises KeyError for a name that is no constant of the file.
    """
    now, (literals, starts) = values(source), _literals(source)
    changes = {n: v for n, v in new.items() if (type(now[n]), now[n]) != (type(v), v)}
    return _spliced(source, ((*_span(literals[n], starts), _python(v)) for n, v in changes.items()))


def _python(value: Value) -> str:
    if isinstance(value, int) and value >= 4096 and value & (value - 1) == 0:
        return f"2**{value.bit_length() - 1}"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _spliced(source: bytes, texts: Iterable[tuple[int, int, str]]) -> bytes:
    """Returns the source with each text in place of the bytes from its start to its stop."""
    for start, stop, text in sorted(texts, reverse=True):
        source = source[:start] + text.encode() + source[stop:]
    return source


def _literals(source: bytes) -> tuple[dict[str, ast.expr], list[int]]:
    """Returns what upper-case names that are bound once are set to, and where each line begins."""
    offset = len(_BOM) if source.startswith(_BOM) else 0
    body = source[offset:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in somebody's strings
            tree = ast.parse(body.decode("utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}, []
    # The parser counts lines by these three ends, and columns in bytes of UTF-8.
    starts = [offset] + [offset + m.end() for m in re.finditer(rb"\r\n|\r|\n", body)]
    found: dict[str, ast.expr] = {}
    bound: set[str] = set()
    for node in tree.body:
        names = _bound(node)
        for name in names & bound:
            found.pop(name, None)
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            match targets:
                case [ast.Name(id=name)] if name.isupper() and name not in bound:
                    found[name] = node.value
        bound |= names
    return found, starts


def _span(node: ast.expr, starts: list[int]) -> tuple[int, int]:
    """Returns the bytes of the file at which an expression begins and ends."""
    assert node.end_lineno is not None and node.end_col_offset is not None  # ast.parse sets them
    return (
        starts[node.lineno - 1] + node.col_offset,
        starts[node.end_lineno - 1] + node.end_col_offset,
    )


def _bound(node: ast.AST) -> set[str]:
    """Returns the names that a statement binds at the top level, branches and loops included."""
    if isinstance(node, ast.Name):
        return set() if isinstance(node.ctx, ast.Load) else {node.id}
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return set()  # a scope of its own
    return {name for child in ast.iter_child_nodes(node) for name in _bound(child)}


def _value(node: ast.expr) -> Value | None:
    """Returns what a literal stands for; None for anything but a text, a bool or a number."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, str)):
        return node.value
    return _number(node)


def _number(node: ast.expr) -> int | float | None:
    """Returns the number that a literal stands for; None for anything else, and for one too large."""
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
