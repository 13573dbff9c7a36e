"""`autoresearch show N`: one experiment, with all that is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autoresearch.errors import LabError
from autoresearch.lab.lab import Lab
from autoresearch.ledger import results
from autoresearch.ledger.state import State
from autoresearch.paths import CHECKS_LOG, EVALUATE_LOG
from autoresearch.records import Experiment
from autoresearch.rules import metrics, training_log
from autoresearch.streams import say, say_json
from autoresearch.text import one_line, printable


def show(number: int, tag: str | None, as_json: bool = False) -> None:
    """Prints an experiment's idea, verdict, metrics, training, diff and the end of its log.

    Raises LabError where the run has no experiment of that number.
    """
    lab = Lab.here()
    tag = lab.tag(tag)
    state, metric = lab.state(tag), lab.config(tag).task.metric.name
    e = state.experiment(number)
    if e is None:
        last = max((each.number for each in state.experiments), default=None)
        there = "there is none yet" if last is None else f"there are 0 to {last}"
        raise LabError(f"there is no experiment {number} in the run {tag}; {there}")
    if as_json:
        say_json(_fields(lab, tag, state, e))
        return
    say(f"#{e.number} {e.status}: {one_line(e.description)}")
    say(f"why: {one_line(e.reason)}" + (f" ({e.failure})" if e.failure else ""))
    if e.hypothesis:
        say(f"hypothesis: {one_line(e.hypothesis)}")
    lesson = _lesson(state, e)
    if lesson:
        say(f"lesson: {one_line(lesson)}")
    parent = next((x.short for x in state.experiments if x.commit == e.parent), e.parent[:7])
    say(f"commit {e.short} on {parent}, by {e.researcher}, {e.seconds:.1f} s, sandbox {e.sandbox}")
    if e.usage.usd is not None or e.usage.input_tokens is not None:
        usd = "?" if e.usage.usd is None else f"{e.usage.usd:.4f}"
        say(f"tokens {e.usage.input_tokens} in, {e.usage.output_tokens} out, ${usd}")
    if e.flag:
        say(f"look at it: {e.flag}")
    if e.value is not None:
        say(f"{metric}: {results.number(e.value, metric)} ({e.evidence}{_claim(e, metric)})")
    for key, value in e.summary.items():
        if key != metric:
            say(f"{key}: {value:g}")
    for key, text in (("fingerprint", e.fingerprint), ("device", e.device)):
        if text:
            say(f"{key}: {one_line(text)}")
    log = lab.paths(tag).experiment(number) / "trial.log"
    for line in training_log.digest([("training", training_log.points(_lines(log)))]):
        say(line)
    if e.commit != e.parent:
        say("")
        for line in lab.repo.patch(e.parent, e.commit).decode("utf-8", "replace").splitlines():
            say(printable(line))
    if log.exists():
        say(f"\n{log}, its end:")
        say(log_tail(log.parent))
    for other in map(log.with_name, (EVALUATE_LOG, CHECKS_LOG)):
        if other.exists():
            say(f"\n{other}, its end:")
            say(metrics.tail(_lines(other), 20))


def log_tail(folder: Path) -> str:
    """Returns the end of the log in an experiment's folder, without its training lines; "" without one."""
    return metrics.tail(training_log.without(_lines(folder / "trial.log")), 20)


def _fields(lab: Lab, tag: str, state: State, e: Experiment) -> dict[str, Any]:
    """Returns what JSON says of an experiment: its record, and what `show` adds to that."""
    folder = lab.paths(tag).experiment(e.number)
    points = training_log.points(_lines(folder / "trial.log"))
    diff = lab.repo.patch(e.parent, e.commit) if e.commit != e.parent else b""
    return {
        **asdict(e),
        "lesson_learned": _lesson(state, e),
        "flags": [e.flag] if e.flag else [],
        "metrics": {**e.summary, lab.config(tag).task.metric.name: e.value},
        "training": training_log.digest([("training", points)]),
        "diff": diff.decode("utf-8", "replace"),
        "log": str(folder / "trial.log"),
        "log_tail": log_tail(folder),
    }


def _lesson(state: State, e: Experiment) -> str:
    """Returns what the proposal after an experiment said of it; "" where nothing is said."""
    later = state.experiments[state.experiments.index(e) + 1 :]
    return later[0].lesson if later else ""


def _claim(e: Experiment, metric: str) -> str:
    """What the trial itself printed, where that is not what counts."""
    if e.evidence == "claimed":
        return " by the trial"
    if e.claimed is None:
        return "; the trial printed none"
    shown, claim = results.number(e.value or 0.0, metric), results.number(e.claimed, metric)
    return "" if shown == claim else f"; the trial printed {claim}"


def _lines(log: Path) -> Iterator[str]:
    return metrics.lines(log) if log.exists() else iter(())
