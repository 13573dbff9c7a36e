"""A run that the release of 2026-11-21 wrote: read by this one, and gone on with where that compares."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from autoresearch.ledger import journal
from tests.conftest import Lab

HERE = Path(__file__).parent / "release_2026_11_21"


def restored(folder: Path, name: str, tag: str, lines: int | None = None) -> Lab:
    """The lab out of its bundle, with the run's journal, or the first so many lines of it."""
    subprocess.run(
        ["git", "clone", "-q", "-b", "main", HERE / f"{name}.bundle", folder], check=True
    )
    lab = Lab(folder)
    lab.git("fetch", "-q", "origin", "refs/autoresearch/*:refs/autoresearch/*")
    lab.git("branch", "-q", f"autoresearch/{tag}", f"origin/autoresearch/{tag}")
    lab.state(tag).mkdir(parents=True)
    written = (HERE / f"{name}.journal").read_bytes().splitlines(keepends=True)
    (lab.state(tag) / "journal").write_bytes(b"".join(written[:lines]))
    return lab


@pytest.mark.slow
def test_it_is_read_and_goes_on_to_its_next_row(tmp_path: Path, guard: Path) -> None:
    lab = restored(tmp_path / "lab", "plain", "old")
    counted = "4 experiments: 2 kept, 1 discarded, 1 crashed"
    assert counted in lab.cli("status", "--tag", "old").stdout
    assert "lower to 119" in lab.cli("show", "3", "--tag", "old").stdout
    before = (HERE / "plain.journal").read_bytes()

    (guard / "next").write_text("97\n")  # what its researcher lowers by one
    lab.cli("run", "--tag", "old", "--max", "1")
    assert [(row[1], row[3]) for row in lab.rows()] == [
        ("100.000000", "keep"), ("99.000000", "keep"), ("98.000000", "keep"),
        ("119.000000", "discard"), ("0.000000", "crash"), ("96.000000", "keep"),
    ]  # fmt: skip
    assert (lab.state("old") / "journal").read_bytes().startswith(before)
    assert lab.head("autoresearch/old") == lab.head("refs/autoresearch/old/0005")
    lab.git("fsck", "--no-dangling", "--no-progress", "--strict")


def test_a_candidate_that_was_under_way_is_tried(tmp_path: Path, guard: Path) -> None:
    """Cut off in the trial of experiment 4, on a machine that was started anew since."""
    records = journal.read(HERE / "plain.journal")
    started = max(n for n, r in enumerate(records, 1) if r["kind"] == "trial" and r["n"] == 4)
    lab = restored(tmp_path / "lab", "plain", "old", started)
    (guard / "next").write_text("97\n")
    lab.cli("run", "--tag", "old", "--max", "2")
    assert [row[3] for row in lab.rows()] == [
        "keep", "keep", "keep", "discard", "crash", "keep",
    ]  # fmt: skip
    asked = [r["n"] for r in journal.read(lab.state("old") / "journal") if r["kind"] == "ask"]
    assert asked == [1, 2, 3, 4, 5]


def test_a_setting_that_it_did_not_freeze_counts_as_its_default(tmp_path: Path) -> None:
    lab = restored(tmp_path / "lab", "plain", "old")
    config = lab.read("autoresearch.toml")
    lab.write("autoresearch.toml", config.replace("timeout_s = 20", 'timeout_s = 20\nexam = "bpb"'))
    refused = lab.cli("run", "--tag", "old", code=1).stderr
    assert "task.exam changed since the baseline of old" in refused
    assert "autoresearch init TAG --from autoresearch/old" in refused


def test_with_an_exam_it_is_readable_and_the_way_on_is_named(tmp_path: Path) -> None:
    lab = restored(tmp_path / "lab", "exam", "exam")
    assert "run exam" in lab.cli("status", "--tag", "exam").stdout
    assert "verified" in lab.cli("report", "--tag", "exam").stdout
    assert "val_bpb" in lab.cli("show", "0", "--tag", "exam").stdout
    refused = lab.cli("run", "--tag", "exam", "--allow-unsandboxed", code=1).stderr
    assert (
        "autoresearch init TAG --from autoresearch/exam" in refused and "another release" in refused
    )
    assert "Traceback" not in refused
