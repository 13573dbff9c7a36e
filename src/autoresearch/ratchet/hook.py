"""The lab's pre-commit hook, asked before a keep: run as a trial is, and killed with all it starts."""

from __future__ import annotations

from collections.abc import Callable

from autoresearch.errors import Interrupted
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.records import Candidate
from autoresearch.rules import metrics
from autoresearch.runners.base import Runner, TrialSpec, finish
from autoresearch.workspace.hook import hook_refusal


def refusal(
    run: Run, slot: Slot, candidate: Candidate, runner: Runner, stopping: Callable[[], bool]
) -> str | None:
    """Why the hook refuses a candidate; None where it does not, or where there is none.

    Raises Interrupted where the person stops the run meanwhile.
    """
    log, timeout_s = run.paths.state / "hook.log", run.config.task.timeout_s

    def execute(command: list[str], env: dict[str, str]) -> str | None:
        log.unlink(missing_ok=True)
        spec = TrialSpec((tuple(command),), slot.paths.worktree, env, log, timeout_s)
        outcome = finish(runner.start(spec), stopping)
        if outcome.interrupted:
            raise Interrupted
        if outcome.timed_out:
            return f"killed at {timeout_s:g} s"
        last = metrics.tail(metrics.lines(log), 1, 200)
        return None if outcome.exit_code == 0 else last or f"exit code {outcome.exit_code}"

    return hook_refusal(slot.worktree, candidate.parent, candidate.commit, execute)
