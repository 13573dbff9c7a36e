"""What a log had where the metric was looked for, and the line of configuration that reads it."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.config import MetricConfig
from autoresearch.records import Crash, Metrics
from autoresearch.rules.advice import metric_advice
from autoresearch.rules.metrics import parse

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LINES = re.compile(r"""((?:pattern|take|name) = (?:'[^']*'|"(?:[^"\\]|\\.)*"))""")


def advised(log: str, config: MetricConfig) -> tuple[str, float | None]:
    """The advice, and what the reader finds once its lines stand in [task.metric]."""
    advice = metric_advice(log.split("\n"), config) or ""
    settings: dict[str, Any] = {}
    for each in LINES.findall(advice):
        for key, value in tomllib.loads(each).items():
            settings.setdefault(key, value)  # of `take` the first that is named
    if not settings:
        return advice, None
    found = parse(log.split("\n"), MetricConfig(**{**config.model_dump(), **settings}))
    assert isinstance(found, Metrics), advice
    return advice, found.value


# name, log, what is read with the advice, words of it
READ = [
    ("loss", "best loss: 0.75", 0.75, r"pattern = 'best loss:\s+(?P<value>\S+)'"),
    ("loss", "\x1b[1mbest\x1b[0m loss: 0.75", 0.75, "pattern = 'best loss:"),
    ("loss", "WARNING:root:loss=0.75", 0.75, "pattern = 'root:loss="),
    ("loss", "[2026-01-02 03:04:05,678] step 7 - loss 0.75", 0.75, "pattern ="),
    ("top1", '{"top1": 0.75}', 0.75, 'pattern = \'\\{"top1":'),
    ("top1", '{"epoch": 3, "top1": 0.75, "lr": 1e-3}', 0.75, "pattern ="),
    ("top1", "{'top1': 0.75}", 0.75, 'pattern = "'),
    ("loss", "loss: 0.75 nats", 0.75, "pattern ="),
    ("loss", "loss: 0.75 0.8", 0.75, "pattern = '^"),
    ("loss", "loss: 0.75 loss: 0.5", 0.75, "pattern = '^"),
    ("loss", "loss: tensor(0.75, device='cuda:0')", 0.75, "pattern ="),
    ("loss", "loss: [0.75]", 0.75, "pattern ="),
    ("loss", "| loss | 0.75 |", 0.75, "pattern ="),
    ("loss", "loss\t0.75", 0.75, "pattern ="),
    ("loss", "loss -> 0.75", 0.75, "pattern ="),
    ("loss", "The loss is 0.75.", 0.75, "pattern ="),
    ("acc", "Test set: acc: 75/100 (75%)\nacc of all: 75.5%", 75.5, "pattern ="),
    ("loss", "step 1 | loss 3\nstep 2 | loss 2\n", 2.0, 'and take = "last"'),
    ("loss", "step 1 | loss 3\nstep 2 | loss 2\nfinal loss 2.5", 2.5, "pattern = 'final loss"),
    ("loss", "loss: 3\nloss: 2\nloss: 4", 4.0, 'take = "last" would read 4, take = "best" 2'),
    ("loss", "losses: 3", 3.0, 'name = "losses"'),
    ("val_loss", "Val_Loss: 3", 3.0, 'name = "Val_Loss"'),
    ("val_bpb", "bpb: 0.75\nloss: 3", 0.75, 'name = "bpb"'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "log", "value", "words"), READ)
def test_the_line_that_would_read_it_does(name: str, log: str, value: float, words: str) -> None:
    config = MetricConfig(name=name)
    assert isinstance(parse(log.split("\n"), config), Crash)
    advice, found = advised(log, config)
    assert found == value and words in advice
    assert advice.isprintable()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("loss: 0,75", "decimal comma"),
        ("the loss: 12,5 now", "decimal comma"),
        ("loss: ٠.٧٥", "digits that are not ASCII"),
        ("loss: 1_000.5", "an underscore in the number"),
        ("mean loss = 1_000", "an underscore in the number"),
        ("", "The log is empty"),
        ("\n \n", "The log is empty"),
        ("done", "No line of the log has its name and a number"),
        ("loss: soon", "No line of the log has its name and a number"),
        ("loss: 0x1p3", "No line of the log has its name and a number"),
    ],
)
def test_what_no_configuration_reads(log: str, words: str) -> None:
    advice, found = advised(log, MetricConfig(name="loss"))
    assert words in advice and found is None


def test_a_pattern_that_matches_nothing() -> None:
    config = MetricConfig(name="loss", pattern=r"final (?P<value>\S+)")
    assert "leave it out" in advised("loss: 0.75", config)[0]
    assert advised("last loss: 0.75", config)[1] == 0.75


@given(
    st.sampled_from(["loss", "val_bpb", "a.b", "x-y", "acc+1"]),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12),
    st.floats(1e-5, 1e5),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30),
)
def test_no_advice_reads_another_number(
    name: str, before: str, between: str, number: float, after: str
) -> None:
    """Whatever the line: what is advised can be written, is read, and reads what it says."""
    log = f"{before}{name}{between}{number!r}{after}"
    config = MetricConfig(name=name)
    if isinstance(parse([log], config), Crash):
        advice, found = advised(log, config)
        assert found is None or f"would read {found:g}" in advice or "if that is it" in advice


def test_a_long_log_and_long_lines_take_no_time() -> None:
    log = [
        "loss at " + " " * 60_000 + "3",
        *(f"step {n} | loss {n}.5 | x {n}" for n in range(20_000)),
    ]
    advice = metric_advice(log, MetricConfig(name="loss"))
    assert advice is not None and "would read 19999.5" in advice
