"""No candidate stops the run: each cheat of tests/cheats/stops.py is one row, and the next one runs.

Played at the jail's top level and without a jail, each in one run with an honest script behind it; as
an ordinary user too where root must not be taken for one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from autoresearch.lab.room import is_full
from tests.cheats.stops import EXAM_STOPS, EXAMINED, STOPS, Stop
from tests.jailed import jail_of
from tests.labs import Lab, eventually, kill, make_lab, running, scripted, whole
from tests.sizes import ALL

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
    pytest.mark.slow,
]

PLAIN = 'print("val_bpb: 1.500000")\n'
TASK = 'caches = ["warm"]\nfresh = ["warm/**/*.ckpt"]\nprotected = []'
LEFT_MAX = 32 << 20  # bytes on the disk of all that a run of small files may leave
# What a trial without a jail may do to processes of the same user, of which the tool is one, is not
# here. These end with the tool saying so: a lost worktree or log is a crash for it.
ENDS = ("crash", "discard")


def level(kind: str) -> str:
    jail_of(kind)
    return f'[runner]\nsandbox = "{kind}"\n[budget]\nconsecutive_failures = 0'


def spread(count: int) -> list[tuple[int, str]]:
    """The parts and what holds their trials: each part with one of both, with FAULTS=all with both."""
    kinds = ("bwrap", "none")
    return [(n, kind) for n in range(count) for at, kind in enumerate(kinds) if ALL or n % 2 == at]


def honest(number: int, examined: bool) -> str:
    return (EXAMINED if examined else PLAIN) + f"HONEST = {number}\n"


def proposals(stops: Sequence[Stop], root: Path, examined: bool) -> list[str]:
    """An answer for each, and one with an honest script behind each."""
    answers, old = [], EXAMINED if examined else PLAIN
    for number, stop in enumerate(stops):
        script = stop.script(number).replace("@ROOT@", str(root))
        answers += [
            whole(stop.name, script, old=old),
            whole(f"honest {number}", honest(number, examined), old=old),
        ]
    return answers


def plain_lab(folder: Path, kind: str, stops: Sequence[Stop]) -> Lab:
    files = {".gitignore": "warm/\n"}
    lab = make_lab(folder, PLAIN, TASK, scripted(folder, []), level(kind), files, timeout_s=10)
    lab.cli("baseline")
    scripted(folder, proposals(stops, lab.root, examined=False))
    return lab


def exam_lab(folder: Path, kind: str, stops: Sequence[Stop]) -> Lab:
    text = folder / "text"
    text.mkdir(parents=True)
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:60]:
        if 2_000 < file.stat().st_size < 40_000:
            shutil.copy(file, text / f"{file.stem}.txt")
    harness = f"""
