"""train.py run as a trial runs it: the same bits for the same seed, its log, its ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import autoresearch

TEMPLATE = Path(autoresearch.__file__).parent / "template"


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the data that a CPU is given by default, but fewer rows to be examined on."""
    cache = tmp_path_factory.mktemp("stdlib")
    command = [sys.executable, "-m", "autoresearch.harness", "prepare", "--cache", str(cache)]
    subprocess.run([*command, "--val-tokens", "8192"], check=True, capture_output=True)
    return cache


def trial(folder: Path, cache: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """train.py of `folder` in a process of its own, for 20 steps on one thread."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(Path(autoresearch.__file__).parents[1]),
        "AUTORESEARCH_CACHE": str(cache),
        "AUTORESEARCH_BUDGET": "20steps",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def copied(folder: Path, **knobs: object) -> Path:
    """A folder with train.py, some of its constants rewritten."""
    text = (TEMPLATE / "train.py").read_text(encoding="utf-8")
    for name, value in knobs.items():
        text, count = re.subn(rf"(?m)^{name} = [^#\n]*", f"{name} = {value!r}  ", text)
        assert count == 1, name
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(text, encoding="utf-8")
    return folder


def bpb(done: subprocess.CompletedProcess[str]) -> float:
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = re.findall(r"(?m)^val_bpb: +(\d+\.\d{6})$", done.stdout)
    return float(found)


def points(done: subprocess.CompletedProcess[str]) -> list[dict[str, float]]:
    """The training log's lines."""
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"step"')]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_score_to_the_last_digit(
    tmp_path: Path, prepared: Path
) -> None:
    folder = copied(tmp_path / "lab")
    first = trial(folder, prepared, AUTORESEARCH_SEED="5")
    again = trial(folder, prepared, AUTORESEARCH_SEED="5")
    other = trial(folder, prepared, AUTORESEARCH_SEED="6")
    assert bpb(first) == bpb(again) != bpb(other)
    assert bpb(first) < 3.0  # an untrained model needs 3.7 bits
    losses = [[point["loss"] for point in points(done)] for done in (first, again, other)]
    assert losses[0] == losses[1] != losses[2]
    assert not list(folder.glob("*.pt"))


@pytest.mark.slow
def test_the_log_has_a_line_of_json_per_logging_step_and_one_summary(
    tmp_path: Path, prepared: Path
) -> None:
    done = trial(copied(tmp_path / "lab", LOG_STEPS=8), prepared)
    assert bpb(done) > 0
    log = points(done)
    assert [point["step"] for point in log] == [8, 16, 20]  # the last step always
    assert [point["tokens"] for point in log] == [8 * 1024, 16 * 1024, 20 * 1024]
    assert [point["rows"] for point in log] == [8 * 16, 16 * 16, 20 * 16]
    assert log[0]["progress"] == pytest.approx(7 / 20) and log[0]["lr"] == 1.0
    assert all(point["loss"] > 0 for point in log)
    assert "step_ms" not in log[0]  # what came before it is not known
    assert all(point["step_ms"] > 0 and point["tokens_per_s"] > 0 for point in log[1:])
    lines = done.stdout.splitlines()
    summary = dict(line.split(":", 1) for line in lines[lines.index("---") + 1 :])
    assert len(summary) == len(lines) - lines.index("---") - 1
    assert summary["num_steps"].strip() == "20" and summary["depth"].strip() == "2"
    assert summary["total_tokens_M"].strip() == "0.02"
    assert summary["device"].strip() == "cpu, 1 thread"


@pytest.mark.slow
def test_the_number_of_passes_does_not_show_in_the_score(tmp_path: Path, prepared: Path) -> None:
    whole = trial(copied(tmp_path / "one"), prepared)
    split = trial(copied(tmp_path / "two", DEVICE_BATCH=4), prepared)
    assert "in 4 passes" in split.stdout
    assert points(split)[0]["loss"] == pytest.approx(points(whole)[0]["loss"], rel=1e-3)
    assert bpb(split) == pytest.approx(bpb(whole), rel=1e-3)


@pytest.mark.slow
def test_other_knobs_train_too(tmp_path: Path, prepared: Path) -> None:
    knobs = {"DEPTH": 3, "DIM": 40, "WINDOW": "S", "SHORT_WINDOW": 8, "VALUE_EMBEDS": False}
    knobs |= {"WARMDOWN": 0.0, "DEVICE_BATCH": 3, "TOTAL_BATCH": 6 * 64, "DEVICE_CHUNK": 100}
    knobs |= {"MOMENTUM_STEPS": 0}
    done = trial(copied(tmp_path / "lab", **knobs), prepared)
    assert bpb(done) > 0 and re.search(r"(?m)^depth: +3$", done.stdout)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_trial_at_once(tmp_path: Path, prepared: Path) -> None:
    done = trial(copied(tmp_path / "lab", MATRIX_LR=float("1e39")), prepared)
    assert done.returncode == 1
    assert re.search(r"(?m)^FAIL: loss is nan at step [1-9]\d?$", done.stdout)
    assert "val_bpb" not in done.stdout


@pytest.mark.slow
def test_without_data_the_last_line_says_what_to_do(tmp_path: Path) -> None:
    done = trial(copied(tmp_path / "lab"), tmp_path / "nothing")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("run: autoresearch prepare")


@pytest.mark.slow
def test_batches_that_do_not_divide_end_before_anything_is_trained(
    tmp_path: Path, prepared: Path
) -> None:
    done = trial(copied(tmp_path / "lab", DEVICE_BATCH=12), prepared)
    assert done.returncode == 1
    assert done.stderr.startswith("FAIL: TOTAL_BATCH = 1024 is no multiple of DEVICE_BATCH x row")
