"""Removes what a trial left in /dev/shm, where its jail gives it none of its own."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_SHM = Path("/dev/shm")


def names() -> set[str]:
    """Returns the names of what lies there now."""
    try:
        return set(os.listdir(_SHM))
    except OSError:
        return set()


def drop_since(before: set[str]) -> None:
    """Removes what is new there, is a file of ours, and is neither open nor mapped in any process.

    Other programs of the user's may have made new files meanwhile: those in use are theirs.
    """
    new = {}
    for name in names() - before:
        with contextlib.suppress(OSError):
            status = (_SHM / name).lstat()
            if status.st_uid == os.getuid():
                new[str(_SHM / name)] = status
    for path in new.keys() - (_in_use() if new else set()):
        with contextlib.suppress(OSError):
            os.unlink(path)


def _in_use() -> set[str]:
    """Returns every file there that a process has open or mapped, as far as we may look."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for line in (folder / "maps").read_text("utf-8", "replace").splitlines():
                if str(_SHM) in line:
                    found.add(line[line.index(str(_SHM)) :])
        with contextlib.suppress(OSError):
            for link in (folder / "fd").iterdir():
                with contextlib.suppress(OSError):
                    found.add(os.readlink(link))
    return found
