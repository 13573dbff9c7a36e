"""Finds what trials will run on, and what its cards hold, without torch: by nvidia-smi."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass

from autoresearch.fit.profiles import Device

_TIMEOUT_S = 20
_IDLE_MB = 64  # by which the memory of idle cards moves
_HIDDEN = ("", "-1", "NoDevFiles")  # values of CUDA_VISIBLE_DEVICES that show no card


def find() -> Device:
    """Returns the smallest NVIDIA card where nvidia-smi shows any, else Apple's GPU, else the CPU.

    Not seen: partitions of a card (MIG), and cards of other makers, which count as none.
    """
    cards = [] if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in _HIDDEN else _nvidia()
    if cards:
        memory_mb, name = min(cards)
        return Device("cuda", name, memory_mb, count=len(cards))
    if sys.platform == "darwin" and os.uname().machine == "arm64":
        return Device("mps", "Apple GPU", ram_mb(), cores=cores())
    return Device("cpu", "CPU", ram_mb(), cores=cores())


def _nvidia() -> list[tuple[int, str]]:
    """Returns memory in MB and name of every card; [] where there is none, or no driver that answers."""
    return [  # a card that shares the machine's memory says [N/A]
        (int(memory) if memory.isdecimal() else ram_mb(), name)
        for name, memory in _query("--query-gpu=name,memory.total") or []
        if name
    ]


def _query(question: str) -> list[tuple[str, str]] | None:
    """Returns nvidia-smi's rows as two columns, None where it gives no answer.

    Where a row has but one column, that is the second of the two.
    """
    command = ["nvidia-smi", question, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    rows = []
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        first, _, last = (part.strip() for part in line.rpartition(","))
        rows.append((first, last))
    return rows


def cores() -> int:
    """Returns how many processors this process may use."""
    if sys.platform.startswith("linux"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ram_mb() -> int:
    """Returns the machine's memory in MB of 2^20 bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20


@dataclass(frozen=True, slots=True)
class Load:
    """The NVIDIA cards' processes, by pid with their names, and the memory in use on all cards."""

    processes: dict[int, str]
    used_mb: int


def load() -> Load | None:
    """Returns what the cards hold now; None where there is none, or no driver that answers."""
    apps = _query("--query-compute-apps=process_name,pid")
    used = _query("--query-gpu=memory.used")
    if apps is None or not used:
        return None
    processes = {int(pid): name for name, pid in apps if pid.isdecimal()}
    return Load(processes, sum(int(mb) for _, mb in used if mb.isdecimal()))


def wait_until_free(before: Load, within_s: float = 30.0) -> tuple[dict[int, str], int]:
    """Waits until the cards are as they were; returns new processes, and MB that nobody gave back.

    A driver takes some seconds to free what a killed process held.
    """
    end = time.monotonic() + within_s
    while True:
        now = load()
        if now is None:
            return {}, 0
        new = {p: name for p, name in now.processes.items() if p not in before.processes}
        held_mb = now.used_mb - before.used_mb
        if (not new and held_mb <= _IDLE_MB) or time.monotonic() > end:
            return new, max(0, held_mb)
        time.sleep(0.2)