[harness]
budget = "65536tokens"
source = "{text}"
vocab_size = 512
seq_len = 32
val_tokens = 4096
"""
    rest = level(kind) + harness
    lab = make_lab(folder, EXAMINED, 'exam = "bpb"', scripted(folder, []), rest, timeout_s=20)
    lab.env["AUTORESEARCH_CACHE"] = str(folder / "cache")
    lab.cli("prepare", timeout_s=300)
    lab.cli("baseline", timeout_s=120)
    scripted(folder, proposals(stops, lab.root, examined=True))
    return lab


def play(lab: Lab, stops: Sequence[Stop], value: str, *prefix: str) -> None:
    """Runs all of them in one call, and looks at what came of it and at what is left."""
    done = subprocess.run(
        [*prefix, *lab.command("run")], cwd=lab.root, env=lab.env, capture_output=True, text=True,
        errors="replace", timeout=900,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    rows = lab.rows()[1:]
    names = [stop.name for stop in stops]
    assert len(rows) == 2 * len(stops), said[-3000:]
    assert [row[4] for row in rows[::2]] == names
    assert [
        (name, row[3]) for name, row in zip(names, rows[::2], strict=True) if row[3] not in ENDS
    ] == []
    assert {(row[1], row[3]) for row in rows[1::2]} == {(value, "discard")}, said[-3000:]
    assert "a bug in autoresearch" not in said
    assert lab.records("fault") == [], "each is stopped where it is met, and none is counted"
    # nothing is left behind: no process, no file, no room taken
    assert running(str(lab.state)) == []
    assert list(lab.temporary.iterdir()) == []
    assert [name for name in os.listdir("/dev/shm") if name.startswith("stops-")] == []
    used = sum(path.lstat().st_blocks * 512 for path in lab.root.rglob("*"))
    assert used < LEFT_MAX
    # and the next call has nothing to try again
    again = subprocess.run(
        [*prefix, *lab.command("run")], cwd=lab.root, env=lab.env, capture_output=True, text=True
    )
    assert again.returncode == 0 and len(lab.rows()) == 2 * len(stops) + 1, again.stderr


def parts(stops: Sequence[Stop], size: int = 13) -> list[Sequence[Stop]]:
    return [stops[first : first + size] for first in range(0, len(stops), size)]


@pytest.mark.parametrize(("part", "kind"), spread(len(parts(STOPS))))
def test_no_candidate_stops_the_run(tmp_path: Path, kind: str, part: int) -> None:
    # Without a jail what lies in /dev/shm may be anybody's, and stays.
    stops = [s for s in parts(STOPS)[part] if kind == "bwrap" or "shared memory" not in s.name]
    play(plain_lab(tmp_path, kind, stops), stops, "1.500000")


@pytest.mark.parametrize(("part", "kind"), spread(len(parts(EXAM_STOPS))))
def test_no_candidate_stops_an_exam(tmp_path: Path, kind: str, part: int) -> None:
    pytest.importorskip("numpy")
    stops = parts(EXAM_STOPS)[part]
    lab = exam_lab(tmp_path, kind, stops)
    play(lab, stops, lab.rows()[0][1])


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts, and becomes another user")


def named(stops: Sequence[Stop], *names: str) -> list[Stop]:
    found = [stop for stop in stops if stop.name in names]
    assert len(found) == len(names)
    return found


@needs_root
def test_what_an_ordinary_user_is_stopped_by(tmp_path: Path) -> None:
    """Some of those above, for a look at each safeguard by itself."""
    stops = named(
        STOPS, "a tracked file of 60 GiB", "a log closed by its descriptor", "a closed worktree",
        "a closed folder of the compilers", "a pipe for the log",
    )  # fmt: skip
    lab = plain_lab(tmp_path, "none", stops)
    play(lab, stops, "1.500000", "setpriv", "--bounding-set=-all", "--inh-caps=-all")


def test_an_examiner_is_not_kept_waiting(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    stops = named(EXAM_STOPS, "its own end of the socket, sent over itself", "a state of 16 GiB")
    lab = exam_lab(tmp_path, "none", stops)
    play(lab, stops, lab.rows()[0][1])


@needs_root
@pytest.mark.parametrize("kind", ["landlock", "none"])  # bwrap may not map root without privileges
def test_no_candidate_stops_the_run_of_an_ordinary_user(tmp_path: Path, kind: str) -> None:
    """Whom modes hold, which root passes over: here root without any of its privileges."""
    words = ("clos", "pipe", "folder", "mask", "60 GiB", "deep", "names")
    stops = [stop for stop in STOPS if any(word in stop.name for word in words)]
    lab = plain_lab(tmp_path, kind, stops)
    play(lab, stops, "1.500000", "setpriv", "--bounding-set=-all", "--inh-caps=-all")


FILL = """
def fill(descriptor):
    try:
        while True:
            os.write(descriptor, bytes(1 << 20))
    except OSError as fault:
        print(fault, file=sys.stderr)
