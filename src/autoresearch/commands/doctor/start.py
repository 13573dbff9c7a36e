"""Whether the lab's own commands start in the sandbox: tried, on the commit that is checked out."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autoresearch.commands.doctor.finding import Finding
from autoresearch.config import Config
from autoresearch.errors import AutoresearchError, BusyError
from autoresearch.harness.names import CURRENT
from autoresearch.lab.data import data_name, trial_variables
from autoresearch.lab.lab import Lab
from autoresearch.lab.worktrees import find_worktrees
from autoresearch.paths import CONFIG, cache_dir
from autoresearch.ratchet.advice import start_advice
from autoresearch.rules import metrics
from autoresearch.runners.base import TrialSpec
from autoresearch.runners.environment import make_scratch, trial_environment
from autoresearch.runners.local import LocalRunner
from autoresearch.sandbox.jail import Jail
from autoresearch.sandbox.policy import Policy, readable_of, toolchains_of
from autoresearch.text import one_line
from autoresearch.workspace.removal import remove
from autoresearch.workspace.worktree import Worktree

_WAIT_S = 8.0
_INPUTS_MAX = 2 << 30  # bytes; more would take long to copy, and the baseline copies them anyway
_CAUSE = re.compile(
    r"^error|error: |not found|no such|no module|cannot |can't |denied", re.IGNORECASE
)
_NAME = ".doctor"  # no run has a name with a dot there


def start(lab: Lab, config: Config, tag: str | None, jail: Jail | None) -> list[Finding]:
    """Returns whether setup and command start, and the line that mends it; [] where there is no jail.

    Where private worktrees can't lie where they should, that is said instead.
    """
    repo, task = lab.repo, config.task
    try:
        worktrees = find_worktrees(config.runner.worktrees, repo, os.environ)
    except (AutoresearchError, OSError) as fault:
        return [Finding("start", "missing", one_line(str(fault)), f"edit {CONFIG}")]
    if jail is None:
        return []
    commit = repo.resolve("HEAD")
    if commit is None:
        return []
    if task.exam:
        return [
            Finding("start", "ok", "not tried: the baseline starts the command with its examiner")
        ]
    if tag is not None and lab.driven(tag):
        return [Finding("start", "ok", f"not tried while the run {tag} is driven")]
    if _bytes_of(repo.root / name for name in task.inputs) > _INPUTS_MAX:
        return [Finding("start", "ok", "not tried: the inputs are large; the baseline starts it")]
    try:
        with lab.locked(_NAME):
            worktree = Worktree(
                repo, worktrees / _NAME / "0", "autoresearch-doctor",
                tuple(task.inputs), tuple(task.caches), tuple(task.fresh),
            )  # fmt: skip
            try:
                return [_tried(lab, config, jail, worktree, commit)]
            finally:
                worktree.clear()
                remove(worktree.admin)
                with contextlib.suppress(OSError):
                    worktree.path.parent.rmdir()
    except BusyError:
        return [Finding("start", "ok", "not tried: another doctor tries it now")]
    except (AutoresearchError, OSError) as fault:
        return [Finding("start", "missing", one_line(str(fault)), f"edit {CONFIG}")]


def _tried(lab: Lab, config: Config, jail: Jail, worktree: Worktree, commit: str) -> Finding:
    task, root, scratch = config.task, lab.repo.root, make_scratch()
    tree = worktree.lay_out(commit)
    toolchains = toolchains_of(task, os.environ, root)
    with tempfile.TemporaryDirectory() as folder:
        compiled, log = Path(folder, "compiled"), Path(folder, "log")
        readable = readable_of(task.command, os.environ, root, config.runner.readable, toolchains)
        name = data_name(config.harness, root)
        if name is not None:
            readable += (cache_dir() / CURRENT, cache_dir() / name)
        policy = Policy(
            lab.repo.at_top.root, lab.repo.common, worktree.path, compiled, cache_dir(), Path.home(),
            readable, toolchains.hidden, tuple(map(lab.repo.from_top, task.inputs)),
        )  # fmt: skip
        spec = TrialSpec(
            tuple(map(tuple, task.commands())),
            worktree.cwd,
            trial_environment(
                os.environ, 0, scratch, cache_dir(), task.env_pass,
                trial_variables(config.harness, root), compiled,
                written=task.env, toolchains=toolchains.environment(compiled, jailed=True),
            ),
            log,
            _WAIT_S,
            confinement=jail.confinement(policy.access(scratch), worktree.cwd),
        )  # fmt: skip
        try:
            outcome = LocalRunner().start(spec).run(lambda: False)
        finally:
            remove(scratch)
        used = f", with {', '.join(toolchains.names)} of your home" if toolchains.names else ""
        what = "setup and command" if task.setup else "the command"
        if outcome.timed_out:
            text = f"{what} started in the sandbox{used}, and ran until ended at {_WAIT_S:g} s"
            return Finding("start", "ok", text)
        if outcome.exit_code == 0:
            return Finding("start", "ok", f"{what} ran in the sandbox to the end{used}")
        part = "setup" if outcome.setup_failed else "command"
        said = f"task.{part} fails in the sandbox{used} (exit code {outcome.exit_code})"
        text = f"{said}: {_telling(log)}"
        mend = start_advice(log, root, worktree.cwd, task, tree, jailed=True)
        return Finding("start", "missing", one_line(text), mend or f"edit {CONFIG}, or the code")


def _telling(log: Path) -> str:
    """Returns the last line of a log that sounds like a cause, else the last; "" where there is none."""
    lines = metrics.tail(metrics.lines(log), 20, 4000).splitlines() if log.exists() else []
    lines = [line.strip() for line in lines if line.strip()]
    return next((line for line in reversed(lines) if _CAUSE.search(line)), (lines or [""])[-1])[
        :300
    ]


def _bytes_of(places: Iterator[Path]) -> int:
    """Returns how much lies in files and folders, links not followed."""
    total = 0
    for place in places:
        if place.is_file():
            total += place.stat().st_size
        for folder, _, files in os.walk(place):
            for file in files:
                with contextlib.suppress(OSError):
                    total += os.lstat(os.path.join(folder, file)).st_size
    return total
