"""The loops around the ratchet: limits, the serial run, the baseline, one try. Generators of events."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from autoresearch.config import BudgetConfig
from autoresearch.errors import AutoresearchError, Interrupted, LabError, NothingToPropose
from autoresearch.fit.estimates import measured
from autoresearch.lab.run import Events
from autoresearch.ledger.files import capped
from autoresearch.ledger.state import State
from autoresearch.ratchet.ratchet import Ratchet
from autoresearch.records import Candidate, Event, Experiment, Proposal
from autoresearch.researchers.base import Researcher
from autoresearch.researchers.command import Ran
from autoresearch.rules import training_log
from autoresearch.runners import process


@dataclass(frozen=True)
class Limits:
    """When a run stops by itself; None and 0 are no limit. The first three are this call's."""

    experiments: int | None = None
    hours: float | None = None
    usd: float | None = None
    budget: BudgetConfig = field(default_factory=BudgetConfig)

    def reached(self, state: State, experiments: int, usd: float, seconds: float) -> str | None:
        """The first limit that is reached, in words. The arguments are what this call did so far."""
        budget, done = self.budget, max(0, len(state.experiments) - 1)
        for limit, spent, words in (
            (self.experiments, experiments, f"--max {self.experiments} experiments"),
            (self.hours, seconds / 3600, f"--hours {self.hours}"),
            (self.usd, usd, f"--max-usd {self.usd}"),
            (budget.experiments, done, f"budget.experiments = {budget.experiments}"),
            (budget.hours, state.seconds / 3600, f"budget.hours = {budget.hours:g}"),
            (budget.usd, state.usd, f"budget.usd = {budget.usd:g}"),
        ):
            if limit and spent >= limit:
                return f"reached {words}"
        return None


@dataclass
class Driver:
    """Drives one run, one trial at a time."""

    ratchet: Ratchet

    @property
    def stopping(self) -> Callable[[], bool]:
        return self.ratchet.stopping

    # -- the commands -------------------------------------------------------------------------

    def run(self, researcher: Researcher, limits: Limits) -> Events:
        """The ratchet, until a limit, the researcher's end, too many failures, or an interrupt."""
        yield from self._session(self._climb(researcher, limits), researcher.kind)

    def baseline(self) -> Events:
        """Experiment 0, or a new baseline where a person has committed on the run's branch."""
        yield from self._session(self._baseline(again=True), "baseline")

    def attempt(self, proposal: Callable[[], Proposal], checkout: dict[str, Any]) -> Events:
        """A person's edits, judged as one experiment; `proposal` puts them on the incumbent."""

        def steps() -> Generator[Event, None, str]:
            yield from self._baseline()
            yield from self._finish()
            candidate = self.ratchet.submit(proposal(), checkout)
            yield from self._trial(candidate)
            return "tried"

        yield from self._session(steps(), "try")

    # -- their parts --------------------------------------------------------------------------

    def _session(self, steps: Generator[Event, None, str], researcher: str) -> Events:
        """A command's steps, with their beginning and their end journaled."""
        ratchet = self.ratchet
        if researcher != "baseline":
            yield from ratchet.run.recover(ratchet.runner)
        ratchet.run.note("session", researcher=researcher, sandbox=ratchet.sandbox.text)
        yield Event(
            "start", researcher, data={"experiments": float(len(ratchet.run.state.experiments))}
        )
        try:
            ratchet.sandbox.check()
            ratchet.fingerprint.check()
            reason = yield from steps
        except NothingToPropose as end:
            reason = str(end) or "the researcher has nothing more to propose"
        except Interrupted:
            ratchet.run.note("stop", reason="interrupted")
            yield Event("stop", "interrupted; autoresearch run goes on from here")
            raise
        except (AutoresearchError, OSError) as fault:
            ratchet.run.note("stop", reason=str(fault))
            raise
        ratchet.run.note("stop", reason=reason)
        yield Event("stop", reason)

    def _climb(self, researcher: Researcher, limits: Limits) -> Generator[Event, None, str]:
        yield from self._baseline()
        state = self.ratchet.run.state
        yield from self._estimate()
        began, usd_before, rows_before = time.monotonic(), state.usd, len(state.experiments)
        failures: list[str] = []
        while True:
            reached = self._reached(limits, began, usd_before, rows_before)
            if reached:
                return reached
            asking = self.ratchet.ask(researcher)
            while True:
                try:
                    event = next(asking)
                except StopIteration as end:
                    candidate = end.value
                    break
                yield event
                if event.kind in ("again", "wait"):  # another answer costs, and waiting takes time
                    reached = self._reached(limits, began, usd_before, rows_before)
                    if reached:
                        return reached
            if candidate is None:
                failures.append(state.refusals[-1])
            else:
                reached = self._reached(limits, began, usd_before, rows_before)
                if reached:
                    return reached
                experiment = yield from self._trial(candidate)
                failures = [*failures, experiment.reason] if experiment.status == "crash" else []
            most = limits.budget.consecutive_failures
            if most and len(failures) >= most:
                raise LabError(_failed(failures))

    def _reached(
        self, limits: Limits, began: float, usd_before: float, rows_before: int
    ) -> str | None:
        self._check()
        state = self.ratchet.run.state
        return limits.reached(
            state,
            len(state.experiments) - rows_before,
            state.usd - usd_before,
            time.monotonic() - began,
        )

    def _baseline(self, again: bool = False) -> Generator[Event, None, str]:
        """Experiment 0 where there is none; `again`: and where a person moved the branch on."""
        ratchet = self.ratchet
        incumbent = ratchet.run.state.incumbent
        if again:
            moved = incumbent is not None and ratchet.run.moved_by_hand()
            if moved:
                ratchet.run.clean_up(ratchet.runner)
                ratchet.run.set_aside()
            else:
                yield from ratchet.run.recover(ratchet.runner)
            if incumbent is not None and not moved:
                return "the baseline is measured already"
        elif incumbent is not None:
            return "the baseline is measured already"
        candidate = ratchet.baseline()
        yield Event("baseline", candidate.description, candidate.number)
        yield from self._trial(candidate)
        return "the baseline is measured"

    def _estimate(self) -> Events:
        """What a trial will take, by the baseline; nothing where its summary does not say."""
        run = self.ratchet.run
        rows = reversed(run.state.experiments)
        baseline = next((e for e in rows if e.researcher == "baseline"), None)
        estimate = measured(baseline) if baseline else None
        timeout_s = run.config.task.timeout_s
        if estimate is None:
            return
        yield Event("estimate", estimate.words(timeout_s))
        warning = estimate.warning(timeout_s)
        if warning:
            yield Event("notice", warning)

    def _finish(self) -> Events:
        """Bring a candidate that was under way to its verdict."""
        pending = self.ratchet.run.state.open
        if pending is not None and pending.candidate is not None:
            yield from self._trial(pending.candidate)

    def _trial(self, candidate: Candidate) -> Generator[Event, None, Experiment]:
        """One candidate from its start to its verdict."""
        ratchet = self.ratchet
        if ratchet.hopeless:
            return (yield from ratchet.give_up(candidate))
        self._check()
        ratchet.sandbox.check()
        trial = ratchet.start(candidate)
        try:
            ratchet.run.note("trial", n=candidate.number, identity=trial.identity)
            yield Event(
                "candidate", candidate.description, candidate.number, detail=candidate.hypothesis
            )
            watching = trial.run(self.stopping)
            while True:
                try:
                    progress = next(watching)
                except StopIteration as end:
                    outcome = end.value
                    break
                data = {"seconds": progress.seconds, "fraction": progress.fraction}
                trained = training_log.last(ratchet.run.paths.running_log)
                if trained is not None:
                    data |= {"fraction": trained.progress, "loss": trained.loss}
                yield Event("progress", number=candidate.number, data=data)
        finally:
            trial.abandon()
        experiment = yield from ratchet.tell(candidate, outcome)
        if experiment is None:
            raise Interrupted
        ratchet.sandbox.check()
        return experiment

    def _check(self) -> None:
        if self.stopping():
            raise Interrupted


