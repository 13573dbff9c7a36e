"""A control group for a trial (man 7 cgroups), whose processor time the kernel counts whole.

It is made below our own, in the unified hierarchy or in that of cpuacct, wherever we may: as root, in
a container that owns its groups, or in a session that systemd delegated. Whatever a trial starts, in
sessions of its own or not, is in it, and a jailed trial can't leave it.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_END_S = 1.0  # for the kernel to let go of processes that are gone


class ControlGroup:
    """A group that was made; `usage` is the file with its count."""

    def __init__(self, folder: Path, usage: Path) -> None:
        self._folder = folder
        self.usage = usage

    def add(self, pid: int) -> None:
        """Puts a process into it, and with it all that this starts later."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def remove(self) -> None:
        """Removes it, once the trial is gone; one that is busy stays for the next trial."""
        end = time.monotonic() + _END_S
        while self._folder.is_dir() and time.monotonic() < end:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
                return
            time.sleep(0.01)


def make(name: str) -> ControlGroup | None:
    """Returns a group of this name below our own, made or found there; None where none can be had."""
    for parent, counter in _parents():
        folder = parent / name
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            usage = folder / counter
            usage.read_bytes()
            if os.access(folder / "cgroup.procs", os.W_OK) and _may_move(parent):
                return ControlGroup(folder, usage)
            folder.rmdir()
    return None


def _may_move(parent: Path) -> bool:
    """Whether our processes may leave a group for one below it."""
    return os.access(parent / "cgroup.procs", os.W_OK)


def _parents() -> list[tuple[Path, str]]:
    """Returns our own group in each hierarchy that counts processor time, with its counter's name."""
    try:
        ours = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:  # no Linux
        return []
    paths: dict[str, str] = {}
    for line in ours:
        _, controllers, path = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), path)
    found = []
    for line in mounts:
        before, _, after = line.partition(" - ")
        root, point = (field.encode().decode("unicode_escape") for field in before.split()[3:5])
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2" and "" in paths:
            found.append((_below(point, root, paths[""]), "cpu.stat"))
        elif kind == "cgroup" and "cpuacct" in options.split(",") and "cpuacct" in paths:
            found.append((_below(point, root, paths["cpuacct"]), "cpuacct.usage"))
    return found


def _below(point: str, root: str, path: str) -> Path:
    """Returns where a group lies under a mount that shows the hierarchy from `root` on."""
    if root != "/" and (path + "/").startswith(root + "/"):
        path = path[len(root) :]
    return Path(point, path.lstrip("/"))
