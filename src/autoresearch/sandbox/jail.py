"""A jail as words before a trial's command: what `Access` allows, told to what confines it.

    bwrap         BWRAP... -- PYTHON -I -S confine.py STATUS -- COMMAND
    landlock      PYTHON -I -S confine.py STATUS landlock KIND=PATH... -- COMMAND
    sandbox-exec  sandbox-exec -p PROFILE PYTHON -I -S confine.py STATUS -- COMMAND

STATUS stands there as `{status}`: the launcher puts a descriptor's number in its place.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from autoresearch.runners.base import Confinement
from autoresearch.sandbox import confine
from autoresearch.sandbox.access import Access, above, named_paths

Kind = Literal["bwrap", "landlock", "sandbox-exec"]

# Seen in every jail, as the kernel makes them; reading another process is ptrace's right, not theirs.
_KERNEL = ("/proc", "/sys")
_FRESH = ("/tmp", "/dev/shm")  # in bwrap's jail: empty, writable, the trial's own
# Root, whose files these are, could write to them without any privilege; bwrap covers only some.
_SETTINGS = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
# What counts for the whole machine, and so moves by what an earlier trial did; no training reads it.
_COUNTERS = (
    "buddyinfo", "diskstats", "interrupts", "key-users", "keys", "loadavg", "locks", "pagetypeinfo",
    "schedstat", "slabinfo", "softirqs", "swaps", "timer_list", "vmallocinfo", "vmstat", "zoneinfo",
)  # fmt: skip
_NODES = ("null", "zero", "full", "random", "urandom")
_GPUS = ("nvidia*", "kfd", "dri", "dxg")  # NVIDIA with uvm and caps, AMD, WSL
_LINKS_MAX = 40  # as the kernel's own


@dataclass(frozen=True, slots=True)
class Jail:
    """One way to confine a trial. program and flags: of bwrap or sandbox-exec, as installed here."""

    kind: Kind
    program: str = ""
    flags: tuple[str, ...] = ()

    def confinement(self, access: Access, cwd: Path) -> Confinement:
        """Returns what confines a command that runs in `cwd` to this access."""
        access = replace(access, readable=(*access.readable, *own_python()))
        if self.kind == "landlock":
            return Confinement(_confined(_landlock(named_paths(access))))
        if self.kind == "sandbox-exec":
            profile = _profile(named_paths(access, rest="readable"))
            return Confinement((self.program, "-p", profile, *_confined([])))
        named = named_paths(access, _FRESH)
        mounts = _mounts(named, _links((*access.readable, *access.writable)))
        folder = os.path.realpath(cwd)
        words = (self.program, *self.flags, *mounts, "--chdir", folder, "--", *_confined([]))
        return Confinement(words, monitor=True, own_shm=True)


def find_bwrap() -> Jail | None:
    """Returns bwrap's jail, None where it is not installed; whether it holds is for the self-test to say."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    try:
        said = subprocess.run([program, "--version"], capture_output=True, timeout=10, check=True)
        setuid = bool(os.stat(program).st_mode & stat.S_ISUID)
    except (OSError, subprocess.SubprocessError):
        return None
    flags = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    found = re.search(rb"(\d+)\.(\d+)", said.stdout)
    if found and (int(found[1]), int(found[2])) >= (0, 8) and not setuid:
        flags += ["--unshare-user", "--disable-userns"]
    return Jail("bwrap", program, tuple(flags))


def find_landlock() -> Jail | None:
    """Returns the jail that Landlock makes; None where the kernel has none."""
    return Jail("landlock") if confine.landlock_abi() else None


def find_sandbox_exec() -> Jail | None:
    """Returns the jail that macOS makes; None elsewhere."""
    program = shutil.which("sandbox-exec") if sys.platform == "darwin" else None
    return Jail("sandbox-exec", program) if program else None


def gpu_devices() -> list[str]:
    """Returns the device files of GPUs, some of them folders."""
    return sorted(str(path) for pattern in _GPUS for path in Path("/dev").glob(pattern))


# -- as words -------------------------------------------------------------------------------------


