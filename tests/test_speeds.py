"""A test that takes long says so by its mark, or fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.speeds import Reading

ROOT = Path(__file__).parents[1]
CONFTEST = """\
from tests.speeds import Speeds

def pytest_configure(config):
    for mark in ("slow", "smoke"):
        config.addinivalue_line("markers", mark)
    config.pluginmanager.register(Speeds(mark_s=0.1, limit_s=3))
"""
TESTS = """\
import os, subprocess, sys, time
import pytest

SPIN = "import time\\nwhile time.process_time() < {}: sum(range(100_000))"

def spin(cpu_s):
    began = time.process_time()
    while time.process_time() - began < cpu_s:
        sum(range(100_000))

def test_quick():
    pass

def test_between():
    spin(0.15)

def test_long_once():
    if not os.path.exists("tried"):
        open("tried", "w").close()
        spin(4)

def test_of_a_long_child():
    subprocess.run([sys.executable, "-c", SPIN.format(4)], check=True)

@pytest.fixture
def long_fixture():
    spin(4)

def test_with_a_long_fixture(long_fixture):
    pass

@pytest.mark.slow
def test_marked_slow():
    spin(4)

@pytest.mark.smoke
def test_marked_smoke():
    spin(4)

def test_that_fails_anyway():
    spin(4)
    assert False, "its own reason"
"""


@pytest.mark.slow
def test_only_what_is_marked_may_take_long(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_some.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", tmp_path,
         "-p", "no:cacheprovider", "-n", "1"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    said = done.stdout
    assert done.returncode == 1, said
    wrong = re.findall(r"^((?:TOO LONG|ERROR|FAILED) \S+)", said, re.MULTILINE)
    assert sorted(wrong) == [
        "FAILED test_some.py::test_that_fails_anyway",
        "TOO LONG test_some.py::test_of_a_long_child",
        "TOO LONG test_some.py::test_with_a_long_fixture",
    ], said
    assert "mark it with @pytest.mark.slow" in said
    _, _, named = said.partition("more than 0.1 s, and not marked slow")
    assert "test_between" in named and "test_marked" not in named and "test_quick" not in named


def test_waits_are_counted_but_not_those_for_others() -> None:
    start = Reading(100.0, 10.0, 50.0)
    assert Reading(120.0, 10.5, 50.0).since(start) == 20.0, "it slept on a quiet machine"
    assert Reading(120.0, 10.5, 69.0).since(start) == 1.0, "others had the cores"
    assert Reading(120.0, 18.0, 70.0).since(start) == 8.0, "what it computed is its own"
    assert Reading(120.0, 10.5, None).since(start) == 0.5, "nothing tells sleep from contention"
    assert Reading.now().since(Reading.now()) < 5
