"""Rows of results files from before a run: told to the researcher as history, and never counted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import ResultsError
from autoresearch.ledger import strangers
from autoresearch.paths import write_durably

_KEPT_SHOWN, _OTHERS_SHOWN = 40, 20


@dataclass(frozen=True, slots=True)
class Found:
    """What earlier results files say: (file, metric, row) each, and what is to be said of them."""

    rows: tuple[tuple[str, str, strangers.Row], ...]
    notices: tuple[str, ...]


def found_in(files: Iterable[Path]) -> Found:
    """Returns the rows of results files; one that can't be read is said, and left alone."""
    rows: list[tuple[str, str, strangers.Row]] = []
    notices: list[str] = []
    for file in files:
        try:
            content = file.read_bytes()
            read = strangers.read(content, file.name)
        except (ResultsError, OSError) as fault:
            notices.append(f"no history is taken from {file.name}: {fault}")
            continue
        if read.rows:
            notices.append(
                f"history: {len(read.rows)} row{'s' if len(read.rows) > 1 else ''} of {file.name} are shown "
                "to the researcher, and not counted"
            )
        rows += [(file.name, read.metric, row) for row in read.rows]
    return Found(tuple(rows), tuple(notices))


def write(path: Path, found: Found) -> None:
    """Keeps rows with a run, from where `lines` reads them."""
    records = [
        {
            "file": file, "metric": metric, "value": row.value, "status": row.status,
            "description": row.description,
        }
        for file, metric, row in found.rows
    ]  # fmt: skip
    write_durably(path, json.dumps(records, indent=1).encode())


def lines(path: Path) -> tuple[str, ...]:
    """Returns what a researcher is told of a run's history: the keeps, and the last of the others."""
    try:
        records = json.loads(path.read_bytes())
    except FileNotFoundError:
        return ()
    kept = [at for at, record in enumerate(records) if record["status"] == "keep"][-_KEPT_SHOWN:]
    others = [at for at, record in enumerate(records) if record["status"] != "keep"]
    shown = {*kept, *others[-_OTHERS_SHOWN:]}
    told = []
    if len(records) > len(shown):
        told.append(f"({len(records) - len(shown)} more rows are left out)")
    for at, record in enumerate(records):
        if at in shown:
            value = "-" if record["value"] is None else f"{record['value']:.6g}"
            told.append(
                f"{record['metric']} {value} | {record['status']} | {record['description']}"
            )
    return tuple(told)
