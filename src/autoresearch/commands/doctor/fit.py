"""What a trial of this lab will take on this machine, and `doctor --fit`, which writes another profile.

Only labs whose script has the template's constants have an estimate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from autoresearch import config as config_
from autoresearch.commands.doctor.finding import Finding
from autoresearch.config import Config, TaskConfig
from autoresearch.errors import AutoresearchError, LabError
from autoresearch.fit import constants
from autoresearch.fit.device import find
from autoresearch.fit.estimates import computed, memory_of, observed
from autoresearch.fit.fitting import Fitting
from autoresearch.fit.profiles import choose
from autoresearch.fit.rewrite import RewriteError, with_profile
from autoresearch.lab.lab import Lab
from autoresearch.paths import CONFIG, write_durably
from autoresearch.records import Experiment
from autoresearch.workspace.checkout import Checkout

_NO_MODEL = (KeyError, ValueError, TypeError, OverflowError)


def estimate_of(lab: Lab, config: Config) -> list[Finding]:
    """Returns memory and time of a trial, as the baseline took, else estimated; [] where nothing is known."""
    script = _script(lab.repo.root, config.task)
    if script is None:
        return []
    device, knobs = find(), constants.values((lab.repo.root / script).read_bytes())
    try:
        peak_mb, fits = memory_of(knobs, config.harness, device)
        estimate = computed(knobs, config.harness, device, choose(device).tflops)
    except _NO_MODEL:
        return []
    baseline = _baseline(lab)
    estimate = (observed(baseline) if baseline else None) or estimate
    about = f"about {peak_mb} MB"
    if baseline and baseline.memory_mb is not None:
        peak_mb = round(baseline.memory_mb)
        about, fits = f"{peak_mb} MB as the baseline had", peak_mb <= device.memory_mb
    timeout_s = config.task.timeout_s
    text = f"{estimate.words(timeout_s)}; {about} of {device.memory_mb} MB"
    if not fits:
        return [Finding("estimate", "degraded", text, "autoresearch doctor --fit")]
    warning = estimate.warning(timeout_s)
    return [Finding("estimate", "degraded" if warning else "ok", text, warning or "")]


def _baseline(lab: Lab) -> Experiment | None:
    with contextlib.suppress(AutoresearchError, OSError):
        rows = lab.state(lab.tag(None)).experiments
        return next((e for e in reversed(rows) if e.researcher == "baseline"), None)
    return None


def _script(root: Path, task: TaskConfig) -> str | None:
    """Returns the Python file that the task's command runs; None where it names none here."""
    named = [word for word in task.command if word.endswith(".py") and (root / word).is_file()]
    return named[0] if named else None


# -- doctor --fit -----------------------------------------------------------------------------


def fit(
    lab: Lab | None, profile: str | None, sets: Sequence[str], say: Callable[[str], None]
) -> None:
    """Writes a profile into the lab's script and configuration, and says what it means.

    Raises LabError, after it said what it would have written, where the two files have edits.
    """
    chosen = Fitting.of(find(), profile, sets)
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
                with_profile(before[script], before[CONFIG], chosen.profile, settings.task_name),
                strict=True,
            )
        )
    except RewriteError as fault:
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
    """Returns the lines that are new; none moves, so that no diff is needed."""
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
