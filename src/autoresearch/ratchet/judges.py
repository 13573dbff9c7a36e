"""Commands of the user's own that judge a trial: `evaluate` after it, `checks` before a keep.

Each is a process of its own, in a jail and with a scratch folder of its own, once the trial is gone.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import InfrastructureError, Interrupted, OutsideError
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.ledger.files import capped
from autoresearch.ratchet.planted import planted_file, remove_bytecode
from autoresearch.ratchet.run_sandbox import environment_of
from autoresearch.records import Candidate, Crash, Event, Outcome
from autoresearch.rules import metrics
from autoresearch.runners.base import Runner, TrialSpec
from autoresearch.runners.environment import make_scratch
from autoresearch.runners.log import last_line
from autoresearch.sandbox.policy import own_python
from autoresearch.sandbox.sandbox import Sandbox
from autoresearch.text import one_line
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.removal import remove

_LATER = 75  # EX_TEMPFAIL of sysexits.h: it can't judge now
_WAITS_S = (1.0, 5.0)  # before it is asked again
_WORDS = 300  # characters of what a command said
_LINES = 3  # the last ones, of what a check said


@dataclass(frozen=True)
class Judges:
    """Runs the user's judging commands in the worktree of one slot; `environment` is the supervisor's."""

    run: Run
    slot: Slot
    runner: Runner
    environment: dict[str, str]
    sandbox: Sandbox
    stopping: Callable[[], bool]

    def evaluate(self, candidate: Candidate, timeout_s: float) -> Outcome:
        """Runs `evaluate` on what a trial left, and returns how it ended; its log is the slot's.

        Raises Interrupted, and OutsideError where it can't judge now.
        """
        command, log = self.run.config.task.evaluate, self.slot.paths.evaluate_log
        repo, inputs = self.run.repo, self.run.config.task.inputs
        remove_bytecode(self.slot.worktree.path, tuple(map(repo.from_top, inputs)))
        for wait_s in (*_WAITS_S, None):
            remove(log)
            outcome = self._execute(
                candidate, "evaluation", (tuple(command),), timeout_s, fixed=True
            )
            if not outcome.started:
                raise self._not_started(command, "evaluate")
            if outcome.exit_code != _LATER or outcome.timed_out:
                return outcome
            words = last_line(log, _WORDS) or "it said nothing"
            said = f"evaluate says that it can't judge now (exit {_LATER}: {one_line(words)})"
            if wait_s is not None:
                text = f"{said}; it is asked again in {wait_s:g} s"
                self.run.emit(Event("notice", text, candidate.number))
                self._wait(wait_s)
        raise OutsideError(
            f"{said}, and that is no fault of the candidate's: mend what it names, and call autoresearch run "
            "again; the candidate is tried again then"
        )

    def failed_check(self, candidate: Candidate) -> str | Crash | None:
        """Returns what a check says against a candidate; None where all succeed.

        They are run on the candidate as it is committed, after `setup`, and not on what a trial left.
        Raises Interrupted, and InfrastructureError where one could not be started.
        """
        task, worktree, log = self.run.config.task, self.slot.worktree, self.slot.paths.checks_log
        if not task.checks:
            return None
        tree, said = worktree.lay_out(candidate.commit), b""
        try:
            for count, check in enumerate(task.checks):
                remove(log)  # what an earlier one said is none of this one's words
                commands = (*(task.setup if count == 0 else ()), check)
                refusal = self._checked(candidate, [tuple(each) for each in commands], tree)
                said += f"$ {shlex.join(check)}\n".encode() + (capped(log) or b"")
                if refusal is not None:
                    return refusal
            return None
        finally:
            worktree.clean(tree)
            self.run.files.write_log(candidate.number, said, log.name)

    def _checked(
        self, candidate: Candidate, commands: Sequence[tuple[str, ...]], tree: Tree
    ) -> str | Crash | None:
        """Runs one check, its last command, and returns what it says against a candidate."""
        timeout_s = self.run.config.task.timeout_s
        outcome = self._execute(candidate, "check", tuple(commands), timeout_s)
        if not outcome.started:
            raise self._not_started(commands[-1], "checks")
        changed = self.slot.worktree.tampered(candidate.commit, tree) or self.sandbox.broken()
        if changed is not None:
            return Crash("tampered", f"a check changed {changed}")
        if outcome.launcher_killed:
            return Crash("tampered", "a check killed the process that watches it")
        if outcome.exit_code == 0 and not (outcome.timed_out or outcome.log_overflow):
            return None
        name = "the setup before the checks" if outcome.setup_failed else shlex.join(commands[-1])
        return f"check failed: {one_line(name, 80)}: {self._why(outcome, timeout_s)}"

    def planted(self, tree: Tree) -> str | None:
        """Returns what a trial laid where `evaluate` would load it, in words; None where there is nothing.

        `tree` is what was laid out for the trial; inputs and caches are the lab's own.
        """
        task = self.run.config.task
        if not task.evaluate:
            return None
        repo = self.run.repo
        own = dict.fromkeys((*task.inputs, *task.caches), ("", ""))
        named = {repo.from_here(path): entry for path, entry in tree.items()}
        here = {path: entry for path, entry in named.items() if not path.startswith("../")}
        python = own_python(self.run.words(task.evaluate), self.environment, repo.root)
        found = planted_file(
            self.slot.worktree.cwd,
            {**own, **here},
            self.run.rules.names,
            None if python is None else python.packages,
        )
        return None if found is None else f"what evaluate would load, by its {found}"

    # -- their parts --------------------------------------------------------------------------

    def _execute(
        self,
        candidate: Candidate,
        kind: str,
        commands: tuple[tuple[str, ...], ...],
        timeout_s: float,
        fixed: bool = False,
    ) -> Outcome:
        """Runs commands in the worktree; `kind` is that of the journal's record. Raises Interrupted."""
        run, paths, worktree = self.run, self.slot.paths, self.slot.worktree.path
        log = paths.evaluate_log if kind == "evaluation" else paths.checks_log
        scratch = make_scratch()
        try:
            env = environment_of(
                run, self.slot, self.sandbox, self.environment, candidate.number, scratch
            )
            cwd = self.slot.worktree.cwd
            jail = self.sandbox.confinement(
                worktree, scratch, scratch, cwd, judging=True, fixed=fixed
            )
            words = tuple(map(run.words, commands))
            spec = TrialSpec(words, cwd, env, log, timeout_s, confinement=jail)
            process = self.runner.start(spec)
            try:
                run.note(kind, n=candidate.number, identity=process.identity)
                outcome = process.run(self.stopping)
            finally:
                process.abandon()
        finally:
            remove(scratch)
        if outcome.interrupted:
            raise Interrupted
        return outcome

    def _why(self, outcome: Outcome, timeout_s: float) -> str:
        if outcome.timed_out:
            return f"killed at {timeout_s:g} s"
        if outcome.log_overflow:
            return "killed: it printed more than 1 GiB"
        log = self.slot.paths.checks_log
        said = metrics.tail(metrics.lines(log), _LINES, _WORDS) if last_line(log) else ""
        words = " / ".join(one_line(line) for line in said.splitlines() if line.strip())
        return words or metrics.exit_text(outcome.exit_code)

    def _not_started(self, command: Sequence[str], key: str) -> InfrastructureError:
        """Returns the fault that a command is which could not be started at all.

        A program that the candidate's own build makes may be missing because of the candidate: then the
        incumbent's trial tells (faults.py).
        """
        built = "/" in command[0] and not command[0].startswith("/")
        kind = InfrastructureError if built else OutsideError
        jailed = " in the sandbox" if self.sandbox.jailed else ""
        return kind(
            f"task.{key}: {command[0]} could not be started{jailed}, and that is no fault of the "
            "candidate's: activate what has it, or write its path in autoresearch.toml (in the sandbox it "
            "must be readable: runner.readable), and call autoresearch run again"
        )

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.stopping():
                raise Interrupted
            time.sleep(0.05)


def evaluate_crash(outcome: Outcome, log: Path, timeout_s: float) -> Crash | None:
    """Returns how `evaluate` failed on what a trial left; None where it did not."""
    if outcome.tampered:
        return Crash("tampered", f"evaluate changed {outcome.tampered}")
    if outcome.launcher_killed:
        return Crash("tampered", "evaluate killed the process that watches it")
    if outcome.timed_out:
        return Crash("timeout", f"evaluate was killed at {timeout_s:g} s, trial included")
    if outcome.log_overflow:
        return Crash("log", "evaluate was killed: it printed more than 1 GiB")
    if outcome.exit_code == 0:
        return None
    how = f"evaluate {metrics.exit_text(outcome.exit_code)}"
    said = last_line(log, _WORDS)
    return Crash("evaluate", f"{how}: {one_line(said)}" if said else how)
