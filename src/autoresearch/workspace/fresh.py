"""Files that are removed before a trial: what the patterns of `task.fresh` name."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from autoresearch.paths import lies_in
from autoresearch.workspace.removal import look_into, remove


def remove_matches(root: Path, pattern: str, caches: Iterable[str]) -> None:
    """Removes what a pattern names below a worktree, as Path.glob finds it; enters no links.

    A cache that holds a path too long for the system is removed whole: nobody could look into it.
    """
    while True:
        try:
            for path in list(_matches(root, PurePosixPath(pattern).parts)):
                remove(path)
            return
        except OSError as fault:
            if fault.errno != errno.ENAMETOOLONG:
                raise
            place = Path(fault.filename).relative_to(root).as_posix()
            cache = next((name for name in caches if lies_in(place, name)), None)
            if cache is None:
                raise
            remove(root / cache)


def _matches(root: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """Yields what fits a pattern, however deep it lies."""
    waiting = [(root, parts)]
    while waiting:
        folder, (part, *rest) = waiting.pop()
        found = look_into(folder)
        if part == "**" and rest:
            waiting.append((folder, tuple(rest)))
        for entry in found:
            path, enter = Path(entry.path), entry.is_dir(follow_symlinks=False)
            fits = fnmatchcase(entry.name, part)
            if part == "**" and enter:
                waiting.append((path, (part, *rest)))
            elif rest and enter and fits:
                waiting.append((path, tuple(rest)))
            if fits and not rest:
                yield path
