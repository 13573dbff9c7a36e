"""How a trial ended -> its metrics, or the crash that it was."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from autoresearch.config import TaskConfig
from autoresearch.errors import LabError
from autoresearch.lab.run import Run
from autoresearch.ratchet.advice import baseline_advice
from autoresearch.ratchet.trial import Ended
from autoresearch.records import Candidate, Crash, Metrics
from autoresearch.rules import metrics, training_log

_ENDED = re.compile("the trial ended ")
_OWN_FIGURES = (
    *("training_seconds", "startup_seconds", "exam_seconds"),
    *("training_processor_s", "startup_processor_s"),
)


def evaluation(ended: Ended, task: TaskConfig) -> Metrics | Crash:
    """Returns the metrics of a trial that ended, or the crash that it was; pure but for the log."""
    if ended.score is None:
        found = metrics.metrics_of(ended.outcome, ended.log, task.metric, task.timeout_s)
    else:
        found = _examined(ended, task, ended.score)
    if isinstance(found, Crash) and ended.filled:
        return replace(found, reason=f"{found.reason}; it had filled the disk")
    return found


def _examined(ended: Ended, task: TaskConfig, score: dict[str, Any]) -> Metrics | Crash:
    """The metrics of a trial that an examiner scored: what the log says beside it are claims."""
    void = score["void"]
    crash = metrics.crash_of(ended.outcome, ended.log, task.timeout_s)
    # A script that the examiner ended exits with an error, of which the examiner knows more; one that
    # is over its budget need not even listen.
    ended_by_examiner = crash is None or (
        crash.failure in ("exit", "timeout") and not (void and _ENDED.match(void["reason"]))
    )
    if void and ended_by_examiner:
        return Crash(void["failure"], void["reason"])
    if crash is not None:
        return crash
    told = metrics.read(metrics.lines(ended.log), task.metric)
    own = {key: score[key] for key in _OWN_FIGURES if score[key] is not None}
    own |= {"val_bpb": score["bpb"], "total_tokens_M": score["tokens"] / 1e6}
    return Metrics(
        value=score["bpb"],
        memory_mb=ended.outcome.peak_rss_mb if ended.device == "cpu" else told.memory_mb,
        summary={**told.summary, **own},
        fingerprint=score["fingerprint"],
        device=told.device or "",
        claimed=metrics.claimed(told, task.metric),
        evidence="examined",
        calibration={key: score[key] for key, value in score.items() if _is_number(value)},
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def failed_baseline(run: Run, candidate: Candidate, crash: Crash, jailed: bool) -> LabError:
    """A baseline that fails makes no row: what to say, in a first line and the log's end."""
    run.note("failed", n=candidate.number, reason=crash.reason)
    log = run.paths.experiment(candidate.number) / "trial.log"
    tail = metrics.tail(training_log.without(metrics.lines(log)), 10, 1000) if log.exists() else ""
    last = "".join(f": {line}" for line in tail.splitlines()[-1:])
    advice = baseline_advice(run, candidate, crash, log, jailed) if log.exists() else None
    said = f" {advice}." if advice else ""
    branch = f"autoresearch/{run.tag}"
    return LabError(
        f"the baseline failed ({crash.failure}), {crash.reason}{last}.{said} Mend the machine, or the "
        f"code (git checkout {branch}, edit, git commit), and call: autoresearch run. The log, of "
        f"which the end follows: {log}\n{tail}"
    )
