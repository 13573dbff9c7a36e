"""The GPU benchmark: all of it at tiny sizes on the CPU, and what it does when a section fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("rustbpe")

ROOT = Path(__file__).resolve().parents[1]


def benchmark(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--small", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


def tables(report: str) -> dict[str, list[list[str]]]:
    """The rows of each section's table, without its head."""
    found = {}
    for section in report.split("\n## ")[1:]:
        rows = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
        found[section.split("\n")[0]] = [row.split(" | ") for row in rows][2:]
    return found


@pytest.mark.slow
def test_every_section_measures_something(tmp_path: Path) -> None:
    done = benchmark("--out", tmp_path)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert (tmp_path / "report.md").read_text() == done.stdout
    assert "11 of 11 sections" in done.stdout

    rows = tables(done.stdout)
    attention = rows["Attention kernels"]
    launched = [row for row in attention if row[2] != "needs CUDA"]
    assert len(attention) == 7 * 2 and len(launched) == 2 * 2
    assert all(float(row[2]) > 0 and float(row[5]) < 1e-5 for row in launched)

    trial = dict(rows["A trial"])
    assert trial["num_steps"] == "20" and 0 < float(trial["val_bpb"]) < 20
    log = (tmp_path / "train.log").read_text()
    assert [json.loads(line)["step"] for line in log.splitlines() if line[0] == "{"] == [10, 20]
    last = [json.loads(line) for line in log.splitlines() if line[0] == "{"][-1]
    assert float(trial["step, ms, log"].replace(",", "")) == pytest.approx(last["step_ms"], abs=0.1)

    compiled = rows["Compilation"]
    assert [row[0].split(",")[0] for row in compiled] == [
        "by block", "by block", "whole model", "nothing (eager)",
    ]  # fmt: skip
    assert all(float(row[4]) > 0 for row in compiled)

    *blocks, median, _ = rows["Beside the reference's policy"]
    ratios = sorted(float(row[3]) for row in blocks)
    assert "packed on the fly" in done.stdout and len(ratios) == 2
    assert median[0] == "median" and float(median[3].split()[0]) > 0

    losses = [float(row[4]) for row in rows["Loss in chunks"]]
    assert len(losses) == 4 and losses == pytest.approx([losses[0]] * 4, abs=1e-4)
    assert [row[0] for row in rows["Loss read one step late, and the host"]] == [
        "a step late", "synchronised",
    ]  # fmt: skip
    scores = [float(row[1]) for row in rows["Seeds"]]
    assert len(set(scores)) == 5  # a seed each
    graphs = {row[0]: int(row[4]) for row in rows["Optimisers"]}
    assert graphs["AdamW"] == graphs["Muon"] == 0 < graphs["Muon, compiled"]
    assert float(rows["Floor"][0][1]) > 0


@pytest.mark.slow
def test_a_section_that_fails_is_reported_and_the_next_goes_on(tmp_path: Path) -> None:
    (tmp_path / "current").write_text("nothing\n")
    done = benchmark("--data", tmp_path, "loop", "floor")
    assert done.returncode == 1
    fault = re.search(r"^\*\*FAILED\*\* `loop`: (.*)$", done.stdout, re.MULTILINE)
    assert fault is not None and "run: autoresearch prepare" in fault[1]
    assert "| matrix products | 0." in done.stdout
    assert "1 of 2 sections" in done.stdout


@pytest.mark.slow
def test_a_section_that_hangs_is_stopped_when_its_time_is_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "current")  # whoever reads it waits for a writer
    done = benchmark("--data", tmp_path, "--limit", 5, "loop", "floor")
    assert done.returncode == 1
    assert "**FAILED** `loop`: stopped after 5 s" in done.stdout
    assert "**FAILED** `floor`: no time is left" in done.stdout


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="a driver is here")
def test_the_script_says_what_the_machine_lacks(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", tmp_path / "out"],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "gpu.sh: no nvidia-smi, so no NVIDIA GPU with a driver\n"
    assert not (tmp_path / "out").exists()
