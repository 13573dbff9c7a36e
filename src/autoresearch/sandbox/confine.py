"""Gives up what a trial must not do, and becomes the trial. Stand-alone, for a process of one thread:

    python -I -S confine.py STATUS [landlock KIND=PATH...] -- COMMAND...

STATUS is a descriptor that is told "1" when all of it holds, just before COMMAND begins; a jail that
could not be made is so never taken for a trial that failed. Where COMMAND can't be started it is told "0"
besides. KIND is read, write, hidden or device.
Without `landlock`, inside bwrap, it is system calls and privileges alone; on macOS, inside
sandbox-exec, nothing is left to give up.

Landlock (man 7 landlock) allows by folder and can't take back below: a folder with something hidden
in it is opened entry by entry. The names of what is hidden show there, its bytes don't. Rights are
those of the kernel's ABI, 1 to 7; a newer one is used as 7. What the system calls filter (man 2
seccomp) refuses fails with EPERM, so that programs do without; it is written for x86_64 and aarch64.
"""

from __future__ import annotations

# Nothing that is slow to load: every trial waits for it.
import ctypes
import os
import stat
import struct
import sys

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    """Makes a system call by its number; raises OSError where the kernel refuses it."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *words)))


def _prctl(option: int, *arguments: int) -> int:
    words = [ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4]]
    return _checked(int(_libc.prctl(option, *words)))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# -- Landlock: linux/landlock.h ---------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE, _MAKE = 0b11 << 4, 0b1_0111_1000_0000  # folders, files, sockets, pipes, links; no devices
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_RIGHTS = {
    "read": _EXECUTE | _READ_FILE | _READ_DIR,
    "write": _EXECUTE | _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE | _MAKE
    | _REFER | _TRUNCATE,
    "list": _READ_DIR,
    "device": _READ_DIR | _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV,
}  # fmt: skip
_HANDLED = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # ABI -> number of rights on files
_TCP = 0b11  # bind and connect, from ABI 4
_SCOPES = 0b11  # abstract sockets and signals stay among the confined, from ABI 6


def landlock_abi() -> int:
    """Returns the kernel's Landlock ABI; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    try:
        return _syscall(_CREATE_RULESET, None, 0, 1)
    except OSError:
        return 0


def rules(named: dict[str, str]) -> list[tuple[str, str]]:
    """Returns (path, kind of rights) that together allow what is named, and nothing of what is hidden.

    named: path -> read, write or hidden; absolute, without links. The longest path decides, but a
    read-only place inside a writable one stays writable: Landlock can't express it.
    """
    found: list[tuple[str, str]] = []

    def grant(path: str, kind: str) -> None:
        inside = path.rstrip("/") + "/"
        if not any(other.startswith(inside) and named[other] == "hidden" for other in named):
            found.append((path, kind))
            return
        found.append((path, "list"))
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError:
            return  # closed to us, and so to the trial
        for entry in entries:
            # A link's target has to be named itself, or a link could uncover what is hidden.
            if entry.path not in named and not entry.is_symlink():
                grant(entry.path, kind)

    for path, kind in named.items():
        if kind != "hidden":
            grant(path, kind)
    return found


def _restrict_files(given: list[tuple[str, str]]) -> None:
    abi = min(7, landlock_abi())
    if not abi:
        raise OSError(38, "this kernel has no Landlock, or it is switched off")
    handled = (1 << _HANDLED.get(abi, 16)) - 1
    attributes = struct.pack("=QQQ", handled, _TCP, _SCOPES)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _syscall(_CREATE_RULESET, attributes, size, 0)
    devices = [path for kind, path in given if kind == "device"]
    allowed = rules({path: kind for kind, path in given if kind != "device"})
    allowed += [(path, "device") for path in devices]
    allowed += [(f"/proc/self/fd/{fd}", "device") for fd in (1, 2)]  # as /dev/stdout: open already
    if any(path.startswith(("/dev/nvidia", "/dev/kfd", "/dev/dri")) for path in devices):
        # CUDA names its threads in /proc, and does not start where it can't. Root could write to
        # all of /proc/sys as well, so as root it is this process's threads alone.
        allowed.append(("/proc/self/task" if os.geteuid() == 0 else "/proc", "device"))
    for path, kind in allowed:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rights = _RIGHTS[kind] & handled
            if not stat.S_ISDIR(os.fstat(place).st_mode):
                rights &= _OF_FILES
            if rights:
                _syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, place), 0)
            os.close(place)
        except OSError:
            continue  # gone, closed to us anyway, or a pipe: nothing is allowed by it
    _syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


