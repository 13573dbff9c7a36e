"""What a trial of this lab will take on this machine, and the profile that would suit it.

Only labs whose script has the template's constants are looked at: of others nothing is known.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from autoresearch import config as config_
from autoresearch.commands.doctor.check import Check
from autoresearch.config import Config, TaskConfig
from autoresearch.errors import AutoresearchError, LabError
from autoresearch.fit.device import find
from autoresearch.fit.estimates import computed, measured, memory_of
from autoresearch.fit.profiles import choose
from autoresearch.fit.rewrite import Fit, Unfit, fitted, knobs_of
from autoresearch.lab.lab import Lab
from autoresearch.paths import CONFIG, write_durably
from autoresearch.records import Experiment
from autoresearch.workspace.checkout import Checkout

_NO_MODEL = (KeyError, ValueError, TypeError, OverflowError)


def check(lab: Lab, config: Config) -> list[Check]:
    """Memory and time of a trial: as the baseline took, else computed. [] where nothing is known."""
    script = _script(lab.repo.root, config.task)
    if script is None:
        return []
    device, knobs = find(), knobs_of((lab.repo.root / script).read_bytes())
    try:
        peak_mb, fits = memory_of(knobs, config.harness, device)
        estimate = computed(knobs, config.harness, device, choose(device).tflops)
    except _NO_MODEL:
        return []
    baseline = _baseline(lab)
    estimate = (measured(baseline) if baseline else None) or estimate
    about = f"about {peak_mb} MB"
    if baseline and baseline.memory_mb is not None:
        peak_mb = round(baseline.memory_mb)
        about, fits = f"{peak_mb} MB as the baseline had", peak_mb <= device.memory_mb
    timeout_s = config.task.timeout_s
    text = f"{estimate.words(timeout_s)}; {about} of {device.memory_mb} MB"
    if not fits:
        return [Check("estimate", "degraded", text, "autoresearch doctor --fit")]
    warning = estimate.warning(timeout_s)
    return [Check("estimate", "degraded" if warning else "ok", text, warning or "")]


def _baseline(lab: Lab) -> Experiment | None:
    with contextlib.suppress(AutoresearchError, OSError):
        rows = lab.state(lab.tag(None)).experiments
        return next((e for e in reversed(rows) if e.researcher == "baseline"), None)
    return None


def _script(root: Path, task: TaskConfig) -> str | None:
    """The Python file that the task's command runs; None where it names none here."""
    named = [word for word in task.command if word.endswith(".py") and (root / word).is_file()]
    return named[0] if named else None


# -- doctor --fit -----------------------------------------------------------------------------


def fit(
    lab: Lab | None, profile: str | None, sets: Sequence[str], say: Callable[[str], None]
) -> None:
    """Write a profile into the lab's script and configuration, and say what it means.

    Raises LabError, with what it would have written said, where they are not as committed.
    """
    chosen = Fit.of(find(), profile, sets)
    for line in chosen.lines():
        say(line)
    if lab is None:
        raise LabError("there is no lab here to write it to; autoresearch init makes one with it")
    root = lab.repo.root
    tag = None
    with contextlib.suppress(LabError):
        tag = lab.tag(None)
    settings = lab.config(tag)
    script = _script(root, settings.task)
    if script is None:
        raise LabError(f"{CONFIG}: task.command names no Python file of this lab: nothing to fit")
    before = {script: (root / script).read_bytes(), CONFIG: _read(root / CONFIG)}
    try:
        after = dict(
            zip(
                before,
                fitted(before[script], before[CONFIG], chosen.profile, settings.task_name),
                strict=True,
            )
        )
    except Unfit as fault:
        raise LabError(f"{fault}; nothing was written") from None
    config_.parse(after[CONFIG], CONFIG, settings.task_name)
    for path in before:
        for line in _changes(path, before[path], after[path]):
            say(line)
    if after == before:
        say(f"{script} and {CONFIG} have these values already")
        return
    _refuse_edits(lab, list(before))
    for path, content in after.items():
        if content != before[path]:
            mode = (root / path).stat().st_mode & 0o777
            write_durably(root / path, content)
            (root / path).chmod(mode)
    say(f"wrote {', '.join(path for path in before if after[path] != before[path])}")
    say(
        f"next: git commit -m 'profile {chosen.profile.name}' {script} {CONFIG}, then autoresearch "
        "prepare, then autoresearch init TAG"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise LabError(f"{path} is not in the checkout; git checkout brings it back") from None


def _changes(path: str, before: bytes, after: bytes) -> list[str]:
    """The lines that differ: line by line, since no line moves, but for those at a table's end."""
    old = set(before.decode("utf-8", "replace").splitlines())
    new = [line for line in after.decode("utf-8", "replace").splitlines() if line not in old]
    return [f"{path}: {line.partition('#')[0].strip()}" for line in new if line.strip()]


def _refuse_edits(lab: Lab, paths: list[str]) -> None:
    repo = lab.repo
    head = repo.resolve("HEAD")
    tree = repo.tree(head) if head else {}
    new = [path for path in paths if path not in tree or (repo.root / path).is_symlink()]
    if new:
        raise LabError(
            f"nothing was written: {new[0]} is not committed as a file; git add and commit"
        )
    assert head is not None
    edited = [edit.path for edit in Checkout(repo).edits(head, lambda path: path in paths)]
    if any(path in paths for path in edited):
        raise LabError(
            f"nothing was written: {', '.join(path for path in paths if path in edited)} has edits "
            "that are not committed; git commit or git stash them, and call this again"
        )
