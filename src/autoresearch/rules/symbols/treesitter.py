"""Definitions in Rust, C, C++, CUDA, Go, JavaScript, TypeScript, Java and Julia, as tree-sitter reads them.

A symbol is the names from the outermost scope inward, with `.` or `::` between them: `learn_ffn`,
`Model::forward`, `net.Model.forward`. Where one name has several definitions, the parameters choose:
`scale(float x)`, as they stand in the source, blanks aside; and among the traits of a type in Rust the
trait does: `<Model as Drop>::drop`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoresearch.grammars import C_LIKE, JAVA, Grammar, GrammarMissing, below
from autoresearch.rules.symbols.base import SymbolError, nearest

if TYPE_CHECKING:
    from tree_sitter import Node

# What has fields `name` and `body`, a scope for what is defined in it.
_NAMED = frozenset(
    (
        *("function_item", "mod_item", "struct_item", "enum_item", "union_item", "trait_item"),
        *("struct_specifier", "union_specifier", "enum_specifier", "class_specifier"),
        *("namespace_definition", "function_declaration", "generator_function_declaration"),
        *(
            "method_declaration",
            "method_definition",
            "class_declaration",
            "abstract_class_declaration",
        ),
        *("interface_declaration", "enum_declaration", "record_declaration"),
        *("annotation_type_declaration", "constructor_declaration"),
        *("compact_constructor_declaration", "internal_module", "module"),
    )
)
# What gives a name to a function, an object or a class that has none, and the fields that say so.
_BINDING = {
    "variable_declarator": ("name", "value"),
    "field_definition": ("property", "value"),
    "public_field_definition": ("name", "value"),
    "pair": ("key", "value"),
    "assignment_expression": ("left", "right"),
    "init_declarator": ("declarator", "value"),
}
_BOUND = (
    "arrow_function",
    "function_expression",
    "generator_function",
    "object",
    "class",
    "lambda_expression",
)
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
class _Definition:
    """One definition. names holds, from the outermost scope inward, what each part may be called."""

    names: tuple[tuple[str, ...], ...]
    parameters: str | None  # as in the source, without blanks
    node: Node
    body: tuple[int, int]

    @property
    def shown(self) -> str:
        return ".".join(each[0] for each in self.names)


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

    def _find(self, source: bytes, symbol: str) -> _Definition:
        root = self._root(source)
        wanted, parameters = _parts(symbol)
        defined = [each for each in _definitions(root, ()) if each.body[1] >= each.body[0]]
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


def _definitions(node: Node, scope: tuple[tuple[str, ...], ...]) -> Iterator[_Definition]:
    """Yields the definitions in a node, outermost first."""
    stack = [(node, scope)]
    while stack:
        each, outer = stack.pop()
        found = _defined(each)
        if found is not None:
            names, holder, body = found
            outer = (*outer, *names)
            yield _Definition(outer, _parameters(holder), each, body)
        stack.extend((child, outer) for child in reversed(each.children))


def _defined(node: Node) -> tuple[tuple[tuple[str, ...], ...], Node, tuple[int, int]] | None:
    """Returns names, what has the parameters, and the body's bytes, where a node defines something."""
    body = node.child_by_field_name("body")
    name = node.child_by_field_name("name")
    if node.type in _NAMED and body is not None and name is not None:
        if node.type == "method_declaration" and (receiver := node.child_by_field_name("receiver")):
            types = [_text(each) for each in below(receiver) if each.type == "type_identifier"]
            return (*((kind,) for kind in types[:1]), (_text(name),)), node, _inside(body)
        return _path(name), node, _inside(body)
    if node.type == "impl_item" and body is not None:
        return (_implemented(node),), node, _inside(body)
    if node.type == "function_definition" and body is not None:  # C, C++, CUDA
        declarator = _declared(node)
        if declarator is None:
            return None
        name = declarator.child_by_field_name("declarator")
        return (_path(name), declarator, _inside(body)) if name is not None else None
    if node.type == "type_spec" and name is not None:  # Go
        fields = [n for n in below(node) if n.type in ("field_declaration_list", "interface_type")]
        return (_path(name), node, _inside(fields[0])) if fields else None
    if node.type in _BINDING:
        left, right = (node.child_by_field_name(field) for field in _BINDING[node.type])
        if left is not None and right is not None and right.type in _BOUND:
            inner = right.child_by_field_name("body") or right
            return _path(left), right, _inside(inner)
    return _defined_in_julia(node)


def _defined_in_julia(
    node: Node,
) -> tuple[tuple[tuple[str, ...], ...], Node, tuple[int, int]] | None:
    children = node.named_children
    if node.type in (
        "function_definition",
        "macro_definition",
        "struct_definition",
        "module_definition",
    ):
        ends = [child for child in node.children if child.type == "end"]
        if not ends or not children:
            return None
        head = children[0]
        calls = [n for n in below(head) if n.type == "call_expression"]
        if calls and calls[0].named_children:
            name = calls[0].named_children[0]
        else:
            name = next((n for n in below(head) if n.type == "identifier"), head)
        return _path(name), calls[0] if calls else head, (head.end_byte, ends[-1].start_byte)
    if node.type == "assignment" and len(children) == 3:
        left, _, right = children
        while left.type in ("where_expression", "typed_expression") and left.named_children:
            left = left.named_children[0]
        if left.type == "call_expression" and left.named_children:
            return _path(left.named_children[0]), left, (right.start_byte, right.end_byte)
        if left.type == "identifier" and right.type == "arrow_function_expression":
            return _path(left), right, (right.start_byte, right.end_byte)
    return None


def _declared(node: Node) -> Node | None:
    """Returns the function_declarator of a definition in C, inside pointers and references."""
    declarator = node.child_by_field_name("declarator")
    while declarator is not None and declarator.type != "function_declarator":
        inner = declarator.child_by_field_name("declarator")
        declarator = inner if inner is not None else next(iter(declarator.named_children), None)
    return declarator


def _inside(body: Node) -> tuple[int, int]:
    """Returns the bytes of a body: between its braces where it has them."""
    children = body.children
    if len(children) >= 2 and children[0].type == "{" and children[-1].type == "}":
        return children[0].end_byte, children[-1].start_byte
    return body.start_byte, body.end_byte


def _implemented(node: Node) -> tuple[str, ...]:
    """Returns what a Rust `impl` is called: the type, or `Type as Trait`."""
    bare = [
        re.sub(r"<.*", "", _text(part), flags=re.DOTALL).strip().rpartition("::")[2]
        for part in (node.child_by_field_name("type"), node.child_by_field_name("trait"))
        if part is not None
    ]
    return (bare[0], f"{bare[0]} as {bare[1]}") if len(bare) == 2 else (bare[0],)


def _path(name: Node) -> tuple[tuple[str, ...], ...]:
    """Returns the parts of a name, without what leads to a prototype or to a module's exports."""
    text = re.sub(r"<.*>", "", _text(name), flags=re.DOTALL)
    parts = [part.strip() for part in re.split(r"::|\.", text)]
    kept = [part for part in parts if part not in ("module", "exports", "prototype", "this", "")]
    return tuple((part,) for part in kept or parts[-1:])


def _parameters(node: Node) -> str | None:
    found = node.child_by_field_name("parameters")
    if found is None:
        kinds = ("argument_list", "formal_parameters", "parameter_list")
        found = next((child for child in node.named_children if child.type in kinds), None)
    return None if found is None else re.sub(r"\s+", "", _text(found))


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
