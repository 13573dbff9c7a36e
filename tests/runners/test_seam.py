"""The seam between the ratchet and wherever trials run, with a second runner on the other side of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.runners.local import LocalRunner
from tests.labs import make_lab, scripted, swap

ROOT = Path(__file__).parents[2]


def test_a_runner_is_made_of_nothing() -> None:
    """It knows no jail, and imports none: what confines a trial comes with the trial."""
    assert LocalRunner().__dict__ == {}
    for file in (ROOT / "src" / "autoresearch" / "runners").glob("*.py"):
        assert "autoresearch.sandbox" not in file.read_text()


@pytest.mark.parametrize("sandbox", ["none", "bwrap"])
def test_a_second_runner_drives_a_whole_run(tmp_path: Path, sandbox: str) -> None:
    if sandbox == "bwrap" and shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap (bwrap)")
    answers = [
        swap("better", "LR = 0.5", "LR = 0.3"),
        swap("worse", "LR = 0.3", "LR = 0.9"),
        swap("broken", "LR = 0.3", "LR = 1 / 0"),
        swap("best", "LR = 0.3", "LR = 0.2"),
    ]
    rest = f'[runner]\nsandbox = "{sandbox}"'
    lab = make_lab(tmp_path, researcher=scripted(tmp_path, answers), rest=rest)
    trials = tmp_path / "trials"
    done = subprocess.run(
        [sys.executable, "-m", "tests.plainrunner", "run", "--max", "4", "--allow-unsandboxed"],
        cwd=lab.root, env={**lab.env, "PYTHONPATH": str(ROOT), "PLAIN_TRIALS": str(trials)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.statuses() == ["keep", "keep", "discard", "crash", "keep"]
    kind = "bare" if sandbox == "none" else "jailed"
    assert trials.read_text().splitlines() == [f"{number} {kind}" for number in range(5)]
    assert lab.branch() == ["the start", "better", "best"]
    assert lab.cli("run", "--max", "0").returncode == 0, "the other one goes on from there"
