"""What a jailed trial reaches, what it leaves, and how it ends: real processes in each kind of jail."""

from __future__ import annotations

import functools
import os
import socket
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.errors import InfrastructureError
from autoresearch.runners.launcher import FILE_SIZE_MAX
from autoresearch.runners.local import LocalRunner
from autoresearch.sandbox import confine
from autoresearch.sandbox.jail import Jail
from autoresearch.sandbox.policy import Policy, readable_of
from tests.jailed import EVERY, KINDS, Trial, jail_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bwrap and Landlock are Linux's")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    jail_of(request.param)
    return str(request.param)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A readable folder with a hidden lab in it, and in that a Python's folder and a worktree."""
    opt = tmp_path / "opt"
    for name in ("tool/x", "lab/secret", "lab/.venv/x", "lab/.git/journal", "lab/.git/work/.git"):
        file = opt / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (opt / "way").symlink_to("lab")
    (opt / "tool" / "key").symlink_to("../lab/secret")
    return opt


def in_tree(opt: Path, tmp_path: Path, kind: str) -> Trial:
    return Trial(
        tmp_path / "run", kind,
        readable=(opt, opt / "lab" / ".venv", opt / "lab" / ".git" / "work" / ".git"),
        writable=(opt / "lab" / ".git" / "work",),
        hidden=(opt / "lab",),
    )  # fmt: skip


READS = {
    "tool": "P('{opt}/tool/x').read_text()",
    "secret": "P('{opt}/lab/secret').read_text()",
    "through a link": "P('{opt}/way/secret').read_text()",
    "through a link to it": "P('{opt}/tool/key').read_text()",
    "venv": "P('{opt}/lab/.venv/x').read_text()",
    "journal": "P('{opt}/lab/.git/journal').read_text()",
    "pointer": "P('{opt}/lab/.git/work/.git').read_text()",
    "made": "P('{opt}/lab/.git/work/made').write_text('x')",
    "moved in": "os.rename('{opt}/lab/.git/work/made', '{opt}/lab/.git/work/renamed')",
    "tool changed": "P('{opt}/tool/x').write_text('x')",
    "tool linked": "os.link('{opt}/tool/x', '{opt}/lab/.git/work/linked')",
    "venv changed": "P('{opt}/lab/.venv/y').write_text('x')",
    "elsewhere": "P('{opt}/../elsewhere').read_text()",
}


