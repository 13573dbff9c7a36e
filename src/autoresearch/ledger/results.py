"""results.tsv and musings.md as text, and a results file of anybody's read back. Pure.

The sentinels live here alone: a crash is 0.000000 and 0.0 in the file, and None in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from autoresearch.errors import UsageError
from autoresearch.records import Experiment, Status
from autoresearch.text import one_line


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a results file."""

    commit: str
    value: float | None
    memory_gb: float | None
    status: Status
    description: str


def header(metric: str) -> str:
    """The first line of a results file."""
    return f"commit\t{metric}\tmemory_gb\tstatus\tdescription\n"


def row(experiment: Experiment, metric: str) -> str:
    """One experiment as a line."""
    value = "0.000000"
    memory = 0.0
    if experiment.status != "crash":
        assert experiment.value is not None
        value = number(experiment.value, metric)
        memory = (experiment.memory_mb or 0.0) / 1024
    description = one_line(experiment.description)
    return f"{experiment.short}\t{value}\t{memory:.1f}\t{experiment.status}\t{description}\n"


def number(value: float, metric: str) -> str:
    """A metric's value as it is written: val_bpb with six decimals, others in full."""
    return f"{value:.6f}" if metric == "val_bpb" else repr(value)


def table(experiments: Iterable[Experiment], metric: str) -> str:
    """The whole results file."""
    return header(metric) + "".join(row(experiment, metric) for experiment in experiments)


def musing(experiment: Experiment, metric: str) -> str:
    """What musings.md says after an experiment."""
    value = "" if experiment.value is None else f" {metric} {number(experiment.value, metric)},"
    lines = [idea(experiment.number, experiment.description, experiment.hypothesis)]
    lines.append(f"Outcome: {experiment.status},{value} {one_line(experiment.reason)}.\n")
    return "\n".join(lines)


def idea(experiment: int, description: str, hypothesis: str) -> str:
    """What musings.md says before an experiment."""
    text = f"## {experiment}: {one_line(description)}\n"
    return text + (f"\nWhy: {one_line(hypothesis)}\n" if hypothesis else "")


def lesson(text: str) -> str:
    """What the next answer said about an experiment."""
    return f"\nLearned: {one_line(text)}\n" if text else ""


def read(text: str, where: str) -> tuple[str, list[Row]]:
    """The metric's name and the rows of a results file; UsageError with file and line otherwise.

    Rows with fewer or more columns than five, or with values that are no numbers, are errors: a
    report that leaves out rows in silence would lie.
    """
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    columns = lines[0].split("\t")
    if columns[:1] + columns[2:] != header("").split() or not columns[1].strip():
        raise UsageError(
            f"{where}: line 1 is not the header of a results file: "
            "commit, the metric's name, memory_gb, status, description, separated by tabs"
        )
    rows = []
    for count, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.split("\t", 4)
        if len(cells) != 5:
            raise UsageError(f"{where}: line {count} has {len(cells)} columns instead of 5")
        status = cells[3].strip()
        if status not in ("keep", "discard", "crash"):
            raise UsageError(
                f"{where}: line {count}: status {status!r} is not keep, discard or crash"
            )
        try:
            value, memory = (float(_plain(cell)) for cell in cells[1:3])
        except ValueError:
            raise UsageError(f"{where}: line {count}: value or memory is not a number") from None
        if not (math.isfinite(value) and math.isfinite(memory)):
            raise UsageError(f"{where}: line {count}: value or memory is not a number")
        crash = status == "crash"
        rows.append(
            Row(
                cells[0].strip(),
                None if crash else value,
                None if crash else memory,
                status,  # type: ignore[arg-type]
                one_line(cells[4]),
            )
        )
    return columns[1].strip(), rows


def _plain(cell: str) -> str:
    """Of what float() reads only what a program prints: no 1_0, no digits of other scripts."""
    return cell if cell.isascii() and "_" not in cell else ""
