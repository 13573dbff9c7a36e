"""Files that no trial may change, looked at before and after."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.paths import DECOY
from autoresearch.sandbox.seal import Seal
from autoresearch.workspace.removal import remove


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.pth").write_text("/one\n")
    (tmp_path / "site" / "deep").mkdir()
    (tmp_path / "site" / "deep" / "b.py").write_text("x = 1\n")
    (tmp_path / "config").write_text("[core]\n")
    return tmp_path


def seal(place: Path) -> Seal:
    return Seal([place / "site", place / "config", place / "absent"])


def test_nothing_happened(place: Path) -> None:
    sealed = seal(place)
    assert sealed.broken() is None
    assert sealed.broken() is None


def rewrite(place: Path) -> str:
    (place / "config").write_text("[evil]\n")
    return "config"


def same_size_and_times(place: Path) -> str:
    file = place / "site" / "deep" / "b.py"
    info = file.stat()
    file.write_text("x = 2\n")
    os.utime(file, ns=(info.st_atime_ns, info.st_mtime_ns))
    return "b.py"


def add(place: Path) -> str:
    (place / "site" / "evil.pth").write_text("import os\n")
    return "evil.pth"


def drop(place: Path) -> str:
    (place / "site" / "a.pth").unlink()
    return "a.pth"


def appear(place: Path) -> str:
    (place / "absent").write_text("new\n")
    return "absent"


def replaced_by_a_link(place: Path) -> str:
    (place / "config").unlink()
    (place / "config").symlink_to(place / "site" / "a.pth")
    return "config"


@pytest.mark.parametrize(
    "change", [rewrite, same_size_and_times, add, drop, appear, replaced_by_a_link]
)
def test_a_change_is_named(place: Path, change: Callable[[Path], str]) -> None:
    sealed = seal(place)
    name = change(place)
    assert sealed.broken().endswith(name)
    assert sealed.broken().endswith(name), "it stays broken"


@pytest.mark.parametrize("levels", [1500, 3000])  # than Python recurses; than a path may be long
def test_a_folder_however_deep_is_a_change_where_it_holds_anything(
    place: Path, monkeypatch: pytest.MonkeyPatch, levels: int
) -> None:
    sealed = seal(place)
    monkeypatch.chdir(place / "site")
    for _ in range(levels):
        os.mkdir("d")
        os.chdir("d")
    Path("evil.py").touch()
    monkeypatch.chdir(place)
    assert sealed.broken() is not None
    remove(place / "site" / "d")
    assert sealed.broken() is None


def test_the_same_bytes_written_again_are_sound(place: Path) -> None:
    sealed = seal(place)
    (place / "config").write_text("[core]\n")
    assert sealed.broken() is None
    (place / "config").write_text("[evil]\n")
    assert sealed.broken().endswith("config")


def test_what_fits_a_pattern(place: Path) -> None:
    sealed = Seal([], [(place / "site", "*.pth")])
    (place / "site" / "b.txt").write_text("not looked at")
    assert sealed.broken() is None
    (place / "site" / "b.pth").write_text("import os\n")
    assert sealed.broken().endswith("b.pth")


def test_what_a_self_test_leaves_is_not_looked_at(place: Path) -> None:
    sealed = Seal([place / "site"], [(place / "site", "*.pth")])
    (place / "site" / "deep" / f"{DECOY}1").write_text("not looked at")
    assert sealed.broken() is None
    (place / "site" / f"{DECOY}1.pth").write_text("import os\n")
    assert sealed.broken().endswith(f"{DECOY}1.pth"), "Python reads those whatever they are called"


def test_bytecode_is_not_looked_at(place: Path) -> None:
    sealed = seal(place)
    (place / "site" / "__pycache__").mkdir()
    (place / "site" / "__pycache__" / "b.cpython-311.pyc").write_bytes(b"x")
    assert sealed.broken() is None
