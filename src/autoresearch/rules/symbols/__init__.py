"""Definitions inside a file, as `path::symbol` names them: a module for each language."""

from __future__ import annotations

from autoresearch.grammars import GRAMMARS
from autoresearch.rules.symbols import python
from autoresearch.rules.symbols.base import Language, SymbolError
from autoresearch.rules.symbols.treesitter import TreeSitter

__all__ = ["LANGUAGES", "Language", "SymbolError", "language_of"]

LANGUAGES: dict[str, Language] = {
    ".py": python,
    **{ending: TreeSitter(grammar) for ending, grammar in GRAMMARS.items()},
}


def language_of(path: str) -> Language | None:
    """Returns the language of a file by its ending; None where the guard knows none."""
    return next((each for ending, each in LANGUAGES.items() if path.endswith(ending)), None)
