"""`init`: a lab out of an empty folder, and a run out of a lab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autoresearch import config
from autoresearch.errors import LabError, UsageError
from autoresearch.lab.lab import STARTER, Lab
from autoresearch.lab.new_lab import (
    Say,
    holds_nothing_but,
    in_repository,
    make_lab,
    may_become_lab,
    template_files,
)
from autoresearch.lab.new_run import NewRun, make_run, valid_tag
from autoresearch.paths import CONFIG
from autoresearch.rules.advice import claim_notice
from autoresearch.workspace.repository import Repository


def init(
    folder: Path,
    tag: str | None,
    task: str | None,
    rev: str | None,
    template: str | None,
    profile: str | None,
    sets: Sequence[str],
    say: Say,
) -> None:
    """Makes a lab where the folder is empty, then a run; `say` gets the few lines that are told.

    profile and sets are the template's; None and nothing stand for what suits the device that is found.
    """
    if template not in (None, "gpt", "none"):
        raise UsageError(f"--template {template}: there are gpt and none")
    files, lines = template_files(template, profile, sets) if may_become_lab(folder) else ({}, [])
    empty = bool(files) and holds_nothing_but(folder, files)
    if (profile is not None or sets) and (template == "none" or not empty):
        raise UsageError(
            "--profile and --set are for the template in an empty folder; in a lab: autoresearch "
            "doctor --fit"
        )
    if empty:
        if rev is not None:
            raise UsageError(f"--from {rev}: an empty folder has no revisions; leave it out")
        valid_tag(Repository(folder, folder), tag)  # a wrong name, of a run or a task, makes no lab
        config.parse(files[CONFIG], CONFIG, task)
        make_lab(folder, files, say)
        for line in lines:
            say(line)
    elif not in_repository(folder):
        raise LabError(
            f"{folder} is not empty, and in no git repository. Make a lab in an empty folder, or, to "
            f"make this one a lab: git init, write {CONFIG}, git add and commit, then autoresearch init"
        )
    lab = Lab(Repository.discover(folder))
    root = lab.repo.root
    if template == "none" and not (root / CONFIG).exists():
        (root / CONFIG).write_text(STARTER)
        say(
            f"wrote {root / CONFIG}, a start: edit it, then git add {CONFIG} && git commit, and "
            "autoresearch init"
        )
        return
    _tell(lab, make_run(lab, tag, task, rev, say), say)


def _tell(lab: Lab, made: NewRun, say: Say) -> None:
    """Says in a few lines what was found, and what comes next."""
    repo, task, tag, base = lab.repo, made.settings.task, made.tag, made.base
    here = (repo.head_branch() or f"detached at {base[:7]}").removeprefix("refs/heads/")
    better = "lower" if task.metric.direction == "minimize" else "higher"
    mutable = [path for path in repo.tree(base) if made.rules.names(path)]
    say(f"run {tag}: branch autoresearch/{tag} at {base[:7]}; the checkout stays on {here}")
    say(f"task: {' '.join(task.command)}, killed at {task.timeout_s:g} s")
    say(f"metric: {task.metric.name}, {better} is better")
    say(
        f"mutable: {', '.join(mutable[:5]) or 'nothing that exists'}"
        + (" ..." if len(mutable) > 5 else "")
    )
    claim = claim_notice(task, mutable)
    if claim is not None:
        say(claim)
    harness = any(
        b"autoresearch.harness" in blob
        for blob in repo.blobs(repo.tree(base)[p][1] for p in mutable).values()
    )
    say(
        "next: "
        + ("autoresearch prepare (data, once), then " if harness else "")
        + "autoresearch run"
        + (f" --tag {tag}" if repo.head_tag() not in (None, tag) else "")
    )
