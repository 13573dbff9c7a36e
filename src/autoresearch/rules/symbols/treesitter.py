"""Definitions in Rust, C, C++, CUDA, Go, JavaScript, TypeScript, Java and Julia, as tree-sitter reads them.

A symbol is the names from the outermost scope inward, with `.` or `::` between them: `learn_ffn`,
`Model::forward`, `net.Model.forward`. Where one name has several definitions, the parameters choose:
`scale(float x)`, as they stand in the source, blanks aside; and among the traits of a type in Rust the
trait does: `<Model as Drop>::drop`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoresearch.grammars import C_LIKE, JAVA, Grammar, GrammarMissing, below
from autoresearch.rules.symbols.base import SymbolError, nearest
from autoresearch.rules.symbols.definitions import Definition, definitions

if TYPE_CHECKING:
    from tree_sitter import Node

# What stands around a definition and belongs to it.
_AROUND = (
    "template_declaration",
    "export_statement",
    "lexical_declaration",
    "variable_declaration",
)
_BEFORE = ("attribute_item", "decorator")
_COMMENTS = ("comment", "line_comment", "block_comment", "html_comment")
_VERBATIM = re.compile(r"string|char_literal|character|regex|preproc_arg|jsx_text")
# Comments that Go's tools obey, and the C source before `import "C"`.
_ORDERS = re.compile(rb"//(go:|export |line )|/\*|//\s*\+build|//\s*#")
_TRIGRAPH = re.compile(rb"\?\?[=/'()!<>-]|<%|%>|%:")
_JAVA_ESCAPE = re.compile(rb"\\u+00[0-7]")
_DIRECTIVE = re.compile(rb"(?m)^[ \t]*#(?:[^\n\\]|\\.|\\\n)*")


@dataclass(frozen=True)
class TreeSitter:
    """The guard's functions for a grammar of tree-sitter's; see base.Language."""

    grammar: Grammar

    def definition(self, source: bytes, symbol: str) -> bytes:
        """Returns the whole lines of a symbol's definition, attributes included; raises SymbolError."""
        node = self._find(source, symbol).node
        while node.parent is not None and node.parent.type in _AROUND:
            node = node.parent
        start, before = node.start_byte, node.prev_sibling
        while before is not None and before.type in _BEFORE:
            start, before = before.start_byte, before.prev_sibling
        start = source.rfind(b"\n", 0, start) + 1
        end = source.find(b"\n", node.end_byte)
        return source[start : len(source) if end < 0 else end + 1]

    def around(self, source: bytes, symbols: tuple[str, ...]) -> list[bytes]:
        """Returns the pieces of a source around the bodies of the symbols; raises SymbolError.

        In C and what comes from it the preprocessor's lines inside a body count as around it, since
        what they define holds for the rest of the file.
        """
        spans = sorted(self._find(source, symbol).body for symbol in symbols)
        pieces, at = [], 0
        for start, end in spans:
            if start < at:
                raise SymbolError("has symbols inside one another")
            body = source[start:end]
            self._refuse_tricks(body)
            pieces.append(source[at:start])
            if self.grammar in C_LIKE:
                pieces.extend(line.strip() for line in _DIRECTIVE.findall(body))
            at = end
        return [*pieces, source[at:]]

    def same_code(self, old: bytes, new: bytes) -> bool:
        """Returns whether two sources differ in comments and layout at most; raises SymbolError."""
        return self._tokens(old) == self._tokens(new)

    def _refuse_tricks(self, body: bytes) -> None:
        """Raises SymbolError for what a compiler alone reads as a brace or as a line's end."""
        if self.grammar in C_LIKE and (found := _TRIGRAPH.search(body)):
            raise SymbolError(f"has a digraph or trigraph, {found[0].decode()}")
        if self.grammar is JAVA and _JAVA_ESCAPE.search(body):
            raise SymbolError("writes a plain character as a \\u escape")

    def _root(self, source: bytes) -> Node:
        try:
            return self.grammar.parse(source)
        except GrammarMissing as fault:
            raise SymbolError(str(fault)) from None

    def _find(self, source: bytes, symbol: str) -> Definition:
        root = self._root(source)
        wanted, parameters = _parts(symbol)
        defined = [each for each in definitions(root) if each.body[1] >= each.body[0]]
        found = [each for each in defined if _is(each.names, wanted)]
        if parameters is not None:
            found = [each for each in found if each.parameters == parameters]
        faults = [node for node in below(root) if node.is_error or node.is_missing]
        if not found:
            if faults:
                raise SymbolError(f"has no {symbol}, and {self._unread(faults[0])}")
            raise SymbolError(
                f"has 0 definitions of {symbol}" + nearest(symbol, [each.shown for each in defined])
            )
        if len(found) > 1:
            each = ", ".join(
                f"{one.shown}{one.parameters or ''} at line {one.node.start_point[0] + 1}"
                for one in found
            )
            raise SymbolError(f"has {len(found)} definitions of {symbol}: {each}")
        (chosen,) = found
        for fault in faults:
            if (
                fault.end_byte >= chosen.node.start_byte
                and fault.start_byte <= chosen.node.end_byte
            ):
                raise SymbolError(self._unread(fault))
        return chosen

    def _unread(self, fault: Node) -> str:
        row, column = fault.start_point
        return f"is no valid {self.grammar.name} at line {row + 1}, column {column + 1}"

    def _tokens(self, source: bytes) -> list[tuple[str, bytes]]:
        """Returns kinds and texts of what a compiler would read, the tree's shape included."""
        root = self._root(source)
        if root.has_error:
            raise SymbolError(
                self._unread(next(n for n in below(root) if n.is_error or n.is_missing))
            )
        found: list[tuple[str, bytes]] = []
        stack = [root]
        while stack:
            node = stack.pop()
            text = source[node.start_byte : node.end_byte]
            if node.type in _COMMENTS and not self._is_an_order(text):
                continue
            verbatim = _VERBATIM.search(node.type) is not None
            if node.children and not verbatim:
                found.append((node.type, b""))
                stack.extend(reversed(node.children))
            elif verbatim or text.strip():  # a line's end that is a token shows in the tree's shape
                found.append((node.type, text))
        return found

    def _is_an_order(self, comment: bytes) -> bool:
        return self.grammar.name == "Go" and _ORDERS.match(comment) is not None


def _parts(symbol: str) -> tuple[list[str], str | None]:
    """Returns the names of a symbol, and its parameters without blanks; None where it has none."""
    path, parenthesis, rest = symbol.partition("(")
    parameters = re.sub(r"\s+", "", parenthesis + rest) if parenthesis else None
    names = re.findall(r"<[^>]*>|[^:.]+", path)
    return [re.sub(r"\s+", " ", name.strip("<>").strip()) for name in names], parameters


def _is(names: tuple[tuple[str, ...], ...], wanted: list[str]) -> bool:
    return len(names) == len(wanted) and all(
        name in known for name, known in zip(wanted, names, strict=True)
    )
