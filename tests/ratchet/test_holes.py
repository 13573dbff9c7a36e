"""Safeguards that no other test missed when they were taken out (tests/mutants)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.paths import write_durably
from autoresearch.runners.environment import trial_environment
from autoresearch.sandbox import attempts, confine
from autoresearch.sandbox.policy import Policy, Python
from autoresearch.sandbox.selftest import self_test
from autoresearch.workspace.repository import Repository
from autoresearch.workspace.worktree import Worktree
from tests.jailed import Trial, jail_of
from tests.sandbox.test_selftest import FILES, policy, python, refused_anyway, without

__all__ = ["policy", "python"]  # fixtures

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_a_name_is_on_disk_when_a_file_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is synced, and when: the content under its temporary name, then the folder."""
    synced: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append((name, sorted(os.listdir(tmp_path))))

    monkeypatch.setattr(os, "fsync", watched)
    write_durably(tmp_path / "file", b"content")
    assert synced == [
        (str(tmp_path / "file.tmp"), ["file.tmp"]),
        (str(tmp_path), ["file"]),
    ]


def test_a_trial_ends_at_its_deadline(tmp_path: Path) -> None:
    """One that would end well, and by itself, a moment later."""
    outcome, said = Trial(tmp_path / "run", "none", timeout_s=1).run(
        "sh", "-c", "sleep 5; echo end"
    )
    assert outcome.timed_out and outcome.exit_code is None and said == ""


def test_a_trial_inherits_what_is_named_and_nothing_else(tmp_path: Path) -> None:
    outer = {"PATH": "/bin", "LC_TIME": "C", "MINE": "passed", "A_KEY": "secret", "LD_PRELOAD": "x"}
    made = trial_environment(outer, 3, tmp_path, tmp_path / "cache", ["MINE", "ABSENT"])
    inherited = {name for name in made if not name.startswith("AUTORESEARCH_")}
    assert inherited == {"PATH", "LC_TIME", "MINE", "HOME", "TMPDIR"}
    assert made["MINE"] == "passed" and "secret" not in made.values()


def test_a_worktree_that_is_made_anew_tells_nothing_of_the_trial_before(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        return subprocess.check_output(["git", "-C", str(tmp_path), *words], text=True).strip()

    git("init", "-q")
    (tmp_path / "train.py").write_text("print(1)\n")
    git("add", "train.py")
    git("-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-q", "-m", "one")
    worktree = Worktree(
        Repository.discover(tmp_path), tmp_path / ".git/autoresearch/t/worktree", "autoresearch-t"
    )
    commit, places = git("rev-parse", "HEAD"), (worktree.path, worktree.path / "train.py")

    def told() -> list[bool]:
        return [place.stat().st_mtime == 1 for place in places]

    worktree.lay_out(commit)
    for place in reversed(places):
        os.utime(place, (1, 1))
    worktree.lay_out(commit)
    assert told()[1], "what a trial did to the times of a file outlives it"
    worktree.lay_out(commit, anew=True)
    assert told() == [False, False] and places[1].read_text() == "print(1)\n"


def test_a_self_test_that_lies_is_not_believed(
    policy: Policy, python: Python, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It says that all was refused; our own look at the places says what happened."""
    jail = jail_of("landlock")
    without(monkeypatch, tmp_path, confine, ("        if words:\n", "        if False:\n"))
    folder = tmp_path / "attempts"
    folder.mkdir()
    without(monkeypatch, folder, attempts, ("answers[name] = None", 'answers[name] = "refused"'))
    found = self_test(jail, policy, python)
    assert set(found.failed) >= FILES - refused_anyway(python)
