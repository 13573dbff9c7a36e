"""The caches of compilers, for each trial as the baseline's trial left them.

Those of another candidate could hold weights, and code that it chose. A whole copy for every trial is
slow where they have grown (torch's: hundreds of megabytes), so between two trials only what the first
of them changed is put right. A file that stands as it was laid out is known by its inode, size and
times: no program can set the change time (root could, by the clock). Hard links would be written
through, and overlays need privileges, or a bubblewrap that few systems have.

Which files were put right shows in their change times and inodes. Where that may be no channel,
between the two processes that verify a model, the copy is whole.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from pathlib import Path

from autoresearch.workspace.copying import clone
from autoresearch.workspace.removal import open_up, remove

_TICK_S = 2.0  # more than the clock of any file system takes for a tick

Known = dict[str, os.stat_result]  # path below `live` -> its status


class CompiledCaches:
    """The folder `live`, which trials use, and `baseline`, what it is laid out from."""

    def __init__(self, live: Path, baseline: Path) -> None:
        self._live, self._baseline = live, baseline
        self._fresh = live.with_name(f"{live.name}.fresh")
        self._known: Known = {}  # as it was laid out; empty where that is not known

    def lay_out(self, anew: bool = False) -> None:
        """Makes `live` what the baseline's trial left; nothing before there is a baseline.

        anew: as a whole copy, in which nothing shows what an earlier trial has touched.
        """
        known, self._known = self._known, {}
        if anew or not self._stands("", known):
            for folder in (self._live, self._fresh):
                if os.path.lexists(folder):
                    remove(folder)
            if self._baseline.is_dir():
                _copy(self._baseline, self._live)
        else:
            self._restore("", known)
        self._remember("")
        self._let_the_clock_tick()

    def keep(self, worktree: Path) -> None:
        """Takes what is live, a baseline's, for what later trials start from.

        But for the bytecode of the worktree's own modules: Python knows it by size and second alone,
        and a candidate may change a file within one.
        """
        if self._baseline.exists():
            remove(self._baseline)
        if self._live.exists():
            for place in {str(worktree), os.path.realpath(worktree)}:
                own = self._live / "bytecode" / place.lstrip("/")
                if own.exists():
                    remove(own)
            self._live.rename(self._baseline)
        self._known = {}

    def _stands(self, name: str, known: Known) -> bool:
        """Returns whether a path is of the kind that was laid out, and, but for a folder, unchanged."""
        was = known.get(name)
        if was is None:
            return False
        try:
            now = (self._live / name).lstat()
        except OSError:
            return False
        if stat.S_ISDIR(was.st_mode):
            return stat.S_ISDIR(now.st_mode)
        return _signature(now) == _signature(was)

    def _restore(self, name: str, known: Known) -> None:
        """Puts a folder right, and all below it."""
        folder, source = self._live / name, self._baseline / name
        changed = _signature(folder.lstat()) != _signature(known[name])
        open_up(folder)
        for entry in sorted(os.listdir(folder)):
            below = os.path.join(name, entry)
            if not self._stands(below, known):
                remove(folder / entry)
            elif stat.S_ISDIR(known[below].st_mode):
                self._restore(below, known)
        if changed:
            self._replace(folder)
        for entry in sorted(os.listdir(source)):
            if not os.path.lexists(folder / entry):
                _copy(source / entry, folder / entry)
        _set_times(folder, known[name])

    def _replace(self, folder: Path) -> None:
        """Moves what is in a folder to a new one in its place, without attributes of a trial's."""
        self._fresh.mkdir()
        for entry in os.listdir(folder):
            if (folder / entry).is_dir() and not (folder / entry).is_symlink():
                open_up(folder / entry)  # to be moved: its `..` changes
            (folder / entry).rename(self._fresh / entry)
        folder.rmdir()
        self._fresh.rename(folder)

    def _remember(self, name: str) -> None:
        """Takes note of what was laid out, and sets back when a file was read."""
        path = self._live / name
        try:
            now = path.lstat()
        except FileNotFoundError:
            return
        self._known[name] = now
        if stat.S_ISDIR(now.st_mode):
            for entry in os.listdir(path):
                self._remember(os.path.join(name, entry))
        if now.st_atime_ns != now.st_mtime_ns:
            _set_times(path, now)
            self._known[name] = path.lstat()

    def _let_the_clock_tick(self) -> None:
        """Waits until a change would have a later time than anything has that was laid out."""
        newest = max((known.st_ctime_ns for known in self._known.values()), default=0)
        end = time.monotonic() + _TICK_S
        while self._known:
            os.utime(self._live.parent)
            if self._live.parent.stat().st_ctime_ns > newest:
                return
            if time.monotonic() > end:  # a clock that was set back
                self._known = {}
            time.sleep(0.001)


def _signature(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_mode, status.st_ino, status.st_nlink, status.st_size, status.st_mtime_ns,
        status.st_ctime_ns,
    )  # fmt: skip


def _set_times(path: Path, known: os.stat_result) -> None:
    """Sets both times of a file to when it was written, and the mode of a folder."""
    if stat.S_ISDIR(known.st_mode):
        path.chmod(stat.S_IMODE(known.st_mode))
    os.utime(path, ns=(known.st_mtime_ns, known.st_mtime_ns), follow_symlinks=False)


def _copy(source: Path, target: Path) -> None:
    """Copies a file, a link or a whole folder, with modes and times."""
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True, copy_function=_copy_file)
    else:
        _copy_file(str(source), str(target))


def _copy_file(source: str, target: str) -> None:
    mode = os.lstat(source).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(mode):
        clone(source, target)
    else:
        return  # a pipe or a socket: nothing that a compiler could read again
    shutil.copystat(source, target, follow_symlinks=False)
