"""Definitions inside files: which languages the guard knows, and what it says of a source it can't read."""

from __future__ import annotations

import pytest

from autoresearch.records import Edit
from autoresearch.rules import symbols
from autoresearch.rules.guard import Mutable, changes_code, refusals
from autoresearch.rules.symbols import SymbolError, language_of, python

SOURCE = b"import x\n\n\n@x.y\ndef f(a, b=1):\n    return a\n\n\nclass C:\n    def g(self):\n        pass\n"


def test_a_language_is_chosen_by_the_files_ending() -> None:
    assert language_of("a/train.py") is python
    assert language_of("train.sh") is None and language_of("py") is None and language_of("") is None


def test_definitions_and_what_is_around_their_bodies() -> None:
    assert python.definition(SOURCE, "f") == b"@x.y\ndef f(a, b=1):\n    return a\n"
    assert python.definition(SOURCE, "C.g") == b"    def g(self):\n        pass\n"
    head, between, rest = python.around(SOURCE, ("C.g", "f"))
    assert head.endswith(b"def f(a, b=1):") and between == b"\n\nclass C:\n    def g(self):"
    assert rest == b""


@pytest.mark.parametrize(
    ("source", "symbol", "words"),
    [
        (SOURCE, "h", "has 0 definitions of h"),
        (SOURCE + SOURCE, "f", "has 2 definitions of f"),
        (b"def f(:\n", "f", r"is no valid Python \(SyntaxError\)"),
        (b"\0", "f", "is no valid Python"),
    ],
)
def test_a_source_that_can_not_be_read_is_a_symbol_error(
    source: bytes, symbol: str, words: str
) -> None:
    for ask in (
        lambda: python.definition(source, symbol),
        lambda: python.around(source, (symbol,)),
    ):
        with pytest.raises(SymbolError, match=words):
            ask()


class Blocks:
    """A language as another release might bring it: a body is what stands between braces."""

    def definition(self, source: bytes, symbol: str) -> bytes:
        _, found, rest = source.partition(f"fn {symbol} {{".encode())
        if not found:
            raise SymbolError(f"has 0 definitions of {symbol}")
        return found + rest.partition(b"}")[0] + b"}"

    def around(self, source: bytes, symbols: tuple[str, ...]) -> list[bytes]:
        (symbol,) = symbols
        head, _, rest = source.partition(self.definition(source, symbol))
        return [head, rest]

    def same_code(self, old: bytes, new: bytes) -> bool:
        return old.split() == new.split()


def test_another_language_comes_in_by_its_ending_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(symbols.LANGUAGES, ".blk", Blocks())
    old = b"use x\nfn f { 1 }\nfn g { 2 }\n"
    rules = Mutable.of(["a.blk::f", "b.blk"], ["b.blk::g"])

    def refused(path: str, new: bytes) -> list[str]:
        modes = {"a.blk": "100644", "b.blk": "100644"}
        return refusals([Edit(path, new)], rules, modes, lambda _: old)

    assert refused("a.blk", old.replace(b"1", b"7")) == []
    assert refused("a.blk", old.replace(b"2", b"7")) == ["a.blk: only the body of f is mutable"]
    [reason] = refused("a.blk", b"use x\n")
    assert reason.startswith("a.blk: has 0 definitions of f; only the body of f")
    assert refused("b.blk", old.replace(b"1", b"7")) == []
    [reason] = refused("b.blk", old.replace(b"2", b"7"))
    assert reason == "b.blk: g is protected and must stay byte for byte"
    assert not changes_code("a.blk", old, old.replace(b"\n", b"\n\n"))