def run_program(
    ratchet: Ratchet, command: list[str], timeout_s: float, stopping: Callable[[], bool]
) -> Callable[[str], Ran]:
    """How the researcher `command` runs: in the worktree as the incumbent, in the user's environment."""

    def execute(prompt: str) -> Ran:
        commit = ratchet.run.incumbent.commit
        tree = ratchet.run.worktree.lay_out(commit)
        stdin, log = (
            ratchet.run.paths.state / "program.stdin",
            ratchet.run.paths.state / "program.log",
        )
        stdin.write_text(prompt, "utf-8", "replace")
        outcome = process.run(
            command,
            cwd=ratchet.run.paths.worktree,
            env=ratchet.environment,
            log=log,
            timeout_s=timeout_s,
            stopping=stopping,
            stdin=stdin,
        )
        if outcome.interrupted:
            raise Interrupted
        output = capped(log).decode("utf-8", "replace") if log.exists() else ""
        failure = ""
        if outcome.log_overflow:
            failure = "was killed: it printed more than 1 GiB"
        elif outcome.timed_out:
            failure = f"was killed at researcher.timeout_s = {timeout_s:g} s"
        elif outcome.exit_code != 0:
            failure = f"exited with {outcome.exit_code}"
        if failure:
            return Ran(failure, output, ())
        return Ran("", output, ratchet.run.worktree.edits(commit, tree, ratchet.run.rules.names))

    return execute


def _failed(failures: list[str]) -> str:
    counts = Counter(reason.splitlines()[0][:160] for reason in failures)
    listed = "; ".join(f"{count} x {reason}" for reason, count in counts.most_common(5))
    return (
        f"{len(failures)} failures in a row (budget.consecutive_failures): {listed}. Look at the last "
        "one with: autoresearch status"
    )
