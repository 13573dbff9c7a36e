"""The metric in a JSON file: where it stands, and what is no number."""

from __future__ import annotations

import json

import pytest

from autoresearch.config import MetricConfig
from autoresearch.records import Crash
from autoresearch.rules import metric_file


def read(content: bytes | str, key: str = "eval.loss") -> float | Crash:
    return metric_file.read(content, MetricConfig(file=f"out/m.json:{key}"))


@pytest.mark.parametrize(
    ("content", "key", "number"),
    [
        ({"eval": {"loss": 0.5}}, "eval.loss", 0.5),
        ({"loss": 3}, "loss", 3.0),
        ([{"loss": 1}, {"loss": 2}], "1.loss", 2.0),
        ({"a": [[1, 2], [3, -4e-3]]}, "a.1.1", -0.004),
        ({"0": {"7": 1}}, "0.7", 1.0),
        ({"eval:loss": 2}, "eval:loss", 2.0),
        ([5], "0", 5.0),
        ({"loss": -0.0}, "loss", 0.0),
    ],
)
def test_where_it_stands(content: object, key: str, number: float) -> None:
    found = read(json.dumps(content).encode(), key)
    assert found == number and str(found) == str(number)


def test_encodings() -> None:
    assert read(b'\xef\xbb\xbf{"loss": 1}', "loss") == 1
    assert read('{"loss": 1}'.encode("utf-16"), "loss") == 1


@pytest.mark.parametrize(
    ("content", "failure", "words"),
    [
        ("is not there", "no_summary", "out/m.json, where val_bpb should be, is not there"),
        (b"", "no_summary", "no JSON"),
        (b"{", "no_summary", "no JSON"),
        (b"\xff\xfe\xff", "no_summary", "no JSON"),
        (b"[" * 200_000, "no_summary", "no JSON"),
        (b'{"eval": ' * 100_000, "no_summary", "no JSON"),
        (b'{"eval": {"loss": ' + b"9" * 5000 + b"}}", "no_summary", "no JSON"),
        (b'{"eval": {}}', "no_summary", "has no eval.loss; the object is empty"),
        (b'{"eval": {"acc": 1, "f1": 2}}', "no_summary", "has no eval.loss; there are acc, f1"),
        (b'{"eval": [1, 2]}', "no_summary", "has no eval.loss; the list has 2 items"),
        (b'{"eval": 3}', "no_summary", "has no eval.loss"),
        (b'{"eval": {"loss": "0.5"}}', "no_summary", 'is "0.5", no number'),
        (b'{"eval": {"loss": true}}', "no_summary", "is true, no number"),
        (b'{"eval": {"loss": null}}', "no_summary", "is null, no number"),
        (b'{"eval": {"loss": [1]}}', "no_summary", "is [1], no number"),
        (b'{"eval": {"loss": NaN}}', "nan", "not finite"),
        (b'{"eval": {"loss": -Infinity}}', "nan", "not finite"),
        (b'{"eval": {"loss": 1e999}}', "nan", "not finite"),
        (b'{"eval": {"loss": ' + b"9" * 400 + b"}}", "nan", "not finite"),
        (b'{"eval": {"loss": 2, "loss": 1}}', "two_summaries", "eval.loss more than once"),
        (b'{"eval": {"loss": 2}, "eval": {"loss": 1}}', "two_summaries", "eval more than once"),
    ],
)
def test_what_is_a_crash(content: bytes | str, failure: str, words: str) -> None:
    found = read(content)
    assert isinstance(found, Crash)
    assert found.failure == failure and words in found.reason and len(found.reason) < 300


@pytest.mark.parametrize("key", ["2", "-1", "01x", "1e0", "\u0661", "9999999999999999999"])
def test_items_that_a_list_has_not(key: str) -> None:
    assert isinstance(read(b"[1, 2]", key), Crash)
