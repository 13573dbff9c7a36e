"""The self-test goes by what a jail refuses: take a part out of it, and the level falls by its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.errors import LabError
from autoresearch.runners import launcher
from autoresearch.sandbox import confine, selftest
from autoresearch.sandbox.jail import Jail
from autoresearch.sandbox.policy import Policy, Python, pythons
from autoresearch.sandbox.selftest import SelfTest, choose, self_test
from tests.jailed import KINDS, jail_of, python_places
from tests.labs import eventually, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bwrap and Landlock are Linux's")

FILES = {
    "write the repository", "write .git", "write the environment", "write this tool",
    "write another trial's scratch", "change the journal",
}  # fmt: skip
READS = {
    "read .git", "read the repository", "read the data", "read home", "read another trial's scratch",
    "read beside what is open",
}  # fmt: skip
NETWORK = {"reach TCP", "reach UDP"}


@pytest.fixture
def policy(tmp_path: Path, guard: Path, monkeypatch: pytest.MonkeyPatch) -> Policy:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    root = tmp_path / "lab"
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    state = root / ".git" / "autoresearch" / "t"
    cache, held = guard / ".cache" / "autoresearch", tmp_path / "held"
    for folder in (cache / "data", held):
        folder.mkdir(parents=True)
    for name in ("val.u16", "vault.u16"):
        (cache / "data" / name).write_text("rows")
    (held / "page.py").write_text("x = 1\n")
    return Policy(
        root, root / ".git", state / "worktree", state / "compiled", cache, guard,
        readable=python_places(), hidden=(held,),
    )  # fmt: skip


@pytest.fixture(scope="module")
def python() -> Python:
    return pythons([sys.executable], dict(os.environ), Path("/nonexistent"))[0]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    jail_of(request.param)
    return str(request.param)


def whole(kind: str) -> int:
    return 4 if kind == "bwrap" else 3 if confine.landlock_abi() >= 6 else 2


def test_a_jail_that_holds_is_told_and_its_self_test_leaves_no_trace(
    policy: Policy, python: Python, kind: str
) -> None:
    before = sorted(policy.root.parent.rglob("*")), sorted(policy.home.rglob("*"))
    found = self_test(jail_of(kind), policy, python)
    assert (found.level, found.failed, found.skipped, found.said) == (whole(kind), (), (), ())
    assert {"read val.u16 of data", "read vault.u16 of data", f"read {policy.hidden[0]}"} <= set(
        found.refused
    )
    assert len(found.refused) >= 24
    assert found.text.startswith(f"{found.level} ({kind}") and "seccomp" in found.text
    assert "flock" in found.uncovered and ("signals" in found.uncovered) == (found.level < 3)
    assert found.line.startswith(f"sandbox {found.text}; not covered: ")
    policy.compiled.rmdir()  # is made by who asks for access, and stays
    for folder in (policy.compiled.parent, policy.compiled.parent.parent):
        folder.rmdir()
    after = sorted(policy.root.parent.rglob("*")), sorted(policy.home.rglob("*"))
    assert after == before


def test_without_the_trials_python_ours_makes_the_attempts(policy: Policy, kind: str) -> None:
    assert self_test(jail_of(kind), policy).level == whole(kind)


def test_no_jail_is_level_one(policy: Policy, python: Python) -> None:
    """What this process knows of its environment is in /proc until `harden` has wiped it."""
    script = (
        "import sys; from autoresearch.runners.hygiene import harden; harden()\n"
        "from tests.sandbox.test_selftest import level_without_jail as level; level(sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(policy.root)], capture_output=True, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout == "1 (no jail) ()\n", done.stdout + done.stderr
    bare = self_test(None, policy, python)
    assert (bare.level, bare.failed) == (0, ("read the supervisor's environment",))


def level_without_jail(root: str) -> None:
    state = Path(root, ".git/autoresearch/t")
    home = Path.home()
    policy = Policy(
        Path(root), Path(root, ".git"), state / "worktree", state / "c", home / "c", home, ()
    )
    found = self_test(None, policy)
    print(found.text, found.failed)


# -- each part taken out ------------------------------------------------------------------------------


def without(
    monkeypatch: pytest.MonkeyPatch, folder: Path, module: object, *changes: tuple[str, str]
) -> None:
    """A stand-alone script of the jail with a part of it taken out."""
    source = Path(module.__file__).read_text()  # type: ignore[attr-defined]
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    changed = folder / "changed.py"
    changed.write_text(source)
    monkeypatch.setattr(module, "__file__", str(changed))


def refused_anyway(python: Python) -> set[str]:
    """What the user that runs the tests could not write either."""
    tool = Path(selftest.__file__).parent
    places = {"write the environment": python.packages, "write this tool": tool}
    return {name for name, place in places.items() if not os.access(place, os.W_OK)}


NO_FILTER = ("            _filter_calls(times=not words)\n", "            pass\n")


def test_without_the_filter_of_system_calls(
    policy: Policy, python: Python, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without(monkeypatch, tmp_path, confine, NO_FILTER)
    found = self_test(jail_of(kind), policy, python)
    assert found.level == 1 and "seccomp" not in found.text
    # bwrap has no network and lets nobody make namespaces; Landlock has no TCP
    expected = {"trace a process", "ask what is in memory"}
    if kind == "landlock":
        expected |= {"reach UDP", "make a namespace"}
        if confine.landlock_abi() < 4:
            expected.add("reach TCP")
    assert set(found.failed) == expected


@pytest.mark.parametrize("name", ["mincore", "cachestat", "preadv2", "io_setup", "userfaultfd"])
def test_a_filter_that_forgot_one_way_to_ask_what_is_in_memory(
    policy: Policy, python: Python, kind: str, name: str, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    number = confine.numbers(os.uname().machine)[name]
    source = Path(confine.__file__).read_text()
    given = f'"{name}": {number}'
    assert source.count(given) == 1
    without(monkeypatch, tmp_path, confine, (given, f'"{name}": {0x3FFFFFFF}'))
    found = self_test(jail_of(kind), policy, python)
    assert (found.level, found.failed) == (1, ("ask what is in memory",))


def test_without_landlock(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jail = jail_of("landlock")
    no_files = ("        if words:\n", "        if False:\n")
    without(monkeypatch, tmp_path, confine, no_files)
    found = self_test(jail, policy, python)
    signals = {"end another process", "reach an abstract socket", "truncate the journal"}
    assert found.level < 2
    assert set(found.failed) >= (FILES | READS | signals) - refused_anyway(python)
    assert set(found.failed) >= {"read val.u16 of data", f"read {policy.hidden[0]}"}
    assert sorted(p.name for p in policy.root.iterdir()) == [".git"]


def test_landlock_without_scopes_is_level_two(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jail = jail_of("landlock")
    if confine.landlock_abi() < 6:
        pytest.skip("needs Landlock ABI 6")
    without(monkeypatch, tmp_path, confine, ("_SCOPES = 0b11 ", "_SCOPES = 0 "))
    found = self_test(jail, policy, python)
    assert found.level == 2 and "signals" in found.uncovered
    assert set(found.failed) == {"end another process", "reach an abstract socket"}


@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6])
def test_older_kernels_are_level_two(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, abi: int
) -> None:
    """What an older Landlock would do, as far as this kernel's can be held back to it."""
    jail = jail_of("landlock")
    if confine.landlock_abi() < abi:
        pytest.skip(f"needs Landlock ABI {abi}")
    without(monkeypatch, tmp_path, confine, ("min(7, landlock_abi())", str(abi)))
    found = self_test(jail, policy, python)
    assert found.level == (3 if abi == 6 else 2)
    broken = {"end another process", "reach an abstract socket"} if abi < 6 else set()
    assert set(found.failed) == broken | ({"truncate the journal"} if abi < 3 else set())