# -- system calls: linux/seccomp.h, linux/filter.h ---------------------------------------------

_LD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _EPERM, _ENOSYS, _PRETEND = 0x7FFF0000, 0x00050001, 0x00050026, 0x00050000
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; arguments are 8 bytes each
_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone(2) takes
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_RWF_NOWAIT, _X32 = 0x8, 0x40000000

# name -> number; those from 424 on are the same on both.
_SINCE_424 = {
    "pidfd_getfd": 438, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "mount_setattr": 442, "process_madvise": 440, "setxattrat": 463,
    "removexattrat": 466, "cachestat": 451,
}  # fmt: skip
_REFUSED = {
    "x86_64": {
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
        "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155,
        "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298,
        "userfaultfd": 323, "kexec_load": 246, "kexec_file_load": 320, "init_module": 175,
        "finit_module": 313, "delete_module": 176, "open_by_handle_at": 304, "reboot": 169,
        # What outlives a process and is no file: one trial could tell the next by it.
        "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66,
        "semtimedop": 220, "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71,
        "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198,
        "fremovexattr": 199, "mincore": 27, "io_setup": 206,  # they tell which pages of files are in memory
    },
    "aarch64": {
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
        "unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41,
        "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241,
        "userfaultfd": 282, "kexec_load": 104, "kexec_file_load": 294, "init_module": 105,
        "finit_module": 273, "delete_module": 106, "open_by_handle_at": 265, "reboot": 142,
        "shmget": 194, "shmat": 196, "shmctl": 195, "semget": 190, "semop": 193, "semctl": 191,
        "semtimedop": 192, "msgget": 186, "msgsnd": 189, "msgrcv": 188, "msgctl": 187,
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15,
        "fremovexattr": 16, "mincore": 232, "io_setup": 0,
    },
}  # fmt: skip
# Looked at more closely: audit architecture, then the numbers of these calls.
_CLOSER = {
    "x86_64": (0xC000003E, {
        "socket": 41, "clone": 56, "ioctl": 16, "prlimit64": 302, "preadv2": 327, "pwritev2": 328,
    }),
    "aarch64": (0xC00000B7, {
        "socket": 198, "clone": 220, "ioctl": 29, "prlimit64": 261, "preadv2": 286, "pwritev2": 287,
    }),
}  # fmt: skip
# Times of files, where no mount keeps them: done by nobody, and nobody is told.
_TIMES = {
    "x86_64": {"utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280},
    "aarch64": {"utimensat": 88},
}
_CLONE3 = 435  # its flags lie behind a pointer; without it the C library takes clone


def can_filter() -> bool:
    """Returns whether the filter is written for this machine's processor."""
    return sys.platform == "linux" and os.uname().machine in _CLOSER and sys.maxsize > 2**32


def numbers(machine: str) -> dict[str, int]:
    """Returns the system calls that are refused, or looked at more closely, with their numbers."""
    return {**_REFUSED[machine], **_SINCE_424, **_CLOSER[machine][1]}


def program(machine: str, times: bool = True) -> bytes:
    """Returns the filter as classic BPF: struct sock_filter, 8 bytes an instruction.

    times: whether files may be given other times.
    """
    architecture, closer = _CLOSER[machine]
    code: list[tuple[int, int, str, str]] = []  # operation, value, where to if true, if false
    code += [(_LD, _ARCH, "", ""), (_JEQ, architecture, "", "refuse"), (_LD, _NUMBER, "", "")]
    if machine == "x86_64":
        code.append((_JGE, _X32, "refuse", ""))
    code += [(_JEQ, number, name, "") for name, number in closer.items()]
    code.append((_JEQ, _CLONE3, "unknown", ""))
    refused = {**_REFUSED[machine], **_SINCE_424}
    code += [(_JEQ, number, "refuse", "") for number in refused.values()]
    if not times:
        code += [(_JEQ, number, "pretend", "") for number in _TIMES[machine].values()]
    labels = {}

    def part(name: str, *instructions: tuple[int, int, str, str]) -> None:
        labels[name] = len(code)
        code.extend(instructions)

    part("allow", (_RET, _ALLOW, "", ""))
    part("socket", (_LD, _ARGUMENT, "", ""), (_JEQ, 1, "ok", "refuse"))  # AF_UNIX
    part("clone", (_LD, _ARGUMENT, "", ""), (_JSET, _NEW_NAMESPACES, "refuse", "ok"))
    part(
        "ioctl", (_LD, _ARGUMENT + 8, "", ""), (_JEQ, _TIOCSTI, "refuse", ""),
        (_JEQ, _TIOCLINUX, "refuse", "ok"),
    )  # fmt: skip
    part("prlimit64", (_LD, _ARGUMENT, "", ""), (_JEQ, 0, "ok", "refuse"))  # its own alone
    for name in ("preadv2", "pwritev2"):
        part(name, (_LD, _ARGUMENT + 40, "", ""), (_JSET, _RWF_NOWAIT, "refuse", "ok"))
    part("ok", (_RET, _ALLOW, "", ""))
    part("unknown", (_RET, _ENOSYS, "", ""))
    part("pretend", (_RET, _PRETEND, "", ""))
    part("refuse", (_RET, _EPERM, "", ""))

    def to(label: str, at: int) -> int:
        return labels[label] - at - 1 if label else 0

    return b"".join(
        struct.pack("=HBBI", operation, to(true, at), to(false, at), value)
        for at, (operation, value, true, false) in enumerate(code)
    )


def _filter_calls(times: bool) -> None:
    code = program(os.uname().machine, times)
    buffer = ctypes.create_string_buffer(code, len(code))
    fields = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))  # struct sock_fprog
    header = ctypes.create_string_buffer(fields, len(fields))
    _prctl(22, 2, ctypes.addressof(header))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


