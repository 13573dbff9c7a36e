"""System calls that tell which pages of a file are in memory, or read none but those.

By them a trial could see what another one has read; a jail refuses them all (confine.py). What it
can't refuse tells the same: see eviction.py.
"""

from __future__ import annotations

import os

from autoresearch.sandbox import confine

_CALLS = (
    *("mincore", "cachestat", "preadv2", "pwritev2", "io_setup", "io_uring_setup"),
    *("userfaultfd", "perf_event_open", "process_vm_readv", "process_madvise"),
)
_RWF_NOWAIT = 8  # the sixth argument of preadv2 and pwritev2


def harmless_calls() -> dict[str, list[int]]:
    """Returns name -> number and arguments that the kernel can't use, for the self-test to try."""
    if not confine.can_filter():
        return {}
    numbers = confine.numbers(os.uname().machine)
    return {name: [numbers[name], -1, 0, 0, 0, 0, _RWF_NOWAIT] for name in _CALLS}
