"""The loops around the ratchet: limits, the serial run, the baseline, one try."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from autoresearch.config import BudgetConfig
from autoresearch.errors import (
    AutoresearchError,
    Interrupted,
    LabError,
    LimitReached,
    NothingToPropose,
)
from autoresearch.fit.estimates import observed
from autoresearch.harness.names import read_budget, steps_as_tokens
from autoresearch.ledger.state import State
from autoresearch.ratchet import hook
from autoresearch.ratchet.faults import FAULTS
from autoresearch.ratchet.limited import baseline_numbers
from autoresearch.ratchet.ratchet import Ratchet
from autoresearch.records import Candidate, Event, Experiment, Proposal
from autoresearch.researchers.base import Researcher
from autoresearch.rules.advice import claim_notice


@dataclass(frozen=True)
class Limits:
    """When a run stops by itself; None and 0 are no limit. The first three are this call's."""

    experiments: int | None = None
    hours: float | None = None
    usd: float | None = None
    budget: BudgetConfig = field(default_factory=BudgetConfig)

    def check(
        self, state: State, experiments: int, usd: float, seconds: float, unjournaled_s: float
    ) -> None:
        """Raises LimitReached at the first limit that is reached.

        `experiments`, `usd` and `seconds` are what this call did so far; `unjournaled_s` went by
        since the journal's last record, with which the state's own seconds end.
        """
        budget = self.budget
        done = sum(not experiment.is_baseline for experiment in state.experiments)
        for limit, spent, words in (
            (self.experiments, experiments, f"--max {self.experiments} experiments"),
            (self.hours, seconds / 3600, f"--hours {self.hours}"),
            (self.usd, usd, f"--max-usd {self.usd}"),
            (budget.experiments, done, f"budget.experiments = {budget.experiments}"),
            (
                budget.hours,
                (state.seconds + unjournaled_s) / 3600,
                f"budget.hours = {budget.hours:g}",
            ),
            (budget.usd, state.usd, f"budget.usd = {budget.usd:g}"),
        ):
            if limit and spent >= limit:
                raise LimitReached(f"reached {words}")


