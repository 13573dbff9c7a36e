"""Runs one command of autoresearch in a forked child, under the shim, and decides what its calls come to.

The parent has imported all of autoresearch once, so that thousands of commands take minutes.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import mmap
import os
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

# The clock stands still: commits made again after a fault have the same dates, and so the same names.
START = 1_700_000_000.0
clock = START
time.time = lambda: clock

import typer  # noqa: E402

from autoresearch import cli  # noqa: E402
from autoresearch.commands.run import run as _preload  # noqa: E402, F401
from autoresearch.researchers.scripted import ScriptedResearcher as _preload2  # noqa: E402, F401

KILL = -1

typer.main.get_command = functools.cache(typer.main.get_command)  # 30 ms of each command
typer.main.get_command(cli.app)
gc.freeze()


@dataclass(frozen=True, slots=True)
class Call:
    """A call that waits for an answer.

    kind: w(rite) s(ync) r(ename) l(ink) u(nlink) m(kdir) t(runcate) c(reate) e(mpty) x (git starts);
    fills: whether it needs room on the disk; path: of the file, for w, s and t.
    """

    count: int
    kind: str
    fills: bool
    pid: int
    path: str


Plan = Callable[[Call], int]  # -> 0, an errno, or KILL


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code (negative: signal), what it printed, its counted calls."""

    code: int
    output: str
    calls: int

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


def fault(kind: str, at: int) -> Plan:
    """The plans by name; at: the call that the fault begins with."""
    left = {"eio": 1, "full": 1 << 30}.get(kind, 4)  # the others last for four calls
    number = {"enospc": errno.ENOSPC, "full": errno.ENOSPC, "edquot": errno.EDQUOT}.get(
        kind, errno.EIO
    )

    def answer(call: Call) -> int:
        nonlocal left
        if call.count < at:
            return 0
        if kind in ("kill", "power", "torn"):
            return KILL
        if not left or (number != errno.EIO and not call.fills):
            return 0
        left -= 1
        return number

    return answer


class Shim:
    """The other end of shim.c."""

    def __init__(self) -> None:
        path = os.environ["FAULT_STATE"]
        descriptor = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(descriptor, 4096)
        os.close(descriptor)
        # Opened for both directions, so that neither end ever finds the other one closed.
        self._asks = os.open(f"{path}.asks", os.O_RDWR)
        self._answers = os.open(f"{path}.answers", os.O_RDWR | os.O_NONBLOCK)

    def _set(self, armed: int, first: int = 0, syncs: int = 0) -> None:
        self._map[:20] = struct.pack("5i", armed, 0, first, syncs, 0)

    def _arm(self) -> None:
        self._map[:4] = struct.pack("i", 1)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While a caller waits: what we do ourselves is not counted."""
        self._map[:4] = struct.pack("i", 0)
        yield
        self._arm()

    @staticmethod
    def beside(lab: Path, *arguments: str) -> Ended:
        """Another command while a caller waits; nothing of it is counted."""
        output = lab.parent / "beside.txt"
        pid = os.fork()
        if pid == 0:
            _child(lab, output, arguments)
        _, status = os.waitpid(pid, 0)
        return Ended(os.waitstatus_to_exitcode(status), output.read_text(errors="replace"), 0)

    def command(
        self,
        lab: Path,
        *arguments: str,
        plan: Plan | None = None,
        first: int = 0,
        synced: Callable[[str], None] | None = None,
    ) -> Ended:
        """One command in a process group of its own.

        plan: is asked from call number `first` on; synced: is told each file before its fsync.
        """
        output = lab.parent / "output.txt"
        self._set(0, first, synced is not None)
        pid = os.fork()
        if pid == 0:
            _child(lab, output, arguments, self._arm)
        ended = os.pidfd_open(pid)
        while True:
            ready = select.select([self._asks, ended], [], [])[0]
            if self._asks not in ready:
                break
            call = self._call()
            answer = plan(call) if plan is not None and first and call.count >= first else 0
            if synced is not None and call.kind == "s" and answer == 0:
                synced(call.path)
            if answer == KILL:
                os.killpg(pid, signal.SIGKILL)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(call.pid, signal.SIGKILL)
                break
            os.write(self._answers, struct.pack("i", answer))
        _, status = os.waitpid(pid, 0)
        os.close(ended)
        calls = int(struct.unpack("i", self._map[4:8])[0])
        self._set(0)
        return Ended(os.waitstatus_to_exitcode(status), output.read_text(errors="replace"), calls)

    def _call(self) -> Call:
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self._asks, 1)
        count, kind, fills, pid, path = os.fsdecode(line[:-1]).split(" ", 4)
        return Call(int(count), kind, fills == "1", int(pid), path)


def _child(
    lab: Path, output: Path, arguments: tuple[str, ...], arm: Callable[[], None] = lambda: None
) -> NoReturn:
    """The command, in the forked process."""
    os.setsid()
    os.chdir(lab)
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.argv = ["autoresearch", *arguments]
    arm()
    code = 99
    try:
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        if sys.exc_info()[0] not in (None, SystemExit):
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
