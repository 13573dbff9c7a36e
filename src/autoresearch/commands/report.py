"""What the read-only commands print: report, status, show."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from autoresearch.console import say
from autoresearch.errors import LabError, UsageError
from autoresearch.lab.lab import Lab, holder
from autoresearch.ledger import results
from autoresearch.ledger.state import State
from autoresearch.records import Direction, Evidence, Experiment
from autoresearch.report import plot as plot_
from autoresearch.report import summary as summary_
from autoresearch.report import table
from autoresearch.report.summary import Entry
from autoresearch.rules import metrics, training_log
from autoresearch.text import one_line, printable

_EVIDENCE: tuple[Evidence, ...] = ("verified", "examined", "claimed")


def report(
    kept_only: bool,
    top: int | None,
    grep: str,
    as_json: bool,
    plot: Path | None,
    file: Path | None,
    maximize: bool,
    tag: str | None,
) -> None:
    """`autoresearch report`."""
    usd = seconds = None
    about: list[tuple[str, str]] = []
    direction: Direction = "maximize" if maximize else "minimize"
    if file is not None:
        if tag is not None:
            raise UsageError(f"--tag {tag} and --file {file}: one of the two, a run or a file")
        metric, entries = _strangers(file)
    else:
        if maximize:
            raise UsageError(
                "--maximize goes with --file; a run's direction is in autoresearch.toml"
            )
        lab = Lab.here()
        tag = lab.tag(tag)
        state, task = lab.state(tag), lab.config(tag).task
        metric, direction = task.metric.name, task.metric.direction
        entries = [_entry(experiment) for experiment in state.experiments]
        usd, seconds = state.usd or None, state.seconds
        about = _about(state)
    summary = summary_.summarise(entries, metric, direction, usd, seconds)
    shown = summary_.filtered(entries, kept_only, top, grep, direction)
    if as_json:
        told = {label.replace(" ", "_"): text for label, text in about}
        print(json.dumps({**table.as_json(summary, shown), **told}, indent=2))
    else:
        table.render(summary, shown, Console(), metric, about)
    if plot is not None:
        plot_.progress(entries, metric, direction, plot)
        if not as_json:
            say(f"plot: {plot}")


def _about(state: State) -> list[tuple[str, str]]:
    """What a run's figures rest on, in words."""
    kept = [e for e in state.experiments if e.status == "keep"]
    if not kept:
        return []
    counts = Counter(e.evidence for e in kept)
    shares = ", ".join(f"{counts[kind]} {kind}" for kind in _EVIDENCE if counts[kind])
    about = [("evidence", f"keeps: {shares}"), ("sandbox", ", ".join(_levels(state)))]
    flagged = [f"#{e.number} {e.flag}" for e in state.experiments if e.flag]
    if flagged:
        about.append(("look at", "; ".join(flagged)))
    return about


def _levels(state: State) -> list[str]:
    return list(dict.fromkeys(e.sandbox for e in state.experiments))


def _strangers(file: Path) -> tuple[str, list[Entry]]:
    try:
        text = file.read_text("utf-8", "replace")
    except OSError as fault:
        raise LabError(f"--file {file}: {fault.strerror}") from None
    metric, rows = results.read(text, str(file))
    return metric, [
        Entry(number, row.commit, row.value, row.memory_gb, row.status, row.description)
        for number, row in enumerate(rows)
    ]


def _entry(e: Experiment) -> Entry:
    memory_gb = None if e.memory_mb is None else e.memory_mb / 1024
    return Entry(
        e.number, e.short, e.value, memory_gb, e.status, e.description,
        e.reason, e.failure, e.seconds, e.usage.usd,
    )  # fmt: skip


def status(tag: str | None) -> None:
    """`autoresearch status`."""
    lab = Lab.here()
    tag = lab.tag(tag)
    state, config = lab.state(tag), lab.config(tag)
    metric = config.task.metric.name
    say(f"run {tag}, branch autoresearch/{tag}")
    if lab.driven(tag):
        say(f"driven by {holder(lab.paths(tag).lock)}{_doing(state)}")
    elif state.stop is not None:
        reason = one_line(state.stop["reason"].partition("\n")[0])
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.stop["at"]))
        say(f"not running; stopped {when}: {reason}")
    else:
        say("not running" + ("; it was cut off" if state.session else "") + _doing(state))
    if state.incumbent is not None and state.incumbent.value is not None:
        first = state.experiments[0]
        say(
            f"incumbent #{state.incumbent.number} {state.incumbent.short} {metric} "
            f"{results.number(state.incumbent.value, metric)} (baseline "
            f"{results.number(first.value or 0.0, metric)}): {state.incumbent.description}"
        )
    rows = state.experiments[1:]
    counts = {kind: sum(e.status == kind for e in rows) for kind in ("keep", "discard", "crash")}
    say(
        f"{len(rows)} experiments: {counts['keep']} kept, {counts['discard']} discarded, "
        f"{counts['crash']} crashed; {state.refused} proposals refused"
    )
    tokens = f", {state.input_tokens + state.output_tokens} tokens" if state.input_tokens else ""
    say(f"spent {state.seconds / 3600:.2f} h, ${state.usd:.2f}{tokens}")
    for reason in state.refusals[-3:]:
        say(f"refused: {one_line(reason)[:300]}")
    if state.session is not None:
        say(f"sandbox {state.session['sandbox']}")
    say(
        "next: autoresearch run"
        if rows or state.incumbent
        else "next: autoresearch run (baseline first)"
    )


def _doing(state: State) -> str:
    """What is under way, in words."""
    words = ""
    for pending in state.open.values():
        what = "asking for" if pending.candidate is None else "trying"
        about = "" if pending.candidate is None else f": {pending.candidate.description}"
        words += f"; {what} #{pending.number}{about}"
    return words


def show(number: int, tag: str | None) -> None:
    """`autoresearch show N`."""
    lab = Lab.here()
    tag = lab.tag(tag)
    state, metric = lab.state(tag), lab.config(tag).task.metric.name
    e = state.experiment(number)
    if e is None:
        last = max((each.number for each in state.experiments), default=None)
        there = "there is none yet" if last is None else f"there are 0 to {last}"
        raise LabError(f"there is no experiment {number} in the run {tag}; {there}")
    say(f"#{e.number} {e.status}: {one_line(e.description)}")
    say(f"why: {one_line(e.reason)}" + (f" ({e.failure})" if e.failure else ""))
    if e.hypothesis:
        say(f"hypothesis: {one_line(e.hypothesis)}")
    place = state.experiments.index(e) + 1
    lesson = state.experiments[place].lesson if place < len(state.experiments) else ""
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
        say(metrics.tail(training_log.without(_lines(log)), 20))


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
