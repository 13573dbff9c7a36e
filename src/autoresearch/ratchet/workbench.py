"""The workbench of the researcher `command`: a run's worktree, and the user's own environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoresearch.errors import Interrupted
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.ledger.files import capped
from autoresearch.records import Outcome
from autoresearch.researchers.base import ProgramRun
from autoresearch.runners import process


class LabWorkbench:
    """A Workbench over one slot of a run. The environment is the user's, as it was at the start."""

    def __init__(
        self,
        run: Run,
        slot: Slot,
        environment: dict[str, str],
        stopping: Callable[[], bool],
    ) -> None:
        self._run, self._slot = run, slot
        self._environment, self._stopping = environment, stopping

    def run(self, command: Sequence[str], prompt: str, timeout_s: float) -> ProgramRun:
        """Runs the program on the incumbent's files; raises Interrupted where the user stops it."""
        commit, worktree = self._run.incumbent.commit, self._slot.worktree
        tree = worktree.lay_out(commit)
        outcome, output = self._executed(command, prompt, timeout_s)
        failure = _failure(outcome, timeout_s)
        if failure is not None:
            return ProgramRun(failure, output, ())
        return ProgramRun(None, output, worktree.edits(commit, tree, self._run.rules.names))

    def _executed(
        self, command: Sequence[str], prompt: str, timeout_s: float
    ) -> tuple[Outcome, str]:
        """Runs the program to its end, and returns that and what it printed, in bounds."""
        state = self._run.paths.state
        stdin, log = state / "program.stdin", state / "program.log"
        stdin.write_text(prompt, "utf-8", "replace")
        outcome = process.run(
            command,
            cwd=self._slot.worktree.cwd,
            env=self._environment,
            log=log,
            timeout_s=timeout_s,
            stopping=self._stopping,
            stdin=stdin,
        )
        if outcome.interrupted:
            raise Interrupted
        return outcome, (capped(log) or b"").decode("utf-8", "replace")


def _failure(outcome: Outcome, timeout_s: float) -> str | None:
    """Returns why a program counts as failed; None where it does not."""
    if outcome.log_overflow:
        return "was killed: it printed more than 1 GiB"
    if outcome.timed_out:
        return f"was killed at researcher.timeout_s = {timeout_s:g} s"
    if outcome.exit_code != 0:
        return f"exited with {outcome.exit_code}"
    return None
