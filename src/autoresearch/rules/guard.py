"""What a candidate may change: paths, modes, and symbols inside files. Pure.

`refusals` is the whole rule; `autoresearch check`, `try` and every proposal go through it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

from autoresearch.paths import CHARTER, CONFIG, GUIDANCE
from autoresearch.records import Edit
from autoresearch.rules import obfuscation
from autoresearch.rules.symbols import SymbolError, language_of

_FILE_MODES = ("100644", "100755")
_OWN = re.compile(r"results.*\.tsv|musings(?:[-.].*)?\.md", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mutable:
    """The patterns and symbols of a task's `mutable` and `protected`."""

    spec: GitIgnoreSpec
    symbols: Mapping[str, tuple[str, ...]]  # path -> symbols of which the body may change
    protected: Mapping[str, tuple[str, ...]]  # path -> symbols that stay byte for byte
    code_only: bool = False  # Python sources may not carry data, such as weights

    @classmethod
    def of(
        cls, mutable: Iterable[str], protected: Iterable[str] = (), code_only: bool = False
    ) -> Mutable:
        """Returns the rules in the configuration's lists."""
        patterns = list(mutable)
        return cls(
            GitIgnoreSpec.from_lines(p for p in patterns if "::" not in p),
            _by_path(p for p in patterns if "::" in p),
            _by_path(protected),
            code_only,
        )

    def names(self, path: str) -> bool:
        """Returns whether a path is mutable, as a whole or in one of its symbols."""
        if never(path) is not None:
            return False
        return path in self.symbols or self.spec.match_file(path)


def _by_path(entries: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        path, _, symbol = entry.partition("::")
        found[path] = (*found.get(path, ()), symbol)
    return found


def unknown_symbols(rules: Mutable, content: Callable[[str], bytes | None]) -> list[str]:
    """Returns what is wrong with entries path::symbol that name nothing; content reads a path."""
    found = []
    for path, symbols in (*rules.symbols.items(), *rules.protected.items()):
        source, language = content(path), language_of(path)
        for symbol in symbols:
            try:
                if source is None:
                    raise SymbolError("does not exist")
                if language is not None:  # the configuration takes no others
                    language.definition(source, symbol)
            except SymbolError as fault:
                found.append(f"{path}::{symbol}: {path} {fault}")
    return found


def never(path: str) -> str | None:
    """Returns why no candidate may ever change a path, whatever `mutable` says; None where it may."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "not a plain path inside the lab"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in path) or "\\" in path:
        return "a path with control characters or backslashes"
    folded = [part.rstrip(" .").casefold() for part in parts]
    if any(part.startswith((".git", "git~")) for part in folded):
        return "git's own"
    if folded == [CONFIG]:
        return "the configuration"
    if folded == [CHARTER]:
        return "the charter"
    if len(parts) == 1 and folded[0] == GUIDANCE:
        return "the person's own file"
    if len(parts) == 1 and _OWN.fullmatch(folded[0]):
        return "the tool's own file"
    return None


def refusals(
    edits: Iterable[Edit],
    rules: Mutable,
    before: Mapping[str, str],
    content: Callable[[str], bytes],
) -> list[str]:
    """Returns why these edits may not be made, one line a path; [] where they may.

    `before` holds the mode of every path of the tree that they are put on, and `content` reads the
    bytes of one of those paths.
    """
    edits = list(edits)
    made = [edit.path for edit in edits if edit.content is not None]
    gone = {edit.path for edit in edits if edit.content is None}
    after = (set(before) | set(made)) - gone
    by_case: dict[str, set[str]] = {}
    for path in after | set(before):
        by_case.setdefault(unicodedata.normalize("NFC", path).casefold(), set()).add(path)
    folders = {path[:i] for path in after for i, c in enumerate(path) if c == "/"}
    found = []
    for edit in edits:
        reason = _refusal(edit, rules, before, content)
        if reason is None and edit.content is not None:
            twins = by_case[unicodedata.normalize("NFC", edit.path).casefold()] - {edit.path}
            if twins:
                reason = f"differs from {min(twins)} in case alone"
            elif edit.path in folders or any(edit.path.startswith(f"{path}/") for path in after):
                reason = "a file where a folder is"
        if reason is not None:
            found.append(f"{printable_path(edit.path)}: {reason}")
    return found


def _refusal(
    edit: Edit, rules: Mutable, before: Mapping[str, str], content: Callable[[str], bytes]
) -> str | None:
    path, old_mode = edit.path, before.get(edit.path)
    forbidden = never(path)
    if forbidden is not None:
        return f"{forbidden}; never a candidate's to change"
    for mode in (old_mode, edit.mode):
        if mode == "120000":
            return "a symlink; never a candidate's to change"
        if mode == "160000":
            return "a submodule; never a candidate's to change"
        if mode is not None and mode not in _FILE_MODES:
            return f"a file of mode {mode}; plain files only"
    whole = rules.spec.match_file(path)
    symbols = rules.symbols.get(path, ())
    if not whole and not symbols:
        return "not mutable"
    if not whole:
        if old_mode is None or edit.content is None or edit.mode not in (None, old_mode):
            return f"only the body of {', '.join(symbols)} is mutable"
        reason = _bodies_only(path, content(path), edit.content, symbols)
        if reason is not None:
            return reason
    if path in rules.protected and old_mode is not None:
        reason = _protected(path, content(path), edit.content, rules.protected[path])
        if reason is not None:
            return reason
    if edit.content is None:
        return None
    return _illegible(path, content(path) if old_mode else None, edit.content, rules.code_only)


def _illegible(path: str, old: bytes | None, new: bytes, code_only: bool) -> str | None:
    """Returns why a person could not read what a file says; None where they can."""
    python = path.endswith(".py")
    reason = obfuscation.invisible_character(old, new, code=python)
    if python:
        reason = reason or obfuscation.mixed_scripts(old, new)
        reason = reason or (obfuscation.embedded_data(old, new) if code_only else None)
    return reason


def _bodies_only(path: str, old: bytes, new: bytes, symbols: tuple[str, ...]) -> str | None:
    """Returns why a change is not confined to the bodies of the symbols; None where it is."""
    only = f"only the body of {', '.join(symbols)} is mutable"
    language = language_of(path)
    if language is None:
        return only
    try:
        if language.around(old, symbols) == language.around(new, symbols):
            return None
    except SymbolError as fault:
        return f"{fault}; {only}"
    return only


def _protected(path: str, old: bytes, new: bytes | None, symbols: tuple[str, ...]) -> str | None:
    """Returns why a protected symbol did not stay byte for byte; None where all did."""
    language = language_of(path)
    for symbol in symbols:
        stays = f"{symbol} is protected and must stay byte for byte"
        if new is None or language is None:
            return stays
        try:
            if language.definition(old, symbol) != language.definition(new, symbol):
                return stays
        except SymbolError as fault:
            return f"{fault}; {stays}"
    return None


def changes_code(path: str, old: bytes | None, new: bytes | None) -> bool:
    """Returns whether an edit changes more than comments and layout.

    In a file of a language that the guard does not know, any change is one of code.
    """
    if old == new:
        return False
    language = language_of(path)
    if old is None or new is None or language is None:
        return True
    try:
        return not language.same_code(old, new)
    except SymbolError:
        return True


def printable_path(path: str) -> str:
    """Returns a path as it can be shown on one line."""
    return path if path.isprintable() else ascii(path)