@dataclass
class Driver:
    """Drives one run, one trial at a time; what happens goes to the run's sinks."""

    ratchet: Ratchet

    @property
    def stopping(self) -> Callable[[], bool]:
        return self.ratchet.stopping

    # -- the commands -------------------------------------------------------------------------

    def run(self, researcher: Researcher, limits: Limits) -> None:
        """The ratchet, until a limit, the researcher's end, too many failures, or an interrupt."""
        self._session(partial(self._climb, researcher, limits), researcher.kind)

    def baseline(self) -> None:
        """Experiment 0, or a new baseline where a person has committed on the run's branch."""
        self._session(partial(self._baseline, again=True), "baseline")

    def attempt(
        self, proposal: Callable[[], Proposal | Experiment], checkout: dict[str, Any]
    ) -> Experiment:
        """Returns a person's edits judged as one experiment.

        `proposal` puts them on the incumbent, or returns the experiment that tried them before. What
        a call that was killed left under way is finished first, and told.
        """
        tried: list[Experiment] = []

        def steps() -> str:
            self._baseline()
            self._finish()
            made = proposal()
            submitted = self.ratchet.submit(made, checkout) if isinstance(made, Proposal) else made
            if isinstance(submitted, Candidate):
                tried.append(self._trial(submitted))
                return "tried"
            self._tell(submitted, "these edits were tried before, as")
            tried.append(submitted)
            return "tried before"

        self._session(steps, "try")
        return tried[0]

    # -- their parts --------------------------------------------------------------------------

    def _session(self, steps: Callable[[], str], researcher: str) -> None:
        """A command's steps, with their beginning and their end journaled."""
        ratchet, run = self.ratchet, self.ratchet.run
        if researcher != "baseline":
            run.recover(ratchet.runner)
        run.begin(researcher, ratchet.sandbox.text)
        run.emit(
            Event("start", researcher, data={"experiments": float(len(run.state.experiments))})
        )
        try:
            ratchet.sandbox.check()
            ratchet.fingerprint.check()
            if run.state.incumbent is not None:
                baseline_numbers(run)  # a limit may be younger than the baseline
            self._say_no_cap()
            self._say_tokens()
            reason = steps()
        except (NothingToPropose, LimitReached) as end:
            reason = str(end) or "the researcher has nothing more to propose"
        except Interrupted:
            run.note("stop", reason="interrupted")
            run.emit(Event("stop", "interrupted; autoresearch run goes on from here"))
            raise
        except (AutoresearchError, OSError) as fault:
            run.note("stop", reason=str(fault))
            raise
        run.note("stop", reason=reason)
        run.emit(Event("stop", reason))

    def _climb(self, researcher: Researcher, limits: Limits) -> str:
        run, state = self.ratchet.run, self.ratchet.run.state
        if state.incumbent is None:
            researcher.warm_up()  # the baseline's trial leaves it time
        self._baseline()
        self._estimate()
        began, usd_before, rows_before = time.monotonic(), state.usd, len(state.experiments)

        def check(ahead_s: float = 0.0) -> None:
            """Stops at a limit that is reached, or will be when so many seconds have gone by."""
            self._check()
            done, spent_s = len(state.experiments) - rows_before, time.monotonic() - began
            unjournaled_s = max(0.0, run.now() - state.last_at)
            for more_s in (0.0, ahead_s):
                try:
                    limits.check(
                        state,
                        done,
                        state.usd - usd_before,
                        spent_s + more_s,
                        unjournaled_s + more_s,
                    )
                except LimitReached:
                    if more_s:
                        text = "the run's limit of hours would end before that wait"
                        run.emit(Event("notice", text))
                    raise

        failures: list[str] = []
        while True:
            check()
            candidate = self.ratchet.ask(researcher, check=check)
            if candidate is None:
                failures.append(state.refusals[-1])
            else:
                check()
                experiment = self._trial(candidate)
                failed = experiment.status == "crash" or experiment.failure == "hook"
                failures = [*failures, experiment.reason] if failed else []
            most = limits.budget.consecutive_failures
            if most and len(failures) >= most:
                raise LabError(_failed(failures))

    def _baseline(self, again: bool = False) -> str:
        """Experiment 0 where there is none; `again`: and where a person moved the branch on."""
        run = self.ratchet.run
        incumbent = run.state.incumbent
        moved = again and incumbent is not None and run.moved_by_hand()
        if moved:
            run.clean_up(self.ratchet.runner)
            run.set_aside()
        elif again:
            run.recover(self.ratchet.runner)
        if incumbent is not None and not moved:
            return "the baseline is measured already"
        hook.try_out(run, self.stopping)
        candidate = self.ratchet.baseline()
        run.emit(Event("baseline", candidate.description, candidate.number))
        paths = run.repo.tree(candidate.commit)
        claim = claim_notice(run.config.task, [path for path in paths if run.rules.names(path)])
        if claim is not None:
            run.emit(Event("notice", claim))
        self._trial(candidate)
        self._say_tokens()
        return "the baseline is measured"

    def _say_no_cap(self) -> None:
        """Says that a cap on operations, which an older lab may have, limits nothing."""
        harness = self.ratchet.run.config.harness
        if harness.max_tflop:
            text = (
                f"harness.max_tflop = {harness.max_tflop:g} is no limit any more, since operations were what "
                "a trial said of itself: tokens and time limit it; take the line out before the next run"
            )
            self.ratchet.run.emit(Event("notice", text))

    def _say_tokens(self) -> None:
        """Says as how many tokens a budget of steps is read, under an exam."""
        run = self.ratchet.run
        written, known = run.config.harness.budget, run.state.calibration or {}
        amount, unit = read_budget(written) or (0, "")
        steps, tokens = known.get("steps"), known.get("tokens")
        if run.config.task.exam and unit == "steps" and steps and tokens:
            text = (
                f'harness.budget = "{written}" is read as {steps_as_tokens(amount, steps, tokens)} tokens: '
                f"{amount} x the baseline's {tokens / steps:g} tokens a step, in however many steps"
            )
            run.emit(Event("notice", text))

    def _estimate(self) -> None:
        """What a trial will take, by the baseline; nothing where its summary does not say."""
        run = self.ratchet.run
        baseline = next((e for e in reversed(run.state.experiments) if e.is_baseline), None)
        estimate = observed(baseline) if baseline else None
        timeout_s = run.config.task.timeout_s
        if estimate is None:
            return
        run.emit(Event("estimate", estimate.words(timeout_s)))
        warning = estimate.warning(timeout_s)
        if warning:
            run.emit(Event("notice", warning))

    def _finish(self) -> None:
        """Brings the candidates that were under way to their verdicts, and tells them."""
        for pending in list(self.ratchet.run.state.open.values()):
            if pending.candidate is not None:
                verdict = self._trial(pending.candidate)
                self._tell(verdict, f"what an interrupted {pending.by} began is finished:")

    def _tell(self, experiment: Experiment, what: str) -> None:
        text = (
            f"{what} experiment {experiment.number} ({experiment.description}): "
            f"{experiment.status}, {experiment.reason}"
        )
        self.ratchet.run.emit(Event("notice", text, experiment.number, experiment))

    def _trial(self, candidate: Candidate) -> Experiment:
        """One candidate from its start to its verdict."""
        ratchet, experiment = self.ratchet, None
        while experiment is None:
            ratchet.faults.try_incumbent(candidate)
            if ratchet.hopeless(candidate):
                return ratchet.give_up(candidate)
            self._check()
            ratchet.sandbox.check()
            try:
                experiment = ratchet.tell(candidate, ratchet.try_out(candidate))
            except FAULTS as fault:
                if not ratchet.faults.count(candidate, fault):
                    raise
        ratchet.sandbox.check()
        return experiment

    def _check(self) -> None:
        if self.stopping():
            raise Interrupted


def _failed(failures: list[str]) -> str:
    counts = Counter(reason.splitlines()[0][:160] for reason in failures)
    listed = "; ".join(f"{count} x {reason}" for reason, count in counts.most_common(5))
    return (
        f"{len(failures)} failures in a row (budget.consecutive_failures): {listed}. Look at the last "
        "one with: autoresearch status"
    )
