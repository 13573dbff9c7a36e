"""What the guard asks of a language whose definitions `mutable` and `protected` may name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Protocol


class SymbolError(Exception):
    """A source can't be read, or has not one definition of a symbol; the text follows its path."""


class Language(Protocol):
    """The functions of one language; a symbol is a name, or several with dots, as `Class.method`."""

    def definition(self, source: bytes, symbol: str) -> bytes:
        """Returns the whole lines of a symbol's definition; raises SymbolError."""

    def around(self, source: bytes, symbols: tuple[str, ...]) -> list[bytes]:
        """Returns the pieces of a source around the bodies of the symbols; raises SymbolError."""

    def same_code(self, old: bytes, new: bytes) -> bool:
        """Returns whether two sources differ in comments and layout at most; raises SymbolError."""


def nearest(symbol: str, names: Iterable[str]) -> str:
    """Returns the names that a mistyped symbol may have meant, as the end of an error's text."""
    known = list(dict.fromkeys(names))
    last = symbol.replace("::", ".").rpartition(".")[2]
    same = [name for name in known if name.rpartition(".")[2] == last]
    close = same or difflib.get_close_matches(symbol.replace("::", "."), known, 3, 0.5) or known[:3]
    return f"; there is {', '.join(close[:3])}" if close else ""
