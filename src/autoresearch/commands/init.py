"""`init`: a lab out of an empty folder or of a project, and a run out of a lab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autoresearch import config
from autoresearch.errors import LabError, UsageError
from autoresearch.lab.lab import STARTER, Lab
from autoresearch.lab.new_config import Flags, folder_of, is_new, matches, project_of, told
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
    flags: Flags,
    say: Say,
) -> None:
    """Makes a lab where there is none, then a run; `say` gets the few lines that are told.

    profile and sets are the template's; None and nothing stand for what suits the device that is found.
    """
    if template not in (None, "gpt", "none"):
        raise UsageError(f"--template {template}: there are gpt and none")
    if template is not None and flags:
        raise UsageError(
            "--template is for an empty folder, and --command for a project: leave one out"
        )
    may_be_empty = not flags and may_become_lab(folder)
    files, lines = template_files(template, profile, sets) if may_be_empty else ({}, [])
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
            "make this one a lab: git init, git add and commit what is there, then autoresearch init"
        )
    lab = Lab.around(folder)
    here = Lab(folder_of(lab.repo, folder))
    below = bool(flags) and here.repo.folder != lab.repo.folder  # a lab of its own, below another
    if below or is_new(lab.repo, lab.repo.resolve(rev or "HEAD")):
        lab = here
        if template == "none":
            _write_starter(lab.repo.root, say)
        elif task is not None:
            raise LabError(f"--task {task}: {lab.repo.root} has no {CONFIG} yet, and so no tasks")
        else:
            _make_both(lab, tag, rev, flags, say)
        return
    if flags:
        raise UsageError(
            f"--command, --mutable, --metric and --maximize are for a project without {CONFIG}: edit "
            f"{lab.repo.root / CONFIG} and commit it, then autoresearch init"
        )
    _tell(lab, make_run(lab, tag, task, rev, say, just_made=empty), say)


def _write_starter(folder: Path, say: Say) -> None:
    (folder / CONFIG).write_text(STARTER)
    say(
        f"wrote {folder / CONFIG}, a start: edit it, then git add {CONFIG} && git commit, and "
        "autoresearch init"
    )


def _make_both(lab: Lab, tag: str | None, rev: str | None, flags: Flags, say: Say) -> None:
    """Makes a project a lab, by a configuration on the branch that is checked out, and then a run."""
    base = lab.repo.resolve("HEAD")
    assert base is not None
    if rev is not None:
        raise LabError(
            f"--from {rev}: that commit has no {CONFIG}; autoresearch init without --from makes one for "
            "the branch that is checked out"
        )
    project = project_of(lab.repo, lab.repo.tree(base), flags)
    told(project, say)
    made = make_run(lab, tag, None, None, say, project.configuration())
    _tell_branch(lab, made, say)
    _tell_claim(lab, made, say)
    _tell_next(lab, made, project.before, say)


def _tell(lab: Lab, made: NewRun, say: Say) -> None:
    """Says in a few lines what was found, and what comes next."""
    repo, task, base = lab.repo, made.settings.task, made.base
    better = "lower" if task.metric.direction == "minimize" else "higher"
    tree = repo.tree(base)
    mutable = _mutable(lab, made)
    unmatched = [pattern for pattern in task.mutable if not matches(tree, pattern)]
    harness = any(
        b"autoresearch.harness" in blob for blob in repo.blobs(tree[p][1] for p in mutable).values()
    )
    _tell_branch(lab, made, say)
    say(f"task: {' '.join(task.command)}, killed at {task.timeout_s:g} s")
    say(f"metric: {task.metric.name}, {better} is better")
    say(
        f"mutable: {', '.join(mutable[:5]) or 'nothing that exists'}"
        + (" ..." if len(mutable) > 5 else "")
        + (f" (no file yet: {', '.join(unmatched)})" if unmatched and mutable else "")
    )
    _tell_claim(lab, made, say)
    _tell_next(lab, made, ("autoresearch prepare (data, once)",) if harness else (), say)


def _mutable(lab: Lab, made: NewRun) -> list[str]:
    return [path for path in lab.repo.tree(made.base) if made.rules.names(path)]


def _tell_claim(lab: Lab, made: NewRun, say: Say) -> None:
    """Says so where the score will be what a candidate says of itself."""
    claim = claim_notice(made.settings.task, _mutable(lab, made))
    if claim is not None:
        say(claim)


def _tell_branch(lab: Lab, made: NewRun, say: Say) -> None:
    """Says where the new run stands, and which branch is checked out for `try`."""
    here = lab.repo.head_branch() or f"detached at {made.base[:7]}"
    say(
        f"run {made.tag}: branch autoresearch/{made.tag} at {made.base[:7]}; the checkout stays on "
        f"{here.removeprefix('refs/heads/')} (to try edits of your own: git checkout "
        f"autoresearch/{made.tag})"
    )


def _tell_next(lab: Lab, made: NewRun, before: Sequence[str], say: Say) -> None:
    other = lab.repo.head_tag() not in (None, made.tag)
    run = f"autoresearch run --tag {made.tag}" if other else "autoresearch run"
    say("next: " + ", then ".join([*before, run]))
