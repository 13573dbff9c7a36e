"""What lies in the way of a run: a person's worktree, links, pipes, missing files, big ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from autoresearch.config import MetricConfig
from autoresearch.records import Crash
from autoresearch.rules.metrics import parse
from tests.conftest import PROPOSE, TRIAL, MakeLab, on_branch
from tests.labs import unwatched

BRANCH = "autoresearch/t"


def test_a_worktree_of_the_users_with_the_runs_name_is_left_alone(make_lab: MakeLab) -> None:
    lab = make_lab()
    mine = lab.root.parent / "autoresearch-t"
    lab.git("worktree", "add", "-q", str(mine), "-b", "mine")
    (mine / "notes.txt").write_text("staged")
    lab.git("add", "notes.txt", cwd=mine)
    before = lab.git("status", "--porcelain", "--branch", cwd=mine)
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
    assert lab.git("status", "--porcelain", "--branch", cwd=mine) == before
    lab.cli("run", "--max", "1")
    assert len(lab.git("worktree", "list").splitlines()) == 3


@pytest.mark.parametrize(
    "deed",
    [
        "rm .git; mkfifo .git",
        'head=$(sed "s/gitdir: //" .git)/HEAD; rm "$head"',
        'head=$(sed "s/gitdir: //" .git)/HEAD; printf "\\377" > "$head"',
        'rm "$(readlink /proc/$$/fd/1)"',
    ],
    ids=["fifo", "no HEAD", "strange HEAD", "no log"],
)
def test_what_a_trial_does_to_its_own_worktree_is_a_crash(make_lab: MakeLab, deed: str) -> None:
    harm = f'if [ "$AUTORESEARCH_EXPERIMENT" = 1 ]; then\n{deed}\nfi\n'
    lab = make_lab({"trial.sh": TRIAL + harm})
    lab.cli("run", "--max", "1", timeout_s=30)
    assert lab.statuses() == ["keep", "crash"]
    assert "tampered" in lab.cli("show", "1").stdout


def test_a_keep_is_not_written_through_a_link(make_lab: MakeLab) -> None:
    propose = PROPOSE.replace("value.txt", "new/value.txt")
    trial = TRIAL.replace("value.txt", "new/value.txt")
    lab = on_branch(
        make_lab({"new/value.txt": "100\n50\n", "propose.sh": propose, "trial.sh": trial})
    )
    elsewhere = lab.root.parent / "elsewhere"
    (lab.root / "new").rename(elsewhere)
    (lab.root / "new").symlink_to(elsewhere)
    ran = lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"] and "detached" in ran.stdout
    assert (elsewhere / "value.txt").read_text() == "100\n50\n"


@pytest.mark.slow
def test_two_runs_share_a_checkout(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.cli("init", "u")
    command = [sys.executable, "-m", "autoresearch", *unwatched(["run"]), "--max", "8", "--tag"]
    both = [
        subprocess.Popen(
            [*command, tag], cwd=lab.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for tag in ("t", "u")
    ]
    for process in both:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    for tag in ("t", "u"):
        assert (lab.state(tag) / "results.tsv").read_text().count("\n") == 10


def test_bytes_that_the_guard_refuses_are_not_journaled(make_lab: MakeLab) -> None:
    big = "head -c 3000000 /dev/zero > ckpt.bin; echo description: big\n"
    lab = make_lab({"propose.sh": big}, tag=None)
    config = lab.read("autoresearch.toml") + "[budget]\nconsecutive_failures = 1\n"
    lab.commit(autoresearch__toml=config)
    lab.cli("init", "t")
    ran = lab.cli("run", "--max", "1", code=1)
    assert "ckpt.bin: not mutable" in ran.stderr
    assert (lab.state() / "journal").stat().st_size < 100_000


def test_data_in_the_checkout_is_not_read(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.write("data.bin", b"\1" * 3_000_000)
    ran = lab.cli("check", code=1)
    assert "data.bin: not mutable" in ran.stdout
    size = sum(file.stat().st_size for file in (lab.root / ".git").rglob("*") if file.is_file())
    assert size < 2_000_000


def test_an_empty_frozen_file_that_is_filled_is_seen(make_lab: MakeLab) -> None:
    lab = make_lab({"empty.txt": ""})
    lab.write("empty.txt", "no longer")
    assert "empty.txt: not mutable" in lab.cli("check", code=1).stdout


def test_a_cache_over_tracked_files_is_refused(make_lab: MakeLab) -> None:
    lab = make_lab({"warm/.keep": ""}, tag=None)
    config = lab.read("autoresearch.toml").replace("timeout_s", 'caches = ["warm"]\ntimeout_s')
    lab.commit(autoresearch__toml=config)
    lab.cli("init", "t")
    assert "caches: warm holds files" in lab.cli("run", "--max", "1", code=1).stderr


def test_two_values_on_one_line_are_two() -> None:
    config = MetricConfig(name="acc", pattern=r"acc=(?P<value>[0-9.]+)")
    found = parse(["acc=0.1 acc=0.9"], config)
    assert isinstance(found, Crash) and found.failure == "two_summaries"


def hooked(make_lab: MakeLab, script: str) -> str:
    """A keep under a pre-commit hook, in a lab whose trials are killed at 2 s; the run's output."""
    lab = make_lab(tag=None)
    lab.commit(autoresearch__toml=lab.read("autoresearch.toml").replace("= 20", "= 2"))
    lab.cli("init", "t")
    hook = lab.write(".git/hooks/pre-commit", f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)
    return lab.cli("run", "--max", "1", timeout_s=30).stdout


def test_what_a_hook_leaves_running_is_not_waited_for(make_lab: MakeLab) -> None:
    assert "#1 keep" in hooked(make_lab, "sleep 300 &\nexit 0")


@pytest.mark.slow
def test_a_hook_that_hangs_is_killed(make_lab: MakeLab) -> None:
    said = hooked(make_lab, "grep -q ^100 value.txt || sleep 300")
    assert "#1 discard" in said and "pre-commit hook refused it: killed at 2 s" in said


@pytest.mark.slow
def test_a_locked_index_leaves_the_files_as_they_are(make_lab: MakeLab) -> None:
    lab = on_branch(make_lab())
    lab.cli("baseline")
    before = lab.read("value.txt")
    (lab.root / ".git" / "index.lock").touch()
    ran = lab.cli("run", "--max", "1")
    assert "detached" in ran.stdout and lab.statuses() == ["keep", "keep"]
    (lab.root / ".git" / "index.lock").unlink()
    assert lab.read("value.txt") == before and lab.git("status", "--porcelain") == ""


def test_the_command_line_describes_what_a_program_does_not(make_lab: MakeLab) -> None:
    lab = make_lab({"propose.sh": PROPOSE.replace("description: ", "")})
    lab.cli("run", "--max", "1", "--desc", "an idea of mine")
    lab.cli("run", "--max", "1")
    assert [row[4] for row in lab.rows()] == ["baseline", "an idea of mine", "lower to 98"]
