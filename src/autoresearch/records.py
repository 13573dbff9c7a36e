"""The nouns of a run. Frozen, without behaviour.

`None` means that there is no value; 0 and -1 never do. The sentinel values of results.tsv
(0.000000 for a crash) exist at the file's edge alone, in ledger/results.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Status = Literal["keep", "discard", "crash"]
Direction = Literal["minimize", "maximize"]

# What a value rests on: what the trial says; what the lab's `evaluate` says; an exam; an exam and the
# probes after it.
Evidence = Literal["claimed", "evaluated", "examined", "verified"]

# How a trial failed. One word each: it stands in record.json and in the report.
Failure = Literal[
    "timeout",  # killed at timeout_s
    "oom",  # out of memory
    "nan",  # the metric or the loss was not finite
    "no_summary",  # no line with the metric, or a malformed one
    "two_summaries",  # more than one line with the metric
    "exit",  # non-zero exit, or killed by a signal that was not ours
    "setup",  # the build before the trial failed
    "tampered",  # a tracked or read-only file, HEAD, or the fingerprint was changed by the trial
    "budget",  # tokens or seconds over the budget, start-up or exam over their allowance
    "exam",  # no examination that came to its end: no model handed over, answers that are none
    "probe",  # before a keep: replay, rows, twin or vault showed that the score is no honest one
    "log",  # the log outgrew the limit
    "evaluate",  # the lab's `evaluate` failed on what the trial left
    "limit",  # of a discard: a number is beyond one of the lab's limits
    "check",  # of a discard: one of the lab's checks failed
    "hook",  # of a discard: the lab's pre-commit hook refused it
    "held",  # of a discard: too good to be true, until a person accepts it
    "interrupted",  # the supervisor died during this candidate's trial again and again
    "fault",  # the tool failed at this candidate again and again, and not at the incumbent
]


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost; None where the researcher does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """One path as the proposal wants it: its whole new bytes, or None to delete it.

    mode is git's: "100644", "100755", "120000" (symlink), "160000" (submodule); the guard
    decides which of them may pass. None keeps the mode that the path has, or 100644.
    """

    path: str
    content: bytes | None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a researcher returned, as it is journaled, before anything is parsed.

    edits is None where the proposal is in the text (an LLM's blocks); a program that edits
    the worktree has its edits here. stopped is the provider's word for why it ended the answer before
    the model did; None where the model came to its end. strays names what changed of the user's own
    while a program worked; notes say what of its files was dropped.
    """

    text: str
    usage: Usage = Usage()
    edits: tuple[Edit, ...] | None = None
    stopped: str | None = None
    strays: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a researcher wants to change, and why."""

    description: str
    edits: tuple[Edit, ...]
    hypothesis: str = ""
    lesson: str = ""  # about the experiment before
    notes: tuple[str, ...] = ()  # what of the answer was passed over, for the screen


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal applied and committed: what a trial runs."""

    number: int
    commit: str
    parent: str
    tree: str
    description: str
    hypothesis: str = ""
    lesson: str = ""
    deletes_only: bool = False  # the diff against the parent only deletes lines


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended. exit_code is negative for a signal, None where it never ended by itself.

    peak_rss_mb is the largest resident memory of one of its processes, cpu_s the processor time of all.
    """

    seconds: float
    exit_code: int | None
    timed_out: bool = False
    interrupted: bool = False
    setup_failed: bool = False
    log_overflow: bool = False
    launcher_killed: bool = False
    started: bool = True  # whether the last command could be started at all
    survivors: int = 0  # processes left after the kill; anything but 0 is a fault of ours
    tampered: str | None = None  # what the trial changed and must not
    peak_rss_mb: float | None = None
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a trial was worth: the metric's value, and what else its log says.

    summary holds every `key: number` line of the log whose key stands there once. memory_mb is None,
    and fingerprint and device (texts of the harness) are "", where the log has no such line or several.
    With an exam, value is the examiner's, claimed is what the trial printed, and calibration holds the
    readings that later exams are compared with (ratchet/verification.py).
    """

    value: float
    memory_mb: float | None = None
    summary: dict[str, float] = field(default_factory=dict)
    fingerprint: str = ""
    device: str = ""
    claimed: float | None = None
    evidence: Evidence = "claimed"
    calibration: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Crash:
    """Why there are no metrics."""

    failure: Failure
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """keep, discard or crash, and why."""

    status: Status
    reason: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of the results, with what the row has no room for."""

    number: int
    commit: str
    parent: str
    status: Status
    description: str
    reason: str
    value: float | None = None
    memory_mb: float | None = None
    failure: Failure | None = None
    hypothesis: str = ""
    lesson: str = ""
    researcher: str = ""
    seconds: float = 0.0
    usage: Usage = Usage()
    at: float = 0.0  # Unix time of the verdict
    sandbox: str = "none"
    summary: dict[str, float] = field(default_factory=dict)
    fingerprint: str = ""  # of data and harness: the examiner's, else as the trial printed it
    device: str = ""
    claimed: float | None = None
    evidence: Evidence = "claimed"
    flag: str = ""  # what a person should look at before believing the value
    python: str | None = (
        None  # what the word meant in the lab's commands; None: nothing, or what PATH had
    )
    abbreviated: str | None = None  # the commit as git abbreviated it when the row was written

    @property
    def short(self) -> str:
        """The commit as people are shown it: 7 digits in a journal that does not say."""
        return self.abbreviated or self.commit[:7]

    @property
    def is_baseline(self) -> bool:
        """Whether it is the incumbent as it was, and no candidate: experiment 0, or a person's commit."""
        return self.researcher == "baseline"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run, for the screen and the tests.

    kind is one of: start, baseline, estimate, ask, again, wait, refused, candidate, progress,
    verdict, notice, stop.
    """

    kind: str
    text: str = ""
    number: int | None = None
    experiment: Experiment | None = None
    data: dict[str, float] = field(default_factory=dict)
    detail: str = ""  # a candidate's hypothesis


# Whoever is told of events: the screen, a tracker, a test.
Sink: TypeAlias = Callable[[Event], None]
