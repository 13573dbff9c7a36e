"""Good answers spoilt at random, with what may come of each: the edit that was meant, or an error.

An answer is a list of pieces, each a line with what it is. A mutation of the dress (markers, paths,
fences, prose, header) leaves the meaning as it was. One that hits the lines of SEARCH, of REPLACE or
of a whole file changes what the answer says: then the meaning is that of the changed lines, applied
here by a few lines of our own, or as before. Anything else that comes out is another edit.
"""

# ruff: noqa: E501
from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "talk", "header", "path", "fence", "open", "search", "divide", "put", "close", "file"
]
Files = dict[str, str]
MARKS = ("open", "divide", "close")
CONTENT = ("search", "put", "file")
FROZEN = frozenset({"prepare.py", "program.md"})

FILES: Files = {
    "train.py": """\
import math

LR = 0.02   # learning rate
WIDTH = 64
DEPTH = 4
NAME = "it's a <run> && more"


class Block:
    def forward(self, x):
        y = x * LR
        if y > 3:
            y = 3
        return y


def train():
    model = Block()
    for step in range(100):
        loss = model.forward(step)
    print(f"val_bpb: {loss}")
""",
    "src/net/model.py": "width = 8\nheads = 2\nLR = 0.5\n\n\ndef build():\n    return width * heads\n",
    "docs/notes.rst": "Notes\n=======\n\nWhat was tried.\n\nMore\n-------\nLR = 0.1 lost.\n",
    "run.sh": "set -e\ncd lab\nexport SEED=1\nulimit -c 0\npython train.py\n",
}


@dataclass(frozen=True)
class Piece:
    """A line of an answer, what it is, and the number of the block that it belongs to."""

    kind: Kind
    line: str
    block: int


@dataclass(frozen=True)
class Sample:
    """An answer, piece by piece, the path of each of its blocks, and which of them are whole files."""

    pieces: tuple[Piece, ...]
    paths: tuple[str, ...]
    wholes: tuple[bool, ...]

    @property
    def text(self) -> str:
        return "".join(f"{piece.line}\n" for piece in self.pieces)


# -- what an answer means, read off its pieces ---------------------------------------------------


def meaning(pieces: Sequence[Piece], good: Sample, upto: int | None = None) -> Files | None:
    """Returns the files that blocks change, as they are then; None where one does not fit."""
    files = dict(FILES)
    for n, path in enumerate(good.paths[:upto]):
        part: dict[str, list[str]] = {kind: [] for kind in CONTENT}
        for piece in pieces:
            if piece.block == n and piece.kind in CONTENT:
                part[piece.kind].append(piece.line)
        if good.wholes[n]:
            new: str | None = "".join(f"{line}\n" for line in part["file"])
        else:
            new = _placed(files.get(path), part["search"], part["put"])
        if new is None:
            return None
        files[path] = new
    return {path: text for path, text in files.items() if text != FILES.get(path)} or None


def _placed(old: str | None, search: list[str], put: list[str]) -> str | None:
    """Returns a text with `put` where `search` stands in one place; a missing one is made."""
    if old is None:
        return "".join(f"{line}\n" for line in put) if not any(search) else None
    rows = old.split("\n")[:-1]
    bare = [line.rstrip() for line in search]
    while any(bare):
        for more, less in SHIFTS:
            moved = [_shifted(line, more, less) for line in bare]
            at = [
                n
                for n in range(len(rows))
                if [r.rstrip() for r in rows[n : n + len(bare)]] == moved
            ]
            if len(at) > 1:
                return None
            new = [_shifted(line, more, less) for line in put]
            if at and None not in new:
                rows[at[0] : at[0] + len(bare)] = [line for line in new if line is not None]
                return "".join(f"{row}\n" for row in rows)
        if bare[-1]:
            return None
        bare = bare[:-1]
        put = put[:-1] if put and not put[-1].strip() else put
    return None


SHIFTS = [
    ("", ""),
    *((" " * n, "") for n in range(1, 13)),
    *(("", " " * n) for n in range(1, 13)),
    ("", "\t"),
]


