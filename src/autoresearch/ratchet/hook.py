"""The lab's pre-commit hook, asked before a keep."""

from __future__ import annotations

from collections.abc import Callable

from autoresearch.errors import Interrupted
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.records import Candidate
from autoresearch.runners import process
from autoresearch.runners.log import last_line
from autoresearch.workspace.hook import hook_refusal


def refusal(run: Run, slot: Slot, candidate: Candidate, stopping: Callable[[], bool]) -> str | None:
    """Returns why the hook refuses a candidate; None where it does not, or where there is none.

    Raises Interrupted where the person stops the run meanwhile.
    """
    log, timeout_s = run.paths.state / "hook.log", run.config.task.timeout_s

    def execute(command: list[str], env: dict[str, str]) -> str | None:
        outcome = process.run(
            command,
            cwd=slot.paths.worktree,
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
        return last_line(log) or f"exit code {outcome.exit_code}"

    return hook_refusal(slot.worktree, candidate.parent, candidate.commit, execute)
