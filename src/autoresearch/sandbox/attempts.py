"""Tries in a jail what a trial must not and must be able to do. Stand-alone, standard library alone.

    python -I -S attempts.py ATTEMPTS

ATTEMPTS is JSON: a list of [name, verb, argument]. The last line printed is JSON too: name -> null
where the attempt was made, else what refused it. Who started it looks at the effects for itself
(selftest.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

_CLONE_NEWUSER = 0x10000000
_PTRACE_TRACEME = 0


def create(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, b"written")
    os.close(descriptor)


def change(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, b"changed")
    os.close(descriptor)


def truncate(path: str) -> None:
    os.truncate(path, 0)


def metadata(path: str) -> None:
    with contextlib.suppress(OSError):  # either of them is a breach
        os.utime(path, (1, 1))
        return
    os.chmod(path, 0o777)


def read(path: str) -> None:
    """Reads a file, or of a folder a file in it."""
    if os.path.isdir(path):
        with os.scandir(path) as entries:
            path = next((e.path for e in entries if e.is_file()), path)
    with open(path, "rb") as file:
        if not file.read(64):
            raise OSError("there is nothing in it")


def names(path: str) -> None:
    if not os.listdir(path):
        raise OSError("no names in it")


def tcp(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        made.settimeout(2)
        made.connect(("127.0.0.1", port))


def udp(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"heard", ("127.0.0.1", port))


def abstract(name: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.connect("\0" + name)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def environ(pid: int) -> None:
    with open(f"/proc/{pid}/environ", "rb") as file:
        if not file.read().strip(b"\0"):
            raise OSError("it was wiped")


def see(found: list[Any]) -> None:
    """Sees another process, by its pid and a word of its command line."""
    pid, word = found
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        if word.encode() not in file.read():
            raise OSError("another process has its number")


def ptrace(_: None) -> None:
    _forked(lambda: ctypes.CDLL(None).ptrace(_PTRACE_TRACEME, 0, None, None))


def namespace(_: None) -> None:
    _forked(lambda: ctypes.CDLL(None).unshare(_CLONE_NEWUSER))


def residency(calls: dict[str, list[int]]) -> None:
    """Asks the kernel, with arguments that it can't use, which pages of files are in memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    through = []
    for name, words in calls.items():
        done = libc.syscall(*(ctypes.c_long(word) for word in words))
        if done >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
            through.append(name)
    if not through:
        raise PermissionError("the system calls were refused")


def _forked(call: Callable[[], int]) -> None:
    """Makes a system call in a process of its own, with which its effect ends."""
    pid = os.fork()
    if not pid:
        os._exit(0 if call() == 0 else 1)
    if os.waitpid(pid, 0)[1]:
        raise PermissionError("the system call was refused")


def raise_limit(_: None) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError as fault:
        raise PermissionError(str(fault)) from None


def oversize(given: list[Any]) -> None:
    path, size = given
    with open(path, "wb") as file:
        file.truncate(size)


def daemon(_: None) -> None:
    """Leaves a process in a session of its own, which keeps every descriptor that it inherited."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        raise OSError("whether it lives on shows where the descriptors lead")
    os.setsid()
    if not os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    os._exit(0)


def speak(descriptor: int) -> None:
    os.write(descriptor, b"heard")


def start(_: None) -> None:
    code = subprocess.run(["/bin/sh", "-c", "exit 7"], check=False).returncode
    if code != 7:
        raise OSError(f"exit code {code}")


def semaphore(_: None) -> None:
    """Takes one as multiprocessing does, without the half second that importing all of it may take."""
    made = importlib.import_module("_multiprocessing")
    lock = made.SemLock(1, 1, 1, f"/autoresearch-{os.getpid()}", True)
    lock.acquire()
    lock.release()


def device(path: str) -> None:
    """Opens for reading and writing, and neither reads nor writes."""
    os.close(os.open(path, os.O_RDWR))


def name_thread(_: None) -> None:
    """Names its thread, as CUDA does before anything else."""
    with open(f"/proc/self/task/{os.getpid()}/comm", "w") as file:
        file.write("selftest")


def main() -> None:
    answers: dict[str, str | None] = {}
    for name, verb, argument in json.loads(sys.argv[1]):
        try:
            globals()[verb](argument)
            answers[name] = None
        except (OSError, ImportError) as fault:
            answers[name] = str(fault)
    print("\n" + json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
