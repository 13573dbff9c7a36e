"""What would mend a baseline that failed, by the kind of its failure and what its log says."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from autoresearch.config import TaskConfig
from autoresearch.lab.run import Run
from autoresearch.ratchet.toolchain_advice import toolchain_advice
from autoresearch.records import Candidate, Crash
from autoresearch.rules import metrics
from autoresearch.rules.advice import metric_advice
from autoresearch.runners.environment import is_python, which
from autoresearch.workspace.inputs import holds_tracked
from autoresearch.workspace.objects import Tree

_END_LINES = 40
_MODULE = re.compile(r"No module named ['\"]?([\w.]+)")
_QUOTED = re.compile(r"'([^']{1,500})'|\"([^\"]{1,500})\"|([\w@.+/~-]{1,500})")
_ABSENT = re.compile(
    r"no such file|ENOENT|not found|cannot find|can't find|can't open|cannot open|does not exist|"
    r"doesn't exist|no module|failed to open|could not open|unable to open|missing",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"name resolution|Network is unreachable|getaddrinfo|Could not resolve host|ENETUNREACH|EAI_AGAIN|"
    r"NameResolutionError|Failed to resolve|network is down",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"Permission denied|Read-only file system|Operation not permitted|EACCES|EROFS|EPERM",
    re.IGNORECASE,
)
_READS = "In the sandbox a trial reads the system, its Python and runner.readable"


def baseline_advice(
    run: Run, candidate: Candidate, crash: Crash, log: Path, jailed: bool
) -> str | None:
    """Returns what a person can do about it, in a sentence or two; None where the log tells all there is."""
    task = run.config.task
    if crash.failure in ("no_summary", "two_summaries") and not task.exam:
        return metric_advice(metrics.lines(log), task.metric)
    if crash.failure == "oom":
        return _memory(run)
    if crash.failure == "timeout":
        return (
            f"task.timeout_s = {task.timeout_s:g} ends setup, start-up, training and evaluation "
            "together: raise it, or let the trial do less"
        )
    if crash.failure == "nan":
        return "The code diverges as it stands: lower its learning rate, or mend it, first"
    if crash.failure not in ("exit", "setup", "exam", "evaluate", "check"):
        return None
    tree = run.repo.tree(candidate.commit)
    root, worktree = run.repo.root, run.slots[0].worktree.cwd
    judging = crash.failure in ("evaluate", "check")
    return start_advice(log, root, worktree, task, tree, jailed, judging)


def start_advice(
    log: Path,
    root: Path,
    worktree: Path,
    task: TaskConfig,
    tree: Tree,
    jailed: bool,
    judging: bool = False,
) -> str | None:
    """Returns what would make the commands of a task start, by the end of a log; None where it does not say.

    root is the lab's folder, worktree where its commands ran, tree what was laid out there; judging:
    whether the log is of a command that judges a trial.
    """
    end = metrics.tail(metrics.lines(log), _END_LINES, 20_000).splitlines()
    advice = _absent_files(end, root, worktree, tree) or toolchain_advice(
        end, root, tree, task.inputs
    )
    if not judging:
        advice = advice or _absent_module(end, root, task, tree) or _absent_program(end, task, root)
    return advice or (_refused(end, root, worktree) if jailed else None)


def _memory(run: Run) -> str:
    if "harness" in run.config.model_fields_set or run.config.task.exam:
        return (
            "Take the profile of a smaller device (autoresearch doctor --fit --profile NAME), or a "
            "smaller batch"
        )
    return "Make the batch or the model smaller, or free the memory that others hold"


def _absent_files(end: list[str], root: Path, worktree: Path, tree: Tree) -> str | None:
    """Returns the line of inputs for files of the checkout that git does not lay out, and the log misses."""
    names = []
    for line in end:
        if _ABSENT.search(line):
            for name in _paths(line, root, worktree):
                there = os.path.lexists(root / name) and not os.path.lexists(worktree / name)
                if there and name not in tree:
                    names.append(_untracked_top(name, tree))
    if not names:
        return None
    listed = list(dict.fromkeys(names))
    return (
        f"{listed[0]} is in your checkout and not in the commit (ignored, or never added): git add it, "
        f"or, if trials only read it, in [task] inputs = {json.dumps(listed, ensure_ascii=False)}"
    )


def _paths(line: str, root: Path, worktree: Path) -> Iterator[str]:
    """Yields what a line names that could be a path below the lab's folder, relative to it."""
    for found in _QUOTED.finditer(line):
        text = (found[1] or found[2] or found[3]).strip(":,.")
        for base in (worktree, root):
            text = text.removeprefix(f"{base}/")
        path = os.path.normpath(text) if text else "."
        if not path.startswith(("/", "..")) and path != ".":
            yield path


def _untracked_top(name: str, tree: Tree) -> str:
    """Returns the highest folder above a file that holds nothing that git tracks, else the file."""
    parts = name.split("/")
    tops = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    return next((top for top in tops if not holds_tracked(top, tree)), name)


def _absent_module(end: list[str], root: Path, task: TaskConfig, tree: Tree) -> str | None:
    """Returns how to say which Python has a module that was not found."""
    found = next((m for line in reversed(end) if (m := _MODULE.search(line))), None)
    if found is None:
        return None
    module = found[1].split(".")[0]
    for name in (f"{module}.py", module):
        if os.path.lexists(root / name) and not holds_tracked(name, tree):
            return (
                f"{name} is in your checkout and not in the commit: git add it, or in [task] "
                f'inputs = ["{name}"]'
            )
    program = next((word for word in task.command if is_python(word)), None)
    ours = which(program, root) if program else None
    if program is None or ours is None:
        return f"The Python that trials run with has no {module}: install it there"
    own = next(
        (root / f / "bin" / "python" for f in (".venv", "venv", "env")
         if (root / f / "bin" / "python").exists()), None
    )  # fmt: skip
    if own is not None and str(own) != ours:
        command = [str(own) if word == program else word for word in task.command]
        return (
            f"{program} is {ours}, which has no {module}; the environment of this project would be: in "
            f"[task] command = {json.dumps(command, ensure_ascii=False)}"
        )
    return (
        f"{program} is {ours}, which has no {module}: {ours} -m pip install {module}, or name another "
        "Python in task.command by its path"
    )


def _absent_program(end: Sequence[str], task: TaskConfig, root: Path) -> str | None:
    """Returns what to do about a program of task.command or task.setup that is not there."""
    for command in (*task.setup, task.command):
        if any(line.startswith(f"{command[0]}: No such file") for line in end):
            return (
                f"{command[0]} is not on the PATH that trials are given: activate what has it, or write "
                "its path in autoresearch.toml"
            )
    return None


def _refused(end: list[str], root: Path, worktree: Path) -> str | None:
    """Returns what of a jail stood in the way; None where nothing looks like it."""
    if any(_NETWORK.search(line) for line in end):
        return (
            "In the sandbox a trial has no network: fetch what it needs beforehand, and name it in "
            "[task] inputs or runner.readable"
        )
    for line in reversed(end):
        if _REFUSED.search(line):
            return f"{_READS}, and writes its worktree and TMPDIR"
        if not _ABSENT.search(line):
            continue
        for found in _QUOTED.finditer(line):
            text = (found[1] or found[2] or found[3]).rstrip(":,.")
            if text.startswith("/") and os.path.lexists(text) and text != "/":
                path = json.dumps(text, ensure_ascii=False)
                return f"{_READS}; to let it read that: in [runner] readable = [{path}]"
    return None
