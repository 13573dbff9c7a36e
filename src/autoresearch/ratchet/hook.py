"""The lab's pre-commit hook: tried at the baseline, and asked before a keep."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable

from autoresearch.errors import Interrupted, LabError
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.records import Candidate
from autoresearch.rules import metrics
from autoresearch.runners import process
from autoresearch.text import one_line
from autoresearch.workspace.hook import hook_of, hook_refusal
from autoresearch.workspace.inputs import holds_tracked

# What a hook says that can't run, rather than that it has found something.
_CAN_NOT_RUN = re.compile(
    r"not found|no such file|cannot find|can't find|no module named|not installed|not executable|"
    r"exec format|bad interpreter|permission denied",
    re.IGNORECASE,
)
_TAIL = 40
_WORDS = 200  # characters of what a hook said
# What hooks use of a checkout and git mostly ignores.
_ENVIRONMENTS = ("node_modules", ".venv", "venv", "env", "vendor", "target")


def try_out(run: Run, stopping: Callable[[], bool]) -> None:
    """Asks the hook about the branch's tip, which it should not refuse, before anything is tried.

    A hook that can't run in the worktree would make a discard of every gain of a night. Raises
    LabError with the ways out where it refuses, Interrupted where the person stops the run meanwhile.
    """
    tip = run.repo.resolve(run.ref)
    if tip is None or (hook := hook_of(run.repo)) is None:
        return
    slot = run.slots[0]
    refused = _asked(run, slot, run.repo.resolve(f"{tip}^") or tip, tip, stopping)
    if refused is None:
        return
    tree = run.repo.tree(tip)
    absent = [
        name
        for name in _ENVIRONMENTS
        if os.path.lexists(run.repo.root / name)
        and not holds_tracked(name, tree)
        and name not in run.config.task.inputs
    ]
    copied = ""
    if absent:
        listed = json.dumps([*run.config.task.inputs, *absent])
        copied = (
            f"It runs in a worktree of its own, which has no {' and no '.join(absent)}: where it needs "
            f"that, in [task] inputs = {listed}. "
        )
    raise LabError(
        f"{refused}. That was the code as it is, and so every gain would be a discard. {copied}Else mend "
        f"the hook ({hook}) or the code, or do without it (git config core.hooksPath /dev/null), and call "
        f"this again. All that it said: {run.paths.state / 'hook.log'}"
    )


def refusal(run: Run, slot: Slot, candidate: Candidate, stopping: Callable[[], bool]) -> str | None:
    """Returns why the hook refuses a candidate; None where it does not, or where there is none.

    Raises Interrupted where the person stops the run meanwhile.
    """
    return _asked(run, slot, candidate.parent, candidate.commit, stopping)


def _asked(
    run: Run, slot: Slot, parent: str, commit: str, stopping: Callable[[], bool]
) -> str | None:
    log, timeout_s = run.paths.state / "hook.log", run.config.task.timeout_s

    def execute(command: list[str], env: dict[str, str]) -> str | None:
        outcome = process.run(
            command,
            cwd=slot.worktree.path,
            env=env,
            log=log,
            timeout_s=timeout_s,
            stopping=stopping,
        )
        if outcome.interrupted:
            raise Interrupted
        if outcome.timed_out:
            return f"killed at {timeout_s:g} s"
        if outcome.exit_code == 0:
            return None
        said = [
            one_line(line)
            for line in metrics.tail(metrics.lines(log), _TAIL).splitlines()
            if line.strip()
        ]
        why = next((line for line in reversed(said) if _CAN_NOT_RUN.search(line)), None)
        return (why or (said or [f"exit code {outcome.exit_code}"])[-1])[:_WORDS]

    return hook_refusal(slot.worktree, parent, commit, execute)
