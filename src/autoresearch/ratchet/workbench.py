"""The workbench of the researcher `command`: a run's worktree, and the user's own environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pathspec import GitIgnoreSpec

from autoresearch.errors import Interrupted
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.ledger.files import capped
from autoresearch.records import Event, Outcome
from autoresearch.researchers.agents import BY_PRODUCTS, agent_of
from autoresearch.researchers.base import ProgramRun
from autoresearch.runners import process
from autoresearch.text import listed, one_line
from autoresearch.workspace.trespass import Watch

_SHOWN = 5  # files that a program left, by their names
_WORD_BYTES = 120_000  # of one argument; Linux takes 128 KiB with what ends it
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
        its_own = GitIgnoreSpec.from_lines([*BY_PRODUCTS, *self._run.config.researcher.ignore])

        def dropped(path: str) -> bool:
            return path not in tree and its_own.match_file(path)

        found = worktree.edits(
            commit, tree, lambda path: self._run.rules.names(path) and not dropped(path)
        )
        edits = tuple(edit for edit in found if not dropped(edit.path))
        notes = _notes([edit.path for edit in found if dropped(edit.path)])
        return ProgramRun(None, output, edits, strays, notes)

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
        file, log = state / "program.prompt", state / "program.log"
        file.write_text(prompt, "utf-8", "replace")
        words, on_stdin = _filled_in(command, prompt, file)
        known = agent_of(command)
        outcome = process.run(
            words,
            cwd=self._slot.worktree.cwd,
            env={**dict(known.env if known else ()), **self._environment},
            log=log,
            timeout_s=timeout_s,
            stopping=self._stopping,
            stdin=file if on_stdin else None,
        )
        if outcome.interrupted:
            raise Interrupted
        return outcome, (capped(log) or b"").decode("utf-8", "replace")


def _filled_in(command: Sequence[str], prompt: str, file: Path) -> tuple[list[str], bool]:
    """Returns the command with the prompt, or the file that holds it, in their places.

    The second value says that it has a place for neither, so that the prompt is to be on standard
    input. A prompt that is longer than a word of a command may be is read from the file.
    """
    if len(os.fsencode(prompt)) > _WORD_BYTES:
        prompt = f"Read the file {file} to its end: it holds your task. Then do what it says."
    text = prompt.replace("\0", "")  # which no argument can hold
    words = [w.replace("{prompt_file}", str(file)).replace("{prompt}", text) for w in command]
    return words, not any("{prompt}" in word or "{prompt_file}" in word for word in command)


def _notes(dropped: Sequence[str]) -> tuple[str, ...]:
    """Returns what is said aloud of files that a program left for itself."""
    if not dropped:
        return ()
    paths = [one_line(path, 120) for path in dropped]
    return (f"dropped, as the program's own: {listed(paths, _SHOWN)}",)


def _failure(outcome: Outcome, timeout_s: float) -> str | None:
    """Returns why a program counts as failed; None where it does not."""
    if outcome.log_overflow:
        return "was killed: it printed more than 1 GiB"
    if outcome.timed_out:
        return f"was killed at researcher.timeout_s = {timeout_s:g} s"
    if outcome.exit_code != 0:
        return f"exited with {outcome.exit_code}"
    return None
