"""Trials on this machine.

Promised: a trial has its own session; its environment is what it is given and nothing else; it is
killed at its deadline by our monotonic clock, TERM first, KILL after five seconds, with everything
it started, also what left its session; it dies when the supervisor dies. With a jail, commands whose
specification says what they may access reach nothing else.
Not promised without one: a trial runs as the user, and may read and write what the user may.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoresearch.errors import InfrastructureError
from autoresearch.records import Outcome
from autoresearch.runners import launcher, shared_memory
from autoresearch.runners.base import Progress, TrialSpec, unwatched
from autoresearch.sandbox.jail import Jail
from autoresearch.text import one_line

_GRACE_S = 5.0
_INTERRUPT_GRACE_S = 3.0  # Ctrl-C promises that the trial is gone in five seconds, KILL included
_LAUNCHER_S = launcher._SWEEP_S + 5.0
_HASTE_S = 1.0  # what the launcher has for its sweep after Ctrl-C; then we sweep
_LOG_MAX = 1 << 30
_STEP = re.compile(rb"step[ \t]+\d[^\r\n]{0,200}?(\d{1,3}(?:\.\d+)?)[ \t]*%")


class LocalRunner:
    """Runs trials as processes of this machine; those that have an `access`, in the jail."""

    def __init__(self, jail: Jail | None = None) -> None:
        self._jail = jail

    def start(self, spec: TrialSpec) -> LocalTrial:
        return LocalTrial(spec, self._jail)

    def clean_up(self, identity: dict[str, str | int]) -> None:
        """Kill a launcher that outlived its supervisor, and processes with its scratch folder's name."""
        if identity.get("boot") != boot_id():
            return
        pid_of_launcher = int(identity["pid"])
        mark = f"AUTORESEARCH_SCRATCH={identity['scratch']}\0".encode()
        end = time.monotonic() + _LAUNCHER_S
        while True:
            left = [pid for pid in _marked(mark) if pid != os.getpid()]
            if start_time(pid_of_launcher) == identity["start"]:
                left.append(pid_of_launcher)
            if not left:
                return
            launcher.send(left, signal.SIGKILL)
            launcher.reap()
            if time.monotonic() > end:
                raise InfrastructureError(
                    f"processes of an earlier trial can't be killed: {left}; end them, and call "
                    "autoresearch run again"
                )
            time.sleep(0.01)


