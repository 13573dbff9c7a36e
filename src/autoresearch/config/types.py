"""The types of single values in autoresearch.toml: what each may be."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated

from pathspec import GitIgnoreSpec
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from autoresearch.grammars import GRAMMARS
from autoresearch.harness.names import read_budget

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GIVEN = ("HOME", "TMPDIR", "PWD")  # what a trial has of its own, whatever the user's say
_NOT_WRITTEN = ("PATH", "TMPDIR", "PWD")
_SYMBOL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_BOUND = re.compile(rf"(<=|<|>=|>)\s*(?:(baseline)(?:\s*\*\s*({_NUMBER}))?|({_NUMBER}))", re.ASCII)


# Of every table: frozen, and without a key that it does not know.
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


def _word(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("must be a non-empty text")
    return text


def variable(text: str) -> str:
    """Returns the text; raises ValueError where it is not the name of an environment variable."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of an environment variable")
    return text


def _passed(text: str) -> str:
    if variable(text) in _GIVEN:
        raise ValueError(
            f"{text} would have no effect: a trial is given a {text} of its own; "
            + (
                'write it as in env = { HOME = "~" } (what is not readable stays hidden there)'
                if text == "HOME"
                else "leave it out"
            )
        )
    return text


def _environment(given: dict[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if variable(name) in _NOT_WRITTEN or name.startswith("AUTORESEARCH_"):
            raise ValueError(
                f"{name} is the tool's own; other variables may be written here, and HOME"
            )
        if "\0" in value:
            raise ValueError(f"{name} holds a NUL")
    return given


def inside(text: str) -> str:
    """Returns a path below the lab's folder; raises ValueError where it is none."""
    path = PurePosixPath(_word(text))
    if path.is_absolute() or ".." in path.parts or path.as_posix() == ".":
        raise ValueError(f"{text!r} must be a path inside the lab, relative to its root")
    if any(part.lower().startswith(".git") for part in path.parts):
        raise ValueError(f"{text!r} is git's own")
    return path.as_posix()


def _pattern(text: str) -> str:
    path, separator, symbol = _word(text).partition("::")
    if "\n" in text or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{text!r} must be a path inside the lab, as in .gitignore")
    if separator:
        if path.endswith(".py"):
            if not _SYMBOL.fullmatch(symbol):
                raise ValueError(f"{text!r} must be path::function or path::Class.method")
        elif not path.endswith(tuple(GRAMMARS)):
            raise ValueError(
                f"{text!r}: symbols are known in Python, Rust, C, C++, CUDA, Go, JavaScript, TypeScript, "
                "Java and Julia, by the file's ending; name the whole file"
            )
        elif not symbol.strip(" .:"):
            raise ValueError(f"{text!r} must be path::function or path::Type::method")
        if inside(path) != path:
            raise ValueError(f"{text!r}: write the path as git does, without ./ and //")
    else:
        try:
            GitIgnoreSpec.from_lines([text])
        except ValueError as fault:  # pathspec's own error for a broken glob is a ValueError
            raise ValueError(f"{text!r} is no pattern as in .gitignore: {fault}") from None
    return text


def _symbol(text: str) -> str:
    if "::" not in text:
        raise ValueError(f"{text!r} must be path::symbol")
    return _pattern(text)


def _budget(text: str) -> str:
    if text and read_budget(text) is None:
        raise ValueError(
            f'{text!r} must be seconds, steps or tokens, as in "300s", "600steps" or "614400tokens"'
        )
    return text


@dataclass(frozen=True, slots=True)
class Bound:
    """One of task.limits: a number, or a multiple of what the baseline had, and how to compare with it."""

    operator: str  # <, <=, > or >=
    number: float
    of_baseline: bool

    def text(self) -> str:
        """Returns it as it is written in autoresearch.toml."""
        number = f"{self.number:g}"
        if self.of_baseline:
            number = "baseline" if self.number == 1 else f"baseline * {number}"
        return f"{self.operator} {number}"


def bound(text: str) -> Bound:
    """Returns the bound that a text is; raises ValueError where it is none."""
    found = _BOUND.fullmatch(text.strip())
    number = float(found[3] or found[4] or 1) if found else math.nan
    if found is None or not math.isfinite(number):
        raise ValueError(
            f"{text!r} must be <, <=, > or >=, then a number, or baseline, or baseline * a number, as in "
            '"<= 39000" or "<= baseline * 1.01"'
        )
    return Bound(found[1], number, found[2] is not None)


def _bounds(given: object) -> object:
    for name, text in given.items() if isinstance(given, dict) else ():
        if not name or re.search(r"[\s:=]", name):
            raise ValueError(f"{name!r} must be one word, as a line of the log begins with it")
        try:
            bound(text if isinstance(text, str) else repr(text))
        except ValueError as fault:
            raise ValueError(f"{name} = {fault}") from None
    return given


def _setup(given: object) -> object:
    """Returns a list of words as a list of one command, anything else as it is."""
    words = isinstance(given, list) and given and all(isinstance(word, str) for word in given)
    return [given] if words else given


def _checks(given: object) -> object:
    if isinstance(given, list) and any(isinstance(each, str) for each in given):
        raise ValueError(
            'must be a list of commands, each a list of words, as in [["pytest", "-q"]]'
        )
    return given


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _ranges(given: object) -> object:
    for name, ends in given.items() if isinstance(given, dict) else ():
        numbers = isinstance(ends, list) and all(type(end) in (int, float) for end in ends)
        if not numbers or len(ends) != 2 or not -math.inf < ends[0] < ends[1] < math.inf:
            raise ValueError(
                f"{name} = {ends!r} is no range of a knob, lowest and highest value, as in "
                "LR = [1e-4, 1e-2]; other keys of [researcher] stand above [researcher.knobs]"
            )
    return given


Word = Annotated[str, AfterValidator(_word)]
Command = Annotated[list[Word], Field(min_length=1)]
Setup = Annotated[list[Command], BeforeValidator(_setup)]
Checks = Annotated[list[Command], BeforeValidator(_checks)]
Bounds = Annotated[dict[str, str], BeforeValidator(_bounds)]
Seconds = Annotated[float, Field(gt=0), AfterValidator(_finite)]
Limit = Annotated[float, Field(ge=0), AfterValidator(_finite)]
Count = Annotated[int, Field(ge=0)]
Passed = Annotated[str, AfterValidator(_passed)]
Environment = Annotated[dict[str, str], AfterValidator(_environment)]
Inside = Annotated[str, AfterValidator(inside)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Symbol = Annotated[str, AfterValidator(_symbol)]
Budget = Annotated[str, AfterValidator(_budget)]
Ranges = Annotated[dict[str, list[int | float]], BeforeValidator(_ranges)]