@pytest.mark.parametrize(
    ("part", "failed"),
    [
        (
            "pid",
            {"end another process", "see other processes", "read another process's environment"},
        ),
        ("net", {*NETWORK, "reach an abstract socket"}),
    ],
)
def test_bwrap_without_a_namespace(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    part: str, failed: set[str],
) -> None:  # fmt: skip
    jail = jail_of("bwrap")
    assert jail is not None
    spaces = [f"--unshare-{name}" for name in ("ipc", "pid", "net", "uts", "user") if name != part]
    without(monkeypatch, tmp_path, confine, NO_FILTER)  # it would refuse the network as well
    at = jail.flags.index("--unshare-all")
    flags = (*jail.flags[:at], *spaces, *jail.flags[at + 1 :])
    found = self_test(replace(jail, flags=flags), policy, python)
    # in an outer process's eyes: root of this user namespace may end, but not look into it
    assert found.level == 1
    assert failed - {"read another process's environment"} <= set(found.failed)
    assert set(found.failed) <= failed | {
        "trace a process", "ask what is in memory", "outlive the kill",
    }  # fmt: skip


def test_a_jail_whose_files_are_open(policy: Policy, python: Python, kind: str) -> None:
    """Lab, home, cache and scratches lie in a readable folder, and nobody says that they are hidden."""
    wide = replace(policy, readable=(*policy.readable, policy.root.parents[1]), hidden=())

    class Open(Policy):
        __slots__ = ()

        def access(self, scratch: Path):  # type: ignore[no-untyped-def]
            given = super().access(scratch)
            return replace(given, hidden=())

    leaky = Open(*(getattr(wide, name) for name in Policy.__dataclass_fields__))
    found = self_test(jail_of(kind), leaky, python)
    assert found.level == 1
    assert set(found.failed) >= READS - {"read beside what is open"}
    assert "read beside what is open" in found.refused and set(found.refused) >= FILES

    class Writable(Open):
        __slots__ = ()

        def access(self, scratch: Path):  # type: ignore[no-untyped-def]
            given = super().access(scratch)
            return replace(given, writable=(*given.writable, self.root, python.packages))

    leaky = Writable(*(getattr(wide, name) for name in Policy.__dataclass_fields__))
    found = self_test(jail_of(kind), leaky, python)
    written = {"write the repository", "write .git", "write the environment", "change the journal"}
    assert set(found.failed) >= written - refused_anyway(python)
    # Another self-test may be at it: what it puts there goes as soon as what we put there.
    assert eventually(lambda: not list(python.packages.glob(".autoresearch-witness*")))


