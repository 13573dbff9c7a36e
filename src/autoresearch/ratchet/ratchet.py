"""The ratchet: `ask` hands out the next candidate, `tell` takes how its trial ended and returns the verdict.

Serial runs, `try`, and later slots and queues are drivers around these two verbs (drive.py). Every
step is journaled before the next begins, and `recover` brings a run from whatever point it was
killed at to where it can go on, so that the same rows, refs and branch come out:

    ask -> answer -> candidate -> trial -> result (the commit point) -> refs, branch, files

What follows the result is a projection of the journal: made again on every start, by `settle`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from autoresearch.errors import BadAnswer, LabError
from autoresearch.lab.run import Run
from autoresearch.ledger.state import answer_fields, result_fields
from autoresearch.ratchet import hook
from autoresearch.ratchet.brief import brief_of
from autoresearch.ratchet.candidate import accept, commit
from autoresearch.ratchet.evaluation import failed_baseline, measure
from autoresearch.ratchet.fingerprint import Fingerprint
from autoresearch.ratchet.retry import sit_out
from autoresearch.ratchet.trial import Trials
from autoresearch.ratchet.verification import verify
from autoresearch.records import (
    Candidate,
    Crash,
    Event,
    Experiment,
    Metrics,
    Outcome,
    Proposal,
    Usage,
    Verdict,
)  # fmt: skip
from autoresearch.researchers.base import Researcher, Turn
from autoresearch.researchers.prompt import render
from autoresearch.rules import keep
from autoresearch.runners.base import Runner, Trial
from autoresearch.sandbox.sandbox import Sandbox

_UNCLEAN_TRIALS = 3  # starts without an end after which the candidate is what brings us down


@dataclass
class Ratchet:
    """The two verbs over one run.

    environment: the user's, as it was at the start; description: of proposals whose researcher
    gives none; breaking: the context in which Ctrl-C may break in; stopping: whether it was pressed.
    """

    run: Run
    runner: Runner
    environment: dict[str, str]
    sandbox: Sandbox
    description: str = ""
    breaking: Callable[[], AbstractContextManager[None]] = nullcontext
    stopping: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.trials = Trials(self.run, self.runner, self.environment, self.sandbox)
        self.fingerprint = Fingerprint(self.run, self.environment, self.stopping)

    # -- ask ----------------------------------------------------------------------------------

    def baseline(self) -> Candidate:
        """The branch's tip as it is, as the next experiment."""
        tip = self.run.repo.resolve(self.run.ref)
        assert tip is not None
        pending = self.run.state.open
        if (
            pending
            and pending.candidate
            and pending.by == "baseline"
            and pending.candidate.commit == tip
        ):
            return pending.candidate
        number = self.run.state.next_number
        candidate = Candidate(
            number, tip, tip, self.run.repo.tree_id(tip),
            "baseline" if number == 0 else f"baseline: {self.run.repo.subject(tip)}",
        )  # fmt: skip
        return accept(self.run, candidate, "baseline")

    def ask(self, researcher: Researcher) -> Generator[Event, None, Candidate | None]:
        """The next candidate, or None where the researcher's answers made no proposal.

        A candidate that was under way comes first; answers that were paid for are read again.
        """
        incumbent = self.run.incumbent
        pending = self.run.state.open
        if pending is not None and pending.candidate is not None:
            return pending.candidate
        number = self.run.state.next_number
        if pending is None or (pending.researcher, pending.parent) != (
            researcher.kind,
            incumbent.commit,
        ):
            self.run.note(
                "ask", n=number, parent=incumbent.commit, researcher=researcher.kind, by="run"
            )
            pending = self.run.state.open
        assert pending is not None
        yield Event("ask", researcher.kind, number)
        brief = brief_of(self.run)
        prompt = render(brief)
        self.run.files.write_prompt(number, prompt)
        turns: list[Turn] = []
        for attempt in range(researcher.attempts):
            try:
                if attempt == len(pending.answers):
                    if attempt:
                        yield Event("again", turns[-1].error, number)
                    asked = replace(brief, asked=self.run.state.asked)
                    answer = yield from sit_out(
                        partial(researcher.propose, prompt, asked, tuple(turns)),
                        researcher.kind,
                        self.run.config.researcher.retry_hours,
                        self.breaking,
                    )
                    self.run.note("answer", n=number, **answer_fields(answer))
                answer = pending.answers[attempt]
                self.run.files.write_answer(number, answer.text)
                proposal = researcher.read(answer, brief)
                return commit(self.run, proposal, pending.at, description=self.description)
            except BadAnswer as bad:
                last = pending.answers[attempt].text if attempt < len(pending.answers) else ""
                turns.append(Turn(last, str(bad)))
                if attempt == len(pending.answers):
                    break  # there was no answer at all that could be told what is wrong with it
        self.run.note("refused", n=number, reason=turns[-1].error)
        yield Event("refused", turns[-1].error, number)
        return None

    def submit(self, proposal: Proposal, checkout: dict[str, Any]) -> Candidate:
        """A person's proposal (`try`) as the next candidate; LabError where the guard refuses it.

        checkout: root, head and path -> blob of the files that were tried, for the next merge.
        """
        number = self.run.state.next_number
        self.run.note(
            "ask", n=number, parent=self.run.incumbent.commit, researcher="try", by="try",
            checkout=checkout,
        )  # fmt: skip
        try:
            return commit(self.run, proposal, self.run.state.last_at, "try")
        except BadAnswer as bad:
            self.run.note("refused", n=number, reason=str(bad))
            raise LabError(str(bad)) from None

    # -- the trial ----------------------------------------------------------------------------

    def start(self, candidate: Candidate) -> Trial:
        """Lay the candidate out, and make its trial ready without letting it go.

        A model that could be kept is handed over with its score, for the verification.
        """
        best = None if self.run.state.in_baseline else self.run.incumbent.value
        # An equal one may be kept too, where it only deletes lines.
        threshold = None if best is None else math.nextafter(best, math.inf)
        return self.trials.start(candidate, threshold=threshold)

    # -- tell ---------------------------------------------------------------------------------

    def tell(
        self, candidate: Candidate, outcome: Outcome
    ) -> Generator[Event, None, Experiment | None]:
        """The verdict on a candidate whose trial ended; None where the trial was stopped on purpose.

        Raises LabError for a baseline that fails, and what `measure` raises.
        """
        outcome = replace(outcome, tampered=self.trials.ended(candidate))
        self.run.files.write_log(candidate.number)
        examiner = self.trials.take_examiner()
        if outcome.interrupted:
            if examiner is not None:
                examiner.abandon()
            self.run.note("pause", n=candidate.number)
            return None
        left = self.trials.left_on_gpus()
        if left:
            yield Event("notice", left, candidate.number)
        measured = measure(self.run, outcome, self.fingerprint, examiner)
        flag = ""
        if self.run.state.in_baseline:
            measured = self._verified(candidate, measured)
            if isinstance(measured, Crash):
                raise self._failed_baseline(candidate, measured)
            self.trials.compiled.keep(self.run.paths.worktree)
            verdict = Verdict("keep", "the baseline" if candidate.number == 0 else "a new baseline")
        elif isinstance(measured, Metrics):
            verdict = self._judge(candidate, measured)
            if verdict.status == "keep":
                flag = self._flag(measured)
                if flag:
                    yield Event("notice", flag, candidate.number)
                measured = self._verified(candidate, measured, full=bool(flag))
        if isinstance(measured, Crash):
            verdict = Verdict("crash", measured.reason, measured.failure)
        experiment = yield from self._record(candidate, verdict, measured, outcome.seconds, flag)
        return experiment

    def _failed_baseline(self, candidate: Candidate, crash: Crash) -> LabError:
        return failed_baseline(self.run, candidate, crash, jailed=self.sandbox.jailed)

    def _verified(
        self, candidate: Candidate, measured: Metrics | Crash, full: bool = False
    ) -> Metrics | Crash:
        """What an examiner measured, once the probes hold; anything else as it is."""
        if isinstance(measured, Crash) or measured.evidence == "claimed":
            return measured
        return verify(self.trials, candidate, measured, full, self.stopping)

    def _flag(self, measured: Metrics) -> str:
        """Why a person should look at a gain; "" where it is like others."""
        kept = [e.value for e in self.run.state.experiments if e.status == "keep"]
        values = [value for value in kept if value is not None]
        gains = [abs(b - a) for a, b in itertools.pairwise(values)]
        assert self.run.incumbent.value is not None
        unheard = keep.unheard(measured.value, self.run.incumbent.value, gains)
        return unheard or keep.slow(measured.summary, self.run.state.calibration or {})

    def _judge(self, candidate: Candidate, measured: Metrics) -> Verdict:
        verdict = keep.strict(
            measured,
            self.run.incumbent.value,
            self.run.config.task.metric.direction,
            candidate.deletes_only,
        )
        if verdict.status == "keep" and self.run.moved_by_hand():
            return Verdict(
                "discard", f"{verdict.reason}, but the branch was moved by hand meanwhile"
            )
        if verdict.status == "keep":
            refusal = hook.refusal(self.run, candidate, self.stopping)
            if refusal is not None:
                return Verdict("discard", refusal)
        return verdict

    def _record(
        self,
        candidate: Candidate,
        verdict: Verdict,
        measured: Metrics | Crash,
        seconds: float,
        flag: str = "",
    ) -> Generator[Event, None, Experiment]:
        pending = self.run.state.open
        assert pending is not None
        found = measured if isinstance(measured, Metrics) else None
        experiment = Experiment(
            candidate.number, candidate.commit, candidate.parent, verdict.status,
            candidate.description, verdict.reason,
            value=found.value if found else None,
            memory_mb=found.memory_mb if found else None,
            failure=verdict.failure,
            hypothesis=candidate.hypothesis,
            lesson=candidate.lesson,
            researcher=pending.researcher or pending.by,
            seconds=seconds,
            usage=_sum([answer.usage for answer in pending.answers]),
            at=self.run.now(),
            sandbox=self.trials.sandbox.text,
            summary=found.summary if found else {},
            fingerprint=found.fingerprint if found else "",
            device=found.device if found else "",
            claimed=found.claimed if found else None,
            evidence=found.evidence if found else "claimed",
            flag=flag,
        )  # fmt: skip
        extra: dict[str, Any] = {}
        if pending.by == "baseline":
            extra = {"frozen": {**self.run.measured(), "sandbox": self.trials.sandbox.mark}}
            extra["calibration"] = found.calibration if found else None
        self.run.note("result", n=candidate.number, **result_fields(experiment), **extra)
        experiment = self.run.state.experiments[-1]
        self.run.files.write_result(experiment)
        yield Event("verdict", verdict.reason, candidate.number, experiment)
        yield from self.run.settle()
        return experiment

    def give_up(self, candidate: Candidate) -> Generator[Event, None, Experiment]:
        """The verdict on a candidate that brought the supervisor down again and again."""
        crash = Crash("interrupted", f"the supervisor died in {_UNCLEAN_TRIALS} trials of it")
        if self.run.state.in_baseline:
            raise self._failed_baseline(candidate, crash)
        return (yield from self._record(
            candidate, Verdict("crash", crash.reason, crash.failure), crash, 0.0
        ))  # fmt: skip

    @property
    def hopeless(self) -> bool:
        """Whether the candidate under way was started too often without an end."""
        return self.run.state.open is not None and self.run.state.open.trials >= _UNCLEAN_TRIALS


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
