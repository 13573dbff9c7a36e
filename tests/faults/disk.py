"""A folder as bytes: taken, put back, and put back as a power cut leaves it.

The model of a power cut: what was never fsynced of a file's content is gone, names survive, and
directory updates are ordered (ext4's and xfs's promise). The torn variant leaves half of what was
written behind the last fsync.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """A file, a link (content: its target) or a folder (content: none)."""

    mode: int
    inode: int
    mtime_ns: int
    content: bytes


Disk = dict[str, Entry]


def take(folder: Path) -> Disk:
    """All that is below a folder, folders before what is in them."""
    found: Disk = {}
    waiting = [""]
    while waiting:
        above = waiting.pop()
        with os.scandir(folder / above) as scan:
            for entry in scan:
                path, info = above + entry.name, entry.stat(follow_symlinks=False)
                content = b""
                if stat.S_ISDIR(info.st_mode):
                    waiting.append(path + "/")
                elif stat.S_ISLNK(info.st_mode):
                    content = os.fsencode(os.readlink(entry.path))
                else:
                    content = read(entry.path)
                found[path] = Entry(info.st_mode, info.st_ino, info.st_mtime_ns, content)
    return found


def read(path: str) -> bytes:
    """A whole file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 26)
    finally:
        os.close(descriptor)


def put(disk: Disk, folder: Path) -> None:
    """Make a folder what was taken."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir()
    for path in sorted(disk):
        mode, _, mtime_ns, content = disk[path]
        place = os.path.join(folder, path)
        if stat.S_ISDIR(mode):
            os.mkdir(place)
        elif stat.S_ISLNK(mode):
            os.symlink(content, place)
        else:
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, content)
            os.close(descriptor)
            os.chmod(place, mode & 0o7777)
            os.utime(place, ns=(mtime_ns, mtime_ns))


def identity(disk: Disk) -> int:
    """The same for folders of the same names, modes and bytes."""
    return hash(frozenset((path, each.mode, each.content) for path, each in disk.items()))


class Synced:
    """The content of each file as of its last fsync, by its inode."""

    def __init__(self, folder: Path) -> None:
        self._content: dict[int, bytes] = {}
        self._held: dict[int, int] = {}  # open, so that no later file gets an inode of these
        self.all_of(folder)

    def all_of(self, folder: Path) -> None:
        """All that is there is on disk."""
        self.close()
        for path, each in take(folder).items():
            if stat.S_ISREG(each.mode):
                self(str(folder / path))

    def __call__(self, path: str) -> None:
        """A file is about to be synced."""
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # it has no name any more: nobody can find it after the cut
            return
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_ino in self._held:
            os.close(descriptor)
        else:
            self._held[info.st_ino] = descriptor
        if stat.S_ISREG(info.st_mode):
            self._content[info.st_ino] = read(path)

    def after_a_cut(self, disk: Disk, torn: bool = False) -> Disk:
        """What a power cut leaves of a folder."""
        left: Disk = {}
        for path, each in disk.items():
            if stat.S_ISREG(each.mode):
                content = self._content.get(each.inode, b"")
                if torn and each.content != content:
                    kept = len(content) if each.content.startswith(content) else 0
                    content = each.content[: kept + (len(each.content) - kept + 1) // 2]
                each = each._replace(content=content)
            left[path] = each
        return left

    def close(self) -> None:
        """Let the files go."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()
        self._content.clear()
