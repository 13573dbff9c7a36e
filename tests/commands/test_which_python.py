"""What `python` means in a lab's commands: chosen at the baseline, said, recorded, and then the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import Lab
from tests.projects import project

TOML = """\
[task]
command = ["python", "train.py"]
mutable = ["train.py"]
[runner]
sandbox = "none"
"""
PLAIN = 'import os\nprint("val_bpb: 0.5")\nprint("by", os.environ.get("BY"))\n'
WITH_HARNESS = "import autoresearch.harness\n" + PLAIN


def program(file: Path, name: str, lacks: bool = False) -> str:
    """A Python of its own: a script that starts this one, and says by which name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    refuses = ""
    if lacks:
        says = 'echo "ModuleNotFoundError: No module" >&2; exit 1'
        refuses = f'case "$*" in *autoresearch.harness*) {says};; esac\n'
    file.write_text(f'#!/bin/sh\n{refuses}BY={name} exec {sys.executable} "$@"\n')
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def other(tmp_path: Path) -> str:
    """A PATH whose first `python` is none that anything can be run with."""
    file = tmp_path / "other" / "python"
    file.parent.mkdir()
    file.write_text("#!/bin/sh\nexit 3\n")
    file.chmod(0o755)
    return f"{file.parent}:/usr/local/bin:/usr/bin:/bin"


def lab_of(folder: Path, train: str = PLAIN) -> Lab:
    files = {"train.py": train, "autoresearch.toml": TOML, ".gitignore": ".venv/\n"}
    return project(folder, files)


def python_of(lab: Lab, number: int = 0) -> str:
    file = lab.state() / "experiments" / f"{number:04d}" / "record.json"
    found: str = json.loads(file.read_text())["python"]
    return found


def test_the_tools_own_where_another_is_on_the_path(tmp_path: Path, other: str) -> None:
    lab = lab_of(tmp_path / "lab", WITH_HARNESS)
    env: dict[str, str | None] = {"PATH": other, "VIRTUAL_ENV": None, "CONDA_PREFIX": None}
    lab.cli("init", "t", env=env)
    ran = lab.cli("baseline", env=env)
    assert f"python: {sys.executable}, that which autoresearch runs with" in ran.stdout
    assert lab.statuses() == ["keep"] and python_of(lab) == sys.executable


@pytest.mark.slow
def test_the_order(tmp_path: Path, other: str) -> None:
    lab = lab_of(tmp_path / "lab")
    own = program(lab.root / ".venv" / "bin" / "python", "own")
    active = program(tmp_path / "active" / "bin" / "python", "active")
    env: dict[str, str | None] = {"PATH": other, "VIRTUAL_ENV": str(tmp_path / "active")}
    lab.cli("init", "t", env=env)
    assert "that of the lab's .venv" in lab.cli("baseline", env=env).stdout
    assert python_of(lab) == own
    (lab.root / ".venv").rename(tmp_path / "aside")
    lab.cli("init", "u", env=env)
    assert "that of the active environment (VIRTUAL_ENV)" in lab.cli("baseline", env=env).stdout
    log = (lab.state("u") / "experiments" / "0000" / "trial.log").read_text()
    assert "by active" in log
    record = json.loads((lab.state("u") / "experiments" / "0000" / "record.json").read_text())
    assert record["python"] == active


@pytest.mark.slow
def test_one_without_the_harness_is_passed_over_aloud(tmp_path: Path, other: str) -> None:
    lab = lab_of(tmp_path / "lab", WITH_HARNESS)
    program(lab.root / ".venv" / "bin" / "python", "own", lacks=True)
    env: dict[str, str | None] = {"PATH": other, "VIRTUAL_ENV": None, "CONDA_PREFIX": None}
    lab.cli("init", "t", env=env)
    said = lab.cli("baseline", env=env).stdout
    assert "not that of the lab's .venv (it lacks autoresearch.harness)" in said
    assert python_of(lab) == sys.executable and lab.statuses() == ["keep"]


@pytest.mark.slow
def test_one_that_does_not_start_is_passed_over(tmp_path: Path, other: str) -> None:
    lab = lab_of(tmp_path / "lab")
    broken = Path(program(lab.root / ".venv" / "bin" / "python", "own"))
    broken.write_text("#!/nowhere/python\n")
    env: dict[str, str | None] = {"PATH": other, "VIRTUAL_ENV": None, "CONDA_PREFIX": None}
    lab.cli("init", "t", env=env)
    assert "does not start" in lab.cli("baseline", env=env).stdout
    assert python_of(lab) == sys.executable


@pytest.mark.slow
def test_it_does_not_change_within_a_run(tmp_path: Path, other: str) -> None:
    lab = lab_of(tmp_path / "lab")
    active = program(tmp_path / "active" / "bin" / "python", "active")
    env: dict[str, str | None] = {"PATH": other, "VIRTUAL_ENV": str(tmp_path / "active")}
    lab.cli("init", "t", env=env)
    lab.cli("baseline", env=env)
    program(lab.root / ".venv" / "bin" / "python", "own")
    env["VIRTUAL_ENV"] = None
    lab.git("checkout", "-q", "autoresearch/t")
    lab.write("train.py", PLAIN.replace("0.5", "0.25"))
    lab.cli("try", "-m", "lower", env=env)
    assert lab.statuses() == ["keep", "keep"] and python_of(lab, 1) == active
    Path(active).unlink()
    lab.write("train.py", PLAIN.replace("0.5", "0.125"))
    ran = lab.cli("try", "-m", "lower still", env=env, code=1)
    assert active in ran.stderr and "init TAG --from" in ran.stderr
    assert len(lab.statuses()) == 2


def test_a_path_or_another_program_is_taken_as_written(tmp_path: Path, other: str) -> None:
    lab = lab_of(tmp_path / "lab")
    program(lab.root / ".venv" / "bin" / "python", "own")
    text = TOML.replace('"python"', f'"{sys.executable}"')
    lab.commit(autoresearch__toml=text)
    lab.cli("init", "t")
    assert "python:" not in lab.cli("baseline", env={"PATH": other}).stdout
    assert python_of(lab) is None
