"""The fingerprint covers what can move a score or the data, and nothing else."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

import autoresearch.harness
from autoresearch.harness import fingerprint
from autoresearch.harness.fingerprint import MAKING, SCORING, code, code_digest

FOLDER = Path(autoresearch.harness.__file__).parent
MODULES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py"))

# What a side imports and yet does not count, with the reason.
NOT_SCORING = {
    "__init__.py": "holds no code",
    "exam/__init__.py": "holds no code",
    "trial/__init__.py": "holds no code",
    "cards.py": "gives the MFU of the summary, which is no score",
    "fingerprint.py": "counts the others: what changes in it shows in what it gives",
}
NOT_MAKING = {
    "__init__.py": "holds no code",
    "data/__init__.py": "holds no code",
    "cache.py": "says where files lie and how they are written, not what is in them",
    "names.py": "has names of files and variables; what is in them does not depend on these",
    "fingerprint.py": "counts the others: what changes in it shows in what it gives",
    "data/fetch.py": "brings files that are held against their SHA-256",
    "data/hub.py": "brings files that are held against their SHA-256",
    "data/pinned.py": "the pins of a source are in its digest, which the recipe covers",
    "data/progress.py": "shows how far it has come",
    "data/retry.py": "says how often to ask again",
}


def imported(name: str) -> set[str]:
    """The harness's modules that a module of it imports, wherever in it, with their packages."""
    found = set()
    package = Path(name).parent
    for node in ast.walk(ast.parse((FOLDER / name).read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = package
        for _ in range(node.level - 1):
            base = base.parent
        base = base.joinpath(*(node.module or "").split("."))
        paths = [base, *(base / alias.name for alias in node.names)]
        found |= {str(path) + ".py" for path in paths} | {
            str(path / "__init__.py") for path in paths
        }
    return {path.removeprefix("./") for path in found} & set(MODULES)


def reached(starts: Iterable[str]) -> set[str]:
    todo, seen = list(starts), set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += imported(name)
    return seen


def test_what_scores_is_counted_or_is_an_exception_with_a_reason() -> None:
    starts = ("loader.py", "clock.py", "bpb.py", "exam/examiner.py")
    assert reached(starts) - {*NOT_SCORING} == set(SCORING)
    assert not {*SCORING} & {*NOT_SCORING}


def test_what_makes_the_data_is_counted_or_is_an_exception_with_a_reason() -> None:
    found = reached(["data/build.py"])
    assert found - {*NOT_MAKING} == set(MAKING)
    assert not {*MAKING} & {*NOT_MAKING}
    outside = {"data/prepare.py", *(name for name in MODULES if name.startswith("data/"))}
    assert outside - {*MAKING} - {*NOT_MAKING} == {"data/prepare.py"}, "it decides when, not what"


def test_no_module_is_counted_that_is_not_there() -> None:
    assert {*SCORING, *MAKING} <= set(MODULES)
    assert code_digest(SCORING) != code_digest(SCORING[1:])


def tokens(text: str) -> list[str]:
    """A source's tokens but comments, line ends and strings that stand alone."""
    kept: list[str] = []
    alone = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    found = [
        token
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in (tokenize.COMMENT, tokenize.NL)
    ]
    before = tokenize.NEWLINE
    for token, after in zip(found, [*found[1:], found[-1]], strict=True):
        statement = before in alone and after.type == tokenize.NEWLINE
        if not (token.type == tokenize.STRING and statement) and token.string.strip():
            kept.append(token.string)
        before = token.type
    return kept


def test_what_counts_of_a_module_is_its_code_and_all_of_its_code() -> None:
    """The scan of the text, against Python's own tokens, for every module that counts."""
    for name in (*SCORING, *MAKING):
        text = (FOLDER / name).read_text()
        assert tokens(code(text)) == tokens(text), name
        assert '"""' not in code(text), name


SOURCE = '''\
"""A module."""

RATE = 0.5  # a rate
HASH = "# no comment"
APOSTROPHE = "it's"


def f(x):
    """Returns x."""
    # why
    return f"{x!r}#" + 'y'
'''


def test_words_do_not_change_it_and_numbers_do() -> None:
    same = SOURCE.replace("A module", 'Another\n\n"module" \\\\ that\'s new').replace(
        "# why", "# because\n\n    # of that"
    )
    same = same.replace("# a rate", "").replace('"""Returns x."""', '"""Returns\n    it."""')
    assert code(same) == code(SOURCE) and same != SOURCE
    for old, new in [("0.5", "0.25"), ("# no comment", "# a comment"), ("#\"", "\""), ("'y'", "'z'"),
                     ("    return", "        return"), ("it's", "its")]:  # fmt: skip
        assert old in SOURCE and code(SOURCE.replace(old, new)) != code(SOURCE), old


def test_the_fingerprint_follows_data_and_code(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    one = fingerprint.fingerprint({"train.u16": "a"})
    assert (
        one
        == fingerprint.fingerprint({"train.u16": "a"})
        != fingerprint.fingerprint({"train.u16": "b"})
    )
    monkeypatch.setattr(fingerprint, "SCORING", SCORING[1:])
    assert fingerprint.fingerprint({"train.u16": "a"}) != one


def test_neither_the_examiner_nor_the_preparation_loads_torch() -> None:
    for start in ("exam/examiner.py", "data/prepare.py", "__main__.py"):
        for name in reached([start]):
            tree = ast.parse((FOLDER / name).read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and not node.level:
                    assert (node.module or "").partition(".")[0] != "torch", name
                if isinstance(node, ast.Import):
                    assert "torch" not in {alias.name.partition(".")[0] for alias in node.names}, (
                        name
                    )