def _shifted(line: str, more: str, less: str) -> str | None:
    """Returns a line with more indentation or less; None where it has not as much."""
    if not line.strip():
        return line
    return more + line.removeprefix(less) if line.startswith(less) else None


# -- good answers --------------------------------------------------------------------------------

EDITS: list[tuple[str, str, str]] = [
    ("train.py", "WIDTH = 64", "WIDTH = 96"),
    (
        "train.py",
        "LR = 0.02   # learning rate\nWIDTH = 64",
        "LR = 0.03   # learning rate\nWIDTH = 64",
    ),
    (
        "train.py",
        "        if y > 3:\n            y = 3\n        return y",
        "        return min(y, 3)",
    ),
    (
        "train.py",
        "    for step in range(100):",
        "    for step in range(200):\n        model.forward(step)",
    ),
    ("train.py", "import math", "import math\nimport random"),
    ("train.py", "DEPTH = 4", ""),
    (
        "train.py",
        "class Block:\n    def forward(self, x):",
        "class Layer:\n    def forward(self, x):",
    ),
    ("src/net/model.py", "heads = 2", "heads = 4"),
    ("src/net/model.py", "LR = 0.5\n\n\ndef build():", "LR = 0.25\n\n\ndef build():"),
    ("docs/notes.rst", "What was tried.", "What was tried, and what won."),
    ("run.sh", "python train.py", "python -O train.py"),
    ("new/helper.py", "", "A = 1\n\n\ndef helper():\n    return A"),
]
PATH_DRESSES = ["{}", "`{}`", "**{}**", "### {}", "File: {}", "1. `{}`", "# {}", "{}:"]


def sample(rng: random.Random) -> Sample:
    """Returns a good answer of one to three blocks, in the dress of some model."""
    edits = rng.sample(EDITS, rng.choice([1, 2, 2, 3]))
    whole = rng.random() < 0.2
    paths = tuple(path for path, _, _ in edits)
    if len(set(paths)) < len(paths) and whole:
        whole = False
    pieces = [Piece("header", line, -1) for line in ("description: d", "hypothesis: h", "")]
    fenced = rng.choice([None, None, "```", "```python", "~~~", "````"])
    dress = rng.choice(PATH_DRESSES)
    for n, (path, search, put) in enumerate(edits):
        if rng.random() < 0.3:
            pieces += [Piece("talk", rng.choice(TALK), n), Piece("talk", "", n)]
        pieces.append(Piece("path", dress.format(path), n))
        if whole and n == 0 and search:
            text = _placed(FILES[path], search.split("\n"), _rows(put)) or ""
            pieces.append(Piece("fence", "```python", n))
            pieces += [Piece("file", line, n) for line in text.split("\n")[:-1]]
            pieces += [Piece("fence", "```", n), Piece("talk", "", n)]
            continue
        if fenced:
            pieces.append(Piece("fence", fenced, n))
        pieces.append(Piece("open", "<<<<<<< SEARCH", n))
        pieces += [Piece("search", line, n) for line in _rows(search)]
        pieces.append(Piece("divide", "=======", n))
        pieces += [Piece("put", line, n) for line in _rows(put)]
        pieces.append(Piece("close", ">>>>>>> REPLACE", n))
        if fenced:
            pieces.append(Piece("fence", fenced[:4] if fenced == "````" else fenced[:3], n))
        if rng.random() < 0.6:
            pieces.append(Piece("talk", "", n))
    wholes = tuple(whole and n == 0 and bool(search) for n, (_, search, _) in enumerate(edits))
    return Sample(tuple(pieces), paths, wholes)


TALK = [
    "I raise it, since the loss still fell.",
    "This is one line.",
    "A second, smaller change:",
    "Then:",
]


def _rows(text: str) -> list[str]:
    return text.split("\n") if text else []


# -- spoiling them -------------------------------------------------------------------------------

