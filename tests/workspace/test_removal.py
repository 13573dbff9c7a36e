"""Removing what a trial left, and nothing of what it leads to."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from autoresearch.workspace.removal import detach_mounts, make_usable, remove

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="flags and mounts")


def test_what_is_not_there_is_no_fault(tmp_path: Path) -> None:
    remove(tmp_path / "nothing")


def test_every_kind_of_entry(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    (folder / "closed" / "in").mkdir(parents=True)
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to("loop")
    os.link(outside / "mine", folder / "linked")
    (folder / "closed").chmod(0)
    folder.chmod(0)
    remove(folder)
    assert not os.path.lexists(folder) and (outside / "mine").read_text() == "mine"


@needs_root
@pytest.mark.parametrize("flag", ["i", "a"])
def test_flags_that_forbid_even_root(tmp_path: Path, flag: str) -> None:
    folder = tmp_path / "folder"
    (folder / "in" / "deeper").mkdir(parents=True)
    (folder / "in" / "file").touch()
    for path in ("in/file", "in/deeper", "in", "."):
        if subprocess.run(
            ["chattr", f"+{flag}", str(folder / path)], capture_output=True
        ).returncode:
            pytest.skip("the file system has no such flags")
    with pytest.raises(PermissionError):
        (folder / "in" / "file").unlink()
    remove(folder)
    assert not folder.exists()


@needs_root
def test_a_mount_is_detached_and_what_is_behind_it_stays(tmp_path: Path) -> None:
    folder, outside = tmp_path / "a folder", tmp_path / "outside"
    (folder / "held here").mkdir(parents=True)
    outside.mkdir()
    (outside / "mine").write_text("mine")
    asked = ["mount", "--bind", str(outside), str(folder / "held here")]
    if subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        assert (folder / "held here" / "mine").exists()
        remove(folder)
        assert not folder.exists() and (outside / "mine").read_text() == "mine"
    finally:
        subprocess.run(["umount", "-l", str(folder / "held here")], capture_output=True)


def test_where_nothing_is_mounted_nothing_is_done(tmp_path: Path) -> None:
    detach_mounts(tmp_path)
    assert tmp_path.is_dir()


def test_a_folder_that_can_be_used(tmp_path: Path) -> None:
    closed, file, link = tmp_path / "closed", tmp_path / "file", tmp_path / "link"
    closed.mkdir()
    closed.chmod(0)
    file.touch()
    link.symlink_to(tmp_path)
    for path in (closed, file, link, tmp_path / "nothing"):
        make_usable(path)
    assert closed.stat().st_mode & 0o700 == 0o700
    assert sorted(os.listdir(tmp_path)) == ["closed"]


def test_a_file_that_is_locked(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove(file)
    assert not file.exists()
