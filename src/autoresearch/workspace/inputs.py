"""Untracked files and folders that a trial reads: read-only copies in the worktree, never the user's own."""

from __future__ import annotations

import fcntl
import shutil
import stat
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.removal import remove

_FICLONE = 0x40049409  # Linux: share the blocks of another file


class Inputs:
    """The inputs of a task: `names` below the checkout's root. A copy is made once a process."""

    def __init__(self, root: Path, names: tuple[str, ...]) -> None:
        self._root = root
        self._names = names
        self._copied: dict[str, tuple[object, object]] = {}  # name -> signatures of both

    def lay_out(self, worktree: Path, tree: Tree) -> None:
        """Sees that every input has its copy, made again if the input or the copy has changed."""
        for name in self._names:
            source, target = self._root / name, worktree / name
            if not source.exists():
                raise LabError(
                    f"inputs: {source} does not exist; make it, or take it out of autoresearch.toml"
                )
            tracked = name in tree or any(path.startswith(f"{name}/") for path in tree)
            both = (_signature(source), _signature(target))
            if not tracked and self._copied.get(name) != both:
                _copy(source, target)
                self._copied[name] = (_signature(source), _signature(target))

    def changed(self, worktree: Path) -> str | None:
        """Returns the first input of which the copy is no longer as it was made, None if all are."""
        for name, (_, copy) in self._copied.items():
            if copy != _signature(worktree / name):
                return name
        return None


def _copy(source: Path, target: Path) -> None:
    if target.exists() or target.is_symlink():
        remove(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=clone, ignore_dangling_symlinks=True)
    else:
        clone(str(source), str(target))
    for path in [target, *target.rglob("*")] if target.is_dir() else [target]:
        path.chmod(path.stat().st_mode & ~0o222)


def clone(source: str, target: str) -> str:
    """Copy a file, sharing its blocks where the file system can."""
    with open(source, "rb") as old, open(target, "xb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 1 << 20)
    shutil.copymode(source, target)
    return target


def _signature(path: Path) -> object:
    """Returns what changes when a file or a folder changes: no program can set the kernel's ctime."""
    found, waiting = [], [path]
    try:
        while waiting:
            file = waiting.pop()
            info = file.lstat()
            found.append((str(file), info.st_ino, info.st_size, info.st_mode, info.st_ctime_ns))
            if stat.S_ISDIR(info.st_mode) or (file == path and file.is_dir()):
                waiting += file.iterdir()
    except OSError:
        return None
    return sorted(found)
