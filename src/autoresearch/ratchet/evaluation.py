"""How a trial ended -> its metrics, or the crash that it was."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoresearch.config import Take, TaskConfig
from autoresearch.errors import LabError
from autoresearch.lab.run import Run
from autoresearch.paths import CHECKS_LOG, EVALUATE_LOG
from autoresearch.ratchet.advice import baseline_advice
from autoresearch.ratchet.judges import evaluate_crash
from autoresearch.ratchet.trial import Ended
from autoresearch.records import Candidate, Crash, Metrics, Outcome
from autoresearch.rules import metric_file, metrics, training_log

_ENDED = re.compile("the trial ended ")
_OWN_FIGURES = (
    *("training_seconds", "startup_seconds", "exam_seconds"),
    *("training_processor_s", "startup_processor_s"),
)


def evaluation(ended: Ended, task: TaskConfig) -> Metrics | Crash:
    """Returns the metrics of a trial that ended, or the crash that it was; pure but for the logs."""
    if ended.score is not None:
        found = _examined(ended, task, ended.score)
    elif ended.evaluated is not None:
        found = _evaluated(ended, task, *ended.evaluated)
    elif ended.file is not None:
        found = _from_file(ended, task, ended.file)
    else:
        found = metrics.metrics_of(ended.outcome, ended.log, task.metric, task.timeout_s)
    if isinstance(found, Metrics) and task.limits:
        found = _with_limited(ended, task, found)
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


def _evaluated(ended: Ended, task: TaskConfig, outcome: Outcome, log: Path) -> Metrics | Crash:
    """The metrics of a trial that the lab's `evaluate` judged: what the trial's log says is a claim."""
    crash = evaluate_crash(outcome, log, task.timeout_s)
    if crash is not None:
        return crash
    found = metrics.parse(metrics.lines(log), task.metric)
    if isinstance(found, Crash):
        return replace(found, reason=found.reason.replace("the log", "evaluate's output"))
    told = metrics.read(metrics.lines(ended.log), task.metric)
    return replace(
        found,
        memory_mb=found.memory_mb if told.memory_mb is None else told.memory_mb,
        summary={**told.summary, **found.summary},
        fingerprint=told.fingerprint or "",
        device=told.device or found.device,
        claimed=metrics.claimed(told, task.metric),
        evidence="evaluated",
    )


def _from_file(ended: Ended, task: TaskConfig, content: bytes | str) -> Metrics | Crash:
    """The metrics of a trial that left its value in a file; the log has the rest."""
    value = metric_file.read(content, task.metric)
    if isinstance(value, Crash):
        return value
    told = metrics.read(metrics.lines(ended.log), task.metric)
    return Metrics(value, told.memory_mb, told.summary, told.fingerprint or "", told.device or "")


def _with_limited(ended: Ended, task: TaskConfig, found: Metrics) -> Metrics | Crash:
    """The metrics with the numbers that the lab's limits name, or the crash that one of them lacks."""
    known = {task.metric.name: found.value}
    if found.memory_mb is not None:
        known[task.metric.memory] = found.memory_mb
    if ended.score is not None:  # of the examiner's own figures what the log says is a claim
        known |= {key: found.summary[key] for key in _OWN_FIGURES if key in found.summary}
    take: Take = "only" if task.metric.take == "only" else "last"
    lacking: dict[str, Crash] = {}
    for log in [ended.log] if ended.evaluated is None else [ended.evaluated[1], ended.log]:
        names = [name for name in task.limits if name not in known]
        for name, number in metrics.numbers(metrics.lines(log), names, take).items():
            if isinstance(number, Crash):
                lacking[name] = number
            else:
                known[name] = number
    for name in task.limits:
        if name not in known:
            crash = lacking[name]
            return replace(crash, reason=f"{crash.reason}, of which task.limits has a limit")
    return replace(found, summary={**found.summary, **{name: known[name] for name in task.limits}})


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def failed_baseline(run: Run, candidate: Candidate, crash: Crash, jailed: bool) -> LabError:
    """A baseline that fails makes no row: what to say, in a first line and the log's end."""
    run.note("failed", n=candidate.number, reason=crash.reason)
    log = run.paths.experiment(candidate.number) / _log_of(crash, run.config.task)
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


def _log_of(crash: Crash, task: TaskConfig) -> str:
    """The name of the log that tells why a baseline failed."""
    if crash.failure == "check":
        return CHECKS_LOG
    judged = task.evaluate and crash.failure in ("evaluate", "no_summary", "two_summaries", "nan")
    return EVALUATE_LOG if judged else "trial.log"