def test_a_jail_in_which_nothing_can_be_written_is_no_jail_to_use(
    policy: Policy, python: Python, kind: str
) -> None:
    class Tight(Policy):
        __slots__ = ()

        def access(self, scratch: Path):  # type: ignore[no-untyped-def]
            given = super().access(scratch)
            return replace(given, writable=(), readable=(*given.readable, self.worktree))

    tight = Tight(*(getattr(policy, name) for name in Policy.__dataclass_fields__))
    found = self_test(jail_of(kind), tight, python)
    assert found.level == 0
    assert set(found.failed) >= {"write its scratch", "write its worktree"}


def test_without_limits_or_without_the_sweep(
    policy: Policy, python: Python, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_size = ("    _limit(resource.RLIMIT_FSIZE, FILE_SIZE_MAX)\n", "")
    with monkeypatch.context() as patch:
        without(patch, tmp_path, launcher, no_size)
        found = self_test(jail_of(kind), policy, python)
    assert found.level == 0 and {"exceed the file size"} <= set(found.failed)
    if kind == "bwrap":
        return  # its namespace ends with its first process, swept or not
    no_sweep = ("    survivors = sweep(group)\n", "    survivors = 0\n")
    with monkeypatch.context() as patch:
        without(patch, tmp_path, launcher, no_sweep)
        found = self_test(jail_of(kind), policy, python)
    assert found.level == 0 and found.failed == ("outlive the kill",)
    left = running(str(policy.root))
    assert left
    launcher.send(left, signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who has privileges to keep")
def test_root_keeps_no_privilege(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jail = jail_of("landlock")
    start = "def _drop_privileges() -> None:\n"
    without(monkeypatch, tmp_path, confine, (start, f"{start}    return _prctl(38, 1)\n"))
    found = self_test(jail, policy, python)
    # with CAP_PERFMON newer kernels let one process read another, whatever Landlock says
    assert found.level < 2
    assert {"raise a limit", "read another process's environment"} & set(found.failed)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to whom these files belong")
def test_root_could_change_the_kernels_settings(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    jail = jail_of("bwrap")
    monkeypatch.setattr("autoresearch.sandbox.jail._SETTINGS", ())
    found = self_test(jail, policy, python)
    assert (found.level, found.failed) == (1, ("change the kernel's settings",))


# -- which one ------------------------------------------------------------------------------------------


def broken_bwrap(folder: Path) -> Path:
    """What bwrap says where AppArmor forbids it user namespaces."""
    folder.mkdir()
    program = folder / "bwrap"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.9.0 && exit\n'
        "echo 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    return folder


def test_auto_takes_the_highest_that_holds(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jail_of("landlock")
    jail, found = choose("landlock", policy, python)
    assert jail == Jail("landlock") and found.level == whole("landlock")
    if Path("/usr/bin/bwrap").exists():
        best = jail_of("bwrap")
        jail, found = choose("auto", policy, python)
        assert jail == best and found.level == 4 and found.said == ()
    monkeypatch.setenv("PATH", f"{broken_bwrap(tmp_path / 'bin')}:{os.environ['PATH']}")
    jail, found = choose("auto", policy, python)
    assert jail == Jail("landlock") and found.level == whole("landlock")
    assert found.said == ("bwrap: " + found.said[0].removeprefix("bwrap: "),)
    assert "setting up uid map: Permission denied" in found.said[0]


def test_a_jail_that_was_asked_for_and_does_not_hold_is_an_error(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outer = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{broken_bwrap(tmp_path / 'bin')}:{outer}")
    with pytest.raises(LabError, match=r'sandbox = "bwrap" does not hold.*uid map'):
        choose("bwrap", policy, python)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"bwrap: not on this machine.*bubblewrap"):
        choose("bwrap", policy, python)
    monkeypatch.setattr(selftest, "find_landlock", lambda: None)
    with pytest.raises(LabError, match="landlock: not on this machine"):
        choose("landlock", policy, python)


def test_without_any_jail_auto_says_why(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(selftest, "find_landlock", lambda: None)
    monkeypatch.setattr(selftest, "find_bwrap", lambda: None)
    jail, found = choose("auto", policy, python)
    assert jail is None and found.level <= 1 and found.jail == "none"
    assert found.said[:2] == ("bwrap: not on this machine", "landlock: not on this machine")
    assert "the network" in found.uncovered


def test_the_remedy_is_a_command() -> None:
    assert "apt install bubblewrap" in selftest.remedy(["bwrap: not on this machine"])
    assert selftest.remedy([]) is None
    assert selftest.remedy(["bwrap: setting up uid map: Permission denied"])
    assert SelfTest(1, "none", "1 (no jail)", "files").line == (
        "sandbox 1 (no jail); not covered: files"
    )
