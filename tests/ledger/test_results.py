"""results.tsv and musings.md as text, and anybody's results file read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.ledger import results, strangers
from autoresearch.ledger.results import row, table
from autoresearch.ledger.strangers import Row
from autoresearch.records import Experiment
from autoresearch.text import one_line

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEADER = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"


def read(text: str) -> tuple[str, tuple[Row, ...]]:
    found = strangers.read(text.encode(), "f")
    return found.metric, found.rows


def experiment(**fields: object) -> Experiment:
    given: dict[str, object] = {
        "number": 1,
        "commit": COMMIT,
        "parent": COMMIT,
        "status": "keep",
        "description": "halve the batch",
        "reason": "better by 0.001000",
        "value": 0.9979,
        "memory_mb": 45060.2,
    }
    return Experiment(**{**given, **fields})  # type: ignore[arg-type]


def test_the_header_bears_the_metrics_name() -> None:
    assert results.header("val_bpb") == HEADER
    assert results.header("acc").split("\t")[1] == "acc"


def test_rows() -> None:
    assert row(experiment(), "val_bpb") == "0123456\t0.997900\t44.0\tkeep\thalve the batch\n"
    assert row(experiment(status="discard", memory_mb=None), "val_bpb").split("\t")[1:4] == [
        "0.997900",
        "0.0",
        "discard",
    ]
    assert row(experiment(value=0.1 + 0.2), "loss").split("\t")[1] == "0.30000000000000004"
    assert row(experiment(value=123456789.0), "score").split("\t")[1] == "123456789.0"


def test_the_sentinels_of_a_crash_and_nowhere_else() -> None:
    crash = experiment(status="crash", value=None, memory_mb=None, failure="oom")
    line = row(crash, "val_bpb")
    assert line == "0123456\t0.000000\t0.0\tcrash\thalve the batch\n"
    assert read(HEADER + line)[1][0] == Row("0123456", None, None, "crash", "halve the batch")
    zero = row(experiment(value=0.0), "loss")
    assert read(results.header("loss") + zero)[1][0].value == 0.0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc\r\nd", "a b c d"),
        ("  a  \n\n b ", "a b"),
        ("a\x0bb\x0cc\x85d\u2028e\x1cf", "a b c d e f"),
        ("\x1b[31mred\x1b[0m\x00\x07", "red"),
        ("\u202ereversed", "reversed"),
        ("a \x1b b", "a b"),
        ("é日本 → 2**18", "é日本 → 2**18"),
        ("", ""),
    ],
)
def test_a_description_is_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert row(experiment(description=text), "val_bpb").endswith(f"\t{shown}\n")


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_there_and_back(description: str, value: float, crashed: bool) -> None:
    given = experiment(
        description=description,
        value=None if crashed else value,
        memory_mb=None if crashed else 2048.0,
        status="crash" if crashed else "discard",
    )
    text = table([given, given], "loss")
    assert text.count("\n") == 3 and text.count("\t") == 12
    metric, rows = read(text)
    assert metric == "loss" and len(rows) == 2
    assert rows[0] == Row(
        "0123456",
        None if crashed else value,
        None if crashed else 2.0,
        "crash" if crashed else "discard",
        one_line(description),
    )


def test_musings() -> None:
    text = results.musing(experiment(hypothesis="more\nsteps"), "val_bpb")
    assert text == (
        "## 1: halve the batch\n\nWhy: more steps\n\n"
        "Outcome: keep, val_bpb 0.997900, better by 0.001000.\n"
    )
    crashed = experiment(status="crash", value=None, reason="out of memory")
    assert results.musing(crashed, "val_bpb").endswith("Outcome: crash, out of memory.\n")
    assert results.lesson("") == "" and results.lesson("a\nb") == "\nLearned: a b\n"
