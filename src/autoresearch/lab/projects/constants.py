"""The constants of a Python source, evaluated as far as that is possible without running anything."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Mapping

Value = str | int | float

_HERE = ("__file__",)


def constants_of(source: str) -> dict[str, Value]:
    """Returns the names that a module sets at its top to a text or a number, the last value of each.

    The user's home is "~", and the module's own folder ".". A setting of the environment counts as
    not there. A source that is no Python has none.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, Value] = {}
    for statement in tree.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        value = _value(statement.value, found)
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                found[target.id] = value
    return found


def _value(node: ast.expr, names: Mapping[str, Value]) -> Value | None:
    """Returns what an expression is; None where that can't be known here."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, (str, int, float)) else None
    if isinstance(node, ast.Name):
        return "./file" if node.id in _HERE else names.get(node.id)
    if isinstance(node, ast.Attribute):
        return _attribute(node, names)
    if isinstance(node, ast.BinOp):
        return _operation(node, names)
    if isinstance(node, ast.JoinedStr):
        return _joined(node, names)
    if isinstance(node, ast.Call):
        return _call(node, names)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return next((value for v in node.values if (value := _value(v, names))), None)
    return None


def _attribute(node: ast.Attribute, names: Mapping[str, Value]) -> Value | None:
    owner = _value(node.value, names)
    return _parent(owner) if node.attr == "parent" and isinstance(owner, str) else None


def _parent(path: str) -> str:
    return posixpath.dirname(posixpath.normpath(path)) or "."


def _operation(node: ast.BinOp, names: Mapping[str, Value]) -> Value | None:
    left, right = _value(node.left, names), _value(node.right, names)
    if isinstance(left, str) and isinstance(right, str):
        if isinstance(node.op, ast.Div):
            return posixpath.join(left, right)
        return left + right if isinstance(node.op, ast.Add) else None
    if isinstance(left, str) or isinstance(right, str) or left is None or right is None:
        return None
    if isinstance(node.op, ast.Mult):
        return left * right
    return left + right if isinstance(node.op, ast.Add) else None


def _joined(node: ast.JoinedStr, names: Mapping[str, Value]) -> str | None:
    parts = [
        _value(v.value if isinstance(v, ast.FormattedValue) else v, names) for v in node.values
    ]
    return None if None in parts else "".join(map(str, parts))


def _call(node: ast.Call, names: Mapping[str, Value]) -> Value | None:
    """Returns what os.path, pathlib and os.environ make of texts; None for any other call."""
    called = ast.unparse(node.func).removeprefix("os.").removeprefix("pathlib.")
    arguments = [_value(argument, names) for argument in node.args]
    if called in ("environ.get", "getenv"):
        return arguments[1] if len(arguments) == 2 else None
    if called == "Path.home":
        return "~"
    texts = [text for text in arguments if isinstance(text, str)]
    if len(texts) != len(arguments):
        return None
    if called in ("path.join", "Path", "PurePath") and texts:
        return posixpath.join(*texts)
    if len(texts) == 1 and called in _OF_ONE:
        return _OF_ONE[called](texts[0])
    if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        owner = _value(node.func.value, names)
        if isinstance(owner, str):
            return posixpath.join(owner, *texts) if node.func.attr == "joinpath" else owner
    return None


_OF_ONE: dict[str, Callable[[str], str]] = {
    "path.expanduser": lambda path: path,
    "path.expandvars": lambda path: path.replace("$HOME", "~").replace("${HOME}", "~"),
    "path.abspath": lambda path: path,
    "path.realpath": lambda path: path,
    "path.normpath": posixpath.normpath,
    "path.dirname": _parent,
    "str": lambda path: path,
}
_METHODS = ("expanduser", "resolve", "absolute", "joinpath", "as_posix")
