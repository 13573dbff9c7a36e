"""The package as it ships: the wheel in a clean environment, and the project as a lab for itself."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.labs import unwatched

ROOT = Path(__file__).parents[1]

TRAIN = 'LR = 0.5\nprint(f"val_bpb: {1 + LR:.6f}")\n'
LAB = """\
[task]
command = ["python", "train.py"]
mutable = ["train.py"]
[researcher]
kind = "scripted"
model = "answers.txt"
"""
ANSWER = """\
description: a lower rate

train.py
<<<<<<< SEARCH
LR = 0.5
=======
LR = 0.25
>>>>>>> REPLACE
"""


def call(*command: str | Path, cwd: Path, **env: str) -> str:
    """Run a command that must succeed; its output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_wheel_works_in_a_clean_environment(tmp_path: Path) -> None:
    call(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    for inside in (
        "harness/data/prepare.py",
        "template/train.py",
        "template/program.md",
        "py.typed",
    ):
        assert f"autoresearch/{inside}" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]

    venv.create(tmp_path / "env", with_pip=True)
    bin_ = tmp_path / "env" / "bin"
    call(bin_ / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    path = {"PATH": f"{bin_}:{os.environ['PATH']}", "PYTHONPATH": ""}
    installed = call(bin_ / "python", "-m", "pip", "list", cwd=tmp_path).lower()
    assert "torch" not in installed and "tiktoken" not in installed

    lab = tmp_path / "lab"
    lab.mkdir()
    said = call(bin_ / "autoresearch", "init", "made", cwd=lab, **path)
    assert "made a lab" in said and (lab / "train.py").is_file()
    assert call("git", "log", "--format=%D", "-1", cwd=lab).count("autoresearch/made") == 1

    small = tmp_path / "small"
    small.mkdir()
    (small / "train.py").write_text(TRAIN)
    (small / "autoresearch.toml").write_text(LAB)
    (small / ".gitignore").write_text("answers.txt\n")
    (small / "answers.txt").write_text(ANSWER)
    call("git", "init", "-q", cwd=small)
    call("git", "config", "user.email", "a@b", cwd=small)
    call("git", "config", "user.name", "a", cwd=small)
    call("git", "add", "-A", cwd=small)
    call("git", "commit", "-q", "-m", "lab", cwd=small)
    call(bin_ / "autoresearch", "init", "t", cwd=small, **path)
    call(bin_ / "autoresearch", *unwatched(["run"]), "--max", "1", cwd=small, **path)
    rows = [line.split("\t")[1:] for line in (small / "results.tsv").read_text().splitlines()[1:]]
    assert rows == [
        ["1.500000", "0.0", "keep", "baseline"],
        ["1.250000", "0.0", "keep", "a lower rate"],
    ]


@pytest.mark.slow
def test_the_project_is_a_lab_for_its_own_template(tmp_path: Path) -> None:
    clone, cache = tmp_path / "clone", tmp_path / "cache"
    call("git", "clone", "-q", ROOT, clone, cwd=tmp_path)
    tool = [sys.executable, "-m", "autoresearch"]
    env = {
        "AUTORESEARCH_CACHE": str(cache),
        "AUTORESEARCH_BUDGET": "5steps",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(40):
        (texts / f"{number}.txt").write_text(f"text {number}: " + "some words to count. " * 400)
    call(*tool, "prepare", "--source", texts, cwd=clone, **env)
    said = call(*tool, "init", "self", cwd=clone, **env)
    assert "mutable: src/autoresearch/template/train.py" in said
    call(*tool, *unwatched(["run"]), "--max", "1", "--researcher", "knobs", cwd=clone, **env)
    rows = (clone / "results.tsv").read_text().splitlines()
    assert len(rows) == 3 and rows[1].split("\t")[3:] == ["keep", "baseline"]
    assert float(rows[1].split("\t")[1]) > 0
    status = call("git", "status", "--porcelain", cwd=clone)
    assert status == ""