# -- privileges -------------------------------------------------------------------------------


def _drop_privileges() -> None:
    """Leaves no capability now, and none by a later exec; without effect for a plain user."""
    try:
        for capability in range(64):
            _prctl(24, capability)  # PR_CAPBSET_DROP
    except OSError:
        pass  # refused to a plain user; at the end, past the last one
    _prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    nothing = struct.pack("=6I", 0, 0, 0, 0, 0, 0)
    _checked(_libc.capset(struct.pack("=Ii", 0x20080522, 0), nothing))


def main() -> None:
    status, end = int(sys.argv[1]), sys.argv.index("--")
    words, command = sys.argv[2:end], sys.argv[end + 1 :]
    try:
        if sys.platform == "linux":
            _drop_privileges()
        if words:
            _restrict_files(
                [(kind, path) for kind, _, path in (w.partition("=") for w in words[1:])]
            )
        if can_filter():
            _filter_calls(times=not words)
    except OSError as fault:
        os.write(2, f"the sandbox could not be made: {fault.strerror}\n".encode())
        os._exit(126)
    os.write(status, b"1")
    os.set_inheritable(status, False)
    try:
        os.execvp(command[0], command)
    except OSError as fault:
        os.write(2, f"{command[0]}: {os.strerror(fault.errno or 0)}\n".encode())
        os.write(status, b"0")
    os._exit(127)


if __name__ == "__main__":
    main()
