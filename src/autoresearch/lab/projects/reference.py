"""karpathy/autoresearch and its ports (MPS, MLX, RTX, ROCm): a train.py, a prepare.py, a charter."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from autoresearch.lab.projects.base import Project, Sources
from autoresearch.lab.projects.constants import constants_of
from autoresearch.lab.projects.folders import data_beside, data_in_home, told_of
from autoresearch.lab.projects.metric import (
    Found,
    Metric,
    described,
    direction_of,
    found_in,
    printed,
)
from autoresearch.lab.projects.python import DEPENDENCIES, about_python

_TRAIN, _PREPARE, _CHARTER = "train.py", "prepare.py", "program.md"
_STATED = re.compile(
    r"(?:exceeds?|longer than|more than|over|beyond|within|after)\s+(?:~\s*)?(\d+)\s*(min|sec|s\b|hour)",
    re.IGNORECASE,
)
_KILLED = re.compile(r"kill|timeout|time limit|abort|terminate", re.IGNORECASE)
_UNITS = {"m": 60, "s": 1, "h": 3600}
_USUAL_S = 600.0  # what the reference's charter says: twice its budget
_GREPPED = re.compile(r"grep\s[^\n]*\^([A-Za-z_]\w*):")
_SECOND_COLUMN = re.compile(r"\bcommit(?:\\t|\t| +)([A-Za-z_]\w*)(?:\\t|\t| )")
_MEMORY = re.compile(r"peak_?(?:v?ram|mem|memory|gpu|unified|rss|metal).*")


def reference(sources: Sources) -> Project | None:
    """Returns the reference or a port of it; None for anything else."""
    dependencies = [name for name in DEPENDENCIES if sources.has(name)]
    if not sources.has(_TRAIN, _PREPARE, _CHARTER) or not dependencies:
        return None
    charter = sources.text(_CHARTER)
    memory, unread = _memory(sources)
    timeout_s, why = _timeout(sources, charter)
    home = data_in_home(sources, (_PREPARE, _TRAIN))
    return Project(
        kind="karpathy/autoresearch, or a port of it",
        shape=f"{_TRAIN}, {_PREPARE}, {_CHARTER}, {dependencies[0]}",
        command=("python", _TRAIN),
        mutable=(_TRAIN,),
        found=_metric(sources, charter),
        frozen=(_PREPARE, *dependencies),
        memory=memory,
        timeout_s=timeout_s,
        timeout_why=why,
        inputs=data_beside(sources, (_PREPARE,)),
        env=told_of(home),
        readable=home,
        note="; ".join(text for text in (about_python(sources), unread) if text),
        before=_before(sources, home),
    )


def _before(sources: Sources, home: tuple[str, ...]) -> tuple[str, ...]:
    """Returns what makes the environment and the data, where they are not there yet."""
    by_uv = sources.has("uv.lock") and shutil.which("uv") is not None
    made = (sources.root / ".venv").is_dir() or not by_uv
    data = all(Path(path).expanduser().is_dir() for path in home)
    prepare = f"{'uv run' if by_uv else 'python'} {_PREPARE}"
    return (*(() if made else ("uv sync",)), *(() if data else (prepare,)))


def _metric(sources: Sources, charter: str) -> Found:
    """Returns what the charter has looked up in the log or written into results.tsv, else what is printed."""
    train = sources.text(_TRAIN)
    names = tuple(printed(train) or printed(sources.text(_PREPARE)))
    if "val_bpb" in names or (not names and re.search(r"\bval_bpb\b", train)):
        return Found(Metric("val_bpb", "minimize", f"printed by {_TRAIN}"), names)
    for pattern, why in ((_SECOND_COLUMN, "results.tsv"), (_GREPPED, "the log")):
        for name in pattern.findall(charter):
            if name in names:
                direction = described(name, charter) or direction_of(name) or "minimize"
                return Found(Metric(name, direction, f"what {_CHARTER} takes for {why}"), names)
    return found_in(sources.texts((_TRAIN, _PREPARE)), charter)


def _memory(sources: Sources) -> tuple[str | None, str]:
    """Returns the key of the peak memory in MB, and what is to be said where it has another unit."""
    for name in printed(sources.text(_TRAIN)):
        if _MEMORY.fullmatch(name.lower()):
            if name.lower().endswith(("_mb", "_mib")):
                return name, ""
            return "", f"memory is not read: {_TRAIN} prints {name}, and MB are what is read"
    return None, ""


def _timeout(sources: Sources, charter: str) -> tuple[float, str]:
    """Returns when a trial is killed: as the charter says, else twice the budget; and how that is known."""
    budget = next(
        (
            value
            for path in (_PREPARE, _TRAIN)
            for name, value in constants_of(sources.text(path)).items()
            if name == "TIME_BUDGET" and isinstance(value, (int, float)) and value > 0
        ),
        None,
    )
    for line in charter.splitlines():
        stated = _STATED.search(line) if _KILLED.search(line) else None
        if stated is not None:
            seconds = float(stated[1]) * _UNITS[stated[2][0].lower()]
            if seconds > (budget or 0):
                return seconds, f"as {_CHARTER} says"
    if budget is None:
        return _USUAL_S, ""
    return max(_USUAL_S, 2.0 * budget), f"TIME_BUDGET is {budget:g} s"