Pieces = list[Piece]
Mutation = Callable[[random.Random, Pieces], Pieces]
LETTERS = "abxSRE<>=-+ `#*/.:\t\"'\\0123456789~&;|@\u200b\u00a0é"


def _any(rng: random.Random, pieces: Pieces, *kinds: str) -> int | None:
    found = [n for n, piece in enumerate(pieces) if not kinds or piece.kind in kinds]
    return rng.choice(found) if found else None


def drop_line(rng: random.Random, pieces: Pieces) -> Pieces:
    at = _any(rng, pieces, *rng.choice([(), MARKS, ("path", "fence"), CONTENT]))
    return pieces if at is None else pieces[:at] + pieces[at + 1 :]


def drop_lines(rng: random.Random, pieces: Pieces) -> Pieces:
    at = rng.randrange(len(pieces))
    return pieces[:at] + pieces[at + rng.choice([2, 3]) :]


def double_line(rng: random.Random, pieces: Pieces) -> Pieces:
    at = _any(rng, pieces, *rng.choice([(), MARKS, ("path", "fence"), CONTENT]))
    return pieces if at is None else [*pieces[: at + 1], *pieces[at:]]


def double_block(rng: random.Random, pieces: Pieces) -> Pieces:
    n = rng.choice([piece.block for piece in pieces if piece.block >= 0])
    return [*pieces, *(replace(piece, block=-2) for piece in pieces if piece.block == n)]


def change_letter(rng: random.Random, pieces: Pieces) -> Pieces:
    at = _any(rng, pieces, *rng.choice([(), MARKS, MARKS, ("path",), ("fence",), CONTENT]))
    if at is None or not pieces[at].line:
        return pieces
    line = pieces[at].line
    where = rng.randrange(len(line))
    way = rng.randrange(3)
    letter = rng.choice(LETTERS)
    line = line[:where] + ("" if way == 0 else letter) + line[where + (way != 2) :]
    return [*pieces[:at], replace(pieces[at], line=line), *pieces[at + 1 :]]


FORMS = {
    "open": ["<<<<< SEARCH", "<<<<<<<<< SEARCH", "<<<<<<< search", "<<<<<<< SEARCH>", "<<<<<<< HEAD", "------- SEARCH",
             "<<<<<<<SEARCH", " <<<<<<< SEARCH", "> <<<<<<< SEARCH", "SEARCH:", "<<<<<<<", "&lt;&lt;&lt;&lt;&lt; SEARCH",
             "<<<<<<< SEARCH train.py", "<<<< SEARCH", "<<<<<<< ORIGINAL", ">>>>>>> SEARCH", "@@ -1 +1 @@", "```"],
    "divide": ["=====", "=========", "======= ", "====", " =======", "> =======", "-------", "=======x", "|||||||", "REPLACE:",
               "======= REPLACE", "==========", "&equals;======", "```", ""],
    "close": [">>>>> REPLACE", ">>>>>>>>> REPLACE", ">>>>>>> replace", ">>>>>>> REPLACE>", ">>>>>>> new", "+++++++ REPLACE",
              ">>>>>>>REPLACE", " >>>>>>> REPLACE", "> >>>>>>> REPLACE", "END", ">>>>>>>", "&gt;&gt;&gt;&gt;&gt; REPLACE",
              ">>>>>>> REPLACE<|im_end|>", ">>>>>>> REPLACE```", "=======", ">>>>>>> SEARCH", "```", "*** End Patch"],
}  # fmt: skip


def change_marker(rng: random.Random, pieces: Pieces) -> Pieces:
    at = _any(rng, pieces, *MARKS)
    if at is None:
        return pieces
    line = rng.choice(FORMS[pieces[at].kind])
    return [*pieces[:at], replace(pieces[at], line=line), *pieces[at + 1 :]]


def change_all_markers(rng: random.Random, pieces: Pieces) -> Pieces:
    chosen = {kind: rng.choice(forms) for kind, forms in FORMS.items()}
    only = rng.choice([None, 0, 1])
    return [
        replace(piece, line=chosen[piece.kind])
        if piece.kind in MARKS and only in (None, piece.block)
        else piece
        for piece in pieces
    ]


