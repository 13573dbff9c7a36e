"""Copies of a user's files and folders: links stay links where they lead to what is copied or laid out."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autoresearch.errors import InfrastructureError, LabError
from autoresearch.text import one_line
from autoresearch.workspace.removal import remove

_FICLONE = 0x40049409  # Linux: share the blocks of another file
_FULL = (errno.ENOSPC, errno.EDQUOT)
# A link to a place of the system's stays one: no trial changes what is there.
_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix", "/gnu", "/etc",
    "/dev", "/proc", "/sys",
)  # fmt: skip


@dataclass(frozen=True)
class Copying:
    """From which checkout into which worktree, and the paths that will be laid out there."""

    root: Path
    worktree: Path
    paths: frozenset[str]

    @cached_property
    def real_root(self) -> str:
        return os.path.realpath(self.root)

    @cached_property
    def laid_out(self) -> frozenset[str]:
        """The paths, and the folders above them."""
        above = (path[:i] for path in self.paths for i, c in enumerate(path) if c == "/")
        return frozenset((*self.paths, *above))

    def has(self, path: str) -> bool:
        """Says whether a path will be there in the worktree."""
        parts = path.split("/")
        return path in self.laid_out or any(
            "/".join(parts[:count]) in self.paths for count in range(1, len(parts))
        )


@dataclass(frozen=True)
class _Part:
    """Something to be copied.

    base and to: the folder that is copied as a whole, by its real path, and where it goes; base is None
    for a single file or link. above: the folders that lead on through a link to this one.
    """

    source: str
    target: str
    base: str | None
    to: str
    above: tuple[str, ...] = ()


def copied(
    copying: Copying, source: Path, target: Path, follow: bool, is_submodule: bool
) -> list[str]:
    """Copies a file or a folder, read-only; returns what was left out, as texts.

    follow: of a link the content is copied; is_submodule: its .git, which is a file that leads
    elsewhere, is left out. Raises LabError for what can't be read, InfrastructureError for a full disk.
    """
    if target.exists() or target.is_symlink():
        remove(target)
    notices: list[str] = []
    here = os.path.realpath(source) if follow else os.fspath(source)
    base = os.path.realpath(here) if os.path.isdir(here) and not os.path.islink(here) else None
    waiting = [_Part(here, os.fspath(target), base, os.fspath(target))]
    folders: list[tuple[str, int]] = []
    at = here
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        while waiting:
            part = waiting.pop()
            at = part.source
            waiting += _copy(copying, part, folders, notices)
            if is_submodule and part.source == here:
                waiting = [p for p in waiting if os.path.basename(p.source) != ".git"]
        for folder, mode in reversed(folders):
            os.chmod(folder, mode & 0o777 & ~0o222)
    except OSError as fault:
        if fault.errno in _FULL:
            raise InfrastructureError(
                f"inputs: the disk is full at {target}: make room, and call autoresearch run again"
            ) from None
        raise LabError(
            f"inputs: {one_line(at)} can't be copied: {fault.strerror}; mend that, or take it out of "
            "autoresearch.toml"
        ) from None
    return notices


def _copy(
    copying: Copying, part: _Part, folders: list[tuple[str, int]], notices: list[str]
) -> Iterator[_Part]:
    """Copies one thing; yields what is in it, where it is a folder."""
    info = os.lstat(part.source)
    if stat.S_ISLNK(info.st_mode):
        text = _link(copying, part)
        if text is None and _leads_above(copying, part):
            text = os.readlink(part.source)
            notices.append(
                f"{one_line(part.source)} leads to a folder above it: only the link is there"
            )
        if text is not None:
            os.symlink(text, part.target)
            return
        real = os.path.realpath(part.source)
        above = (*part.above, os.path.dirname(part.source))
        part = _Part(real, part.target, real, part.target, above)
        info = os.stat(real)
    if stat.S_ISREG(info.st_mode):
        clone(part.source, part.target)
        os.chmod(part.target, info.st_mode & 0o777 & ~0o222)
    elif stat.S_ISDIR(info.st_mode):
        os.mkdir(part.target)
        folders.append((part.target, info.st_mode))
        for name in os.listdir(part.source):
            source, target = os.path.join(part.source, name), os.path.join(part.target, name)
            yield _Part(source, target, part.base, part.to, part.above)
    else:
        notices.append(f"{one_line(part.source)} is no file, folder or link: left out")


def _leads_above(copying: Copying, part: _Part) -> bool:
    """Says whether a link leads to a folder that holds the link itself, or the whole lab."""
    real = os.path.realpath(part.source)
    held = (copying.real_root, os.path.realpath(os.path.dirname(part.source)), *part.above)
    return any(_inside(os.path.realpath(folder), real) for folder in held)


def _link(copying: Copying, part: _Part) -> str | None:
    """Returns what a link says in the copy; None where its content must be copied in its place.

    A link stays one where what it leads to is in the copy, or in the worktree, or the system's, or a
    program (an environment's Python), or nowhere. What else it leads to is the user's own.
    """
    text = os.readlink(part.source)
    folder = os.path.realpath(os.path.dirname(part.source))
    leads_to = os.path.normpath(os.path.join(folder, text))
    if part.base is not None and _inside(leads_to, part.base):
        if not os.path.isabs(text):
            return text
        there = os.path.join(part.to, os.path.relpath(leads_to, part.base))
        return os.path.relpath(there, os.path.dirname(part.target))
    if _inside(leads_to, copying.real_root):
        name = os.path.relpath(leads_to, copying.real_root)
        if copying.has(name) or not os.path.exists(part.source):
            there = os.path.join(copying.worktree, name)
            return os.path.relpath(there, os.path.dirname(part.target))
        return None
    if not os.path.exists(part.source):
        return text
    real = os.path.realpath(part.source)
    is_program = os.path.isfile(real) and bool(os.stat(real).st_mode & 0o111)
    if is_program or any(_inside(real, place) for place in _SYSTEM):
        return leads_to
    return None


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def clone(source: str, target: str) -> str:
    """Copies a file, sharing its blocks where the file system can; returns the copy's path."""
    with open(source, "rb") as old, open(target, "xb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 1 << 20)
    shutil.copymode(source, target)
    return target
