"""Whose a fault is: the candidate's where it comes with the candidate and not with the incumbent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.labs import TRAIN, Lab, make_lab, scripted, unwatched, whole

POISON = TRAIN.replace("WIDTH = 64", "WIDTH = 32") + "POISON = 1\n"
BETTER = TRAIN.replace("LR = 0.5", "LR = 0.4")
FAULTS = [
    "bug",
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("sandbox", "full", "forbidden")),
]
ONCE_IN_TWO = {"poison": ["bug", "", "bug", ""]}


def lab_with(folder: Path, answers: tuple[str, ...] = (POISON, BETTER)) -> Lab:
    """A lab with a baseline, whose proposals are these scripts."""
    texts = [whole(f"script {n}", script) for n, script in enumerate(answers)]
    lab = make_lab(folder, TRAIN, "", scripted(folder, texts))
    lab.cli("baseline")
    return lab


def run(lab: Lab, faults: dict[str, list[str]], code: int = 0, *arguments: str) -> str:
    """What a call printed, and the trials that it started."""
    starts = lab.root.parent / "starts"
    starts.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.faultyrunner", *unwatched(("run", *arguments))],
        cwd=lab.root, capture_output=True, text=True, timeout=120,
        env={**lab.env, "PYTHONPATH": str(Path(__file__).parents[2]), "FAULTY": json.dumps(faults),
             "FAULTY_STARTS": str(starts)},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def starts(lab: Lab) -> list[str]:
    file = lab.root.parent / "starts"
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_with_one_candidate_only_is_a_crash_and_the_run_goes_on(
    tmp_path: Path, fault: str
) -> None:
    lab = lab_with(tmp_path)
    said = run(lab, {"poison": [fault]})
    assert lab.statuses() == ["keep", "crash", "keep"]
    assert starts(lab) == ["poison", "poison", "other", "other"]  # the incumbent, and the next one
    record = lab.record(1)
    assert record["failure"] == "fault" and "with the incumbent it does not" in record["reason"]
    assert "the incumbent, #0, is tried" in said and "a bug in autoresearch" not in said
    assert "Traceback" in lab.file(1, "fault.txt")
    assert [r["runs"] for r in lab.records("incumbent")] == [True]
    assert list(lab.temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_comes_once_costs_nothing(tmp_path: Path, fault: str) -> None:
    lab = lab_with(tmp_path)
    run(lab, {"poison": [fault, ""]})
    assert lab.statuses() == ["keep", "discard", "keep"]
    assert starts(lab) == ["poison", "poison", "other"]
    assert len(lab.records("fault")) == 1 and not lab.records("incumbent")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["sandbox", "full", "forbidden"])
def test_a_fault_with_both_stops_the_run_and_no_candidate_is_blamed(
    tmp_path: Path, fault: str
) -> None:
    lab = lab_with(tmp_path)
    said = run(lab, {"poison": [fault], "other": [fault]}, 1)
    last = said.strip().splitlines()[-1]
    assert "The incumbent, #0, fails too, so it is the machine" in last and last.endswith(" again")
    assert starts(lab) == ["poison", "poison", "other"] and lab.statuses() == ["keep"]
    # once the machine is mended, the incumbent shows it, and then the candidate has its trial
    run(lab, {})
    assert starts(lab) == ["other", "poison", "other"]
    assert lab.statuses() == ["keep", "discard", "keep"]


@pytest.mark.slow
def test_a_bug_that_has_nothing_to_do_with_the_candidate_comes_out_as_one(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    said = run(lab, {"poison": ["bug"], "other": ["bug"]}, 3)
    assert "a bug in autoresearch: ValueError: embedded null byte" in said
    assert lab.statuses() == ["keep"]


@pytest.mark.slow
def test_what_breaks_the_machine_for_all_is_not_tried_for_ever(tmp_path: Path) -> None:
    """A candidate that leaves a machine on which nothing runs, mended by a person before each call."""
    lab = lab_with(tmp_path)
    run(lab, {"poison": ["sandbox"], "other": ["sandbox"]}, 1)
    run(lab, {"poison": ["sandbox"]})
    assert starts(lab) == ["other", "poison", "other"]
    assert lab.statuses() == ["keep", "crash", "keep"]


@pytest.mark.slow
def test_a_fault_that_lies_outside_is_not_counted(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    for _ in range(4):
        said = run(lab, {"poison": ["preempted"]}, 1)
        assert "preempted" in said and starts(lab) == ["poison"]
    assert lab.records("fault") == []
    run(lab, {})
    assert lab.statuses() == ["keep", "discard", "keep"]


@pytest.mark.slow
def test_faults_are_counted_over_a_kill(tmp_path: Path) -> None:
    lab = lab_with(tmp_path)
    run(lab, {"poison": ["full", "kill"]}, -signal.SIGKILL)
    run(lab, {"poison": ["full"]})
    assert starts(lab) == ["poison", "other", "other"], "one more fault, and it was the second"
    assert lab.statuses() == ["keep", "crash", "keep"]


@pytest.mark.slow
def test_a_kill_in_the_incumbents_trial_does_not_bring_the_poisoned_one_back(
    tmp_path: Path,
) -> None:
    lab = lab_with(tmp_path)
    run(lab, {"poison": ["full"], "other": ["kill"]}, -signal.SIGKILL)
    assert starts(lab) == ["poison", "poison", "other"]
    run(lab, {"poison": ["full"]})
    assert starts(lab) == ["other", "other"]
    assert lab.statuses() == ["keep", "crash", "keep"]


@pytest.mark.slow
def test_a_kill_after_the_incumbent_ran_leaves_the_verdict(tmp_path: Path) -> None:
    """The journal as it is just before the row: two faults, and an incumbent that runs."""
    lab = lab_with(tmp_path)
    run(lab, {"poison": ["bug"], "other": ["", "kill"]}, -signal.SIGKILL)
    journal = lab.state / "journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    cut = next(n for n, line in enumerate(lines) if b'"kind":"incumbent"' in line)
    journal.write_bytes(b"".join(lines[: cut + 1]))
    run(lab, {"poison": ["bug"]})
    assert starts(lab) == ["other"] and lab.statuses() == ["keep", "crash", "keep"]


@pytest.mark.slow
def test_every_candidate_has_a_count_of_its_own(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, (POISON, POISON + "AGAIN = 1\n", BETTER))
    run(lab, ONCE_IN_TWO)
    assert lab.statuses() == ["keep", "discard", "discard", "keep"]


@pytest.mark.slow
def test_a_fault_of_the_baseline_stops_at_once(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, TRAIN, "", scripted(tmp_path, []))
    said = run(lab, {"other": ["sandbox"]}, 1)
    assert "the sandbox could not be made" in said and starts(lab) == ["other"]
    assert lab.records("fault") == []
