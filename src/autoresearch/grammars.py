"""Sources in languages other than Python as trees, by tree-sitter (the extra `languages`)."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tree_sitter
    from tree_sitter import Node


class GrammarMissing(Exception):
    """The package that reads a language is not installed; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A language as tree-sitter's packages name it."""

    name: str  # as people call it
    package: str
    function: str = "language"

    def parse(self, source: bytes) -> Node:
        """Returns the root of a source's tree; raises GrammarMissing."""
        return _parser(self).parse(source).root_node


C = Grammar("C", "tree_sitter_c")
CPP = Grammar("C++", "tree_sitter_cpp")
CUDA = Grammar("CUDA", "tree_sitter_cuda")
RUST = Grammar("Rust", "tree_sitter_rust")
GO = Grammar("Go", "tree_sitter_go")
JAVASCRIPT = Grammar("JavaScript", "tree_sitter_javascript")
TYPESCRIPT = Grammar("TypeScript", "tree_sitter_typescript", "language_typescript")
TSX = Grammar("TypeScript", "tree_sitter_typescript", "language_tsx")
JAVA = Grammar("Java", "tree_sitter_java")
JULIA = Grammar("Julia", "tree_sitter_julia")

C_LIKE = (C, CPP, CUDA)
_ENDINGS = {
    RUST: (".rs",),
    C: (".c",),
    CPP: (".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx"),
    CUDA: (".cu", ".cuh"),
    GO: (".go",),
    JAVASCRIPT: (".js", ".mjs", ".cjs", ".jsx"),
    TYPESCRIPT: (".ts", ".mts", ".cts"),
    TSX: (".tsx",),
    JAVA: (".java",),
    JULIA: (".jl",),
}
GRAMMARS = {ending: grammar for grammar, endings in _ENDINGS.items() for ending in endings}


@functools.cache
def _parser(grammar: Grammar) -> tree_sitter.Parser:
    try:
        import tree_sitter

        found = importlib.import_module(grammar.package)
    except ImportError:
        package = grammar.package.replace("_", "-")
        raise GrammarMissing(
            f"needs {package} to be read as {grammar.name}: pip install 'autoresearch[languages]'"
        ) from None
    return tree_sitter.Parser(tree_sitter.Language(getattr(found, grammar.function)()))


def below(node: Node) -> Iterator[Node]:
    """Yields a node and all below it, in the order of the source."""
    stack = [node]
    while stack:
        each = stack.pop()
        yield each
        stack.extend(reversed(each.children))