def change_fence(rng: random.Random, pieces: Pieces) -> Pieces:
    at = _any(rng, pieces, "fence")
    line = rng.choice(
        [
            "```",
            "````",
            "~~~",
            "  ```",
            "```diff",
            "``",
            "```python:train.py",
            "",
            "> ```",
            "```text",
            "'''",
        ]
    )
    if at is None:
        return [
            *pieces[:3],
            Piece("fence", line, -1),
            *pieces[3:],
            Piece("fence", line[:3].strip(), -1),
        ]
    return [*pieces[:at], replace(pieces[at], line=line), *pieces[at + 1 :]]


def change_path(rng: random.Random, pieces: Pieces) -> Pieces:
    at = _any(rng, pieces, "path")
    if at is None:
        return pieces
    forms = [
        "In {}:",
        "a/{}",
        "./{}",
        "/{}",
        "{} (modified)",
        "> {}",
        "",
        "prepare.py",
        "{}.bak",
        "lab/{}",
        "the file",
    ]
    form = rng.choice([*forms, *PATH_DRESSES])
    return [*pieces[:at], replace(pieces[at], line=form.format(pieces[at].line)), *pieces[at + 1 :]]


PROSE = ["I think so.", "train.py", "src/net/model.py", "`LR` is low.", "- a list", "> quoted", "description: e",
         "See prepare.py.", "    indented", "```", "```python", "x = 1", "", "Done.", "lesson: l", "<think>", "</think>"]  # fmt: skip


def insert_prose(rng: random.Random, pieces: Pieces) -> Pieces:
    at = rng.randrange(len(pieces) + 1)
    before = pieces[at - 1] if at else None
    after = pieces[at] if at < len(pieces) else None
    line = rng.choice(PROSE)
    block = before.block if before else -1
    inside = before is not None and after is not None and before.block == after.block
    kinds = {before.kind, after.kind} if inside and before and after else set()
    if kinds & {"search"} or kinds == {"open", "divide"}:
        piece = Piece("search", line, block)
    elif kinds & {"put"} or kinds == {"divide", "close"}:
        piece = Piece("put", line, block)
    elif kinds & {"file"}:
        piece = Piece("file", line, block)
    else:
        piece = Piece("talk", line, block)
    return [*pieces[:at], piece, *pieces[at:]]


def indent(rng: random.Random, pieces: Pieces) -> Pieces:
    """Indents or quotes a block, all of it or its content alone."""
    n = rng.choice([-3, *{piece.block for piece in pieces}])
    kinds = rng.choice([(), CONTENT, MARKS])
    blank = rng.choice([" ", "  ", "    ", "\t", "> ", "# "])
    return [
        replace(piece, line=blank + piece.line)
        if (n == -3 or piece.block == n) and (not kinds or piece.kind in kinds) and piece.line
        else piece
        for piece in pieces
    ]


def dedent(rng: random.Random, pieces: Pieces) -> Pieces:
    n = rng.choice([piece.block for piece in pieces])
    return [
        replace(piece, line=piece.line.removeprefix("    "))
        if piece.block == n and piece.kind in CONTENT
        else piece
        for piece in pieces
    ]


def wrap(rng: random.Random, pieces: Pieces) -> Pieces:
    """Puts something around all of the answer."""
    first, last = rng.choice(
        [("```", "```"), ("<think>", ""), ("<think>", "</think>"), ("", "</think>"), ("<answer>", "</answer>"),
         ("````markdown", "````"), ("", "<|im_end|>"), ("Sure!", "Thanks."), ("<edit>", "</edit>"), ("{", "}")]
    )  # fmt: skip
    return [Piece("talk", first, -1), *pieces, Piece("talk", last, -1)]


