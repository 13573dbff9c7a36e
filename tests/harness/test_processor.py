"""Processor time of a tree of processes: what the kernel counts, however a trial tries to hide it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoresearch.harness.exam import processor
from autoresearch.harness.exam.processor import GroupTime, TreeTime, WallTime
from autoresearch.runners import control_group

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no /proc")

BURN = """
import ctypes, os, signal, sys, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # as the launcher is
sys.stdin.readline()
{work}
print("done", flush=True)
sys.stdin.readline()
"""
WAYS = {
    "plain": "burn(0.6)",
    "a child": "if not os.fork(): burn(0.6); os._exit(0)\nos.wait()",
    "many short children": (
        "for _ in range(60):\n    if not os.fork(): burn(0.01); os._exit(0)\n    os.wait()"
    ),
    "a session of its own, below nobody": (
        "if not os.fork():\n    os.setsid()\n    if not os.fork(): burn(0.6)\n    os._exit(0)\n"
        "os.wait(), os.wait()"
    ),
    "children that another one reaps": (
        "if not os.fork():\n    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n    for _ in range(60):\n"
        "        if not os.fork():\n            if not os.fork(): burn(0.01)\n            os._exit(0)\n"
        "        os.wait(), os.wait()\n    os._exit(0)\nos.wait()"
    ),
    "short children that nobody reaps": (
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "if not os.fork():\n    for _ in range(60):\n        if not os.fork(): burn(0.01); os._exit(0)\n"
        "        try: os.wait()\n        except ChildProcessError: pass\n    os._exit(0)\n"
        "try: os.wait()\nexcept ChildProcessError: pass"
    ),
}


@contextmanager
def tree(work: str) -> Iterator[subprocess.Popen[str]]:
    """A process that works when it is told to, then waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", BURN.format(work=work)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.stdout.close()


def work(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


@pytest.mark.parametrize("way", WAYS)
def test_the_tree_is_counted_by_looking_at_it(way: str) -> None:
    with tree(WAYS[way]) as process:
        counted = TreeTime(process.pid)
        before = counted.seconds()
        work(process)
        assert counted.seconds() - before > 0.5


@pytest.mark.parametrize("way", WAYS)
def test_a_control_group_counts_all_of_it(way: str) -> None:
    group = control_group.make(f"autoresearch-test-{os.getpid()}")
    if group is None:
        pytest.skip("no control group can be made here")
    try:
        with tree(WAYS[way]) as process:
            group.add(process.pid)
            counted = GroupTime(group.usage)
            before = counted.seconds()
            work(process)
            assert counted.seconds() - before > 0.55
    finally:
        group.remove()
    assert not group.usage.parent.exists()


def test_both_kinds_of_counters_are_read(tmp_path: Path) -> None:
    (tmp_path / "cpuacct.usage").write_text("1500000000\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\nsystem_usec 2\n")
    assert GroupTime(tmp_path / "cpuacct.usage").seconds() == 1.5
    assert GroupTime(tmp_path / "cpu.stat").seconds() == 2.5


def test_where_nothing_can_be_counted_every_core_is_busy() -> None:
    counted = WallTime()
    began = time.monotonic()
    while time.monotonic() < began + 0.1:
        pass
    assert counted.seconds() >= 0.1 * processor.cores()


def test_the_groups_of_a_container_lie_below_its_mount() -> None:
    below = control_group._below
    assert below("/sys/fs/cgroup", "/", "/user.slice") == Path("/sys/fs/cgroup/user.slice")
    assert below("/sys/fs/cgroup/cpu", "/docker/a", "/docker/a/b") == Path("/sys/fs/cgroup/cpu/b")
    assert below("/sys/fs/cgroup/cpu", "/docker/a", "/docker/a") == Path("/sys/fs/cgroup/cpu")


def test_a_tree_that_is_gone_counts_nothing() -> None:

    assert processor.tree(2**22 + 1) == {}
