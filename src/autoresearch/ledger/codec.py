"""Answers, candidates and experiments as the journal keeps them, and read back. Pure.

Fields that this release does not know are passed over, and those that have a default may be missing,
so that a journal of another release can be read.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar

from autoresearch.errors import JournalError
from autoresearch.records import Answer, Candidate, Edit, Experiment, Usage

T = TypeVar("T")
Record = dict[str, Any]


def answer_fields(answer: Answer) -> Record:
    """Returns an answer as the journal keeps it."""
    record: Record = {"text": answer.text, "usage": asdict(answer.usage)}
    if answer.edits is not None:
        record["edits"] = [
            [e.path, None if e.content is None else base64.b64encode(e.content).decode(), e.mode]
            for e in answer.edits
        ]
    if answer.stopped is not None:
        record["stopped"] = answer.stopped
    if answer.strays:
        record["strays"] = list(answer.strays)
    if answer.notes:
        record["notes"] = list(answer.notes)
    return record


def answer_of(record: Record) -> Answer:
    """Returns the answer in a record."""
    edits = record.get("edits")
    return Answer(
        record["text"],
        usage_of(record),
        None
        if edits is None
        else tuple(
            Edit(path, None if content is None else base64.b64decode(content), mode)
            for path, content, mode in edits
        ),
        record.get("stopped"),
        tuple(record.get("strays") or ()),
        tuple(record.get("notes", ())),
    )


def usage_of(record: Record) -> Usage:
    """Returns what a record says that an answer cost."""
    return _read(Usage, record.get("usage") or {})


def candidate_fields(candidate: Candidate) -> Record:
    """Returns a candidate as the journal keeps it; its number is the record's `n`."""
    record = asdict(candidate)
    record.pop("number")
    return record


def candidate_of(record: Record) -> Candidate:
    """Returns the candidate in a record."""
    return _read(Candidate, record, number=record["n"])


def experiment_fields(experiment: Experiment) -> Record:
    """Returns an experiment as the journal keeps it; number and time are the record's `n` and `at`."""
    record = asdict(experiment)
    record.pop("number")
    record.pop("at")
    return record


def experiment_of(record: Record) -> Experiment:
    """Returns the experiment in a record."""
    return _read(Experiment, record, number=record["n"], usage=usage_of(record))


def _read(kind: type[T], record: Mapping[str, Any], **more: Any) -> T:
    """Returns a dataclass out of a record's fields; JournalError where one without a default lacks."""
    values = dict(more)
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name in more:
            continue
        if each.name in record:
            values[each.name] = record[each.name]
        elif each.default is MISSING and each.default_factory is MISSING:
            raise JournalError(f"a {kind.__name__.lower()} lacks the field {each.name!r}")
    return kind(**values)
