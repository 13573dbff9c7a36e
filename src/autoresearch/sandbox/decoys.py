"""What a self-test tries: attempts on the places of real trials, with decoys in them.

Nothing of a person's is opened for writing: what a jail could let through happens to files and
processes made here, and all of them are gone afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoresearch.paths import DECOY
from autoresearch.runners.environment import make_scratch
from autoresearch.runners.launcher import FILE_SIZE_MAX
from autoresearch.sandbox import attempts
from autoresearch.sandbox.access import Access, reach
from autoresearch.sandbox.jail import gpu_devices
from autoresearch.sandbox.policy import Policy
from autoresearch.sandbox.residency import harmless_calls

_SECRET = b"what only we may read"
_SLEEPER = "300.0417"  # seconds; also the word by which its command line is known
_HELD_MAX = 8
_STALE_S = 300.0
Look = Callable[[], bool] | None


@dataclass(frozen=True)
class Attempt:
    """Something that a trial tries to do, by a verb of attempts.py and its argument.

    level: the lowest that refuses it; 0 is what every level must allow. happened: our own look at the
    effect; None where there is none to look at, as after a read.
    """

    name: str
    verb: str
    argument: Any
    level: int
    happened: Look = None


class Decoys(contextlib.ExitStack):
    """Files, sockets and a process to harm, which are there until the end of the context."""

    def __init__(self, policy: Policy, packages: Path | None, most: int) -> None:
        """Takes no places yet: entering the context does.

        packages: of the trial's Python, which it must see; None where it has none. most: the highest
        level that is tried; without a jail nothing is put into a person's folders.
        """
        super().__init__()
        self._policy, self._most, self._seen = policy, most, packages is not None
        self._packages = packages or Path(sysconfig.get_paths()["purelib"])
        self.attempts: list[Attempt] = []
        self.skipped: list[str] = []

    def __enter__(self) -> Decoys:
        super().__enter__()
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise
        return self

    def _set_up(self) -> None:
        policy = self._policy
        self.private = self._temporary()
        self.log = self.private / "log"
        self.scratch, self.other, self.mixed = (self._temporary() for _ in range(3))
        for name in ("open", "held"):
            (self.mixed / name).mkdir()
            (self.mixed / name / "text").write_bytes(_SECRET)
        self._make_folder(policy.worktree)
        self._name = f"{DECOY}{self.private.name[-8:]}"
        self._drop_stale()
        self._input = self._decoy(policy.worktree, "input")
        self.ours, self.theirs = socket.socketpair()
        self.enter_context(self.ours)
        self.enter_context(self.theirs)
        if self._most > 1:
            self._refused_by_processes()
            self._refused_by_files()
            self._refused_by_network()
            if sys.platform == "linux":
                self._refused_by_kernel()
        self._allowed()
        self._always()  # the daemon last: what comes after it could be taken for its doing

    def _drop_stale(self) -> None:
        """Removes decoys of a self-test that was killed; those of one that is under way are young."""
        policy = self._policy
        for folder in (policy.root, policy.git, policy.cache, policy.home, self._packages):
            for path in folder.glob(f"{DECOY}*"):
                with contextlib.suppress(OSError):
                    if time.time() - path.lstat().st_mtime > _STALE_S:
                        path.unlink()

    @property
    def access(self) -> Access:
        """Returns the access of a trial with our scratch folder, and with the script of attempts."""
        access = self._policy.access(self.scratch)
        fixed = [path for path in (self._input, Path(attempts.__file__), self.mixed) if path]
        return replace(
            access,
            readable=(*access.readable, *fixed),
            hidden=(*access.hidden, self.mixed / "held"),
        )

    # -- what is refused --------------------------------------------------------------------

    def _refused_by_processes(self) -> None:
        """Comes first, while the jail holds no more processes than it must: numbers could coincide."""
        asleep = f"import time; time.sleep({_SLEEPER})"
        victim = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", asleep], stdin=subprocess.DEVNULL
        )
        self.callback(victim.wait)
        self.callback(victim.kill)
        if sys.platform == "linux":
            self._add("see other processes", "see", [victim.pid, _SLEEPER], 4)
            self._add("read another process's environment", "environ", victim.pid, 2)
        self._add("end another process", "kill", victim.pid, 3, lambda: victim.poll() is not None)

    def _refused_by_files(self) -> None:
        policy = self._policy
        self._create("write the repository", policy.root, 2)
        self._create("write .git", policy.git, 2)
        self._create("write the environment", self._packages, 2)
        self._create("write this tool", Path(attempts.__file__).parent, 2)
        self._create("write another trial's scratch", self.other, 2)
        for name, folder in (
            ("read .git", policy.git),
            ("read the repository", policy.root),
            ("read the data", policy.cache),
            ("read home", policy.home),
            ("read another trial's scratch", self.other),
        ):
            self._on_decoy(name, "read", folder, 2)
        for pattern in ("val*", "vault*"):
            for path in sorted(policy.cache.glob(f"*/{pattern}"))[:_HELD_MAX]:
                # Where no examiner asks, a trial scores itself, and reads what it is scored on.
                if reach(self.access, path) == "hidden":
                    self._add(f"read {path.name} of {path.parent.name}", "read", str(path), 2)
        self._add("read beside what is open", "read", str(self.mixed / "held" / "text"), 2)
        for path in policy.hidden[:_HELD_MAX]:
            self._add(f"read {path}", "read", str(path), 2)
        self._on_decoy("change the journal", "change", policy.git, 2)
        self._on_decoy("truncate the journal", "truncate", policy.git, 3)
        self._on_decoy("change modes and times", "metadata", policy.git, 4)
        if self._input:
            self._add("change an input", "change", str(self._input), 4, self._changed(self._input))

    def _refused_by_network(self) -> None:
        tcp = self._socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        udp = self._socket(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self._add("reach TCP", "tcp", tcp.getsockname()[1], 2, lambda: _called(tcp))
        self._add("reach UDP", "udp", udp.getsockname()[1], 2, lambda: _heard(udp) != b"")

    def _refused_by_kernel(self) -> None:
        name = f"autoresearch{self._name}"
        abstract = self._socket(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{name}")
        self._add("reach an abstract socket", "abstract", name, 3, lambda: _called(abstract))
        self._add("trace a process", "ptrace", None, 2)
        self._add("make a namespace", "namespace", None, 2)
        self._add("raise a limit", "raise_limit", None, 2)
        self._add("ask what is in memory", "residency", harmless_calls(), 2)
        self._add("change the kernel's settings", "device", "/proc/sys/kernel/core_pattern", 2)

    def _always(self) -> None:
        big = self.scratch / "big"
        if sys.platform == "linux":
            self._add("read the supervisor's environment", "environ", os.getpid(), 1)
        self._add(
            "exceed the file size", "oversize", [str(big), FILE_SIZE_MAX + 1], 1,
            lambda: big.exists() and big.stat().st_size > FILE_SIZE_MAX,
        )  # fmt: skip
        self._add("outlive the kill", "daemon", None, 1, lambda: _heard(self.ours) is None)

    # -- what is allowed ---------------------------------------------------------------------

    def _allowed(self) -> None:
        policy = self._policy
        self._create("write its scratch", self.scratch, 0)
        self._create("write its worktree", policy.worktree, 0)
        self._create("write the compilers' folder", policy.compiled, 0)
        self._add("read beside what is hidden", "read", str(self.mixed / "open" / "text"), 0)
        self._on_decoy("read its worktree", "read", policy.worktree, 0)
        self._add("start a process", "start", None, 0)
        self._add("share a semaphore", "semaphore", None, 0)
        self._add("use /dev/null", "device", os.devnull, 0)
        self._add("read /dev/urandom", "read", "/dev/urandom", 0)
        if self._seen and self._packages.is_dir() and any(self._packages.iterdir()):
            self._add("see its packages", "names", str(self._packages), 0)
        devices = [path for path in gpu_devices() if _opens(path)]
        for path in devices:
            self._add(f"use {path}", "device", path, 0)
        if devices:
            self._add("name its threads", "name_thread", None, 0)
        self._add(
            "speak to its examiner", "speak", self.theirs.fileno(), 0,
            lambda: _heard(self.ours) == b"heard",
        )  # fmt: skip

    # -- the parts ---------------------------------------------------------------------------

    def _add(self, name: str, verb: str, argument: Any, level: int, happened: Look = None) -> None:
        self.attempts.append(Attempt(name, verb, argument, level, happened))

    def _create(self, name: str, folder: Path, level: int) -> None:
        path = folder / f"{self._name}-{len(self.attempts)}"
        self.callback(path.unlink, missing_ok=True)
        self._add(name, "create", str(path), level, lambda: os.path.lexists(path))

    def _on_decoy(self, name: str, verb: str, folder: Path, level: int) -> None:
        path = self._decoy(folder, str(len(self.attempts)))
        if path is None:
            self.skipped.append(name)
        else:  # a read leaves nothing to see
            self._add(name, verb, str(path), level, None if verb == "read" else self._changed(path))

    def _decoy(self, folder: Path, name: str) -> Path | None:
        """Makes a file of ours in a folder, and the folder where it is missing; None where that can't be."""
        path = folder / f"{self._name}-{name}"
        try:
            self._make_folder(folder)
            path.write_bytes(_SECRET)
            path.chmod(0o600)
        except OSError:
            return None
        self.callback(path.unlink, missing_ok=True)
        return path

    def _changed(self, path: Path) -> Callable[[], bool]:
        def state() -> tuple[bytes, int, int]:
            status = path.stat()
            return path.read_bytes(), status.st_mode, status.st_mtime_ns

        before = state()
        return lambda: state() != before

    def _make_folder(self, folder: Path) -> None:
        if not folder.exists():
            self._make_folder(folder.parent)
            folder.mkdir()
            self.callback(_drop_empty, folder)

    def _temporary(self) -> Path:
        folder = make_scratch()
        self.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _socket(self, family: int, kind: int, address: Any) -> socket.socket:
        made = self.enter_context(socket.socket(family, kind))
        made.bind(address)
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.listen()
        return made


def _called(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _heard(ours: socket.socket) -> bytes | None:
    """Returns what has arrived; b"" when nobody is left at the other side; None where neither is so."""
    try:
        return ours.recv(64, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b"" if ours.type == socket.SOCK_DGRAM else None


def _opens(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError:
        return False
    return True


def _drop_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
