"""Who is right about the end of a trial, its exit or its examiner."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.config import TaskConfig
from autoresearch.ratchet.evaluation import evaluation
from autoresearch.ratchet.trial import Ended
from autoresearch.records import Crash, Outcome

TASK = TaskConfig(command=["python", "train.py"], mutable=["train.py"], exam="bpb")
OVER = "training took 9.0 s of processor time, and 8.0 s are the most, by what the baseline's took"
GONE = "the trial ended before it handed over a model"


@pytest.mark.parametrize(
    ("outcome", "failure", "reason", "found"),
    [
        # It was over its budget, and did not listen: until the timeout, or until it was killed for it.
        (Outcome(90.0, None, timed_out=True), "budget", OVER, "budget"),
        (Outcome(9.0, None), "budget", OVER, "budget"),
        (Outcome(9.0, 1), "budget", OVER, "budget"),
        # The examiner saw no more than that it was gone.
        (Outcome(90.0, None, timed_out=True), "exam", GONE, "timeout"),
        (Outcome(9.0, 1), "exam", GONE, "exit"),
        (Outcome(9.0, 0), "exam", GONE, "exam"),
    ],
)
def test_the_examiner_knows_why_it_ended_a_trial(
    tmp_path: Path, outcome: Outcome, failure: str, reason: str, found: str
) -> None:
    log = tmp_path / "log"
    log.write_text("")
    ended = Ended(outcome, log, "cpu", {"void": {"failure": failure, "reason": reason}})
    crash = evaluation(ended, TASK)
    assert isinstance(crash, Crash) and crash.failure == found
