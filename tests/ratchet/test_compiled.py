"""The caches of compilers: every trial finds them as the baseline's left them, whatever the last one did."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.ratchet.compiled import CompiledCaches
from tests.labs import make_lab, scripted, whole


def tree(folder: Path) -> dict[str, tuple[int, bytes | str | None, float]]:
    """What is in a folder: mode, content or target, and when it was written."""
    found: dict[str, tuple[int, bytes | str | None, float]] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        status = path.lstat()
        content: bytes | str | None = None
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (status.st_mode, content, status.st_mtime)
    return found


@pytest.fixture
def caches(tmp_path: Path) -> CompiledCaches:
    """Caches that a baseline's trial left, and that are laid out for the next."""
    made = CompiledCaches(tmp_path / "compiled", tmp_path / "compiled.baseline")
    made.lay_out()
    assert not (tmp_path / "compiled").exists()
    for name in ("inductor/ab/one.so", "inductor/ab/two.so", "inductor/cd/three.py", "index"):
        file = tmp_path / "compiled" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"compiled for the baseline: {name}\n")
        os.utime(file, (1e9, 1e9))
    (tmp_path / "compiled" / "inductor" / "closed").mkdir()
    (tmp_path / "compiled" / "link").symlink_to("inductor/ab/one.so")
    made.keep(tmp_path / "worktree")
    assert not (tmp_path / "compiled").exists()
    made.lay_out()
    return made


def same_size(live: Path) -> None:
    file = live / "index"
    status = file.stat()
    file.write_bytes(file.read_bytes()[::-1])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def through_a_link(live: Path) -> None:
    (live / "link").write_text("through")


def deep(live: Path) -> None:
    home = Path.cwd()
    try:
        os.chdir(live)
        for _ in range(1500):
            os.mkdir("deep")
            os.chdir("deep")
    finally:
        os.chdir(home)


def another_link(live: Path) -> None:
    (live / "link").unlink()
    (live / "link").symlink_to("/etc/passwd")


def folder_becomes_link(live: Path) -> None:
    shutil.rmtree(live / "inductor" / "ab")
    (live / "inductor" / "ab").symlink_to(live / "inductor" / "cd")


def root_becomes_link(live: Path) -> None:
    shutil.rmtree(live)
    live.symlink_to(live.parent / "compiled.baseline")


CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda live: None,
    "the same size, the times put back": same_size,
    "cut off": lambda live: os.truncate(live / "inductor/ab/one.so", 4),
    "through a link": through_a_link,
    "removed": lambda live: (live / "inductor/ab/two.so").unlink(),
    "all removed": shutil.rmtree,
    "a file more": lambda live: (live / "inductor/ab/weights").write_text("weights"),
    "a folder more": lambda live: (live / "inductor/ef").mkdir(),
    "a pipe more": lambda live: os.mkfifo(live / "inductor" / "pipe"),
    "deep": deep,
    "mode of a file": lambda live: (live / "index").chmod(0o777),
    "mode of a folder": lambda live: (live / "inductor/ab").chmod(0),
    "times of a file": lambda live: os.utime(live / "index", (1, 1)),
    "times of a folder": lambda live: os.utime(live / "inductor", (1, 1)),
    "file becomes folder": lambda live: ((live / "index").unlink(), (live / "index").mkdir()),
    "folder becomes link": folder_becomes_link,
    "root becomes link": root_becomes_link,
    "another link": another_link,
    "hard link": lambda live: os.link(live / "index", live / "inductor" / "index"),
}


@pytest.mark.parametrize("anew", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_trial_changed_is_not_there_for_the_next(
    caches: CompiledCaches, tmp_path: Path, change: str, anew: bool
) -> None:
    live, baseline = tmp_path / "compiled", tmp_path / "compiled.baseline"
    before = tree(baseline)
    assert tree(live) == before
    CHANGES[change](live)
    caches.lay_out(anew)
    assert tree(live) == tree(baseline)
    if change not in ("root becomes link",):
        assert tree(baseline) == before, "a trial does not reach what later ones start from"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compiled", "compiled.baseline"]


def test_only_what_changed_is_copied(caches: CompiledCaches, tmp_path: Path) -> None:
    live = tmp_path / "compiled"
    inodes = {path: path.lstat().st_ino for path in live.rglob("*") if path.is_file()}
    (live / "inductor/ab/one.so").write_text("another")
    (live / "inductor/ab/more.so").write_text("more")
    caches.lay_out()
    again = {path: path.lstat().st_ino for path in live.rglob("*") if path.is_file()}
    copied = {path.name for path in again if again[path] != inodes[path]}
    assert copied == {"one.so"}


def test_a_whole_copy_has_nothing_of_the_last_one(caches: CompiledCaches, tmp_path: Path) -> None:
    live = tmp_path / "compiled"
    with (live / "index").open() as held:
        before = os.fstat(held.fileno()).st_ino  # held, so that the number can't come again
        caches.lay_out(anew=True)
        assert (live / "index").stat().st_ino != before


def test_when_a_cache_was_read_does_not_show(caches: CompiledCaches, tmp_path: Path) -> None:
    file = tmp_path / "compiled" / "index"
    known = file.stat().st_atime_ns
    os.utime(file, ns=(known + 10**9, file.stat().st_mtime_ns))
    caches.lay_out()
    assert file.stat().st_atime_ns == known


def test_a_change_right_after_the_lay_out_is_seen(caches: CompiledCaches, tmp_path: Path) -> None:
    """The clock of files ticks slowly: a change in the same tick would look like none."""
    for _ in range(50):
        (tmp_path / "compiled" / "inductor" / "cd" / "three.py").write_text("x")
        caches.lay_out()
        same_size(tmp_path / "compiled")
        caches.lay_out()
        assert tree(tmp_path / "compiled") == tree(tmp_path / "compiled.baseline")


def test_what_lies_there_when_a_session_begins_is_not_believed(
    caches: CompiledCaches, tmp_path: Path
) -> None:
    same_size(tmp_path / "compiled")
    (tmp_path / "compiled.fresh").mkdir()
    again = CompiledCaches(tmp_path / "compiled", tmp_path / "compiled.baseline")
    again.lay_out()
    assert tree(tmp_path / "compiled") == tree(tmp_path / "compiled.baseline")
    assert not (tmp_path / "compiled.fresh").exists()


MODULE = 'import os, stat\nimport model\nprint("val_bpb:", model.VALUE)\n'


@pytest.mark.slow
def test_bytecode_is_made_once_and_not_for_what_a_candidate_may_change(tmp_path: Path) -> None:
    """A module that changes within a second, and not in size, runs as it is."""
    answers = [whole(f"{n}", f"VALUE = {n}\n", "model.py", f"VALUE = {n + 1}\n") for n in (8, 7, 6)]
    task = 'mutable = ["train.py", "model.py"]'
    lab = make_lab(
        tmp_path, MODULE, "", scripted(tmp_path, answers), files={"model.py": "VALUE = 9\n"}
    )
    config = (lab.root / "autoresearch.toml").read_text()
    (lab.root / "autoresearch.toml").write_text(config.replace('mutable = ["train.py"]', task))
    lab.git("commit", "-qam", "two files")
    lab.cli("init", "u")
    lab.tag = "u"
    lab.cli("run", "--tag", "u")
    assert [row[1] for row in lab.rows()] == ["9.000000", "8.000000", "7.000000", "6.000000"]
    kept = [path.name for path in (lab.state / "compiled.baseline").rglob("*.pyc")]
    assert kept and not [name for name in kept if name.startswith("model.")]
