"""The numbers that the lab's limits are about: a candidate's, and the baseline's."""

from __future__ import annotations

from autoresearch.errors import LabError
from autoresearch.lab.run import Run
from autoresearch.paths import EVALUATE_LOG
from autoresearch.records import Metrics
from autoresearch.rules import metrics
from autoresearch.rules.limits import compares_with_baseline


def limited_numbers(run: Run, found: Metrics) -> dict[str, float]:
    """Returns what a trial found of each name in task.limits."""
    return {name: found.summary[name] for name in run.config.task.limits}


def baseline_numbers(run: Run) -> dict[str, float]:
    """Returns the baseline's number of each name that a limit compares with it.

    A limit may be younger than the baseline: then its log is read again. Raises LabError where the
    number is not there either.
    """
    task = run.config.task
    names = compares_with_baseline(task.limits)
    if not names:
        return {}
    baseline = next(each for each in reversed(run.state.experiments) if each.is_baseline)
    known = dict(baseline.summary)
    if baseline.value is not None:
        known[task.metric.name] = baseline.value
    if baseline.memory_mb is not None:
        known[task.metric.memory] = baseline.memory_mb
    for file in (EVALUATE_LOG, "trial.log"):
        log = run.paths.experiment(baseline.number) / file
        lacking = [name for name in names if name not in known]
        if lacking and log.exists():
            read = metrics.numbers(metrics.lines(log), lacking, "last")
            known |= {name: number for name, number in read.items() if isinstance(number, float)}
    for name in names:
        if name not in known:
            raise LabError(
                f"task.limits.{name} compares with the baseline, #{baseline.number}, which has no number of "
                f"that name: take a fixed number, or start another run from the tip: autoresearch init TAG "
                f"--from autoresearch/{run.tag}"
            )
    return {name: known[name] for name in names}
