"""What a researcher is told, gathered from the run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import resources

from autoresearch.config import TaskConfig
from autoresearch.lab.run import Run
from autoresearch.ledger import history
from autoresearch.paths import CHARTER
from autoresearch.records import Experiment
from autoresearch.researchers.base import Brief
from autoresearch.researchers.interface import interface
from autoresearch.rules import metrics, training_log

_FROZEN_LINES = 300
_DESCRIBED_FILES = 100
_IMPORTED = re.compile(rb"\bautoresearch\.harness\.([a-z]\w*)")


def brief_of(run: Run, number: int) -> Brief:
    """Returns all that is told with the ask for experiment `number`; pure but for git and the logs."""
    state, repo, task = run.state, run.repo, run.config.task
    incumbent = run.incumbent
    tree = repo.tree(incumbent.commit)
    plain = {
        path: blob
        for path, (mode, blob) in tree.items()
        if mode in ("100644", "100755")
        and not path.startswith("../")  # outside of the lab's folder
    }
    mutable = [path for path in plain if run.rules.names(path)]
    described = [p for p in plain if p not in mutable and p.endswith(".py")][:_DESCRIBED_FILES]
    first = {p: blob for p, (_, blob) in repo.tree(state.experiments[0].commit).items()}
    wanted = [*mutable, *described, *([CHARTER] if CHARTER in plain else [])]
    bytes_of = repo.blobs([plain[p] for p in wanted] + [first[p] for p in mutable if p in first])
    frozen = [path for path in plain if path not in mutable and path != CHARTER]
    lines = [path for path in frozen if path not in described]
    sources = {path: bytes_of[plain[path]] for path in described}
    sources.update(_harness(b"".join(bytes_of[plain[path]] for path in mutable)))
    for path, source in sources.items():
        lines += [path, *(f"    {line}" for line in interface(path, source))]
    if len(lines) > _FROZEN_LINES:
        lines = [*lines[:_FROZEN_LINES], f"... and {len(lines) - _FROZEN_LINES} more lines"]
    charter = bytes_of[plain[CHARTER]].decode("utf-8", "replace") if CHARTER in plain else ""
    return Brief(
        number=number,
        charter=charter,
        files={path: bytes_of[plain[path]] for path in mutable},
        frozen=tuple(lines),
        tree=frozenset(tree),
        mutable=tuple(task.mutable),
        metric=task.metric.name,
        direction=task.metric.direction,
        timeout_s=task.timeout_s,
        experiments=tuple(state.experiments),
        refusals=tuple(state.refusals),
        log_tail=metrics.tail(training_log.without(_log(run, state.experiments[-1]))),
        training=tuple(_training(run)),
        baseline_files={path: bytes_of[first[path]] for path in mutable if path in first},
        answers=tuple(state.answers),
        asked=state.asked,
        history=history.lines(run.paths.history),
        gates=tuple(_gates(task)),
    )


def _gates(task: TaskConfig) -> Iterator[str]:
    """Yields what a change must pass besides the rule, a sentence each."""
    if task.evaluate:
        judge = shlex.join(task.evaluate)
        yield f"The metric is what `{judge}` prints about what the trial leaves, not what the trial prints."
    if task.limits:
        listed = ", ".join(f"{name} {limit}" for name, limit in task.limits.items())
        yield f"It must keep to these limits, as lines of the log have them: {listed}."
    if task.checks:
        yield f"These must succeed: {', '.join(f'`{shlex.join(check)}`' for check in task.checks)}."


def _log(run: Run, experiment: Experiment) -> Iterator[str]:
    """The lines of an experiment's log; none where it is gone."""
    log = run.paths.experiment(experiment.number) / "trial.log"
    return metrics.lines(log) if log.exists() else iter(())


def _training(run: Run) -> list[str]:
    """How the last experiment trained, and beside it the incumbent."""
    last, incumbent = run.state.experiments[-1], run.incumbent
    if last.number == incumbent.number:
        return training_log.digest(
            [(f"#{last.number}, the incumbent", training_log.points(_log(run, last)))]
        )
    return training_log.digest(
        [
            (f"#{last.number}", training_log.points(_log(run, last))),
            (f"#{incumbent.number}, the incumbent", training_log.points(_log(run, incumbent))),
        ]
    )


def _harness(importing: bytes) -> dict[str, bytes]:
    """Sources of the harness's modules that a source imports, read as files: none is loaded here."""
    folder = resources.files("autoresearch") / "harness"
    names = sorted({name.decode() for name in _IMPORTED.findall(importing)})
    files = {f"autoresearch/harness/{name}.py": folder / f"{name}.py" for name in names}
    return {path: file.read_bytes() for path, file in files.items() if file.is_file()}
