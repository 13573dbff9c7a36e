"""Fault injection at every call of a run that changes the disk.

shim.c     preloaded into the supervisor and its git commands: counts the calls, asks what to do
inject.py  answers: runs one command of autoresearch under the shim
disk.py    a folder as bytes: taken, put back, put back as after a power cut
scene.py   the lab that is run, and the picture of all that a run leaves
driver.py  the sweeps over every call, and runs with several faults
server.py  commands under faults, for the state machine
model.py   the state machine's lab, and what a run must make of it
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def preloaded(work: Path) -> dict[str, str]:
    """Build the shim in a folder; the environment of a driver that uses it."""
    library, state = work / "shim.so", work / "state"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", library, HERE / "shim.c", "-ldl"], check=True
    )
    state.write_bytes(bytes(4096))
    os.mkfifo(f"{state}.asks")
    os.mkfifo(f"{state}.answers")
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAULT_STATE": str(state),
        "TMPDIR": str(work),
        "XDG_STATE_HOME": str(work / "worktrees"),
    }
