"""A report as text for a terminal or a pipe, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from autoresearch.report.summary import Entry, Step, Summary
from autoresearch.text import one_line

_STYLES = {"keep": "green", "discard": "dim", "crash": "red"}
_NARROWEST = 10  # a column of prose is never narrower, whatever the terminal
_LONGEST = 14  # characters of a number in a column
_ABBREVIATED = 12  # digits: enough for a repository of a hundred million objects


def render(
    summary: Summary,
    entries: Iterable[Entry],
    console: Console,
    metric: str,
    about: Iterable[tuple[str, str]] = (),
) -> None:
    """Prints the entries (of those summarised) as a table, then the run and `about` in a few lines."""
    steps = {step.entry: step for step in summary.steps}
    shown = [steps[entry] for entry in entries]
    if shown:
        _table(shown, console, metric)
        console.print()
    elif summary.count:
        console.print("no row is left by the filters\n")
    for label, text in [*_facts(summary, metric), *about]:
        hanging(console, f"{label:<13} ", text)


def hanging(console: Console, head: str, text: str, style: str = "") -> None:
    """Prints a line whose text folds beside its head on a terminal; elsewhere lines are left whole."""
    if not console.is_terminal:  # rich would take ten times as long, for the same line
        console.file.write(f"{head}{text}".rstrip() + "\n")
        return
    indent = cell_len(head)
    pieces = [Text(text)]
    width = max(_NARROWEST, console.width - indent)
    pieces = list(Text(text).wrap(console, width)) or pieces
    for count, piece in enumerate(pieces):
        piece.rstrip()
        line = Text.assemble(head if count == 0 else " " * indent, piece, style=style)
        line.rstrip()
        console.print(line, soft_wrap=True, highlight=False)


def _table(steps: Sequence[Step], console: Console, metric: str) -> None:
    """Prints numbers to the right, words to the left, and the description in the room that is left."""
    name = metric if len(metric) <= 12 else "value"
    rows = [("#", "commit", name, "gain", "GB", "status")]
    rows += [_cells(step, metric) for step in steps]
    widths = [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]
    texts = ["description", *(one_line(step.entry.description) for step in steps)]
    styles = ["bold", *(_STYLES[step.entry.status] for step in steps)]
    for cells, text, style in zip(rows, texts, styles, strict=True):
        padded = [
            cell.ljust(width) if column in (1, 5) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        hanging(console, "  ".join(padded) + "  ", text, style)


def _cells(step: Step, metric: str) -> tuple[str, str, str, str, str, str]:
    entry = step.entry
    memory = "-" if entry.memory_gb is None else f"{entry.memory_gb:.1f}"
    gain = "-" if step.gain is None else number(step.gain, metric, "+")
    value = "-" if entry.value is None else number(entry.value, metric)
    return str(step.number), _commit(entry), value, gain, memory, entry.status


def _commit(entry: Entry) -> str:
    """Returns the commit as its file abbreviates it; more digits than any abbreviation has are cut."""
    commit = one_line(entry.commit)
    return commit if len(commit) <= _ABBREVIATED else commit[:7]


def _facts(summary: Summary, metric: str) -> list[tuple[str, str]]:
    """Returns the lines below the table, each with its label; what is not known is left out."""
    counts = f"{summary.kept} kept, {summary.discarded} discarded, {summary.crashed} crashed"
    plural = "" if summary.count == 1 else "s"
    facts = [("experiments", f"{summary.count} row{plural}: {counts}")]
    numbers = {step.entry: step.number for step in summary.steps}
    for label, entry in (("baseline", summary.baseline), ("best", summary.best)):
        if entry is not None and entry.value is not None:
            shown = number(entry.value, metric)
            where = f"{_commit(entry)}, experiment {numbers[entry]}"
            facts.append((label, f"{metric} {shown} ({where}): {one_line(entry.description)}"))
    if summary.gain is not None:
        percent = summary.gain_percent
        share = "" if percent is None else f" ({percent:.2f} %)"
        facts.append(("gain", f"{number(summary.gain, metric)}{share} over the baseline"))
    if summary.keep_rate is not None:
        rate = f"{summary.won} of {summary.tried} after the baseline"
        facts.append(("keep rate", f"{100 * summary.keep_rate:.1f} % ({rate})"))
    for count, step in enumerate(summary.largest):
        assert step.gain is not None
        text = f"{number(step.gain, metric, '+')}  {one_line(step.entry.description)}"
        facts.append(("" if count else "largest gains", text))
    if summary.crashes:
        kinds = [f"{count} {kind or 'of unknown kind'}" for kind, count in summary.crashes.items()]
        facts.append(("crashes", ", ".join(kinds)))
    if summary.seconds is not None:
        facts.append(("time", duration(summary.seconds)))
    if summary.usd is not None:
        facts.append(("money", f"{summary.usd:.2f} USD"))
    return facts


def as_json(summary: Summary, entries: Iterable[Entry]) -> dict[str, Any]:
    """Returns the same for a program: numbers are numbers, and null is what is not known."""
    steps = {step.entry: step for step in summary.steps}

    def row(entry: Entry | None) -> dict[str, Any] | None:
        if entry is None:
            return None
        step = steps[entry]
        return {
            "number": entry.number,
            "commit": entry.commit,
            "value": entry.value,
            "gain": step.gain,
            "best_so_far": step.best,
            "memory_gb": entry.memory_gb,
            "status": entry.status,
            "description": entry.description,
            "reason": entry.reason or None,
            "failure": entry.failure,
            "seconds": entry.seconds,
            "usd": entry.usd,
        }

    return {
        "metric": summary.metric,
        "direction": summary.direction,
        "experiments": summary.count,
        "kept": summary.kept,
        "discarded": summary.discarded,
        "crashed": summary.crashed,
        "crashes": {kind or "unknown": count for kind, count in summary.crashes.items()},
        "baseline": row(summary.baseline),
        "best": row(summary.best),
        "gain": summary.gain,
        "gain_percent": summary.gain_percent,
        "keep_rate": summary.keep_rate,
        "seconds": summary.seconds,
        "usd": summary.usd,
        "largest_gains": [row(step.entry) for step in summary.largest],
        "rows": [row(entry) for entry in entries],
    }


def number(value: float, metric: str, sign: str = "") -> str:
    """Returns a value for a column: val_bpb with six decimals, others as short as they are exact enough."""
    if metric == "val_bpb":
        return f"{value:{sign}.6f}"
    text = f"{value:{sign}.8g}"
    return text if len(text) <= _LONGEST else f"{value:{sign}.4g}"


def duration(seconds: float) -> str:
    """Returns a length of time as people write it."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