def _links(paths: Iterable[Path]) -> dict[str, str]:
    """Returns every symbolic link that is followed on the way to the paths, with its target."""
    found: dict[str, str] = {}
    for path in paths:
        here, followed = "/", 0
        waiting = str(path).split("/")[::-1]
        while waiting and followed < _LINKS_MAX:
            step = os.path.normpath(os.path.join(here, waiting.pop()))
            if os.path.islink(step):
                found[step] = os.readlink(step)
                waiting += found[step].split("/")[::-1]
                here = "/" if found[step].startswith("/") else here
                followed += 1
            else:
                here = step
    return found


def own_python() -> Iterator[Path]:
    """Yields what this Python needs to start and confine itself: its program, library, our script."""
    yield Path(sys.executable).resolve()
    yield Path(os.__file__).resolve().parent
    yield from Path(sys.base_prefix, "lib").glob("libpython*")
    yield Path(confine.__file__)
    yield from (Path(place) for place in ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"))


def _confined(words: list[str]) -> tuple[str, ...]:
    python = os.path.realpath(sys.executable)
    return (python, "-I", "-S", confine.__file__, "{status}", *words, "--")


def _landlock(named: dict[str, str]) -> list[str]:
    kinds = {"readable": "read", "writable": "write", "hidden": "hidden"}
    words = [f"{kinds[what]}={path}" for path, what in named.items()]
    words += [f"read={path}" for path in _KERNEL]
    words.append("write=/dev/shm")  # semaphores of multiprocessing lie there
    words += [f"device=/dev/{name}" for name in _NODES]
    words += [f"device={path}" for path in gpu_devices()]
    return ["landlock", *words]


def _profile(named: dict[str, str]) -> str:
    """Returns Seatbelt's rules, of which the last that matches decides. They were never tried on a Mac.

    Apple documents the program (man 1 sandbox-exec) and not the language: operations and filters are
    those of the profiles in /System/Library/Sandbox/Profiles and of fG!'s Apple Sandbox Guide. What
    is not named stays readable, as programs need places of the system's that differ by release.
    """
    closed, data = "network* file-write*", "file-read-data file-read-xattr"
    lines = [
        "(version 1)", "(allow default)", f"(deny {closed} appleevent-send job-creation lsopen)",
        "(deny signal process-info*)", "(allow signal process-info* (target same-sandbox))",
        *(f'(allow file-write* (literal "/dev/{name}"))' for name in _NODES),
    ]  # fmt: skip
    for path in sorted(named, key=lambda path: path.count("/")):
        quoted = path.replace("\\", "\\\\").replace('"', '\\"')
        may_read, may_write = named[path] != "hidden", named[path] == "writable"
        lines += [
            f'({"allow" if may_read else "deny"} {data} (subpath "{quoted}"))',
            f'({"allow" if may_write else "deny"} file-write* (subpath "{quoted}"))',
        ]
    return "\n".join(lines)


def _mounts(named: dict[str, str], links: dict[str, str]) -> list[str]:
    """Returns bwrap's options: its root is empty, and each path is laid over what is above it."""
    words: dict[str, list[str]] = {
        "/proc": ["--proc", "/proc"], "/dev": ["--dev", "/dev"], "/sys": ["--ro-bind", "/sys", "/sys"],
        **{path: ["--tmpfs", path] for path in _FRESH},
        **{path: ["--ro-bind-try", path, path] for path in _SETTINGS},
    }  # fmt: skip
    counters = [f"/proc/{name}" for name in _COUNTERS]
    words |= {path: ["--ro-bind", "/dev/null", path] for path in counters if os.path.exists(path)}
    closed = ["/", "/dev"]
    for device in gpu_devices():
        words[device] = ["--dev-bind-try", device, device]
    for path, kind in named.items():
        if kind == "hidden" and path in _FRESH:
            continue
        if kind == "writable":
            words[path] = ["--bind", path, path]
        elif kind == "readable":
            words[path] = ["--ro-bind", path, path]
        elif os.path.isdir(path):
            words[path] = ["--tmpfs", path]
            closed.append(path)
        else:
            words[path] = ["--ro-bind", "/dev/null", path]  # a device on a mount without devices
    for link, target in links.items():
        if above(link, named) in (None, "hidden") and not link.startswith(("/proc/", "/dev/")):
            words[link] = ["--symlink", target, link]
    ordered = sorted(words, key=lambda path: (path.count("/"), path))
    sealed = [word for path in sorted(closed) for word in ("--remount-ro", path)]
    return [word for path in ordered for word in words[path]] + sealed
