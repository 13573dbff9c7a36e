"""The process between the supervisor and a trial. Stand-alone: python -I -S launcher.py PLAN

It exists so that a kill kills. It is the subreaper of all that a trial starts, in sessions of their
own or not; it obeys one pipe from the supervisor, and the end of that pipe (the supervisor died,
however it died) is an order to kill. It holds no secret: its environment is the trial's own.

    supervisor -> launcher   "go"            start the commands of PLAN, one after the other
                             "stop SECONDS"  TERM to every process, KILL to what is left after that time
                             (end of file)   KILL at once
    launcher -> supervisor   "ready", then one line of JSON when no process of the trial is left

PLAN is words, as `words` makes them: log, stdin, monitor, and lists, each after its length:
descriptors, which the commands inherit; prefix, the jail's words before each command; the commands.
Of the prefix "{status}" stands for a descriptor on which the jail tells that it holds; monitor is "1"
where its first word is a process of the jail's own that stays above the trial (bwrap).

What it does not promise: a trial that runs as the same user can kill the launcher itself; the
supervisor then sweeps what it inherits, and the trial is void.
"""

from __future__ import annotations

# Every trial waits for this file: json, signal, contextlib and typing would take as long to load as
# Python itself.
# ruff: noqa: SIM105
import _signal as signal  # type: ignore[import-not-found]
import ctypes
import os
import resource
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_PR_SET_CHILD_SUBREAPER = 36
_SWEEP_S = 10.0
FILE_SIZE_MAX = 64 << 30  # bytes: more than any checkpoint, less than a disk


def become_subreaper() -> None:
    """Inherits the orphans among our descendants (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int, but: Collection[int] = ()) -> list[int]:
    """Returns every process below one, by /proc; `but` names children to leave out with all below."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if sys.platform == "linux" else ():
        if name.isdigit():
            try:
                with open("/proc/" + name + "/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in but:
                found.append(child)
                waiting.append(child)
    return found


def send(pids: Iterable[int], number: int) -> None:
    """Sends a signal to processes; those that are gone are ignored."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def _send_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def reap() -> dict[int, int] | None:
    """Collects what has ended, and returns it as {pid: status}; None where no child is left at all.

    A process with a subreaper above it is always below a living child of the subreaper, so "no
    child" proves that nothing of the trial is left, however fast it forks.
    """
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended or None
        if pid == 0:
            return ended
        ended[pid] = status


def sweep(group: int) -> int:
    """Kills all descendants until there are none; returns how many were left when the time was over."""
    end = time.monotonic() + _SWEEP_S
    while reap() is not None:
        _send_group(group, signal.SIGKILL)
        send(descendants(os.getpid()), signal.SIGKILL)
        if time.monotonic() > end:
            return len(descendants(os.getpid()))
        time.sleep(0.001)
    return 0


def spawn(command: list[str], log: int, stdin: int, kept: Collection[int], status: int) -> int:
    """Forks and execs one command in a session of its own, with these descriptors; returns its pid.

    `status` is told "0" where the command can't be started; it is inherited only where `kept` has it.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid
    os.setsid()
    os.dup2(stdin, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    after = 3
    for descriptor in sorted({*kept, status}):
        os.closerange(after, descriptor)
        os.set_inheritable(descriptor, descriptor in kept)
        after = descriptor + 1
    os.closerange(after, after + 256)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # a TERM that came too early counts now
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, FILE_SIZE_MAX)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(
                "500"
            )  # if memory runs out, the kernel takes the trial and not the supervisor
    except OSError:
        pass
    try:
        os.execvp(command[0], command)
    except OSError as fault:
        os.write(2, (command[0] + ": " + os.strerror(fault.errno or 0) + "\n").encode())
        os.write(status, b"0")
    os._exit(127)


def _limit(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most, most))


def watch(pid: int, wakeup: int) -> tuple[int | None, float | None]:
    """Waits for a command; returns its exit code, or the seconds of grace if it is to be stopped."""
    while True:
        ended = reap() or {}
        if pid in ended:
            return os.waitstatus_to_exitcode(ended[pid]), None
        ready, _, _ = select.select([0, wakeup], [], [], 1.0)
        if wakeup in ready:
            os.read(wakeup, 512)
        if 0 in ready:
            order = os.read(0, 512).split()
            return None, float(order[1]) if len(order) > 1 else 0.0


