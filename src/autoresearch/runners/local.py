"""Trials on this machine.

Promised: a trial has its own session; its environment is what it is given and nothing else; it is
killed at its deadline by our monotonic clock, TERM first, KILL after five seconds, with everything
it started, also what left its session; it dies when the supervisor dies. A command with a confinement
does not begin unless that holds.
Not promised without one: a trial runs as the user, and may read and write what the user may.
"""

from __future__ import annotations

import contextlib
import json
import os
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
from autoresearch.runners import launcher, log, shared_memory
from autoresearch.runners.base import Identity, Progress, TrialSpec, unwatched

_GRACE_S = 5.0
_INTERRUPT_GRACE_S = 3.0  # Ctrl-C promises that the trial is gone in five seconds, KILL included
_LAUNCHER_S = launcher._SWEEP_S + 5.0
_HASTE_S = 1.0  # what the launcher has for its sweep after Ctrl-C; then we sweep
_LOG_MAX = 1 << 30


class LocalRunner:
    """Runs trials as processes of this machine."""

    def start(self, spec: TrialSpec) -> LocalTrial:
        """Makes a trial ready without letting it go."""
        return LocalTrial(spec)

    def clean_up(self, identity: Identity) -> None:
        """Kills a launcher that outlived its supervisor, and processes with its scratch folder's name.

        Raises InfrastructureError where one of them can't be killed.
        """
        if (identity.get("boot") or None) != boot_id():
            return
        pid, scratch = int(identity["pid"] or 0), identity["scratch"]
        end = time.monotonic() + _LAUNCHER_S
        while True:
            left = [other for other in _with_scratch(scratch) if other != os.getpid()]
            if start_time(pid) == identity["start"]:
                left.append(pid)
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

    def __init__(self, spec: TrialSpec) -> None:
        self._spec, jail = spec, spec.confinement
        self._shared = None if jail is None or jail.own_shm else shared_memory.names()
        self._others = _children(os.getpid())  # our own, not the trial's
        plan = launcher.words(
            log=str(spec.log),
            stdin=str(spec.stdin or os.devnull),
            monitor=jail is not None and jail.monitor,
            descriptors=spec.descriptors,
            prefix=jail.prefix if jail else (),
            commands=spec.commands,
        )
        self._launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", launcher.__file__, *plan],
            cwd=spec.cwd,
            env={**spec.env, "PWD": str(spec.cwd)},  # the shell's own names where we were called
            pass_fds=spec.descriptors,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        self.identity: Identity = {
            "pid": self._launcher.pid,
            "start": start_time(self._launcher.pid) or 0,
            "boot": boot_id(),
            "scratch": spec.env.get("AUTORESEARCH_SCRATCH"),
        }
        self._heard = b""

    def run(
        self, stopping: Callable[[], bool], watch: Callable[[Progress], None] = unwatched
    ) -> Outcome:
        """Lets the trial go, and watches it until nothing of it is left.

        Raises InfrastructureError where its jail could not be made.
        """
        spec, began = self._spec, time.monotonic()
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
                    overflow = log.size(spec.log) > _LOG_MAX
                    interrupted = stopping()
                    if timed_out or overflow or interrupted:
                        grace_s = _INTERRUPT_GRACE_S if interrupted else _GRACE_S
                        launcher.send([self._launcher.pid], signal.SIGCONT)  # a trial may stop it
                        self._order(b"stop %.1f\n" % grace_s)
                        due = now + grace_s + (_LAUNCHER_S if not interrupted else _HASTE_S)
                elif now > due:
                    return self._launcher_died(seconds, timed_out, interrupted)
                watch(Progress(seconds, min(1.0, seconds / spec.timeout_s)))
        finally:
            self.abandon()
        if not (report["held"] or timed_out or interrupted):
            raise InfrastructureError(
                "the sandbox could not be made for a trial "
                f"({log.last_line(spec.log) or 'nothing was said'}); see what is the matter with: "
                "autoresearch doctor"
            )
        return Outcome(
            seconds=report["seconds"],
            exit_code=report["exit_code"],
            timed_out=timed_out,
            interrupted=interrupted,
            setup_failed=report["setup_failed"],
            started=report["started"],
            log_overflow=overflow or log.size(spec.log) > _LOG_MAX,
            survivors=report["survivors"],
            peak_rss_mb=report["peak_rss_mb"],
            cpu_s=report["cpu_s"],
        )

    def abandon(self) -> None:
        """Ends the launcher, by the end of its pipe, and with it all that is left of the trial."""
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
        """Returns the launcher's report, if it comes within the time."""
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
        """Kills what a launcher left that somebody killed or stopped; its trial is void."""
        return Outcome(
            seconds=seconds,
            exit_code=None,
            timed_out=timed_out,
            interrupted=interrupted,
            launcher_killed=not interrupted,
            survivors=self._sweep(),
        )

    def _sweep(self) -> int:
        """Kills the launcher and all below: we are the next subreaper, so its orphans are ours."""
        end = time.monotonic() + launcher._SWEEP_S
        while True:
            self._launcher.kill()
            self._launcher.wait()
            left = launcher.descendants(os.getpid(), self._others)
            left += _with_scratch(self.identity["scratch"])
            launcher.send(left, signal.SIGKILL)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            if not left or time.monotonic() > end:
                return len(left)
            time.sleep(0.005)


def boot_id() -> str | None:
    """Returns what tells one start of the machine from the next; None where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def start_time(pid: int) -> int | None:
    """Returns when a process started, in clock ticks since boot, or None where it is gone.

    With its pid this names a process for good.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _children(pid: int) -> set[int]:
    """Returns the processes below one, which neither come nor go meanwhile (man 5 proc: children).

    A look at every process of the machine, which a kernel without that needs, takes milliseconds.
    """
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found |= {int(child) for child in (task / "children").read_text().split()}
        except ProcessLookupError:
            continue
        except FileNotFoundError:
            if task.exists():
                return set(launcher.descendants(pid))
    return found.union(*map(_children, found))


def _with_scratch(scratch: str | int | None) -> list[int]:
    """Returns the processes that were started with this scratch folder in their environment."""
    if not scratch:
        return []
    mark = f"AUTORESEARCH_SCRATCH={scratch}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() + b"\0":
                found.append(int(folder.name))
        except OSError:
            continue
    return found
