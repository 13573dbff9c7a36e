"""Removing what a trial left behind, however deep, closed, flagged, mounted or oddly named."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

# linux/fs.h: _IOR('f', 1, long), _IOW('f', 2, long); what chattr +i and +a set
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
_FIXED = 0x10 | 0x20
_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8


def remove(path: Path) -> None:
    """Removes a file, a symlink or a whole folder, whatever its permissions; nothing where none is.

    Subfolders are moved up before they are emptied: a tree can be deeper than a path may be long,
    and than Python may recurse.
    """
    if path.is_symlink() or not path.is_dir():
        _insist(lambda: path.unlink(missing_ok=True), path)
        return
    detach_mounts(path)
    moved = 0
    while folders := _emptied(path):
        for folder in folders:
            for below in _emptied(folder):
                while os.path.lexists(target := path / f"{moved:x}"):
                    moved += 1
                _insist(lambda old=below, new=target: old.rename(new), below, path)  # type: ignore[misc]
            _insist(folder.rmdir, folder)
    _insist(path.rmdir, path)


def _emptied(folder: Path) -> list[Path]:
    """Removes what is no folder from a folder; returns the folders that are left in it."""
    left = []
    for entry in look_into(folder):
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            open_up(path)  # also to be moved: its `..` changes
            left.append(path)
        else:
            _insist(path.unlink, path)
    return left


def look_into(folder: Path) -> list[os.DirEntry[str]]:
    """Returns what is in a folder, which is opened first where a trial closed it."""
    open_up(folder)
    with os.scandir(folder) as scan:
        return list(scan)


def open_up(folder: Path) -> None:
    """Makes a folder that a trial closed readable for us again."""
    mode = folder.stat().st_mode
    if mode & 0o700 != 0o700:
        _insist(lambda: folder.chmod(mode | 0o700), folder)


def make_usable(folder: Path) -> None:
    """Sees that a path is a folder that we can use, or nothing."""
    if folder.is_symlink() or not folder.is_dir():
        remove(folder)
    else:
        open_up(folder)


def _insist(act: Callable[[], object], *paths: Path) -> None:
    """Does something with paths; where it is forbidden, again without the flags that forbid even root."""
    try:
        act()
    except PermissionError:
        for path in paths:
            for each in (path.parent, path):
                _take_flags(each)
        act()


def _take_flags(path: Path) -> None:
    """Makes a file or a folder mutable again, where we may."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            flags = bytearray(8)
            fcntl.ioctl(descriptor, _GETFLAGS, flags)
            now = int.from_bytes(flags, sys.byteorder)
            if now & _FIXED:
                fcntl.ioctl(descriptor, _SETFLAGS, (now & ~_FIXED).to_bytes(8, sys.byteorder))
        finally:
            os.close(descriptor)


def detach_mounts(folder: Path) -> None:
    """Detaches what is mounted on a folder or below it: nothing behind a mount is ours to remove.

    Raises OSError where that is refused.
    """
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return
    place = os.fsencode(os.path.realpath(folder))
    for line in reversed(lines):
        point = re.sub(rb"\\([0-7]{3})", lambda o: bytes([int(o[1], 8)]), line.split(b" ")[4])
        if point == place or point.startswith(place + b"/"):
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.umount2(point, _MNT_DETACH | _UMOUNT_NOFOLLOW):
                number = ctypes.get_errno()
                raise OSError(number, f"what is mounted there: {os.strerror(number)}", point)