def stop(grace_s: float, group: int, monitor: bool) -> None:
    """Sends TERM to all, and gives them time to end; a trial that is through sooner is not waited for.

    A monitor is spared: it would die of it at once, and take the trial along.
    """
    if grace_s <= 0:
        return
    end = time.monotonic() + grace_s
    if not monitor:
        _send_group(group, signal.SIGTERM)
    send([p for p in descendants(os.getpid()) if not monitor or p != group], signal.SIGTERM)
    while time.monotonic() < end and reap() is not None:
        if select.select([0], [], [], 0.01)[0] and not os.read(0, 512):
            return  # the supervisor is gone: no more grace


class LaunchPlan:
    """What is run, read from the words of the command line; `words` is the way back."""

    def __init__(self, given: Sequence[str]) -> None:
        self.log, self.stdin, monitor = given[:3]
        self.monitor = monitor == "1"
        lists, at = [], 3
        while at < len(given):
            end = at + 1 + int(given[at])
            lists.append(list(given[at + 1 : end]))
            at = end
        descriptors, self.prefix, *self.commands = lists
        self.descriptors = [int(each) for each in descriptors]


def words(
    log: str,
    stdin: str,
    monitor: bool,
    descriptors: Iterable[int],
    prefix: Iterable[str],
    commands: Iterable[Iterable[str]],
) -> list[str]:
    """Returns a plan as the words of the launcher's command line."""
    given = [log, stdin, "1" if monitor else "0"]
    for each in (map(str, descriptors), prefix, *commands):
        listed = list(each)
        given += [str(len(listed)), *listed]
    return given


def run(
    command: list[str], plan: LaunchPlan, log: int, stdin: int, wakeup: int
) -> tuple[int | None, bool, bool, int]:
    """Runs one command to its end, and ends what it left.

    Returns its exit code, whether the jail held, whether the command itself could be started, and how
    many processes survived.
    """
    told, status = os.pipe()
    os.set_blocking(told, False)
    prefix = [str(status) if word == "{status}" else word for word in plan.prefix]
    kept = [*plan.descriptors, *([status] if prefix else [])]
    group = spawn([*prefix, *command], log, stdin, kept, status)
    os.close(status)
    code, grace_s = watch(group, wakeup)
    if grace_s is not None:
        stop(grace_s, group, plan.monitor)
    survivors = sweep(group)
    said = b""
    try:
        said = os.read(told, 8)
    except BlockingIOError:
        pass
    os.close(told)
    held = not prefix or said.startswith(b"1")
    if plan.monitor and code is not None and code > 128:
        code = 128 - code  # as shells do, bwrap turns signal n into 128 + n
    return code, held, b"0" not in said, survivors


def main() -> None:
    plan = LaunchPlan(sys.argv[1:])
    become_subreaper()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    os.write(1, b"ready\n")
    if not os.read(0, len(b"go\n")):  # no more: an order to stop may stand behind it
        return
    log = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    stdin = os.open(plan.stdin, os.O_RDONLY)
    began = time.monotonic()
    code: int | None = 0
    held, started, setup_failed, survivors = True, True, False, 0
    for index, command in enumerate(plan.commands):
        code, held, started, left = run(command, plan, log, stdin, read_end)
        survivors += left
        if code != 0:
            setup_failed = index < len(plan.commands) - 1
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {
        "exit_code": code,
        "seconds": time.monotonic() - began,
        "setup_failed": setup_failed,
        "survivors": survivors,
        "held": held,
        "started": started,
        "peak_rss_mb": used.ru_maxrss / (1024 if sys.platform == "linux" else 2**20),
        "cpu_s": used.ru_utime + used.ru_stime,
    }
    line = ", ".join(f'"{key}": {_json(value)}' for key, value in report.items())
    try:
        os.write(1, f"{{{line}}}\n".encode())
    except BrokenPipeError:
        pass


def _json(value: float | None) -> str:
    """Returns a number, a truth value or None as JSON has it."""
    return "null" if value is None else repr(value).lower()


if __name__ == "__main__":
    main()
    os._exit(0)  # nothing is left to be tidied up, which would take milliseconds
