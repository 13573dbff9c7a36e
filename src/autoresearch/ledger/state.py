"""The journal's records -> the state of a run. Pure.

run       the run was made: tag, base commit, task, format of the journal, release
session   a process began to drive it: researcher, sandbox, format of the journal, release
ask       the researcher is asked for experiment n in a slot, on a parent commit
answer    it answered; journaled before it is parsed
spent     an answer broke off; what is known of its cost
refused   its answers made no proposal: a failure without a row
candidate a proposal was committed (n = 0, or `by` = "baseline": the incumbent as it is)
trial     a trial of it was started
evaluation    the lab's `evaluate` was started on what the trial left
verification  a further trial of it was started, before a keep
check     one of the lab's checks was started, before a keep
pause     the trial was stopped on purpose (Ctrl-C): it does not count against the candidate
fault     the tool failed at a candidate's trial; whose fault it is the incumbent's trial shows
incumbent that trial: `runs` says whether it ran
failed    a baseline's trial failed: no row, the user mends it
result    the verdict: the commit point of an experiment
accepted  a person took a held experiment for the incumbent
rewound   edits that lost made way for the incumbent in the checkout
stop      the session ended, and why

A record may hold fields that this release does not know, which are passed over, and lack those that
have a default here. A record of an unknown kind, one without a field that has no default, and a
journal of a later format are a JournalError of one line.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from autoresearch.errors import JournalError
from autoresearch.ledger.codec import answer_of, candidate_of, experiment_of, usage_of
from autoresearch.ledger.pending import Pending, put_off
from autoresearch.records import Experiment, Usage

# 1 is that of the release of 2026-11-21, which wrote no number and knew no slots.
FORMAT = 2

Record = dict[str, Any]


class _Fields(Record):
    """A record whose missing fields are a JournalError."""

    def __missing__(self, key: str) -> Any:
        raise JournalError(f"a record of the kind {self['kind']!r} lacks the field {key!r}")


@dataclass
class State:
    """A run, as its journal tells it."""

    tag: str = ""
    base: str = ""
    task: str | None = None
    folder: str = ""  # of the lab, from the repository's top
    frozen: Record | None = None  # the settings that results hang on, fixed by the baseline
    experiments: list[Experiment] = field(default_factory=list)  # in the order of their verdicts
    incumbent: Experiment | None = None
    held: Experiment | None = None  # the last one that a person accepted, as it was before
    fingerprint: str = ""  # of data and harness; the first baseline that printed one has set it
    calibration: Record | None = None  # what the last baseline's examination showed
    open: dict[int, Pending] = field(default_factory=dict)  # by number, in the order of asking
    refusals: list[str] = field(default_factory=list)  # since the last experiment
    refused: int = 0
    answers: list[tuple[int, str]] = field(default_factory=list)
    asked: int = 0
    trees: dict[str, Experiment] = field(default_factory=dict)
    tries: list[tuple[Record, Experiment]] = field(default_factory=list)  # the edits of each try
    usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0  # spent by sessions
    session: Record | None = None
    stop: Record | None = None
    checkout: Record | None = None  # root, head, and path -> blob that later edits are made from
    last_at: float = 0.0
    release: str = ""  # that wrote the last run or session record
    format: int = FORMAT  # of the last run or session record
    baseline_format: int | None = None  # in which the last baseline was written

    @classmethod
    def of(cls, records: Iterable[Record], where: str = "the journal") -> State:
        """Fold a whole journal; `where` names it in a JournalError."""
        state = cls()
        for line, record in enumerate(records, 1):
            try:
                state.add(record)
            except JournalError as fault:
                raise JournalError(
                    state._of_another_release(f"{where}, line {line}: {fault}")
                ) from None
        return state

    def add(self, record: Record) -> None:
        """Fold one more record."""
        fields = _Fields(record)
        fold = _FOLDS.get(record.get("kind", ""))
        if fold is None:
            raise JournalError(f"this release knows no record of the kind {record.get('kind')!r}")
        if self.session is not None and record["kind"] != "session" and self.stop is None:
            self.seconds += max(0.0, fields["at"] - self.last_at)
        self.last_at = fields["at"]
        fold(self, fields)

    def _of_another_release(self, what: str) -> str:
        release = f" ({self.release})" if self.release else ""
        return (
            f"{what}. It was written by another release of autoresearch{release}: go on with that "
            f"one, or start another run from its tip: autoresearch init TAG --from "
            f"autoresearch/{self.tag or 'OLD'}"
        )

    # -- the kinds of records -----------------------------------------------------------------

    def _run(self, record: Record) -> None:
        self._written_by(record)
        self.tag, self.base, self.task = record["tag"], record["base"], record.get("task")
        self.folder = record.get("folder", "")

    def _session(self, record: Record) -> None:
        self._written_by(record)
        self.session, self.stop = record, None
        for pending in self.open.values():
            pending.running = False

    def _written_by(self, record: Record) -> None:
        self.release, self.format = record.get("version", self.release), record.get("format", 1)
        if self.format > FORMAT:
            raise JournalError(
                f"the journal has the format {self.format}, and this release reads up to {FORMAT}"
            )

    def _stop(self, record: Record) -> None:
        self.stop = record
        for pending in self.open.values():  # of a full disk, say, no candidate is to blame
            put_off(pending)

    def _ask(self, record: Record) -> None:
        number = record["n"]
        self.open[number] = Pending(
            number, record["parent"], record["at"], record.get("researcher", ""),
            record.get("by", "run"), record.get("slot", 0), checkout=record.get("checkout"),
        )  # fmt: skip

    def _answer(self, record: Record) -> None:
        answer = answer_of(record)
        self._pending(record).answers.append(answer)
        self.asked += 1
        self._pay(answer.usage)

    def _spent(self, record: Record) -> None:
        usage = usage_of(record)
        if record["n"] in self.open:
            self.open[record["n"]].spent.append(usage)
        self._pay(usage)

    def _pay(self, usage: Usage) -> None:
        self.usd += usage.usd or 0.0
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0

    def _refused(self, record: Record) -> None:
        self.open.pop(record["n"], None)
        self.refusals.append(record["reason"])
        self.refused += 1

    def _candidate(self, record: Record) -> None:
        candidate, by = candidate_of(record), record.get("by", "run")
        if by == "baseline":  # a person's commit overtook whatever was under way
            self.open.clear()
        pending = self.open.get(candidate.number)
        if pending is None or pending.by != by:
            pending = Pending(candidate.number, candidate.parent, record["at"], by=by)
            self.open[candidate.number] = pending
        pending.candidate = candidate

    def _trial(self, record: Record) -> None:
        pending = self._pending(record)
        pending.trial = record
        pending.trials += 1
        pending.running = True

    def _verification(self, record: Record) -> None:
        self._pending(record).trial = record  # to clean up after: it is the same try

    def _pause(self, record: Record) -> None:
        if record["n"] in self.open:
            put_off(self.open[record["n"]])

    def _fault(self, record: Record) -> None:
        pending = self._pending(record)
        put_off(pending)
        pending.faults.append(record["reason"])

    def _incumbent(self, record: Record) -> None:
        pending = self._pending(record)
        pending.incumbent_runs = record["runs"]
        if not record["runs"]:
            pending.faults.clear()  # they were the machine's

    def _failed(self, record: Record) -> None:
        self.open.pop(record["n"], None)

    def _rewound(self, record: Record) -> None:
        self.checkout = record["checkout"]

    def _result(self, record: Record) -> None:
        experiment = experiment_of(record)
        pending = self.open.pop(experiment.number, None)
        if pending is not None:
            if pending.checkout:
                self.tries.append((pending.checkout, experiment))
            if pending.checkout and experiment.status == "keep":
                self.checkout = pending.checkout
            if pending.answers:
                self.answers.append((experiment.number, pending.answers[-1].text))
            if pending.candidate is not None:
                self.trees[pending.candidate.tree] = experiment
        self.refusals = []
        self.experiments.append(experiment)
        if experiment.status == "keep":
            self.incumbent = experiment
        if "frozen" in record:  # a baseline
            self.frozen, self.baseline_format = record["frozen"], self.format
            self.fingerprint = self.fingerprint or experiment.fingerprint
            self.calibration = record.get("calibration")

    def _accepted(self, record: Record) -> None:
        """The row of the experiment becomes a keep, where it stands."""
        number = record["n"]
        at = next((i for i, each in enumerate(self.experiments) if each.number == number), None)
        if at is None:
            raise JournalError(f"experiment {number} was accepted, and has no verdict")
        self.held = self.experiments[at]
        accepted = replace(
            self.held, status="keep", reason=record["reason"], failure=None,
            commit=record["commit"], parent=record["parent"], abbreviated=record["abbreviated"],
        )  # fmt: skip
        self.experiments[at] = self.incumbent = accepted
        for tree, experiment in self.trees.items():
            if experiment.number == number:
                self.trees[tree] = accepted

    def _pending(self, record: Record) -> Pending:
        if record["n"] not in self.open:
            raise JournalError(
                f"a record of the kind {record['kind']!r} is about experiment {record['n']}, which "
                "is not under way"
            )
        return self.open[record["n"]]

    # -- what is asked of it ------------------------------------------------------------------

    def experiment(self, number: int) -> Experiment | None:
        """Returns the experiment of a number, once it has its verdict."""
        return next((each for each in self.experiments if each.number == number), None)

    @property
    def next_number(self) -> int:
        """The lowest number that no row has and nothing under way."""
        taken = {each.number for each in self.experiments} | self.open.keys()
        return next(number for number in itertools.count() if number not in taken)

    @property
    def next_baseline(self) -> int:
        """The number of a new baseline, which overtakes whatever is under way."""
        return max((each.number + 1 for each in self.experiments), default=0)

    def before_acceptance(self) -> State | None:
        """Returns the run as it was before a person accepted an experiment last; None where none was."""
        held = self.held
        if held is None:
            return None
        rows = [held if each.number == held.number else each for each in self.experiments]
        return replace(self, experiments=rows)

    @property
    def waiting(self) -> list[Experiment]:
        """The experiments that are held until a person accepts them."""
        return [each for each in self.experiments if each.failure == "held"]

    @property
    def kept(self) -> list[str]:
        """Every commit that the branch has stood on, oldest first."""
        return [self.base, *(e.commit for e in self.experiments if e.status == "keep")]


_FOLDS: dict[str, Callable[[State, Record], None]] = {
    kind: getattr(State, f"_{kind}")
    for kind in (
        "run", "session", "ask", "answer", "spent", "refused", "candidate", "trial", "verification",
        "pause", "fault", "incumbent", "failed", "result", "accepted", "rewound", "stop",
    )
}  # fmt: skip
_FOLDS["evaluation"] = _FOLDS["check"] = _FOLDS["verification"]
