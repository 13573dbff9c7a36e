"""The ratchet: `ask` hands out the next candidate, `tell` takes how its trial ended and gives the verdict.

Serial runs, `try`, and later slots and queues are drivers around these two verbs (drive.py). Every
step is journaled before the next begins, and `Run.recover` brings a run from whatever point it was
killed at to where it can go on, so that the same rows, refs and branch come out:

    ask -> answer -> candidate -> trial -> result (the commit point) -> refs, branch, files

What follows the result is a projection of the journal: made again on every start, by `settle`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from autoresearch.errors import BadAnswer, RefusedError, TriedBefore
from autoresearch.lab.run import Run
from autoresearch.ledger.codec import answer_fields, experiment_fields
from autoresearch.ledger.pending import Pending
from autoresearch.ratchet.brief import brief_of
from autoresearch.ratchet.candidate import accept, commit
from autoresearch.ratchet.evaluation import evaluation, failed_baseline
from autoresearch.ratchet.faults import Faults
from autoresearch.ratchet.fingerprint import Fingerprint
from autoresearch.ratchet.judgement import Judgement, judge, judge_baseline
from autoresearch.ratchet.retry import Retry
from autoresearch.ratchet.trial import Ended, Trials
from autoresearch.ratchet.workbench import LabWorkbench
from autoresearch.records import (
    Candidate,
    Crash,
    Event,
    Experiment,
    Metrics,
    Proposal,
    Usage,
    Verdict,
)  # fmt: skip
from autoresearch.researchers.base import Researcher, Turn
from autoresearch.runners.base import Runner
from autoresearch.sandbox.sandbox import Sandbox

_UNCLEAN_TRIALS = 3  # starts without an end after which the candidate is what brings us down


def _no_limit(ahead_s: float) -> None:
    pass


@dataclass
class Ratchet:
    """The two verbs over one run.

    `environment` is the user's, as it was at the start; `description` that of proposals whose
    researcher gives none; `breaking` is the context in which Ctrl-C may break in, `stopping` says
    whether it was pressed.
    """

    run: Run
    runner: Runner
    environment: dict[str, str]
    sandbox: Sandbox
    description: str = ""
    breaking: Callable[[], AbstractContextManager[None]] = nullcontext
    stopping: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        environment = self.run.with_path(self.environment)
        self.trials = [
            Trials(self.run, slot, self.runner, environment, self.sandbox, self.stopping)
            for slot in self.run.slots
        ]
        self.fingerprint = Fingerprint(self.run, environment, self.stopping)
        self.faults = Faults(self.run, self.fingerprint, self._trials)

    # -- ask ----------------------------------------------------------------------------------

    def baseline(self) -> Candidate:
        """Returns the branch's tip as it is, as the next experiment."""
        run = self.run
        tip = run.repo.resolve(run.ref)
        assert tip is not None
        for pending in run.state.open.values():
            if pending.is_baseline and pending.candidate and pending.candidate.commit == tip:
                return pending.candidate
        number = run.state.next_baseline
        description = "baseline" if number == 0 else f"baseline: {run.repo.subject(tip)}"
        candidate = Candidate(number, tip, tip, run.repo.tree_id(tip), description)
        return accept(run, candidate, "baseline")

    def ask(
        self, researcher: Researcher, slot: int = 0, check: Callable[[float], None] = _no_limit
    ) -> Candidate | None:
        """Returns the next candidate of a slot, or None where the answers made no proposal.

        A candidate that was under way there comes first; answers that were paid for are read again.
        `check` is called before another answer is asked for (with 0) or waited for (with the
        seconds of the wait): what it raises goes up, and nothing is lost.
        """
        pending = self._asked(researcher, slot)
        if pending.candidate is not None:
            return pending.candidate
        self.run.emit(Event("ask", researcher.kind, pending.number))
        brief = brief_of(self.run, pending.number)
        prompt = researcher.prompt(brief)
        self.run.files.write_prompt(pending.number, prompt)
        turns: list[Turn] = []
        retry = Retry(
            researcher.kind,
            self.run.config.researcher.retry_hours,
            self.breaking,
            lambda usage: self.run.note("spent", n=pending.number, usage=asdict(usage)),
            self.run.emit,
            check,
        )
        for attempt in range(researcher.attempts):
            try:
                if attempt == len(pending.answers):
                    if attempt:
                        self.run.emit(Event("again", turns[-1].error, pending.number))
                        check(0.0)
                    asked = replace(brief, asked=self.run.state.asked)
                    answer = retry.answer(partial(researcher.propose, prompt, asked, tuple(turns)))
                    self.run.note("answer", n=pending.number, **answer_fields(answer))
                answer = pending.answers[attempt]
                self.run.files.write_answer(pending.number, answer.text)
                proposal = researcher.read(answer, brief)
                for note in proposal.notes:
                    self.run.emit(Event("notice", note, pending.number))
                return commit(self.run, pending, proposal, self.description)
            except BadAnswer as bad:
                last = pending.answers[attempt].text if attempt < len(pending.answers) else ""
                turns.append(Turn(last, str(bad)))
                if bad.final or attempt == len(pending.answers):
                    break  # asking again would not help, or there was no answer at all to mend
        self.run.note("refused", n=pending.number, reason=turns[-1].error)
        self.run.emit(Event("refused", turns[-1].error, pending.number))
        return None

    def _asked(self, researcher: Researcher, slot: int) -> Pending:
        """What is under way in a slot, or a new number where that can't be gone on with."""
        state, tip = self.run.state, self.run.incumbent.commit
        pending = self.run.under_way(slot)
        if pending is not None and pending.candidate is not None:
            return pending
        if pending is None or (pending.researcher, pending.parent) != (researcher.kind, tip):
            number = state.next_number if pending is None else pending.number
            self.run.note(
                "ask", n=number, parent=tip, researcher=researcher.kind, by="run", slot=slot
            )
            return state.open[number]
        return pending

    def submit(self, proposal: Proposal, checkout: dict[str, Any]) -> Candidate | Experiment:
        """Returns a person's proposal (`try`) as the next candidate; RefusedError where it is refused.

        Where an earlier experiment tried the same files, that experiment is returned.
        `checkout` holds root, head and path -> blob of the files that were tried, for the next merge.
        """
        number = self.run.state.next_number
        self.run.note(
            "ask", n=number, parent=self.run.incumbent.commit, researcher="try", by="try",
            checkout=checkout, slot=0,
        )  # fmt: skip
        try:
            return commit(self.run, self.run.state.open[number], proposal)
        except BadAnswer as bad:
            self.run.note("refused", n=number, reason=str(bad))
            earlier = (
                self.run.state.experiment(bad.number) if isinstance(bad, TriedBefore) else None
            )
            if earlier is not None:
                return earlier
            raise RefusedError(str(bad), [edit.path for edit in proposal.edits]) from None

    def workbench(self, slot: int = 0) -> LabWorkbench:
        """Returns what a program that edits files is given to work with, in a slot."""
        return LabWorkbench(self.run, self.run.slots[slot], self.environment, self.stopping)

    # -- the trial ----------------------------------------------------------------------------

    def try_out(self, candidate: Candidate) -> Ended:
        """Runs the candidate's trial in its slot; raises what Trials.try_out raises.

        A model that could be kept is handed over with its score, for the verification.
        """
        best = None if self._pending(candidate).is_baseline else self.run.incumbent.value
        # An equal one may be kept too, where it only deletes lines.
        threshold = None if best is None else math.nextafter(best, math.inf)
        return self._trials(candidate).try_out(candidate, threshold=threshold)

    def _pending(self, candidate: Candidate) -> Pending:
        return self.run.state.open[candidate.number]

    def _trials(self, candidate: Candidate) -> Trials:
        return self.trials[self.run.slot_of(self._pending(candidate)).number]

    # -- tell ---------------------------------------------------------------------------------

    def tell(self, candidate: Candidate, ended: Ended) -> Experiment:
        """Returns the verdict on a candidate whose trial ended.

        Raises LabError for a baseline that fails, and where data or harness changed under the run;
        with the candidate put off until the next call, OutsideError where the disk is full, and
        Interrupted.
        """
        baseline = self._pending(candidate).is_baseline
        with self.run.putting_off(candidate.number):
            found = evaluation(ended, self.run.config.task)
            if isinstance(found, Crash):
                self.run.check_disk()
            found = self.fingerprint.judge(found)
            rule = judge_baseline if baseline else judge
            judgement = rule(self._trials(candidate), candidate, found)
        if isinstance(judgement.found, Crash) and baseline:
            raise failed_baseline(self.run, candidate, judgement.found, self.sandbox.jailed)
        return self._record(candidate, judgement, ended.seconds)

    def _record(self, candidate: Candidate, judgement: Judgement, seconds: float) -> Experiment:
        pending, verdict = self._pending(candidate), judgement.verdict
        metrics = judgement.found if isinstance(judgement.found, Metrics) else None
        experiment = Experiment(
            candidate.number, candidate.commit, candidate.parent, verdict.status,
            candidate.description, verdict.reason,
            value=metrics.value if metrics else None,
            memory_mb=metrics.memory_mb if metrics else None,
            failure=verdict.failure,
            hypothesis=candidate.hypothesis,
            lesson=candidate.lesson,
            researcher=pending.researcher or pending.by,
            seconds=seconds,
            usage=_sum([*(answer.usage for answer in pending.answers), *pending.spent]),
            at=self.run.now(),
            sandbox=self.sandbox.text,
            python=self.run.python,
            summary=metrics.summary if metrics else {},
            fingerprint=metrics.fingerprint if metrics else "",
            device=metrics.device if metrics else "",
            claimed=metrics.claimed if metrics else None,
            evidence=metrics.evidence if metrics else "claimed",
            flag=judgement.flag or "",
            abbreviated=self.run.repo.short(candidate.commit),
        )  # fmt: skip
        extra: dict[str, Any] = {}
        if pending.is_baseline:
            extra = {"frozen": {**self.run.frozen_settings(), "sandbox": self.sandbox.mark}}
            extra["calibration"] = metrics.calibration if metrics else None
        self.run.note("result", n=candidate.number, **experiment_fields(experiment), **extra)
        experiment = self.run.state.experiments[-1]
        self.run.files.write_result(experiment)
        self.run.emit(Event("verdict", verdict.reason, candidate.number, experiment))
        self.run.settle()
        return experiment

    def give_up(self, candidate: Candidate) -> Experiment:
        """Returns the verdict on a candidate that brought the tool down again and again."""
        if self.faults.guilty(candidate):
            crash = self.faults.crash(candidate)
        else:
            crash = Crash("interrupted", f"the supervisor died in {_UNCLEAN_TRIALS} trials of it")
        if self._pending(candidate).is_baseline:
            raise failed_baseline(self.run, candidate, crash, self.sandbox.jailed)
        verdict = Verdict("crash", crash.reason, crash.failure)
        return self._record(candidate, Judgement(verdict, crash), 0.0)

    def hopeless(self, candidate: Candidate) -> bool:
        """Whether a candidate was started too often without an end, or faults are held against it."""
        unclean = self._pending(candidate).trials >= _UNCLEAN_TRIALS
        return unclean or self.faults.guilty(candidate)


def _sum(usages: list[Usage]) -> Usage:
    """What the answers of one experiment cost together; None only where none of them says."""

    def total(values: list[Any]) -> Any:
        known = [value for value in values if value is not None]
        return sum(known) if known else None

    return Usage(
        total([u.input_tokens for u in usages]),
        total([u.output_tokens for u in usages]),
        total([u.usd for u in usages]),
    )
