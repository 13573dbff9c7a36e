"""What the cards hold before and after a trial, by a driver's nvidia-smi that the test plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.fit import device

Play = Callable[[list[tuple[str, int]]], None]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Each call of nvidia-smi that asks for processes moves on to the next scene, up to the last."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def scenes(given: list[tuple[str, int]]) -> None:
        for number, (processes, used_mb) in enumerate(given):
            (tmp_path / f"apps{number}").write_text(processes)
            (tmp_path / f"used{number}").write_text(f"{used_mb}\n")
        (tmp_path / "scene").write_text("0")
        program = tmp_path / "nvidia-smi"
        program.write_text(
            f"#!/bin/sh\ncd {tmp_path}\nn=$(cat scene)\ncase $1 in\n"
            f"*compute-apps*) cat apps$n;;\n"
            f"*) cat used$n; [ $n -lt {len(given) - 1} ] && echo $((n + 1)) > scene;;\nesac\nexit 0\n"
        )
        program.chmod(0o755)

    return scenes


def test_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert device.load() is None


def test_memory_that_comes_back_is_waited_for(play: Play) -> None:
    play([("python, 7\n", 4000), ("python, 7\npython, 9\n", 70_000), ("python, 7\n", 4010)])
    before = device.load()
    assert before == device.Load({7: "python"}, 4000)
    assert device.wait_until_free(before) == ({}, 10)


def test_a_process_that_stays_is_named(play: Play) -> None:
    play([("", 3), ("/usr/bin/a, b, 9\n", 900)])
    before = device.load()
    assert before is not None
    assert device.wait_until_free(before, within_s=0.3) == ({9: "/usr/bin/a, b"}, 897)


def test_memory_that_nobody_holds(play: Play) -> None:
    play([("", 3), ("", 30_003)])
    before = device.load()
    assert before is not None
    assert device.wait_until_free(before, within_s=0.3) == ({}, 30_000)
