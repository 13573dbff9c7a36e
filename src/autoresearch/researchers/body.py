"""What stands inside of a block, and what new text may not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from autoresearch.errors import BadAnswer
from autoresearch.researchers.dress import CLOSE, DIVIDE, OPEN, marker
from autoresearch.researchers.lookalike import (
    elides,
    is_numbered,
    like_change,
    like_divider,
    like_marker,
)
from autoresearch.text import one_line

_PROSE = (".md", ".rst", ".txt")  # where a line of such signs underlines a heading

FORM = f"""\
The answer is `description: ...` on a line of its own (then `hypothesis:` and `lesson:`), and blocks:
the file's path on a line, `{OPEN}`, whole lines as they stand in the file, `{DIVIDE}`,
the lines that take their place, `{CLOSE}`. Each marker stands alone on its line, unindented."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of an answer. search is None for a whole file.

    `sure` says that its path stands beside it alone, and was not gathered from prose or from the
    block before.
    """

    number: int
    path: str
    search: tuple[str, ...] | None
    lines: tuple[str, ...]
    sure: bool = True

    @property
    def name(self) -> str:
        return named(self.number, self.path)


@dataclass(frozen=True, slots=True)
class Shown:
    """Code in a fence that belongs to no block: the line before it, the files which that names."""

    lead: str
    files: frozenset[str]
    info: str
    lines: tuple[str, ...]
    after_whole_file: bool


def named(number: int, path: str) -> str:
    """Returns what a block is called in errors."""
    return f"block {number} ({one_line(path, 120)})"


def read_body(
    lines: Sequence[str], at: int, name: str, standing: Collection[str]
) -> tuple[list[str], list[str], int]:
    """Returns SEARCH, REPLACE, and the index behind the closing line of the block whose lines begin at `at`.

    `standing` are the lines of the block's file: what looks like a marker is text where it stands
    there. Raises BadAnswer where the block does not end, or it is not plain where its halves meet.
    """
    body: list[str] = []
    dividers: list[int] = []
    for n in range(at, len(lines)):
        line = lines[n]
        kind = marker(line)
        if kind == "close":
            search, new = _halves(body, dividers, name)
            check_new_lines(name, new, {*standing, *(s.rstrip() for s in search)})
            if is_numbered(new) and not is_numbered(search):
                raise BadAnswer(
                    f"{name}: each line of REPLACE begins with a number. Leave them out."
                )
            return search, new, n + 1
        if kind == "divide":
            dividers.append(len(body))
        elif kind == "open" or (
            (like_marker(line) or like_divider(line)) and line.rstrip() not in standing
        ):
            wanted = CLOSE if dividers else DIVIDE
            raise BadAnswer(
                f"{name}: `{wanted}` was expected before the line {one_line(line, 60)!r}."
            )
        body.append(line)
    wanted = CLOSE if dividers else DIVIDE
    raise BadAnswer(f"{name}: the answer ends inside the block, before `{wanted}`: was it cut off?")


def _halves(body: list[str], dividers: list[int], name: str) -> tuple[list[str], list[str]]:
    if not dividers:
        raise BadAnswer(f"{name}: no `{DIVIDE}` line between SEARCH and REPLACE.")
    if len(dividers) > 1:
        raise BadAnswer(
            f"{name}: a second `{DIVIDE}` line, so it is not plain where SEARCH ends. Where the "
            "file holds such a line, take other lines, or give the whole file in a code fence."
        )
    return body[: dividers[0]], body[dividers[0] + 1 :]


def check_new_lines(name: str, lines: Sequence[str], known: Collection[str]) -> None:
    """Raises BadAnswer where new text leaves lines out, as `# ... unchanged`; known lines may stay."""
    before = ""
    for line in lines:
        if elides(line, before) and line.rstrip() not in known:
            raise BadAnswer(
                f"{name}: the line {one_line(line, 80)!r} seems to stand for others. Nothing is "
                "filled in: write every line, or change less in smaller blocks."
            )
        before = line


def check_whole(path: str, name: str, lines: Sequence[str], old: Sequence[str] | None) -> None:
    """Raises BadAnswer where the text of a whole file leaves lines out, or has a divider that is new."""
    standing = {line.rstrip() for line in old or ()}
    underlined = old is None and path.endswith(_PROSE)
    for line in lines:
        divides = marker(line) == "divide" or like_divider(line)
        divides = (divides and not underlined) or like_change(line) in ("a marker", "a patch")
        if divides and line.rstrip() not in standing:
            raise BadAnswer(
                f"{name}: a whole file with the line {one_line(line, 60)!r}, which is part of another "
                f"form. Give blocks.\n{FORM}"
            )
    check_new_lines(name, lines, standing)


def returns(old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether at least half of a file's lines, blank ones aside, are in a new text of it."""
    left = Counter(line.rstrip() for line in new)
    wanted = Counter(line.rstrip() for line in old if line.strip())
    return 2 * (wanted & left).total() >= wanted.total()