def draft(rng: random.Random, pieces: Pieces) -> Pieces:
    """Puts a rejected draft into a thought before the answer."""
    lines = [
        "<think>",
        "train.py",
        "<<<<<<< SEARCH",
        "DEPTH = 4",
        "=======",
        "DEPTH = 1",
        ">>>>>>> REPLACE",
        "no",
        "</think>",
    ]
    return [*(Piece("talk", line, -1) for line in lines), *pieces]


MUTATIONS: list[Mutation] = [
    drop_line, drop_line, drop_lines, double_line, double_block, change_letter, change_letter, change_letter,
    change_marker, change_marker, change_all_markers, change_fence, change_path, insert_prose, indent, dedent,
    wrap, draft,
]  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A spoilt answer: its text, the ways it was spoilt, and the edits that may come of it."""

    text: str
    ways: tuple[str, ...]
    allowed: tuple[Files, ...]
    new_paths: frozenset[str]  # of new files whose path was hit, which then may be any


def mutant(rng: random.Random) -> Mutant:
    """Returns a good answer, spoilt in one to three ways, or cut."""
    while (made := _mutant(rng)) is None:
        pass
    return made


def _mutant(rng: random.Random) -> Mutant | None:
    """Returns a spoilt answer; None for one that lost a SEARCH and changed its path.

    That one asks for a new file, and is a good answer again, as a spoilt copy may be.
    """
    good = sample(rng)
    allowed = [meaning(good.pieces, good)]
    if rng.random() < 0.12:
        at = rng.randrange(len(good.text))
        return Mutant(
            good.text[:at], ("cut",), (*_cut(good, at), *filter(None, allowed)), frozenset()
        )
    pieces, ways = list(good.pieces), []
    for _ in range(rng.choice([1, 1, 1, 1, 1, 2, 2, 3])):
        way = rng.choice(MUTATIONS)
        pieces = way(rng, pieces)
        ways.append(way.__name__)
        allowed += [meaning(pieces, good), meaning(_unindented(pieces), good)]
    if "double_block" in ways and len(ways) > 1:
        return None
    there = {(piece.kind, piece.block) for piece in pieces}
    asked = {(piece.block, piece.line) for piece in pieces if piece.kind == "path"}
    for piece in good.pieces:
        n = piece.block
        lost = piece.kind == "path" and ("search", n) not in there and not good.wholes[n]
        if lost and good.paths[n] in FILES and (n, piece.line) not in asked:
            return None
    text = "".join(f"{piece.line}\n" for piece in pieces)
    if rng.random() < 0.1:
        text = text.replace("\n", "\r\n")
    whole = {piece.line for piece in pieces if piece.kind == "path"}
    hit = {p for p in good.paths if p not in FILES and not any(line == p for line in whole)}
    return Mutant(text, tuple(ways), tuple(filter(None, allowed)), frozenset(hit))


def _unindented(pieces: Pieces) -> Pieces:
    """Returns the pieces without the indentation of their block's fence, which is not the file's."""
    blanks = {
        p.block: p.line[: len(p.line) - len(p.line.lstrip())] for p in pieces if p.kind == "fence"
    }
    return [replace(p, line=p.line.removeprefix(blanks.get(p.block, ""))) for p in pieces]


def _cut(good: Sample, at: int) -> list[Files]:
    """Returns what an answer that ends there may mean: the blocks before, where no other has begun."""
    end, whole, begun = 0, 0, False
    for piece in good.pieces:
        start, end = end, end + len(piece.line) + 1
        if start >= at:
            break
        if piece.kind in MARKS or piece.kind in ("fence", *CONTENT):
            begun = True
        if piece.kind == "close" and at >= end - 1:
            whole, begun = piece.block + 1, False
        elif piece.kind == "fence" and at >= end - 1:
            inside = any(p.block == piece.block and p.kind == "file" for p in good.pieces)
            closed = start > 0 and piece.line == "```"
            if inside and closed:
                whole, begun = piece.block + 1, False
            elif not inside and whole == piece.block + 1:
                begun = False
        elif piece.kind == "fence" and whole == piece.block + 1:
            begun = False
    found = meaning(good.pieces, good, whole) if whole and not begun else None
    return [found] if found else []
