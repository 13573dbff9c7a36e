"""A gain too good to be true: held until a person accepts it, at the end of the branch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.labs import Lab, make_lab, scripted, swap

TRAIN = 'VALUE = 1.5\nprint("val_bpb:", VALUE)\nprint("peak_vram_mb: 2048")\n'
HOLD = '[keep]\nimplausible = "hold"'
HUGE = ("VALUE = 1.5", "VALUE = 0.000001")
SMALL = ("VALUE = 1.5", "VALUE = 1.49")


def lab_of(folder: Path, *changes: tuple[str, str], rest: str = HOLD) -> Lab:
    answers = [swap(new, old, new) for old, new in changes]
    return make_lab(folder, TRAIN, researcher=scripted(folder, answers), rest=rest)


def tip(lab: Lab) -> str:
    return lab.git("rev-parse", f"autoresearch/{lab.tag}").strip()


def ref(lab: Lab, number: int) -> str:
    return lab.git("rev-parse", f"refs/autoresearch/{lab.tag}/{number:04d}").strip()


def test_by_default_it_is_kept_and_flagged(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, HUGE, rest="")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"] and "too good" in lab.record(1)["flag"]


def test_it_is_held_shown_first_and_accepted(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, HUGE, ("VALUE = 1.5", "VALUE = 1.6"))
    said = lab.cli("run", "--max", "2").stdout
    assert lab.statuses() == ["keep", "discard", "discard"]
    record, before = lab.record(1), lab.rows()
    assert (record["reason"], record["failure"]) == ("held", "held")
    assert "too good to be true?" in record["flag"] and record["value"] == 0.000001
    assert "autoresearch accept 1" in said and tip(lab) == lab.record(0)["commit"]
    report = lab.cli("report").stdout.splitlines()
    assert report[0].startswith("held: #1 VALUE = 0.000001: too good to be true?")
    assert json.loads(lab.cli("report", "--json").stdout)["held"][0]["number"] == 1
    assert "held, too good to be true: #1" in lab.cli("status").stdout

    told = lab.cli("accept", "1").stdout
    assert "accepted #1" in told and "val_bpb 0.000001" in told
    assert tip(lab) == ref(lab, 1) == record["commit"]
    assert lab.statuses() == ["keep", "keep", "discard"]
    assert [row[:3] for row in lab.rows()] == [row[:3] for row in before]
    assert "accepted" in lab.record(1)["reason"] and lab.record(1)["failure"] is None
    assert "incumbent #1" in lab.cli("status").stdout
    assert "held" not in lab.cli("report").stdout.splitlines()[0]
    assert list(lab.root.glob("results.*.tsv")) == []
    assert "kept already" in lab.cli("accept", "1", code=1).stderr


@pytest.mark.slow
def test_what_can_not_be_accepted(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, HUGE, SMALL, ("VALUE = 1.49", "VALUE = 2"))
    lab.cli("run", "--max", "3")
    assert lab.statuses() == ["keep", "discard", "keep", "discard"]
    for number, words in (
        (3, "not held, but a discard"),
        (9, "no experiment 9"),
        (2, "kept already"),
    ):
        error = lab.cli("accept", str(number), code=1).stderr
        assert words in error and "held are: #1" in error
    # the incumbent is another one now, with other files
    error = lab.cli("accept", "1", code=1).stderr
    assert "the incumbent is #2 now" in error and "cherry-pick" in error
    assert tip(lab) == lab.record(2)["commit"] and lab.statuses()[1] == "discard"


@pytest.mark.slow
def test_the_way_that_a_refusal_names_works(tmp_path: Path) -> None:
    files = {"other.txt": "1\n"}
    answers = [swap("huge", "VALUE = 1.5", "VALUE = 0.1"), swap("other", "1", "2", "other.txt")]
    train = TRAIN.replace("VALUE)", "VALUE - int(open('other.txt').read()) / 1000)")
    lab = make_lab(tmp_path, train, "", scripted(tmp_path, answers), HOLD, files)
    config = (lab.root / "autoresearch.toml").read_text()
    lab.commit(autoresearch__toml=config.replace('["train.py"]\nt', '["train.py", "other.txt"]\nt'))
    lab.cli("init", "u")
    lab.tag = "u"
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep", "discard", "keep"]
    error = lab.cli("accept", "1", code=1).stderr
    assert "git cherry-pick --no-commit refs/autoresearch/u/0001" in error
    lab.git("checkout", "-q", "autoresearch/u")
    lab.git("cherry-pick", "--no-commit", "refs/autoresearch/u/0001")
    lab.cli("try", "-m", "the held one again")
    assert lab.record(3)["failure"] == "held"
    lab.cli("accept", "3")
    assert tip(lab) == ref(lab, 3) and lab.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_the_branch_was_moved_by_hand(tmp_path: Path) -> None:
    """Another commit with the same files carries the change; one with other files is refused."""
    lab = lab_of(tmp_path, HUGE)
    lab.cli("run", "--max", "1")
    held = lab.record(1)["commit"]
    lab.git("checkout", "-q", "autoresearch/t")
    lab.git("commit", "-q", "--allow-empty", "-m", "a note")
    assert "moved by hand" in lab.cli("accept", "1", code=1).stderr
    lab.cli("baseline")
    lab.cli("accept", "1")
    assert lab.statuses() == ["keep", "keep", "keep"]
    assert tip(lab) == ref(lab, 1) != held
    assert lab.git("rev-parse", f"refs/autoresearch/t/0001-{held[:7]}").strip() == held
    assert lab.branch() == ["the start", "a note", "VALUE = 0.000001"]
    assert (lab.root / "train.py").read_text() == TRAIN.replace(*HUGE)
    lab.cli("baseline")  # everything is in line
    assert "incumbent #1" in lab.cli("status").stdout


@pytest.mark.slow
def test_a_run_goes_on_from_what_was_accepted(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, HUGE, ("VALUE = 0.000001", "VALUE = 0.00000099"))
    lab.cli("run", "--max", "1")
    lab.cli("accept", "1")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep", "keep"]
    assert lab.branch()[1:] == ["VALUE = 0.000001", "VALUE = 0.00000099"]
