"""`autoresearch report`: what a run found, or what any results file says."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from autoresearch.errors import LabError, UsageError
from autoresearch.lab.lab import Lab
from autoresearch.ledger import strangers
from autoresearch.ledger.state import State
from autoresearch.ledger.strangers import ResultsFile, Row
from autoresearch.records import Direction, Evidence, Experiment
from autoresearch.report import plot as plot_
from autoresearch.report import summary as summary_
from autoresearch.report import table
from autoresearch.report.summary import Entry
from autoresearch.streams import say
from autoresearch.text import one_line

_EVIDENCE: tuple[Evidence, ...] = ("verified", "examined", "evaluated", "claimed")


def report(
    kept_only: bool,
    top: int | None,
    grep: str | None,
    as_json: bool,
    plot: Path | None,
    file: Path | None,
    maximize: bool,
    tag: str | None,
) -> None:
    """Prints a report of a run, or of a file where one is given, and draws it where `plot` says.

    The filters (`kept_only`, `top`, `grep`) are for the rows that are shown; figures are of all.
    Raises UsageError for flags that don't go together.
    """
    usd = seconds = None
    about: list[tuple[str, str]] = []
    held: list[Experiment] = []
    notices: list[str] = []
    direction: Direction = "maximize" if maximize else "minimize"
    if file is not None:
        if tag is not None:
            raise UsageError(f"--tag {tag} and --file {file}: one of the two, a run or a file")
        found = _strangers(file)
        metric, entries, notices = found.metric, _entries(found.rows), list(found.notices)
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
        about, held = _about(state), state.waiting
    summary = summary_.summarise(entries, metric, direction, usd, seconds)
    if file is not None and summary.goes_backwards:
        other = ("lower", "leave --maximize out") if maximize else ("higher", "--maximize")
        notices.append(
            f"{metric} {'falls' if maximize else 'rises'} from keep to keep: {other[0]} is better? {other[1]}"
        )
    shown = summary_.filtered(entries, kept_only, top, grep, direction)
    if as_json:
        told: dict[str, object] = {label.replace(" ", "_"): text for label, text in about}
        told |= {"held": [{"number": e.number, "value": e.value, "flag": e.flag} for e in held]}
        told |= {"notices": notices} if file is not None else {}
        print(json.dumps({**table.as_json(summary, shown), **told}, indent=2))
    else:
        for e in held:
            say(f"held: #{e.number} {one_line(e.description)}: {e.flag}. {after_a_look(e.number)}")
        about += [("" if count else "notices", text) for count, text in enumerate(notices)]
        table.render(summary, shown, Console(), metric, about)
    if plot is not None:
        plot_.progress(entries, metric, direction, plot)
        if not as_json:
            say(f"plot: {plot}")


def after_a_look(number: int) -> str:
    """Returns what a person does about an experiment that is held."""
    return f"Look at it (autoresearch show {number}); if it is real: autoresearch accept {number}"


def _about(state: State) -> list[tuple[str, str]]:
    """Returns what a run's figures rest on, in words: (label, text) a line."""
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


def _strangers(file: Path) -> ResultsFile:
    """Returns what a file, or standard input for `-`, says; of it nothing but its columns is known."""
    try:
        if str(file) == "-":
            return strangers.read(sys.stdin.buffer.read(), "standard input")
        return strangers.read(file.read_bytes(), str(file))
    except OSError as fault:
        raise LabError(f"--file {file}: {fault.strerror}") from None


def _entries(rows: Iterable[Row]) -> list[Entry]:
    return [
        Entry(
            number, row.commit, row.value, row.memory_gb, row.status, row.description,
            is_baseline=row.is_baseline,
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip


def _entry(e: Experiment) -> Entry:
    memory_gb = None if e.memory_mb is None else e.memory_mb / 1024
    return Entry(
        e.number, e.short, e.value, memory_gb, e.status, e.description,
        e.reason, e.failure, e.seconds, e.usage.usd, e.is_baseline,
    )  # fmt: skip
