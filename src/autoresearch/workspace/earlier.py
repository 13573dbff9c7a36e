"""Where a private worktree was before, by what git knows of it, and its removal there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from autoresearch.paths import open_plain
from autoresearch.workspace.removal import remove


def leave_earlier(admin: Path, now: Path, others: Sequence[Path] = ()) -> list[Path]:
    """Removes a worktree at the place that its folder in the git directory names; returns where it was.

    admin is that folder, now where the worktree is to be, others are further places of it. What git names
    is removed where it says itself that it is this worktree. It does not where the repository was copied:
    then it belongs to the first one.
    """
    known = plain_bytes(admin / "gitdir")
    there = Path(os.fsdecode(known.rstrip(b"\n"))).parent if known else now
    left = [other for other in others if os.path.lexists(other)]
    if there != now and there not in left and _belongs(there, admin):
        left.append(there)
    for each in left:
        remove(each)
    return left


def _belongs(folder: Path, admin: Path) -> bool:
    """Says whether a folder is the worktree of `admin`, or of a repository that is there no more."""
    pointer = plain_bytes(folder / ".git")
    if pointer is None or not pointer.startswith(b"gitdir: "):
        return False
    named = Path(os.fsdecode(pointer.removeprefix(b"gitdir: ").rstrip(b"\n")))
    return named == admin or not named.exists()


def plain_bytes(file: Path) -> bytes | None:
    """Returns the bytes of a small plain file, None for anything else that a trial may have put there."""
    opened = open_plain(file)
    if opened is None:
        return None
    with opened:
        return opened.read(65_536)
