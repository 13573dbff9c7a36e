"""The file that a trial leaves its metric in: gone before the trial, read after it, through no link.

A trial may put anything in its place: a link to a file of the user's, a pipe, gigabytes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from autoresearch.workspace.removal import remove

_READ_MAX = 64 << 20  # bytes: more than any file of metrics has


def remove_output(root: Path, name: str) -> None:
    """Removes what stands at a path below a worktree; nothing where a link is on the way to it."""
    path = root / name
    between = [root / parent for parent in Path(name).parents if parent.name]
    if not any(folder.is_symlink() for folder in between):
        with contextlib.suppress(NotADirectoryError):
            remove(path)


def read_output(root: Path, name: str) -> bytes | str:
    """Returns the bytes of a file below a worktree, or, as a text, why it can't be read."""
    try:
        with _opened(root, name) as descriptor:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                return "is no plain file"
            if info.st_size > _READ_MAX:
                return f"has {info.st_size >> 20} MB, which are too many"
            with os.fdopen(os.dup(descriptor), "rb") as file:
                return file.read(_READ_MAX)
    except FileNotFoundError:
        return "is not there"
    except OSError as fault:
        return f"can't be read: {fault.strerror}"


@contextlib.contextmanager
def _opened(root: Path, name: str) -> Iterator[int]:
    """Opens a path below a folder, one part after the other, and follows no link (ELOOP, ENOTDIR)."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        *folders, last = Path(name).parts
        for part, more in [*((part, os.O_DIRECTORY) for part in folders), (last, 0)]:
            above, descriptor = descriptor, -1
            try:
                descriptor = os.open(part, flags | more, dir_fd=above)
            finally:
                os.close(above)
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)
