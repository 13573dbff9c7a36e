"""Which file a block belongs to: the path before it, or what else leaves one reading only."""

from __future__ import annotations

from collections.abc import Sequence

from autoresearch.errors import BadAnswer
from autoresearch.researchers.dress import OPEN, Paths
from autoresearch.text import one_line, path_fault


def path_of_block(
    number: int,
    talk: Sequence[str],
    info_path: str | None,
    creates: bool,
    paths: Paths,
    last_path: str | None,
) -> tuple[str, bool]:
    """Returns the path of a block, and whether it stands beside the block alone.

    talk are the lines since the last block, whose path was last_path; info_path is one behind the
    fence, and `creates` says that SEARCH is empty. The path is the line before the block or behind
    its fence; else the one file that was named since the last block; else the last block's; else the
    only file that can be changed. Raises BadAnswer where several could be meant, or none.
    """
    last = talk[-1] if talk else ""
    alone = paths.alone(last)
    if alone and info_path and paths.known(alone) != paths.known(info_path):
        raise _pathless(number, f"two paths stand before it, {alone} and {info_path}")
    before = {paths.known(path) for line in talk if (path := paths.alone(line))}
    if path := alone or info_path:
        found = _new(number, path, paths) if creates else paths.known(path)
        return found, not (before - {found}) & paths.mutable
    if creates:
        raise _pathless(number, "a new file needs its path alone on that line")
    mentioned = paths.mentioned(last)
    named = mentioned or before
    named = named or {path for line in talk for path in paths.mentioned(line)}
    only = paths.only
    if only and mentioned <= {only} and (not named or only in named):
        return only, True
    if len(named) == 1 and named <= paths.mutable:
        return next(iter(named)), False
    if named:
        raise _pathless(number, "the text before it names " + ", ".join(sorted(named)[:5]))
    if last_path is None:
        raise _pathless(number, "no file is named")
    return last_path, False


def _pathless(number: int, why: str) -> BadAnswer:
    return BadAnswer(
        f"block {number}: the line before `{OPEN}` must be the file's path, alone ({one_line(why, 300)})."
    )


def _new(number: int, path: str, paths: Paths) -> str:
    """Returns the path of a file to be made, as it is written."""
    plain = path.removeprefix("./")
    if path_fault(plain):
        return plain
    folder = plain[:2]
    if folder in ("a/", "b/") and not any(path.startswith(folder) for path in paths.existing):
        raise _pathless(number, f"is it {plain} or {plain[2:]}?")
    return plain
