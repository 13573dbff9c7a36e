"""results.tsv and musings.md as text, and anybody's results file read back."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.errors import UsageError
from autoresearch.ledger import results
from autoresearch.ledger.results import Row, read, row, table
from autoresearch.records import Experiment
from autoresearch.text import one_line

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HEADER = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"


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
    assert read(HEADER + line, "f")[1][0] == Row("0123456", None, None, "crash", "halve the batch")
    zero = row(experiment(value=0.0), "loss")
    assert read(HEADER + zero, "f")[1][0].value == 0.0


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
    metric, rows = read(text, "f")
    assert metric == "loss" and len(rows) == 2
    assert rows[0] == Row(
        "0123456",
        None if crashed else value,
        None if crashed else 2.0,
        "crash" if crashed else "discard",
        one_line(description),
    )


def test_what_strangers_write() -> None:
    text = (
        f"\ufeff{HEADER}"
        "a1b2c3d\t0.997900\t44.0\tkeep\tbaseline\n"
        "\n"
        "b2c3d4e\t 1.0 \t44\t discard \tword \u2028 with\ttabs \x1b[1mand more\n"
        "c3d4e5f\t0.000000\t0.0\tcrash\t"
    ).replace("\n", "\r\n")
    assert read(text, "f") == (
        "val_bpb",
        [
            Row("a1b2c3d", 0.9979, 44.0, "keep", "baseline"),
            Row("b2c3d4e", 1.0, 44.0, "discard", "word with tabs and more"),
            Row("c3d4e5f", None, None, "crash", ""),
        ],
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1"),
        ("\n", "line 1"),
        ("commit,val_bpb,memory_gb,status,description\n", "line 1"),
        ("commit\tval_bpb\tseconds\tstatus\tdescription\n", "line 1"),
        ("commit\t\tmemory_gb\tstatus\tdescription\n", "line 1"),
        (HEADER.rstrip() + "\tmore\n", "line 1"),
        (f"{HEADER}a\t1\t1\tkeep\n", "line 2 has 4 columns"),
        (f"{HEADER}a\t1\t1\tkeep\tb\n\na 1 1 keep b\n", "line 4 has 1 columns"),
        (f"{HEADER}a\t1\t1\tkept\tb\n", "line 2: status 'kept'"),
        (f"{HEADER}a\tmany\t1\tkeep\tb\n", "line 2: value"),
        (f"{HEADER}a\t1\tmuch\tkeep\tb\n", "line 2: value or memory"),
        (f"{HEADER}a\tnan\t1\tkeep\tb\n", "line 2: value"),
        (f"{HEADER}a\tinf\t1\tkeep\tb\n", "line 2: value"),
        (f"{HEADER}a\t1e999\t1\tkeep\tb\n", "line 2: value"),
        (f"{HEADER}a\t1_0\t1\tkeep\tb\n", "line 2: value"),
        (f"{HEADER}a\t١\t1\tkeep\tb\n", "line 2: value"),
        (f"{HEADER}a\t0,9\t1\tkeep\tb\n", "line 2: value"),
    ],
)
def test_what_is_no_results_file(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text, "some/results.tsv")
    message = str(caught.value)
    assert message.startswith("some/results.tsv: ") and words in message
    assert message.isprintable()


@given(st.text())
def test_any_text_is_rows_or_an_error_with_its_place(text: str) -> None:
    with contextlib.suppress(UsageError):
        metric, rows = read(HEADER + text, "f")
        assert metric == "val_bpb" and len(rows) <= text.count("\n") + 1
    with pytest.raises(UsageError, match=r"^f: line 1 "):
        read(text, "f")


def test_musings() -> None:
    text = results.musing(experiment(hypothesis="more\nsteps"), "val_bpb")
    assert text == (
        "## 1: halve the batch\n\nWhy: more steps\n\n"
        "Outcome: keep, val_bpb 0.997900, better by 0.001000.\n"
    )
    crashed = experiment(status="crash", value=None, reason="out of memory")
    assert results.musing(crashed, "val_bpb").endswith("Outcome: crash, out of memory.\n")
    assert results.lesson("") == "" and results.lesson("a\nb") == "\nLearned: a b\n"