"""
MAKE = "os.open({0}, os.O_CREAT | os.O_WRONLY)"
FILLED = [
    Stop(f"a disk filled from {what}", f"{FILL}\nfill({where})\nsys.exit({code})")
    for code in (0, 1)
    for what, where in {
        "the worktree": MAKE.format("'big'"),
        "a cache": MAKE.format("'warm/big'"),
        "the folder of the compilers": MAKE.format("COMPILED + '/big'"),
        "the log": "1",
    }.items()
] + [
    Stop("a disk filled with files", """
try:
    for n in range(100_000):
        os.close(os.open(f"file{n}", os.O_CREAT | os.O_WRONLY))
except OSError as fault:
    print(fault)
sys.exit(1)
""")
]  # fmt: skip


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of 160 MB and 5,000 files."""
    asked = ["mount", "-t", "tmpfs", "-o", "size=160m,nr_inodes=5000", "stops", str(folder)]
    if subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@needs_root
@pytest.mark.parametrize("kind", ["bwrap", "none"])
def test_a_disk_that_a_candidate_fills_is_its_own_doing(tmp_path: Path, kind: str) -> None:
    with small_disk(tmp_path):
        lab = plain_lab(tmp_path, kind, FILLED)
        play(lab, FILLED, "1.500000")
        reasons = [lab.record(n)["reason"] for n in range(1, 2 * len(FILLED), 2)]
        assert all("it had filled the disk" in reason for reason in reasons), reasons


@needs_root
def test_a_disk_of_the_worktrees_alone_that_a_candidate_fills(tmp_path: Path) -> None:
    """The journal's disk has room all the while: worktrees lie elsewhere."""
    stops = [stop for stop in FILLED if "the worktree" in stop.name]
    lab = plain_lab(tmp_path, "none", stops)
    apart = lab.root.parent / "home" / ".local"
    apart.mkdir(exist_ok=True)
    with small_disk(apart):
        play(lab, stops, "1.500000")
        reasons = [lab.record(n)["reason"] for n in range(1, 2 * len(stops), 2)]
        assert all("it had filled the disk" in reason for reason in reasons), reasons


@needs_root
def test_a_disk_that_somebody_else_fills_is_held_against_nobody(tmp_path: Path) -> None:
    fails = Stop("fails", "sys.exit(1)")
    with small_disk(tmp_path):
        lab = plain_lab(tmp_path, "none", [fails])
        free = os.statvfs(tmp_path)
        (tmp_path / "others").write_bytes(bytes(free.f_bavail * free.f_frsize - (8 << 20)))
        for _ in range(3):
            said = lab.cli("run", code=1).stderr
            assert "the disk is full" in said and said.rstrip().endswith("tried again then")
        assert lab.records("fault") == [] and len(lab.rows()) == 1
        (tmp_path / "others").unlink()
        play(lab, [fails], "1.500000")


@needs_root
def test_what_a_killed_trial_left_does_not_fill_the_disk_for_ever(tmp_path: Path) -> None:
    """The tool is killed with a candidate that has just filled the disk from its worktree."""
    code = f"{FILL}\nfill({MAKE.format(repr('big'))})\ntime.sleep(60)"
    with small_disk(tmp_path):
        fills = Stop("fills and waits", code)
        lab = plain_lab(tmp_path, "none", [fills])
        process = lab.spawn("run")
        eventually(lambda: is_full(lab.state))
        kill(process)
        play(lab, [fills], "1.500000")


def test_a_claim_of_memory_with_little_of_it(tmp_path: Path) -> None:
    """The tool, its examiner and its trials may have 2 GiB of addresses each."""
    pytest.importorskip("numpy")
    words = ("a state of 16 GiB", "all the memory")
    stops = [stop for stop in EXAM_STOPS if any(word in stop.name for word in words)]
    assert len(stops) == 3
    lab = exam_lab(tmp_path, "none", stops)
    play(lab, stops, lab.rows()[0][1], "prlimit", f"--as={2 << 30}")
