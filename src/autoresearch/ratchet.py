"""The ratchet: `ask` hands out the next candidate, `tell` takes how its trial ended and returns the verdict.

Serial runs, `try`, and later slots and queues are drivers around these two verbs (drive.py). Every
step is journaled before the next begins, and `recover` brings a run from whatever point it was
killed at to where it can go on, so that the same rows, refs and branch come out:

    ask -> answer -> candidate -> trial -> result (the commit point) -> refs, branch, files

What follows the result is a projection of the journal: made again on every start, by `settle`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoresearch import judge, metrics
from autoresearch.brief import brief_of
from autoresearch.errors import BadAnswer, InfrastructureError, LabError, Outage, ResearcherError
from autoresearch.guard import changes_code, refusals
from autoresearch.ledger.state import answer_fields, result_fields
from autoresearch.paths import cache_dir, candidate_ref
from autoresearch.records import (
    Answer,
    Candidate,
    Crash,
    Edit,
    Event,
    Experiment,
    Metrics,
    Outcome,
    Proposal,
    Usage,
    Verdict,
)  # fmt: skip
from autoresearch.researchers.base import Brief, Researcher, Turn
from autoresearch.researchers.prompt import render
from autoresearch.run import Run
from autoresearch.runners.base import Runner, TrialSpec
from autoresearch.runners.environment import trial_environment
from autoresearch.text import one_line
from autoresearch.workspace.repository import Tree

_UNCLEAN_TRIALS = 3  # starts without an end after which the candidate is what brings us down
_FULL_DISK_BYTES = 64 << 20
_DESCRIPTION = 200
_PATIENCE_S = (1.0, 300.0)  # the first pause after an outage, and the longest; it doubles


@dataclass
class Ratchet:
    """The two verbs over one run.

    environment: the user's, as it was at the start; description: of proposals whose researcher
    gives none; breaking: the context in which Ctrl-C may break in.
    """

    run: Run
    runner: Runner
    environment: dict[str, str]
    description: str = ""
    breaking: Callable[[], AbstractContextManager[None]] = nullcontext

    def __post_init__(self) -> None:
        self._laid_out: Tree = {}
        self._scratch: Path | None = None

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
        return self._accept(candidate, "baseline")

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
                    answer = yield from self._answer(researcher, prompt, brief, tuple(turns))
                    self.run.note("answer", n=number, **answer_fields(answer))
                answer = pending.answers[attempt]
                self.run.files.write_answer(number, answer.text)
                return self._commit(researcher.read(answer, brief), pending.at)
            except BadAnswer as bad:
                last = pending.answers[attempt].text if attempt < len(pending.answers) else ""
                turns.append(Turn(last, str(bad)))
                if attempt == len(pending.answers):
                    break  # there was no answer at all that could be told what is wrong with it
        self.run.note("refused", n=number, reason=turns[-1].error)
        yield Event("refused", turns[-1].error, number)
        return None

    def _answer(
        self, researcher: Researcher, prompt: str, brief: Brief, turns: tuple[Turn, ...]
    ) -> Generator[Event, None, Answer]:
        """One answer; outages and rate limits are sat out, for hours if need be."""
        brief = replace(brief, asked=self.run.state.asked)
        pause_s, longest_s = _PATIENCE_S
        began, limit_s = time.monotonic(), self.run.config.researcher.retry_hours * 3600
        while True:
            try:
                with self.breaking():
                    return researcher.propose(prompt, brief, turns)
            except Outage as outage:
                asked_s = outage.retry_after_s
                wait_s = pause_s if asked_s is None else max(asked_s, _PATIENCE_S[0])
                waited_s = time.monotonic() - began
                if waited_s + wait_s > limit_s:
                    raise ResearcherError(
                        f"{researcher.kind} could not be reached for {waited_s / 3600:.1f} h "
                        f"(researcher.retry_hours = {self.run.config.researcher.retry_hours:g}): {outage}. "
                        "Nothing is lost; call autoresearch run again when it is back"
                    ) from None
                yield Event("wait", str(outage), data={"seconds": wait_s})
                with self.breaking():
                    time.sleep(wait_s)
                pause_s = min(2 * pause_s, longest_s)

    def _commit(self, proposal: Proposal, at: float, by: str = "run") -> Candidate:
        """The guard, and then exactly the bytes that it saw, committed; BadAnswer where it refuses."""
        parent = self.run.incumbent
        tree = self.run.repo.tree(parent.commit)
        edits = self._guard(proposal.edits, tree)
        number = self.run.state.next_number
        paths = ", ".join(one_line(edit.path) for edit in edits)
        description = proposal.description or self.description or f"edit {paths}"[:_DESCRIPTION]
        message = (
            f"{description}\n\n{proposal.hypothesis}".strip()
            + f"\n\nAutoresearch-Experiment: {self.run.tag}/{number:04d}\n"
        )
        commit, tree_id = self.run.repo.commit(
            parent.commit, edits, message, at, self.run.paths.index
        )
        twin = self.run.state.trees.get(tree_id)
        if twin is not None:
            earlier = self.run.state.experiments[twin]
            value = (
                ""
                if earlier.value is None
                else f", {self.run.config.task.metric.name} {earlier.value:g}"
            )
            raise BadAnswer(
                f"this makes the same files as experiment {twin} ({earlier.description}: "
                f"{earlier.status}{value}); propose something that was not tried"
            )
        ref = candidate_ref(self.run.tag, number)
        self.run.repo.set_ref(ref, commit, self.run.repo.resolve(ref))
        candidate = Candidate(
            number, commit, parent.commit, tree_id, description, proposal.hypothesis,
            proposal.lesson, self.run.repo.only_deletes(parent.commit, commit),
        )  # fmt: skip
        return self._accept(candidate, by)

    def _guard(self, edits: tuple[Edit, ...], tree: Tree) -> list[Edit]:
        modes = {path: mode for path, (mode, _) in tree.items()}
        blobs = self.run.repo.blobs(
            tree[e.path][1] for e in edits if e.path in tree and tree[e.path][0] != "160000"
        )

        def content(path: str) -> bytes | None:
            return blobs.get(tree[path][1]) if path in tree else None

        reasons = refusals(edits, self.run.rules, modes, lambda path: content(path) or b"")
        if reasons:
            raise BadAnswer("the guard refused the change: " + "; ".join(reasons))
        changed = [e for e in edits if e.content != content(e.path)]
        if not changed:
            raise BadAnswer("the change leaves every file as it is")
        if not any(changes_code(e.path, content(e.path), e.content) for e in changed):
            raise BadAnswer(
                "the change touches comments and layout alone; there is nothing to measure"
            )
        return changed

    def _accept(self, candidate: Candidate, by: str) -> Candidate:
        fields = {k: getattr(candidate, k) for k in Candidate.__slots__ if k != "number"}
        if by == "baseline":
            ref = candidate_ref(self.run.tag, candidate.number)
            self.run.repo.set_ref(ref, candidate.commit, self.run.repo.resolve(ref))
        self.run.note("candidate", n=candidate.number, by=by, **fields)
        patch = self.run.repo.patch(candidate.parent, candidate.commit)
        self.run.files.write_patch(candidate.number, patch)
        self.run.files.write_tables(self.run.state)
        return candidate

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
            return self._commit(proposal, self.run.state.last_at, "try")
        except BadAnswer as bad:
            self.run.note("refused", n=number, reason=str(bad))
            raise LabError(str(bad)) from None

    # -- the trial ----------------------------------------------------------------------------

    def prepare(self, candidate: Candidate) -> TrialSpec:
        """Lay the candidate out in the worktree; what the runner is to run."""
        task = self.run.config.task
        self._laid_out = self.run.worktree.lay_out(candidate.commit)
        self.run.paths.running_log.unlink(missing_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix="autoresearch-"))
        env = trial_environment(
            self.environment, candidate.number, self._scratch, cache_dir(), task.env_pass
        )
        commands = tuple(tuple(c) for c in (task.setup, task.command) if c)
        return TrialSpec(
            commands, self.run.paths.worktree, env, self.run.paths.running_log, task.timeout_s
        )

    # -- tell ---------------------------------------------------------------------------------

    def tell(
        self, candidate: Candidate, outcome: Outcome
    ) -> Generator[Event, None, Experiment | None]:
        """The verdict on a candidate whose trial ended; None where the trial was stopped on purpose.

        Raises LabError for a baseline that fails, InfrastructureError where the disk is full.
        """
        outcome = replace(
            outcome, tampered=self.run.worktree.tampered(candidate.commit, self._laid_out)
        )
        self._drop_scratch()
        self.run.files.write_log(candidate.number)
        if outcome.interrupted:
            self.run.note("pause", n=candidate.number)
            return None
        measured = self._measure(outcome)
        by_hand = self.run.state.open is not None and self.run.state.open.by == "baseline"
        if isinstance(measured, Crash):
            if by_hand:
                self.run.note("failed", n=candidate.number, reason=measured.reason)
                raise LabError(self._failed_baseline(candidate, measured))
            verdict = Verdict("crash", measured.reason, measured.failure)
        elif by_hand:
            verdict = Verdict("keep", "the baseline" if candidate.number == 0 else "a new baseline")
        else:
            verdict = self._judge(candidate, measured)
        experiment = yield from self._record(candidate, verdict, measured, outcome.seconds)
        return experiment

    def _drop_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _measure(self, outcome: Outcome) -> Metrics | Crash:
        """The trial's metrics; a full disk is the machine's fault and never a candidate's crash."""
        log, task = self.run.paths.running_log, self.run.config.task
        measured = metrics.judge_outcome(outcome, log, task.metric, task.timeout_s)
        if (
            isinstance(measured, Crash)
            and shutil.disk_usage(self.run.paths.state).free < _FULL_DISK_BYTES
        ):
            raise InfrastructureError(
                f"{self.run.paths.state}: the disk is full; make room and call autoresearch run again: "
                "the candidate is tried again then"
            )
        return measured

    def _judge(self, candidate: Candidate, measured: Metrics) -> Verdict:
        verdict = judge.strict(
            measured,
            self.run.incumbent.value,
            self.run.config.task.metric.direction,
            candidate.deletes_only,
        )
        if verdict.status == "keep":
            refusal = self.run.worktree.hook_refusal(candidate.parent, candidate.commit)
            if refusal is not None:
                return Verdict("discard", refusal)
        return verdict

    def _record(
        self, candidate: Candidate, verdict: Verdict, measured: Metrics | Crash, seconds: float
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
            sandbox=self.runner.sandbox,
            summary=found.summary if found else {},
        )  # fmt: skip
        extra = {"frozen": self.run.measured()} if pending.by == "baseline" else {}
        self.run.note("result", n=candidate.number, **result_fields(experiment), **extra)
        experiment = self.run.state.experiments[-1]
        self.run.files.write_result(experiment)
        yield Event("verdict", verdict.reason, candidate.number, experiment)
        yield from self.run.settle()
        return experiment

    def give_up(self, candidate: Candidate) -> Generator[Event, None, Experiment]:
        """The verdict on a candidate that brought the supervisor down again and again."""
        crash = Crash("interrupted", f"the supervisor died in {_UNCLEAN_TRIALS} trials of it")
        return (yield from self._record(
            candidate, Verdict("crash", crash.reason, crash.failure), crash, 0.0
        ))  # fmt: skip

    @property
    def hopeless(self) -> bool:
        """Whether the candidate under way was started too often without an end."""
        return self.run.state.open is not None and self.run.state.open.trials >= _UNCLEAN_TRIALS

    def _failed_baseline(self, candidate: Candidate, crash: Crash) -> str:
        log = self.run.paths.experiment(candidate.number) / "trial.log"
        tail = metrics.tail(metrics.lines(log), 10, 1000) if log.exists() else ""
        return (
            f"the baseline failed ({crash.failure}): {crash.reason}. Its log: {log}\n{tail}\n"
            f"Mend it, commit on autoresearch/{self.run.tag}, and call: autoresearch run"
        )


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
