"""Removing what a trial left behind, however deep, closed or oddly named."""

from __future__ import annotations

import os
from pathlib import Path


def remove(path: Path) -> None:
    """Removes a file, a symlink or a whole folder, whatever its permissions.

    Subfolders are moved up before they are emptied: a tree can be deeper than a path may be long,
    and than Python may recurse.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    moved = 0
    while folders := _emptied(path):
        for folder in folders:
            for below in _emptied(folder):
                while os.path.lexists(target := path / f"{moved:x}"):
                    moved += 1
                below.rename(target)
            folder.rmdir()
    path.rmdir()


def _emptied(folder: Path) -> list[Path]:
    """Removes what is no folder from a folder; returns the folders that are left in it."""
    open_up(folder)
    with os.scandir(folder) as scan:
        entries = list(scan)
    left = []
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            open_up(Path(entry.path))  # also to be moved: its `..` changes
            left.append(Path(entry.path))
        else:
            os.unlink(entry.path)
    return left


def open_up(folder: Path) -> None:
    """Makes a folder that a trial closed readable for us again."""
    mode = folder.stat().st_mode
    if mode & 0o700 != 0o700:
        folder.chmod(mode | 0o700)