class LocalTrial:
    """One trial and its launcher."""

    def __init__(self, spec: TrialSpec, jail: Jail | None = None) -> None:
        self._spec = spec
        jail = jail if spec.access is not None else None
        monitor = jail is not None and jail.kind == "bwrap"
        # Only bwrap's trials have a /dev/shm of their own.
        self._shared = None if spec.access is None or monitor else shared_memory.names()
        self._others = set(launcher.descendants(os.getpid()))  # our own children, not the trial's
        plan = {
            "commands": [list(command) for command in spec.commands],
            "log": str(spec.log),
            "stdin": str(spec.stdin or os.devnull),
            "prefix": jail.prefix(spec.access, spec.cwd) if jail and spec.access else [],
            "monitor": monitor,
            "descriptors": list(spec.descriptors),
        }
        self._launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", launcher.__file__, json.dumps(plan)],
            cwd=spec.cwd,
            env=spec.env,
            pass_fds=spec.descriptors,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        self.identity: dict[str, str | int] = {
            "pid": self._launcher.pid,
            "start": start_time(self._launcher.pid) or 0,
            "boot": boot_id(),
            "scratch": spec.env.get("AUTORESEARCH_SCRATCH", ""),
        }
        self._heard = b""

    def run(
        self, stopping: Callable[[], bool], watch: Callable[[Progress], None] = unwatched
    ) -> Outcome:
        spec, began = self._spec, time.monotonic()
        follower = _Follower(spec.log)
        timed_out = interrupted = overflow = False
        try:
            self._order(b"go\n")
            due: float | None = None  # when the launcher must have ended, once it was told to stop
            while (report := self._listen(0.1)) is None:
                now = time.monotonic()
                seconds = now - began
                if self._launcher.poll() is not None and not self._listen_more():
                    return self._launcher_died(seconds, timed_out, interrupted)
                if due is None:
                    timed_out = seconds >= spec.timeout_s
                    overflow = follower.size() > _LOG_MAX
                    interrupted = stopping()
                    if timed_out or overflow or interrupted:
                        grace_s = _INTERRUPT_GRACE_S if interrupted else _GRACE_S
                        launcher.send([self._launcher.pid], signal.SIGCONT)  # a trial may stop it
                        self._order(b"stop %.1f\n" % grace_s)
                        due = now + grace_s + (_LAUNCHER_S if not interrupted else _HASTE_S)
                elif now > due:
                    return self._launcher_died(seconds, timed_out, interrupted)
                watch(Progress(seconds, follower.fraction() or min(1.0, seconds / spec.timeout_s)))
        finally:
            self.abandon()
        if not (report["held"] or timed_out or interrupted):
            raise InfrastructureError(
                f"the sandbox could not be made for a trial ({follower.last_line()}); see what is the "
                "matter with: autoresearch doctor"
            )
        return Outcome(
            seconds=report["seconds"],
            exit_code=report["exit_code"],
            timed_out=timed_out,
            interrupted=interrupted,
            setup_failed=report["setup_failed"],
            log_overflow=overflow or follower.size() > _LOG_MAX,
            survivors=report["survivors"],
            peak_rss_mb=report["peak_rss_mb"],
            cpu_s=report["cpu_s"],
        )

    def abandon(self) -> None:
        """End the launcher, by the end of its pipe, and with it all that is left of the trial."""
        assert self._launcher.stdin is not None and self._launcher.stdout is not None
        self._launcher.stdin.close()
        try:
            self._launcher.wait(_LAUNCHER_S)
        except subprocess.TimeoutExpired:
            self._sweep()
        self._launcher.stdout.close()
        if self._shared is not None:
            shared_memory.drop_since(self._shared)

    def _order(self, order: bytes) -> None:
        assert self._launcher.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._launcher.stdin.write(order)

    def _listen(self, wait_s: float) -> dict[str, Any] | None:
        """The launcher's report, if it comes within the time."""
        assert self._launcher.stdout is not None
        if select.select([self._launcher.stdout], [], [], wait_s)[0]:
            self._listen_more()
        for line in self._heard.split(b"\n")[:-1]:
            if line.startswith(b"{"):
                report: dict[str, Any] = json.loads(line)
                return report
        return None

    def _listen_more(self) -> bool:
        assert self._launcher.stdout is not None
        piece = os.read(self._launcher.stdout.fileno(), 4096)
        self._heard += piece
        return bool(piece)

    def _launcher_died(self, seconds: float, timed_out: bool, interrupted: bool) -> Outcome:
        """Somebody killed or stopped the launcher: kill what it left; the trial is void."""
        return Outcome(
            seconds=seconds,
            exit_code=None,
            timed_out=timed_out,
            interrupted=interrupted,
            launcher_killed=not interrupted,
            survivors=self._sweep(),
        )

    def _sweep(self) -> int:
        """Kill the launcher and all below; we are the next subreaper, so its orphans are ours."""
        end = time.monotonic() + launcher._SWEEP_S
        mark = f"AUTORESEARCH_SCRATCH={self.identity['scratch']}\0".encode()
        while True:
            self._launcher.kill()
            self._launcher.wait()
            left = [*launcher.descendants(os.getpid(), self._others), *_marked(mark)]
            launcher.send(left, signal.SIGKILL)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if not left or time.monotonic() > end:
                return len(left)
            time.sleep(0.005)


class _Follower:
    """Reads what is new in a growing log, for its progress lines."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._at = 0
        self._percent: float | None = None

    def size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def last_line(self) -> str:
        lines = self._log.read_bytes()[-2000:].split(b"\n") if self.size() else []
        said = [line.decode("utf-8", "replace") for line in lines if line.strip()]
        return one_line(said[-1]) if said else "nothing was said"

    def fraction(self) -> float | None:
        """The share done by the trial's own last line `step … %`; None before one was seen."""
        size = self.size()
        if size > self._at:
            with self._log.open("rb") as file:
                file.seek(max(self._at, size - 8192))
                for found in _STEP.finditer(file.read(8192)):
                    self._percent = float(found.group(1))
            self._at = size
        return None if self._percent is None else min(1.0, self._percent / 100)


def boot_id() -> str:
    """What tells one start of the machine from the next; "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; with its pid it names it for good."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _marked(mark: bytes) -> list[int]:
    """The processes with a text in the environment that they were started with."""
    if mark.endswith(b"=\0"):
        return []
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() + b"\0":
                found.append(int(folder.name))
        except OSError:
            continue
    return found
