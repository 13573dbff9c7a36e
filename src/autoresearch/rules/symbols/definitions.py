"""What is defined in a tree of tree-sitter's: names, parameters, and where the body stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoresearch.grammars import below

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


@dataclass(frozen=True)
class Definition:
    """One definition. names holds, from the outermost scope inward, what each part may be called."""

    names: tuple[tuple[str, ...], ...]
    parameters: str | None  # as in the source, without blanks
    node: Node
    body: tuple[int, int]

    @property
    def shown(self) -> str:
        return ".".join(each[0] for each in self.names)


def definitions(root: Node) -> Iterator[Definition]:
    """Yields the definitions below a root, the outer ones first."""
    stack: list[tuple[Node, tuple[tuple[str, ...], ...]]] = [(root, ())]
    while stack:
        each, outer = stack.pop()
        found = _defined(each)
        if found is not None:
            names, holder, body = found
            outer = (*outer, *names)
            yield Definition(outer, _parameters(holder), each, body)
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
