"""The workbench of the researcher `command`: a run's worktree, and the user's own environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autoresearch.errors import Interrupted
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.ledger.files import capped
from autoresearch.records import Event, Outcome
from autoresearch.researchers.base import ProgramRun
from autoresearch.runners import process
from autoresearch.workspace.trespass import Watch

# What would lead git, or a program that goes by it, to another place than the working directory.
_ELSEWHERE = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "OLDPWD", "INIT_CWD",
)  # fmt: skip


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
        self._environment = {k: v for k, v in environment.items() if k not in _ELSEWHERE}
        self._stopping = stopping
        self._watch = Watch(run.repo, tuple(run.config.task.inputs))

    def run(self, command: Sequence[str], prompt: str, timeout_s: float) -> ProgramRun:
        """Runs the program on the incumbent's files; raises Interrupted where the user stops it."""
        commit, worktree = self._run.incumbent.commit, self._slot.worktree
        tree = worktree.lay_out(commit)
        before = self._watch.picture()
        try:
            outcome, output = self._executed(command, prompt, timeout_s)
        finally:
            strays = before.changed(self._watch.picture())
            self._tell(strays)
        failure = _failure(outcome, timeout_s)
        if failure is not None:
            return ProgramRun(failure, output, (), strays)
        edits = worktree.edits(commit, tree, self._run.rules.names)
        return ProgramRun(None, output, edits, strays)

    def _tell(self, strays: tuple[str, ...]) -> None:
        """Say what changed of the user's own while the program worked."""
        if strays:
            text = (
                f"while the program of the researcher worked, in your checkout changed: {', '.join(strays)}. "
                "By it, or by you: nothing was put back or deleted"
            )
            self._run.emit(Event("notice", text))

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
