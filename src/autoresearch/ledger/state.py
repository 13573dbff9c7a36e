"""The journal's records -> the state of a run. Pure.

run       the run was made: tag, base commit, task
session   a process began to drive it: limits, researcher, sandbox
ask       the researcher is asked for experiment n, on a parent commit
answer    it answered; journaled before it is parsed
spent     an answer broke off; what is known of its cost
refused   its answers made no proposal: a failure without a row
candidate a proposal was committed (n = 0, or `by` = "baseline": the incumbent as it is)
trial     a trial of it was started
pause     the trial was stopped on purpose (Ctrl-C): it does not count against the candidate
failed    a baseline's trial failed: no row, the user mends it
result    the verdict: the commit point of an experiment
stop      the session ended, and why
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from autoresearch.records import Answer, Candidate, Edit, Experiment, Usage

Record = dict[str, Any]


@dataclass
class Open:
    """The experiment under way: what was asked, answered, committed and started of it."""

    number: int
    parent: str
    at: float
    researcher: str = ""
    by: str = "run"
    answers: list[Answer] = field(default_factory=list)
    spent: list[Usage] = field(default_factory=list)  # on answers that broke off
    candidate: Candidate | None = None
    trials: int = 0  # starts in which the supervisor died: no verdict, no pause, no stop
    running: bool = False  # the last start has not ended yet
    trial: Record | None = None  # the last start, to clean up after
    checkout: Record | None = None


@dataclass
class State:
    """A run, as its journal tells it."""

    tag: str = ""
    base: str = ""
    task: str | None = None
    frozen: Record | None = None  # the measured part of the task, fixed by the baseline
    experiments: list[Experiment] = field(default_factory=list)
    incumbent: Experiment | None = None
    fingerprint: str = ""  # of data and harness; the first baseline that printed one has set it
    calibration: Record | None = None  # what the last baseline's examination showed
    open: Open | None = None
    refusals: list[str] = field(default_factory=list)  # since the last experiment
    refused: int = 0
    answers: list[tuple[int, str]] = field(default_factory=list)
    asked: int = 0
    trees: dict[str, int] = field(default_factory=dict)
    usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0  # spent by sessions
    session: Record | None = None
    stop: Record | None = None
    checkout: Record | None = None  # root, head, and path -> blob that later edits are made from
    last_at: float = 0.0

    @classmethod
    def of(cls, records: Iterable[Record]) -> State:
        """Fold a whole journal."""
        state = cls()
        for record in records:
            state.add(record)
        return state

    def add(self, record: Record) -> None:
        """Fold one more record."""
        if self.session is not None and record["kind"] != "session" and self.stop is None:
            self.seconds += max(0.0, record["at"] - self.last_at)
        self.last_at = record["at"]
        getattr(self, f"_{record['kind']}")(record)

    def _run(self, record: Record) -> None:
        self.tag, self.base, self.task = record["tag"], record["base"], record["task"]

    def _session(self, record: Record) -> None:
        self.session, self.stop = record, None
        if self.open is not None:
            self.open.running = False

    def _stop(self, record: Record) -> None:
        self.stop = record
        self._pause(record)  # a full disk, say: the supervisor lived, the candidate is not to blame

    def _ask(self, record: Record) -> None:
        self.open = Open(
            record["n"], record["parent"], record["at"], record["researcher"], record["by"],
            checkout=record.get("checkout"),
        )  # fmt: skip

    def _answer(self, record: Record) -> None:
        assert self.open is not None
        answer = answer_of(record)
        self.open.answers.append(answer)
        self.asked += 1
        self._pay(answer.usage)

    def _spent(self, record: Record) -> None:
        usage = Usage(**record["usage"])
        if self.open is not None:
            self.open.spent.append(usage)
        self._pay(usage)

    def _pay(self, usage: Usage) -> None:
        self.usd += usage.usd or 0.0
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0

    def _refused(self, record: Record) -> None:
        self.open = None
        self.refusals.append(record["reason"])
        self.refused += 1

    def _candidate(self, record: Record) -> None:
        candidate = Candidate(
            **{key: record[key] for key in Candidate.__slots__ if key not in ("number",)},
            number=record["n"],
        )
        asked = (self.open.number, self.open.by) if self.open else None
        if asked != (candidate.number, record["by"]):  # an ask that a person's commit overtook
            self.open = Open(candidate.number, candidate.parent, record["at"], by=record["by"])
        assert self.open is not None
        self.open.candidate = candidate

    def _trial(self, record: Record) -> None:
        assert self.open is not None
        self.open.trial = record
        self.open.trials += 1
        self.open.running = True

    def _verification(self, record: Record) -> None:
        assert self.open is not None
        self.open.trial = record  # the one to clean up after; it is the candidate's same try

    def _pause(self, record: Record) -> None:
        if self.open is not None and self.open.running:
            self.open.trials -= 1
            self.open.running = False

    def _failed(self, record: Record) -> None:
        self.open = None

    def _rewound(self, record: Record) -> None:
        self.checkout = record["checkout"]

    def _result(self, record: Record) -> None:
        experiment = experiment_of(record)
        if self.open is not None and self.open.checkout and experiment.status == "keep":
            self.checkout = self.open.checkout
        if self.open is not None and self.open.answers:
            self.answers.append((experiment.number, self.open.answers[-1].text))
        if self.open is not None and self.open.candidate is not None:
            self.trees[self.open.candidate.tree] = len(self.experiments)
        self.open = None
        self.refusals = []
        self.experiments.append(experiment)
        if experiment.status == "keep":
            self.incumbent = experiment
        if "frozen" in record:  # a baseline
            self.frozen = record["frozen"]
            self.fingerprint = self.fingerprint or experiment.fingerprint
            self.calibration = record.get("calibration")

    @property
    def in_baseline(self) -> bool:
        """Whether what is under way is a baseline."""
        return self.open is not None and self.open.by == "baseline"

    @property
    def next_number(self) -> int:
        return self.experiments[-1].number + 1 if self.experiments else 0

    @property
    def kept(self) -> list[str]:
        """Every commit that the branch has stood on, oldest first."""
        return [self.base, *(e.commit for e in self.experiments if e.status == "keep")]


def answer_fields(answer: Answer) -> Record:
    """An answer as the journal keeps it."""
    fields: Record = {"text": answer.text, "usage": asdict(answer.usage)}
    if answer.edits is not None:
        fields["edits"] = [
            [e.path, None if e.content is None else base64.b64encode(e.content).decode(), e.mode]
            for e in answer.edits
        ]
    return fields


def answer_of(record: Record) -> Answer:
    """The answer in a journal's record."""
    edits = record.get("edits")
    return Answer(
        record["text"],
        Usage(**record["usage"]),
        None
        if edits is None
        else tuple(
            Edit(path, None if content is None else base64.b64decode(content), mode)
            for path, content, mode in edits
        ),
    )


def experiment_of(record: Record) -> Experiment:
    """The experiment in a result's record."""
    fields = {key: record[key] for key in Experiment.__slots__ if key in record}
    return Experiment(**{**fields, "number": record["n"], "usage": Usage(**record["usage"])})


def result_fields(experiment: Experiment) -> Record:
    """An experiment as the journal keeps it."""
    fields = asdict(experiment)
    fields.pop("number")
    fields.pop("at")
    return fields
