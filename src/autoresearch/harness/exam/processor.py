"""The processor time of a trial's whole tree of processes, by the kernel's count.

Best is the trial's control group (man 7 cgroups), whose count covers whatever was ever started in
it. Without one the tree below the trial's launcher is looked at twenty times a second. The kernel
adds the time of a process to that of whoever reaps it, so children that lived between two looks are
counted too, unless nobody reaped them: a parent may ignore SIGCHLD. What such a child had used when
it was last seen is counted, and while a process of the tree ignores SIGCHLD, so is every core.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

LOOK_S = 0.05  # between two looks at the tree
_SIGCHLD_BIT = 1 << (17 - 1)  # in the masks of /proc/PID/status


def cores() -> int:
    """Returns on how many processors this process, and a trial, may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ProcessorTime(Protocol):
    """Counts the processor seconds of a trial's tree."""

    def seconds(self) -> float:
        """Returns the seconds so far, from some fixed start."""

    def recent_s(self) -> float:
        """Returns the seconds so far as they were known a moment ago, at little cost."""


class GroupTime:
    """Reads a control group's count: nanoseconds (cpuacct.usage) or a table (cpu.stat)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def seconds(self) -> float:
        words = self._path.read_text().split()
        if len(words) == 1:
            return int(words[0]) / 1e9
        return int(words[words.index("usage_usec") + 1]) / 1e6

    recent_s = seconds


Known = dict[tuple[int, int], tuple[int, int, bool]]  # (pid, start) -> own, reaped, deaf


class TreeTime:
    """Looks at the tree below a process, again and again, from a thread of its own."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
        self._cores = cores()
        self._lock = threading.Lock()
        self._known: Known = {}
        self._lost = 0  # ticks of processes that nobody reaped
        self._deaf_s = 0.0  # while a process ignored SIGCHLD, times the cores
        self._began = self._last = time.monotonic()
        self._seconds = 0.0
        self._look()
        threading.Thread(target=self._watch, daemon=True).start()

    def seconds(self) -> float:
        # What is reaped during a look may be counted twice in it, and is not in the next.
        return min(self._look(), self._look())

    def recent_s(self) -> float:
        return self._seconds

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_S)
            self._look()

    def _look(self) -> float:
        with self._lock:
            known, now = tree(self._root), time.monotonic()
            gone = sum(
                own + reaped for key, (own, reaped, _) in self._known.items() if key not in known
            )
            reaped = sum(
                reaped - self._known[key][1]
                for key, (_, reaped, _) in known.items()
                if key in self._known
            )
            self._lost = max(0, self._lost + gone - reaped)
            if any(deaf for _, _, deaf in known.values()):
                self._deaf_s += self._cores * (now - self._last)
            ticks = sum(own + reaped for own, reaped, _ in known.values()) + self._lost
            self._known, self._last = known, now
            most_s = self._cores * (now - self._began) + self._tick_s
            self._seconds = min(ticks * self._tick_s + self._deaf_s, most_s)
            return self._seconds


class WallTime:
    """Takes every core for busy all the time, where nothing can be counted."""

    def __init__(self) -> None:
        self._began, self._cores = time.monotonic(), cores()

    def seconds(self) -> float:
        return self._cores * (time.monotonic() - self._began)

    recent_s = seconds


def tree(root: int) -> Known:
    """Returns the processes from `root` downwards, each with its ticks, those of what it reaped, and
    whether it ignores SIGCHLD.
    """
    found: Known = {}
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        fields = _stat(pid)
        if fields is None:
            continue
        own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
        found[pid, int(fields[19])] = own, reaped, pid != root and _is_deaf(pid)
        waiting += _children(pid)
    return found


def _stat(pid: int) -> list[bytes] | None:
    """Returns the fields of /proc/PID/stat from the third on (man 5 proc_pid_stat)."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None


def _is_deaf(pid: int) -> bool:
    try:
        for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
            if line.startswith(b"SigIgn:"):
                return bool(int(line.split()[1], 16) & _SIGCHLD_BIT)
    except OSError:
        pass
    return False


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_bytes().split())
    except OSError:  # it ended meanwhile
        pass
    return found


def can_look() -> bool:
    """Whether this kernel lists the children of a process."""
    return sys.platform == "linux" and Path(f"/proc/self/task/{os.getpid()}/children").exists()