def test_the_longest_path_decides(tree: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").write_text("not named, so hidden")
    trial = in_tree(tree, tmp_path, kind)
    found = trial.tries(**{name: text.format(opt=tree) for name, text in READS.items()})
    faults = {name for name, value in found.items() if str(value).endswith("Error")}
    assert faults == {
        "secret", "through a link", "through a link to it", "journal", "tool changed",
        "tool linked", "venv changed", "elsewhere",
    }  # fmt: skip
    work = tree / "lab" / ".git" / "work"
    assert (work / "renamed").read_text() == "x"
    assert (tree / "tool" / "x").read_text() == "tool/x"
    assert not (tree / "lab" / ".venv" / "y").exists()


def test_without_a_jail_all_of_it_goes_through(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("here")
    trial = in_tree(tree, tmp_path, "none")
    found = trial.tries(**{name: text.format(opt=tree) for name, text in READS.items()})
    assert [name for name, value in found.items() if str(value).endswith("Error")] == []


def test_places_named_through_links_are_the_places_they_lead_to(
    tree: Path, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "road").symlink_to(tree)
    road = tmp_path / "road"
    trial = Trial(
        tmp_path / "run", kind, readable=(road / "tool", road / "way" / ".venv"),
        writable=(road / "lab" / ".git" / "work",), hidden=(road / "lab",),
    )  # fmt: skip
    found = trial.tries(
        tool=f"P('{road}/tool/x').read_text()",
        venv=f"P('{road}/way/.venv/x').read_text()",
        made=f"P('{road}/lab/.git/work/made').write_text('x')",
        secret=f"P('{road}/lab/secret').read_text()",
    )
    assert found.pop("secret").endswith("Error")
    assert found == {"tool": "tool/x", "venv": "lab/.venv/x", "made": 1}


def test_a_hidden_file_is_not_read_and_its_neighbour_is(tmp_path: Path, kind: str) -> None:
    library = tmp_path / "library"
    library.mkdir()
    for name in ("open.py", "held.py"):
        (library / name).write_text(f"name = '{name}'\n")
    trial = Trial(tmp_path / "run", kind, readable=(library,), hidden=(library / "held.py",))
    found = trial.tries(
        near=f"P('{library}/open.py').read_text()",
        held=f"P('{library}/held.py').read_text()",
        imported=f"__import__('sys').path.insert(0, '{library}') or __import__('open').name",
    )
    assert found["imported"] == "open.py" and found["near"] == "name = 'open.py'\n"
    assert found["held"] == "PermissionError"


def test_only_bwrap_keeps_what_is_read_only_inside_the_worktree(tree: Path, tmp_path: Path) -> None:
    """Landlock can't: there the comparison after a trial is what finds it, and the self-test says so."""
    pointer = tree / "lab" / ".git" / "work" / ".git"
    jail_of("bwrap")
    found = in_tree(tree, tmp_path, "bwrap").tries(
        write=f"P('{pointer}').write_text('x')", remove=f"os.remove('{pointer}')",
        chmod=f"os.chmod('{tree}/tool/x', 0o600)",
    )  # fmt: skip
    assert all(value.endswith("Error") for value in found.values())
    assert pointer.read_text() == "lab/.git/work/.git"


# -- system calls ----------------------------------------------------------------------------------

CALLS = """\
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    done = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in arguments])
    return ctypes.get_errno() if done == -1 else 0
x = platform.machine() == "x86_64"
nowhere = [-1] * 6  # bad addresses and descriptors: nothing happens where a call is let through
print({
    "io_uring_setup": call(425, 1, -1),
    "keyctl": call(250 if x else 219, 99, 0, 0, 0, 0),
    "userfaultfd": call(323 if x else 282, -1),
    "bpf": call(321 if x else 280, 99, -1, 0),
    "perf_event_open": call(298 if x else 241, *nowhere),
    "process_vm_readv": call(310 if x else 270, *nowhere),
    "setns": call(308 if x else 268, -1, 0),
    "mount": call(165 if x else 40, -1, -1, -1, 0, 0),
    "fsopen": call(430, -1, 0),
    "netlink": call(41 if x else 198, 16, 3, 0),
    "vsock": call(41 if x else 198, 40, 1, 0),
    "inet": call(41 if x else 198, 2, 1, 0),
    "prlimit of another": call(302 if x else 261, 1, 99, 0, 0),
    "TIOCSTI": call(16 if x else 29, 0, 0x5412, 0),
    "clone3": call(435, 0, 0),
    "clone NEWUSER": call(56 if x else 220, 0x10000000 | 0x80000000000 | 0x100, 0, 0, 0, 0),
    **({"x32 getpid": call(0x40000000 | 39)} if x else {}),
    "unix": call(41 if x else 198, 1, 1, 0),
    "own limit": call(302 if x else 261, 0, 7, 0, 0),
})
"""


def test_system_calls_are_refused_with_eperm(tmp_path: Path, kind: str) -> None:
    outcome, said = Trial(tmp_path / "jailed", kind).python(CALLS)
    assert outcome.exit_code == 0, said
    jailed = eval(said.splitlines()[-1])
    assert jailed.pop("unix") == jailed.pop("own limit") == 0
    assert jailed.pop("clone3") == 38  # ENOSYS: the C library takes clone instead
    assert set(jailed.values()) == {1}, jailed
    _, said = Trial(tmp_path / "free", "none").python(CALLS)
    free = eval(said.splitlines()[-1])
    assert {"inet", "netlink", "TIOCSTI", "process_vm_readv", "keyctl", "setns"} <= {
        name for name, fault in free.items() if fault != 1
    }


# -- the end of a trial ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY)
def test_exit_codes_and_signals_are_the_commands_own(tmp_path: Path, kind: str) -> None:
    jail_of(kind)
    for script, code in (
        ("raise SystemExit(3)", 3),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", -11),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -9),
    ):
        assert Trial(tmp_path / "run", kind).python(script)[0].exit_code == code
    outcome, said = Trial(tmp_path / "run", kind).run("no-such-program")
    assert outcome.exit_code == 127 and said == "no-such-program: No such file or directory\n"


GRACE = """\
import signal, sys, time
def save(*_):
    time.sleep(0.3)
    print("saved", flush=True)
    sys.exit(5)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", EVERY)
def test_a_trial_has_its_grace_at_the_deadline(tmp_path: Path, kind: str) -> None:
    jail_of(kind)
    outcome, said = Trial(tmp_path / "run", kind, timeout_s=3).python(GRACE)
    assert said == "ready\nsaved\n"
    assert outcome.timed_out and outcome.exit_code is None and outcome.survivors == 0


def test_a_jail_that_can_not_be_made_is_not_the_candidates_crash(tmp_path: Path) -> None:
    given = Trial(tmp_path / "run", "none")
    spec = given.spec(sys.executable, "-c", "print('it ran')")
    for program in ("false", "no-such-bwrap"):
        confinement = Jail("bwrap", program).confinement(given.access(), given.folder)
        trial = LocalRunner().start(replace(spec, confinement=confinement))
        with pytest.raises(InfrastructureError, match="sandbox could not be made"):
            trial.run(lambda: False)
    assert "it ran" not in spec.log.read_text()


@pytest.mark.parametrize("kind", EVERY)
def test_memory_and_processor_time_are_measured(tmp_path: Path, kind: str) -> None:
    jail_of(kind)
    script = (
        "import os, time\n"
        "if os.fork(): os.wait()\n"
        "else:\n"
        "    held = bytearray(b'x') * (150 << 20)\n"
        "    while time.process_time() < 0.3: pass\n"
    )
    outcome, said = Trial(tmp_path / "run", kind).python(script)
    assert outcome.exit_code == 0, said
    assert outcome.peak_rss_mb is not None and 150 < outcome.peak_rss_mb < 1000
    assert outcome.cpu_s is not None and 0.3 <= outcome.cpu_s < 30


@pytest.mark.parametrize("kind", EVERY)
def test_a_file_does_not_grow_beyond_the_limit(tmp_path: Path, kind: str) -> None:
    jail_of(kind)
    found = Trial(tmp_path / "run", kind).tries(
        much=f"open('a', 'wb').truncate({FILE_SIZE_MAX})",
        more=f"open('b', 'wb').truncate({FILE_SIZE_MAX + 1})",
    )
    assert found == {"much": FILE_SIZE_MAX, "more": "OSError"}
    assert (tmp_path / "run" / "b").stat().st_size == 0
    (tmp_path / "run" / "a").unlink()


@pytest.mark.parametrize("kind", EVERY)
def test_descriptors_that_are_named_come_through_and_no_others(tmp_path: Path, kind: str) -> None:
    jail_of(kind)
    ours, theirs = socket.socketpair()
    other = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(other, True)
    trial = Trial(tmp_path / "run", kind, descriptors=(theirs.fileno(),))
    found = trial.tries(
        sent=f"socket.socket(fileno=os.dup({theirs.fileno()})).send(b'hello')",
        others=f"[n for n in range(3, 300) if n != {theirs.fileno()} and P(f'/proc/self/fd/{{n}}').exists()]",
    )
    theirs.close()
    assert found == {"sent": 5, "others": []}
    assert ours.recv(16) == b"hello" and ours.recv(16) == b""  # and nobody holds it any more
    ours.close()
    os.close(other)


# -- /dev/shm ---------------------------------------------------------------------------------------

LEAVES = "open('/dev/shm/NAME', 'w').write('x')"


@pytest.mark.parametrize("kind", EVERY)
def test_nothing_new_is_left_in_shared_memory(tmp_path: Path, kind: str) -> None:
    jail_of(kind)
    left = Path(f"/dev/shm/autoresearch-left-{os.getpid()}-{kind}")
    Trial(tmp_path / "run", kind).python(LEAVES.replace("NAME", left.name))
    assert not left.exists()


def test_shared_memory_in_use_by_others_stays(tmp_path: Path) -> None:
    """Another program of the user's makes its own while a trial runs."""
    jail_of("landlock")
    ours = Path(f"/dev/shm/autoresearch-ours-{os.getpid()}")
    old = Path(f"/dev/shm/autoresearch-old-{os.getpid()}")
    old.write_text("there before")
    trial = Trial(tmp_path / "run", "landlock")
    started = LocalRunner().start(trial.spec(sys.executable, "-c", "pass"))
    try:
        with ours.open("w") as file:
            file.write("in use")
            file.flush()
            started.run(lambda: False)
            assert ours.exists() and old.exists()
    finally:
        ours.unlink()
        old.unlink()


# -- what a trial's programs need ---------------------------------------------------------------------


@pytest.fixture
def venv(guard: Path, tmp_path: Path) -> Path:
    """An environment below the hidden home, with a package of its own and an editable one."""
    folder = guard / ".venvs" / "one"
    made = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(folder)]
    subprocess.run(made, check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "inside.py").write_text("x = 1\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "edited.py").write_text("x = 2\n")
    (packages / "edited.pth").write_text(f"{tmp_path / 'code'}\n")
    return folder


def ground_of(tmp_path: Path, guard: Path, command: list[str]) -> Policy:
    root = tmp_path / "lab"
    state = root / ".git" / "autoresearch" / "t"
    (state / "worktree").mkdir(parents=True, exist_ok=True)
    (root / "secret").write_text("of the lab")
    (guard / "secret").write_text("of the person")
    return Policy(
        root, root / ".git", state / "worktree", state / "compiled", guard / ".cache", guard,
        readable_of(command, dict(os.environ), root),
    )  # fmt: skip


@pytest.mark.parametrize("way", ["plain", "linked", "on the path"])
def test_a_python_below_the_hidden_home_finds_its_packages(
    tmp_path: Path, guard: Path, venv: Path, kind: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = str(venv / "bin" / "python")
    if way == "linked":
        (tmp_path / "road").symlink_to(venv)
        program = str(tmp_path / "road" / "bin" / "python")
    if way == "on the path":
        monkeypatch.setenv("PATH", f"{venv / 'bin'}:{os.environ['PATH']}")
        program = "python"
    policy = ground_of(tmp_path, guard, [program])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    access = policy.access(scratch)
    trial = Trial(scratch, kind, access.readable, access.writable, access.hidden)
    script = (
        "import edited, inside, pathlib\n"
        "print(inside.x + edited.x)\n"
        "for place in PLACES:\n"
        "    try: print(pathlib.Path(place).read_text())\n"
        "    except OSError: print('refused')\n"
    ).replace("PLACES", repr([str(policy.root / "secret"), str(guard / "secret")]))
    outcome, said = trial.run(program, "-c", script)
    assert (outcome.exit_code, said) == (0, "3\nrefused\nrefused\n")


def test_a_shell_script_runs(tmp_path: Path, guard: Path, kind: str) -> None:
    policy = ground_of(tmp_path, guard, ["sh", "trial.sh"])
    (policy.worktree / "trial.sh").write_text(
        "echo a > here; sort here | tr a b; echo err >> /dev/stderr\n"
        f"cat {policy.root}/secret || git -C {policy.root} log || echo refused\n"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    access = policy.access(scratch)
    trial = Trial(scratch, kind, access.readable, access.writable, access.hidden)
    outcome, said = trial.run("sh", str(policy.worktree / "trial.sh"))
    assert outcome.exit_code == 0 and said.startswith("b\n") and said.endswith("refused\n")
    assert "err\n" in said and "of the lab" not in said


def test_counters_of_the_whole_machine_are_closed(tmp_path: Path) -> None:
    """One trial could move them, and the next one see that; what programs need of /proc is there."""
    jail_of("bwrap")
    found = Trial(tmp_path / "run", "bwrap").tries(
        load="P('/proc/loadavg').read_text()",
        locks="P('/proc/locks').read_text()",
        disks="P('/proc/diskstats').read_text()",
        pages="P('/proc/vmstat').read_text()",
        memory="len(P('/proc/meminfo').read_text()) > 0",
        own="len(P('/proc/self/stat').read_text()) > 0",
        cores="os.cpu_count() > 0",
    )
    closed = {name for name, value in found.items() if str(value).endswith("Error")}
    assert closed == {"load", "locks", "disks", "pages"}


# -- the filter, instruction by instruction ------------------------------------------------------------


def verdict(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What a filter answers to a system call: a small interpreter of classic BPF."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *[*arguments, 0, 0, 0, 0, 0, 0][:6])
    code = list(struct.iter_unpack("=HBBI", program))
    at = loaded = 0
    while True:
        operation, true, false, value = code[at]
        if operation == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif operation == 0x06:
            return int(value)
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}
            at += true if holds[operation] else false
        at += 1


ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026


@pytest.mark.parametrize(
    ("machine", "architecture", "socket_", "clone", "ioctl", "prlimit", "read", "ptrace"),
    [("x86_64", 0xC000003E, 41, 56, 16, 302, 0, 101), ("aarch64", 0xC00000B7, 198, 220, 29, 261, 63, 117)],
)  # fmt: skip
def test_the_filter_on_both_processors(
    machine: str, architecture: int, socket_: int, clone: int, ioctl: int, prlimit: int, read: int,
    ptrace: int,
) -> None:  # fmt: skip
    program = confine.program(machine)
    ask = functools.partial(verdict, program, architecture)
    assert ask(read) == ALLOW and ask(ptrace) == EPERM and ask(435) == ENOSYS
    assert verdict(program, 0x40000003, read) == EPERM  # another architecture's numbers
    assert ask(0x40000000 | read) == (EPERM if machine == "x86_64" else ALLOW)  # x32
    assert ask(socket_, 1) == ALLOW
    assert {ask(socket_, family) for family in (2, 10, 16, 17, 40, 1 << 16)} == {EPERM}
    assert ask(clone, 0x3D0F00) == ALLOW  # as the C library makes threads
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask(clone, 0x3D0F00 | flag) == EPERM
    assert ask(ioctl, 0, 0x5401) == ALLOW
    assert ask(ioctl, 0, 0x5412) == ask(ioctl, 0, 0x541C) == EPERM
    assert ask(ioctl, 0, 0x5412 | 1 << 40) == EPERM  # the kernel looks at 32 bits
    assert ask(prlimit, 0) == ALLOW and ask(prlimit, 1234) == EPERM
    for refused in (425, 428, 429, 438, 442, 451):
        assert ask(refused) == EPERM
    numbers = confine.numbers(machine)
    for name in ("preadv2", "pwritev2"):
        assert ask(numbers[name], 3, 0, 1, 0, 0, 0) == ALLOW
        assert ask(numbers[name], 3, 0, 1, 0, 0, 0x8) == EPERM
        assert ask(numbers[name], 3, 0, 1, 0, 0, 0x19) == EPERM
    for name in ("mincore", "io_setup", "userfaultfd", "perf_event_open", "process_vm_readv"):
        assert ask(numbers[name]) == EPERM


def test_where_there_is_a_gpu_a_trial_may_name_its_threads(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA does before anything else; where there is none, Landlock leaves /proc read-only."""
    monkeypatch.setattr("autoresearch.sandbox.jail.gpu_devices", lambda: ["/dev/nvidia0"])
    found = Trial(tmp_path / "run", kind).tries(
        mine="P(f'/proc/self/task/{os.getpid()}/comm').write_text('named')",
        another=f"P('/proc/{os.getpid()}/comm').write_text('named')",
        kernel="os.close(os.open('/proc/sys/kernel/core_pattern', os.O_RDWR))",
    )
    assert found["mine"] == 5 and found["kernel"].endswith("Error")
    if kind == "bwrap" or os.geteuid() == 0:
        assert found["another"].endswith("Error")
