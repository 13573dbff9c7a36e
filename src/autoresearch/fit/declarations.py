"""The constants of files in other languages than Python: `#define`, `const` and `static` with a number.

They are the knobs that a tuner may turn, by the same rules as in Python (see fit/constants.py): at the
top level, in a namespace, module or class, bound once, by a plain decimal number or by `1 << k`. In
JavaScript and TypeScript, where any variable is `const`, the name is upper-case too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from autoresearch.fit import constants
from autoresearch.fit.constants import Knob, may_turn
from autoresearch.grammars import C_LIKE, GO, GRAMMARS, JAVA, JULIA, RUST, Grammar

if TYPE_CHECKING:
    from tree_sitter import Node

_SUFFIX = r"(?:[uUlLzZ]*|[fFdDn]|_?(?:[iu](?:8|16|32|64|128|size)|f32|f64))"
_NUMBER = re.compile(
    rf"(?P<number>-?(?:\d[\d_]*\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d[\d_]*))"
    rf"{_SUFFIX}"
)
_SHIFT = re.compile(rf"\(?\s*1{_SUFFIX}\s*<<\s*(?P<number>\d+)\s*\)?")
# What is looked into for declarations; the rest has a scope of its own, or holds only sometimes.
_SCOPES = frozenset(
    (
        *("translation_unit", "source_file", "program", "namespace_definition", "declaration_list"),
        *(
            "linkage_specification",
            "mod_item",
            "impl_item",
            "export_statement",
            "class_declaration",
        ),
        *("class_body", "interface_declaration", "interface_body", "module_definition"),
        *("internal_module", "expression_statement", "statement_block", "const_declaration"),
    )
)
_MAX_INT = 2**53


def knobs_in(path: str, source: bytes) -> dict[str, Knob]:
    """Returns the knobs of a file by name; {} where its language is unknown or it does not parse.

    Raises GrammarMissing where the package that reads its language is not installed.
    """
    ending = PurePosixPath(path).suffix
    if ending == ".py":
        return constants.find(source)
    grammar = GRAMMARS.get(ending)
    if grammar is None:
        return {}
    try:
        source.decode("utf-8")
    except UnicodeDecodeError:
        return {}
    found: dict[str, Knob | None] = {}
    for name, value in _declared(grammar.parse(source), grammar):
        word = name.text.decode() if name.text else ""
        found[word] = None if word in found else _knob(word, value, source)
    return {name: knob for name, knob in found.items() if knob is not None and may_turn(name)}


def _knob(name: str, value: Node, source: bytes) -> Knob | None:
    text = source[value.start_byte : value.end_byte].decode()
    lead = len(text) - len(text.lstrip())
    text = re.sub(r"\s*(//|/\*).*", "", text, flags=re.DOTALL).rstrip()
    shifted = _SHIFT.fullmatch(text, lead)
    match = shifted or _NUMBER.fullmatch(text, lead)
    if match is None:
        return None
    written = match["number"]
    start = value.start_byte + match.start("number")
    stop, plain = start + len(written), written.replace("_", "")
    whole = re.fullmatch(r"-?\d+", plain) is not None
    if shifted:
        return (
            Knob(name, 2 ** int(plain), start, stop, True, False, True) if int(plain) < 53 else None
        )
    if whole and (
        re.fullmatch(r"-?0\d+", plain) or re.search(r"[fFdD]", text[match.end("number") :])
    ):
        return None  # octal, or a whole number written for a fraction
    number: int | float = int(plain) if whole else float(plain)
    if not math.isfinite(number) or (whole and abs(number) > _MAX_INT):
        return None
    return Knob(name, number, start, stop, False, "_" in written)


def _declared(root: Node, grammar: Grammar) -> Iterator[tuple[Node, Node]]:
    """Yields the name and the value of each constant that is declared, in the order of the source."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield from _constants(node, grammar)
        if node.type in _SCOPES:
            stack.extend(reversed(node.children))


def _constants(node: Node, grammar: Grammar) -> Iterator[tuple[Node, Node]]:
    words = {child.text for child in node.children if not child.named_children}
    if node.type == "preproc_def" or (
        grammar is RUST and node.type in ("const_item", "static_item")
    ):
        yield from _pair(node, "name", "value")
    elif (
        grammar in C_LIKE
        and node.type == "declaration"
        and words & {b"const", b"constexpr", b"static"}
    ):
        for child in node.children:
            if child.type == "init_declarator":
                yield from _pair(child, "declarator", "value")
    elif grammar is GO and node.type == "const_spec":
        yield from _pair(node, "name", "value")
    elif node.type == "lexical_declaration" and b"const" in words:
        for child in node.children:
            name = child.child_by_field_name("name")
            if name is not None and name.text and name.text.isupper():
                yield from _pair(child, "name", "value")
    elif grammar is JAVA and node.type == "field_declaration":
        modifiers = node.children[0].text or b""
        for child in node.children:
            if child.type == "variable_declarator" and {b"static", b"final"} <= set(
                modifiers.split()
            ):
                yield from _pair(child, "name", "value")
    elif grammar is JULIA and node.type == "const_statement":
        assigned = node.named_children[0]
        if assigned.type == "assignment" and len(assigned.named_children) == 3:
            yield assigned.named_children[0], assigned.named_children[2]


def _pair(node: Node, name: str, value: str) -> Iterator[tuple[Node, Node]]:
    named, given = node.child_by_field_name(name), node.child_by_field_name(value)
    if named is not None and given is not None and named.type.endswith("identifier"):
        yield named, given
