"""A run's lock: one process holds it, and looking at it disturbs nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.errors import BusyError
from autoresearch.lab.lab import Lab
from autoresearch.workspace.repository import Repository

LOOKS = """\
import os, sys
from autoresearch.lab.lab import Lab
from autoresearch.workspace.repository import Repository
from pathlib import Path
lab = Lab(Repository(Path(sys.argv[1]), Path(sys.argv[1]) / ".git"))
print("up", flush=True)
while os.getppid() == int(sys.argv[2]):
    lab.driven("t")
"""
HOLDS = (
    LOOKS.partition("while")[0].replace('print("up", flush=True)', "")
    + """\
with lab.locked("t"):
    print("up", flush=True)
    sys.stdin.read()
"""
)


def process(code: str, folder: Path) -> subprocess.Popen[str]:
    """A process that runs the code, once it is up."""
    started = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(os.getpid())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout is not None and started.stdout.readline() == "up\n"
    return started


def end(started: subprocess.Popen[str]) -> None:
    started.kill()
    started.communicate()


def test_taking_the_lock_while_others_look_without_a_pause(tmp_path: Path) -> None:
    lab = Lab(Repository(tmp_path, tmp_path / ".git"))
    with lab.locked("t"):
        assert lab.driven("t")
    lookers = [process(LOOKS, tmp_path) for _ in range(3)]
    try:
        for _ in range(500):
            with lab.locked("t"):
                pass
        assert all(looker.poll() is None for looker in lookers)
    finally:
        for looker in lookers:
            end(looker)
    assert not lab.driven("t")


def test_a_lock_that_is_held_is_refused_until_its_process_is_killed(tmp_path: Path) -> None:
    lab = Lab(Repository(tmp_path, tmp_path / ".git"))
    assert not lab.driven("t")
    holder, looker = process(HOLDS, tmp_path), process(LOOKS, tmp_path)
    try:
        for _ in range(100):
            assert lab.driven("t")
            with pytest.raises(BusyError, match=f"pid {holder.pid} on"), lab.locked("t"):
                pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert not lab.driven("t")
        with lab.locked("t"):
            assert lab.driven("t")
    finally:
        end(holder)
        end(looker)
