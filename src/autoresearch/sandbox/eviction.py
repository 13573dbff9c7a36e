"""Takes files out of the kernel's page cache, so that no process can tell which another one read.

A process that may only read can still leave word: it reads some pages of the system's files, and a
later one asks which of them come fast, or without a fault. Nothing forbids it to look: faults and
blocks are counted for every process (getrusage, /proc/self/io), and a clock tells as much.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def evict(places: Iterable[Path]) -> int:
    """Asks the kernel to drop the pages of all files in these places; returns of how many it was asked.

    Pages stay that a living process has mapped, whatever a trial does, and those of file systems that
    have a cache of their own (ZFS). Where the kernel knows no such advice nothing happens.
    """
    advise = getattr(os, "posix_fadvise", None)
    if advise is None:
        return 0
    count = 0
    for path in _files(places):
        try:
            # Without waiting: a pipe may have been put there meanwhile.
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # closed to us, and so to the trial
        try:
            advise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            count += 1
        except OSError:
            pass
        finally:
            os.close(file)
    return count


def _files(places: Iterable[Path]) -> Iterator[str]:
    """Yields the files in these places; links inside them are not followed."""
    seen: set[str] = set()
    waiting = [os.path.realpath(place) for place in places]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if os.path.isfile(path):
            yield path
            continue
        with contextlib.suppress(OSError), os.scandir(path) as entries:  # gone, or closed to us
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path
