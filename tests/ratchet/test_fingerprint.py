"""The fingerprint of data and harness: real labs with real prepared data, which changes under them."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.labs import Lab, eventually, make_lab, scripted, swap, whole

pytest.importorskip("tiktoken")
pytest.importorskip("rustbpe")

# Prints what the harness says of the data, as the harness's own summary does.
TRAIN = """\
import os, subprocess, sys
LR = 0.5
ask = [sys.executable, "-m", "autoresearch.harness", "fingerprint"]
ask += ["--cache", os.environ["AUTORESEARCH_CACHE"]]
told = subprocess.run(ask, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
print(f"val_bpb: {1 + LR:.6f}")
print(f"fingerprint:      {told}")
print("device: a machine")
"""
PLAIN = 'LR = 0.5\nprint(f"val_bpb: {1 + LR:.6f}")\n'
LOWER = swap("a lower rate", "LR = 0.5", "LR = 0.25")
WAIT = """\
import pathlib, time
pathlib.Path("{0}/up").touch()
while not pathlib.Path("{0}/go").exists():
    time.sleep(0.02)
"""

Data = tuple[Path, Callable[[str], str]]  # a cache, and the way to switch it: name -> fingerprint


def harness(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "autoresearch.harness", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def prepare(cache: Path, source: Path) -> str:
    """Make a folder of texts the data of a cache; the fingerprint."""
    small = ("--vocab-size", "300", "--seq-len", "16", "--val-tokens", "256")
    harness("prepare", "--source", source, "--cache", cache, *small)
    return harness("fingerprint", "--cache", cache).strip()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the texts `one` and `two`, and a cache where both are prepared."""
    root = tmp_path_factory.mktemp("data")
    for name in ("two", "one"):
        rng = random.Random(name)
        (root / name).mkdir()
        for count in range(20):
            words = ("".join(rng.choices("abcdefghij", k=rng.randint(2, 8))) for _ in range(1500))
            (root / name / f"{count}.txt").write_text(" ".join(words))
        prepare(root / "cache", root / name)
    return root


@pytest.fixture
def data(prepared: Path, tmp_path: Path) -> Data:
    """A cache of the test's own."""
    cache = tmp_path / "cache"
    shutil.copytree(prepared / "cache", cache)
    return cache, lambda name: prepare(cache, prepared / name)


def lab_of(
    folder: Path, cache: Path, *answers: str, train: str = TRAIN, task: str = "", rest: str = ""
) -> Lab:
    lab = make_lab(folder, train, task, scripted(folder, answers), rest)
    lab.env["AUTORESEARCH_CACHE"] = str(cache)
    return lab


@pytest.mark.slow
def test_data_that_changed_between_two_calls_and_came_back(
    tmp_path: Path, data: Data, prepared: Path
) -> None:
    cache, texts = data[0], tmp_path / "texts"

    def switch(name: str) -> str:
        texts.unlink(missing_ok=True)
        texts.symlink_to(prepared / name)
        return prepare(cache, texts)

    was = switch("one")
    table = f'[harness]\nsource = "{texts}"\nvocab_size = 300\nseq_len = 16\nval_tokens = 256'
    lab = lab_of(tmp_path, cache, LOWER, rest=table)
    lab.cli("baseline")
    now = switch("two")
    assert now != was
    lab.git("checkout", "-q", "autoresearch/t")
    (lab.root / "train.py").write_text(TRAIN.replace("0.5", "0.4"))
    before = len(lab.records("ask")) + len(lab.records("trial"))
    for command in (["run"], ["baseline"], ["try", "-m", "mine"]):
        error = lab.cli(*command, code=1).stderr
        assert len(error.splitlines()) == 1 and was in error and now in error
        sizes = "--vocab-size 300 --seq-len 16 --val-tokens 256"
        way = f"autoresearch prepare --source {texts} {sizes}"
        assert way in error and "autoresearch init TAG" in error
    assert len(lab.records("ask")) + len(lab.records("trial")) == before, "nothing was paid for"
    assert was in lab.cli("status").stdout
    assert switch("one") == was
    lab.git("checkout", "-q", "--", "train.py")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
    for number in (0, 1):
        assert lab.record(number)["fingerprint"] == was
        metrics = json.loads(lab.file(number, "metrics.json"))
        assert (metrics["fingerprint"], metrics["device"]) == (was, "a machine")
    shown = lab.cli("show", "1").stdout.splitlines()
    assert f"fingerprint: {was}" in shown and "device: a machine" in shown
    assert "Trials run on: a machine." in lab.file(1, "prompt.txt")


@pytest.mark.slow
def test_data_that_changes_in_mid_run_is_not_held_against_the_candidate(
    tmp_path: Path, data: Data
) -> None:
    cache, switch = data
    was = switch("one")
    waits = whole("waits", WAIT.format(tmp_path) + TRAIN.replace("0.5", "0.25"), old=TRAIN)
    lab = lab_of(tmp_path, cache, waits)
    lab.cli("baseline")
    process = lab.spawn("run", "--max", "1")
    eventually(lambda: (tmp_path / "up").exists())
    now = switch("two")
    (tmp_path / "go").touch()
    assert process.wait(30) == 1
    error = lab.printed.read_text().splitlines()[-1]
    assert error.startswith("error: ") and was in error and now in error
    assert lab.statuses() == ["keep"] and lab.records("fault")
    switch("one")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
    # The baseline's, two that the data ended, and one once they were back.
    assert len(lab.records("answer")) == 1 and len(lab.records("trial")) == 4


@pytest.mark.slow
def test_data_that_is_gone_in_mid_run(tmp_path: Path, data: Data) -> None:
    cache, switch = data
    was = switch("one")
    gone = f'import os; os.remove("{cache}/current")\n'
    lab = lab_of(tmp_path, cache, whole("takes it away", gone + TRAIN, old=TRAIN))
    error = lab.cli("run", "--max", "1", code=1).stderr
    assert was in error and "no prepared data" in error and "autoresearch prepare" in error
    assert lab.statuses() == ["keep"], "a trial that finds no data is no crash of the candidate's"
    assert len(lab.records("fault")) == 2 and not lab.records("incumbent")[-1]["runs"]


@pytest.mark.slow
def test_a_candidate_that_prints_another_one(tmp_path: Path, data: Data) -> None:
    cache, switch = data
    was = switch("one")
    better = TRAIN.replace("0.5", "0.25")
    other = PLAIN.replace("0.5", "0.25") + 'print("fingerprint: 0123456789abcdef")\n'
    shadow = whole("its own harness", 'print("0123456789abcdef")\n', "autoresearch/__init__.py")
    lab = lab_of(
        tmp_path,
        cache,
        whole("another", other, old=TRAIN),
        whole("none", better.replace("fingerprint:", "# "), old=TRAIN),
        whole("two", better + 'print("fingerprint:", told)\n', old=TRAIN),
        shadow + whole("", other, old=TRAIN).partition("\n")[2],
    )
    text = (lab.root / "autoresearch.toml").read_text()
    lab.commit(autoresearch__toml=text.replace('["train.py"]', '["train.py", "autoresearch/**"]'))
    lab.tag = "u"
    lab.cli("init", "u")
    lab.cli("run", "--max", "4")
    assert lab.statuses() == ["keep", *["crash"] * 4]
    reasons = [lab.record(number)["reason"] for number in range(1, 5)]
    assert [lab.record(number)["failure"] for number in range(1, 5)] == ["tampered"] * 4
    assert "0123456789abcdef" in reasons[0] and "printed none" in reasons[1]
    assert "printed none" in reasons[2] and all(was in reason for reason in reasons)


@pytest.mark.slow
def test_a_run_without_one_never_asks(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, tmp_path / "no-cache", LOWER, train=PLAIN)
    lab.cli("run", "--max", "1")
    lab.cli("run", "--max", "0")
    assert lab.statuses() == ["keep", "keep"] and lab.record(0)["fingerprint"] == ""
    assert not (lab.state / "fingerprint.log").exists()


# -- several labs, one cache ------------------------------------------------------------------

SIZES = "vocab_size = 300\nseq_len = 16\nval_tokens = "


def lab_with(folder: Path, cache: Path, texts: Path, val_tokens: int, *answers: str) -> Lab:
    """A lab whose [harness] table names its data: a folder `texts` of its own."""
    folder.mkdir()
    table = f'[harness]\nsource = "texts"\n{SIZES}{val_tokens}'
    lab = lab_of(folder, cache, *answers, rest=table)
    shutil.copytree(texts, lab.root / "texts")
    return lab


@pytest.mark.slow
def test_labs_that_share_a_cache_keep_to_the_data_of_their_own_tables(
    tmp_path: Path, prepared: Path
) -> None:
    cache = tmp_path / "cache"
    few = lab_with(tmp_path / "few", cache, prepared / "one", 256, LOWER)
    more = lab_with(tmp_path / "more", cache, prepared / "one", 512, LOWER)
    folders = {}
    for lab in (few, more):
        error = lab.cli("baseline", code=1).stderr
        assert len(error.splitlines()) == 1 and "autoresearch prepare" in error
        assert f"{lab.root / 'texts'}" in error and "val_tokens" in error
        assert not lab.records("trial"), "a trial on another lab's data would be a score of nothing"
        lab.cli("prepare")
        folders[lab.root] = (cache / "current").read_text().strip()
    assert len({*folders.values()}) == 2
    for lab in (few, more):  # `current` is the other's in the first of them
        lab.cli("baseline")
    marks = [lab.record(0)["fingerprint"] for lab in (few, more)]
    assert len({*marks}) == 2
    for lab, mark in zip((few, more), marks, strict=True):
        manifest = json.loads((cache / folders[lab.root] / "manifest.json").read_text())
        assert manifest["fingerprint"] == mark
        assert manifest["settings"]["source"] == str(lab.root / "texts")
    said = few.cli("prepare").stdout
    assert (
        "already prepared" in said and (cache / "current").read_text().strip() == folders[few.root]
    )
    for lab in (more, few):
        lab.cli("run", "--max", "1")
        assert lab.statuses() == ["keep", "keep"]
    checks = {c["name"]: c for c in json.loads(more.cli("doctor", "--json").stdout)}
    assert folders[more.root] in checks["data"]["what"] and checks["data"]["state"] == "ok"


@pytest.mark.slow
def test_data_by_flags_that_the_labs_trials_do_not_take_is_said(
    tmp_path: Path, prepared: Path
) -> None:
    cache = tmp_path / "cache"
    lab = lab_with(tmp_path / "lab", cache, prepared / "one", 256)
    assert "not prepared yet" in lab.cli("prepare", "--val-tokens", "512").stderr
    assert "notice" not in lab.cli("prepare").stderr
    mine = (cache / "current").read_text().strip()
    assert mine in lab.cli("prepare", "--val-tokens", "512").stderr
    lab.cli("baseline")
    assert lab.statuses() == ["keep"]


@pytest.mark.slow
def test_a_lab_without_a_table_takes_what_was_prepared_last(tmp_path: Path, data: Data) -> None:
    cache, switch = data
    for rest in ("", '[harness]\nbudget = "60steps"'):
        for name in ("one", "two"):
            was = switch(name)
            folder = tmp_path / f"{name}{len(rest)}"
            folder.mkdir()
            lab = lab_of(folder, cache, rest=rest)
            lab.cli("baseline")
            assert lab.record(0)["fingerprint"] == was


# -- the budget -------------------------------------------------------------------------------

SHOWS = """\
import os
LR = 0.5
print(f"val_bpb: {1 + LR:.6f}")
print("AUTORESEARCH_BUDGET", os.environ.get("AUTORESEARCH_BUDGET", "unset"))
"""


@pytest.mark.parametrize(
    ("table", "budget"),
    [("", "60s"), ('[harness]\nbudget = "600steps"\nmax_tflop = 1.3', "600steps")],
)
def test_a_trials_budget(tmp_path: Path, table: str, budget: str) -> None:
    lab = make_lab(tmp_path, SHOWS, 'env_pass = ["AUTORESEARCH_BUDGET"]', rest=table)
    lab.cli("baseline", AUTORESEARCH_BUDGET="60s")
    assert f"AUTORESEARCH_BUDGET {budget}\n" in lab.file(0, "trial.log")


def test_a_cap_on_operations_is_accepted_aloud_and_no_limit(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, SHOWS, rest="[harness]\nmax_tflop = 1.7")
    said = lab.cli("baseline").stdout
    assert "harness.max_tflop = 1.7 is no limit any more" in said
    assert "AUTORESEARCH_MAX_TFLOP" not in lab.file(0, "trial.log")


@pytest.mark.slow
def test_a_budget_that_changes_since_the_baseline_is_refused(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, PLAIN, researcher=scripted(tmp_path, [LOWER]))
    lab.cli("baseline")
    text = (lab.root / "autoresearch.toml").read_text()
    (lab.root / "autoresearch.toml").write_text(text + '[harness]\nbudget = "10steps"\n')
    error = lab.cli("run", "--max", "1", code=1).stderr
    assert "harness.budget changed since the baseline" in error
    (lab.root / "autoresearch.toml").write_text(text + "[harness]\nshards = 3\n")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
