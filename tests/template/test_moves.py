"""The whole way on this machine: the template trains on the embedded corpus, and the ratchet finds a
gain that is known and refuses a loss that is known (docs/performance.md has both, over seeds)."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.ledger.journal import read
from tests.conftest import run_cli

pytest.importorskip("torch")

REACHED = 1.85  # by 600 steps on the embedded corpus; 1.74 to 1.79 over seeds with Python 3.11's
ANSWERS = """\
description: no warm-down
hypothesis: a loss that is known

train.py
<<<<<<< SEARCH
WARMDOWN = {warmdown}
=======
WARMDOWN = 0.0  # none
>>>>>>> REPLACE
--- answer ---
description: a wider model
hypothesis: a gain that is known

train.py
<<<<<<< SEARCH
DIM = {dim}
=======
DIM = 96
>>>>>>> REPLACE
"""


@pytest.mark.slow
def test_the_ratchet_refuses_a_known_loss_and_keeps_a_known_gain(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    env: dict[str, str | None] = {
        "AUTORESEARCH_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",  # two threads that wait for each other on busy cores take far longer
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
    }
    run_cli("init", "moves", "--profile", "cpu", cwd=lab, env=env)
    run_cli("prepare", cwd=lab, env=env, timeout_s=300)
    lines = (lab / "train.py").read_text().splitlines()
    (warmdown,) = (line.split(" = ", 1)[1] for line in lines if line.startswith("WARMDOWN = "))
    (dim,) = (line.split(" = ", 1)[1] for line in lines if line.startswith("DIM = "))
    config = lab / "autoresearch.toml"
    text = config.read_text().replace('kind = "auto"', 'kind = "scripted"\nmodel = "answers.txt"')
    text = text.replace("[task]\n", '[task]\nenv_pass = ["OMP_NUM_THREADS"]\n', 1)
    assert 'kind = "scripted"' in text and "env_pass" in text
    config.write_text(text)
    (lab / "answers.txt").write_text(ANSWERS.format(warmdown=warmdown, dim=dim))
    subprocess.run(["git", "commit", "-qam", "answers from a file"], cwd=lab, check=True)
    run_cli("init", "known", cwd=lab, env=env)
    run_cli("run", "--tag", "known", "--max", "2", cwd=lab, env=env, timeout_s=900)

    with (lab / "results.tsv").open() as file:
        baseline, worse, better = csv.DictReader(file, delimiter="\t")
    assert [row["status"] for row in (baseline, worse, better)] == ["keep", "discard", "keep"]
    start = float(baseline["val_bpb"])
    assert start < REACHED
    assert float(worse["val_bpb"]) > start + 0.04  # seeds alone differ by about 0.02
    assert float(better["val_bpb"]) < start - 0.04
    (folder,) = (lab / ".git" / "autoresearch").glob("known/experiments/0002")
    record = json.loads((folder / "record.json").read_text())
    assert len(record["fingerprint"]) == 16
    assert record["evidence"] == "verified", "the probes held before the keep"
    ran = [
        entry["n"]
        for entry in read(folder.parents[1] / "journal")
        if entry["kind"] == "verification"
    ]
    assert ran == [0, 0, 2, 2], (
        "two processes for the baseline and two for the gain, none for the loss"
    )
