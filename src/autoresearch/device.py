"""What trials will run on, as far as it can be told without torch."""

from __future__ import annotations

import os
import subprocess
import sys

from autoresearch.profiles import Device

_TIMEOUT_S = 20
_HIDDEN = ("", "-1", "NoDevFiles")  # values of CUDA_VISIBLE_DEVICES that show no card


def find() -> Device:
    """The smallest NVIDIA card where nvidia-smi shows any, else Apple's GPU, else the CPU.

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
    """Memory in MB and name of every card; [] where there is none, or no driver that answers."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    cards = []
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        name, comma, memory = (part.strip() for part in line.rpartition(","))
        if comma:  # a card that shares the machine's memory says [N/A]
            cards.append((int(memory) if memory.isdecimal() else ram_mb(), name))
    return cards


def cores() -> int:
    """The processors that this process may use."""
    if sys.platform.startswith("linux"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ram_mb() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
