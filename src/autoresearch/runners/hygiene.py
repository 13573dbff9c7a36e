"""What the supervisor does for itself before any code of a model's runs beside it.

A process of the same user may read another's environment in /proc, and a deleted os.environ entry
stays there. So the start-up environment is wiped from where the kernel shows it, and the process is
made undumpable, which closes /proc/PID/{environ,mem,fd} to processes of the same user. Root can
still read memory; that is for a sandbox to forbid.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from autoresearch.runners.launcher import become_subreaper

_PR_SET_DUMPABLE = 4
_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY")


def harden(*keys: str) -> None:
    """Hides this process's environment, forgets the keys in it, and adopts orphans below us."""
    become_subreaper()
    if sys.platform != "linux":
        return
    _wipe_environment()
    for name in (*_KEYS, *keys):
        os.environ.pop(name, None)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _wipe_environment() -> None:
    """Moves the environment to the heap, and overwrites the block that /proc shows."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[47]), int(fields[48])  # env_start and env_end, proc(5)
    if 0 < start < end:
        for name, value in os.environb.items():
            os.putenv(name, value)
        ctypes.memset(start, 0, end - start)
