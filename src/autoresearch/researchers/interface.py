"""What a Python file offers, in a few lines, for the prompt's list of frozen files."""

from __future__ import annotations

import ast
import warnings

from autoresearch.text import one_line

_LINES = 60
_WIDTH = 240


def interface(path: str, source: bytes) -> list[str]:
    """Returns lines for the public functions, classes and constants of a Python file.

    There are none for another file, or for one that does not parse.
    """
    if not path.endswith(".py"):
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in somebody's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    lines: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = ", ".join(ast.unparse(base) for base in node.bases)
            lines.append(
                _line("", f"class {node.name}({bases})" if bases else f"class {node.name}", node)
            )
            for item in node.body:
                if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
                    item.name == "__init__" or not item.name.startswith("_")
                ):
                    lines.append(_line("    ", _signature(item), item))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if not node.name.startswith("_"):
                lines.append(_line("", _signature(node), node))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id.isupper() and target.id[0] != "_":
                lines.append(one_line(ast.unparse(node), _WIDTH))
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"({len(lines) - _LINES} more)"]
    return lines


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return f"{word} {node.name}({ast.unparse(node.args)}){returns}"


def _line(
    indent: str, head: str, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
) -> str:
    doc = (ast.get_docstring(node) or "").strip().partition("\n")[0]
    about = f"  # {one_line(doc, _WIDTH // 2)}" if doc else ""
    return indent + one_line(head, _WIDTH) + about
