"""results.tsv and musings.md as text. Pure; a results file of anybody's is read in strangers.py.

The sentinels live at the file's edge alone: a crash is 0.000000 and 0.0 in it, and None in memory.
"""

from __future__ import annotations

from collections.abc import Iterable

from autoresearch.records import Experiment
from autoresearch.text import one_line


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
