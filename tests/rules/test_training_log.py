"""Training log lines: what is a point, what a digest says, and work that stays bounded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from autoresearch.rules import training_log
from autoresearch.rules.training_log import Point
from tests.labs import make_lab, scripted, swap


def log(steps: int = 600, every: int = 10, slow: float = 1.0, **odd: float) -> list[str]:
    """Lines of a run whose loss falls from 5; odd: other losses, by step as `s300`."""
    lines = []
    for step in range(every, steps + 1, every):
        told = {
            "step": step, "loss": odd.get(f"s{step}", 5 / (1 + step / 600)), "progress": step / 600,
            "lr": 1.0, "tokens_per_s": 50_000 / slow, "step_ms": 20.0 * slow, "rows": step * 16,
        }  # fmt: skip
        lines.append(json.dumps(told))
    return lines


def test_a_point() -> None:
    line = '{"step": 50, "loss": 4.5, "progress": 0.083, "lr": 1.0, "tokens_per_s": 51234.0, "step_ms": 19.9}'
    assert training_log.point(line) == Point(50, 4.5, 0.083, 51234.0, 19.9)
    assert training_log.point('{"step":1,"progress":0,"loss":9}') == Point(1, 9.0, 0.0)


@pytest.mark.parametrize(
    "line",
    [
        "", "step 50 loss 4", '{"loss": 4, "step": 50}', ' {"step": 1, "loss": 4, "progress": 0}',
        '{"step": 1, "loss": 4, "progress": 0', '{"step": 1, "loss": 4}',
        '{"step": 1, "loss": "4", "progress": 0}', '{"step": true, "loss": 4, "progress": 0}',
        '{"step": 1, "loss": 4, "progress": 1.5}', '{"step": -1, "loss": 4, "progress": 0}',
        '{"step": 1, "loss": 4, "progress": NaN}', '{"step": NaN, "loss": 4, "progress": 0}',
        '{"step": 1e400, "loss": 4, "progress": 0}', '{"step": ' + "9" * 900 + "}",
        '{"step": 1, "loss": ' + "9" * 900 + ', "progress": 0}',
        '{"step": ' + "[" * 900 + "}", '{"step": 1, "x": "' + "y" * 1000 + '", "loss": 4, "progress": 0}',
    ],
)  # fmt: skip
def test_what_is_none(line: str) -> None:
    assert training_log.point(line) is None
    assert list(training_log.without([line])) == [line], "and so it stays in the log"


def test_losses_that_are_not_finite() -> None:
    for token in ("NaN", "Infinity", "-Infinity", "1e999"):
        line = '{"step": 7, "loss": X, "progress": 0.5, "step_ms": X}'.replace("X", token)
        found = training_log.point(line)
        assert found is not None and found.step_ms is None and not abs(found.loss) < 1e308
    mixed = [Point(1, float("inf"), 0.5), Point(2, float("-inf"), 0.5), Point(3, 1e308, 0.5)]
    assert "#1: the loss was inf at step 1" in training_log.digest([("#1", [*mixed, mixed[-1]])])


def test_a_digest_of_two_side_by_side() -> None:
    ours, theirs = training_log.points(log(slow=2.0)), training_log.points(log(300))
    head, first, second, *rest = training_log.digest([("#7", ours), ("#4, the incumbent", theirs)])
    assert [word for word in head.split() if "%" in word] == ["10%", "25%", "50%", "75%", "100%"]
    cells = first.split()
    assert cells[0] == "#7" and cells[-2:] == ["25000", "40.0"]
    losses = [float(cell) for cell in cells[1:6]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(5 / 2, abs=0.1) and losses[0] == pytest.approx(
        5 / 1.1, abs=0.2
    )
    assert second.startswith("#4, the incumbent") and second.split()[-4:-2] == ["-", "-"]
    assert rest == ["#4, the incumbent: the log ends at 50% of the budget"]
    assert len(head) < 100 and training_log.digest([("#1", [])]) == []


def test_spikes_and_a_loss_that_breaks() -> None:
    [_, _, remark] = training_log.digest([("#1", training_log.points(log(s300=9.0)))])
    assert remark.startswith("#1: a spike at step 300: 3.") and remark.endswith("-> 9.000")
    [_, _, remark] = training_log.digest([("#1", training_log.points(log(s300=9.0, s500=6.0)))])
    assert "2 spikes of the loss, the largest at step 300" in remark
    broken = training_log.digest([("#1", training_log.points(log(s550=float("nan"))))])
    assert broken[2:] == ["#1: the loss was nan at step 550"]
    assert training_log.digest([("#1", training_log.points(log()))])[2:] == []


def test_the_last_point_of_a_growing_log(tmp_path: Path) -> None:
    file = tmp_path / "log"
    assert training_log.last(file) is None
    lines = log()
    file.write_text("x" * 10_000 + "\n" + "\n".join(lines[:5]) + "\nwords\n" + lines[5][:40])
    assert training_log.last(file) == training_log.point(lines[4])
    file.unlink()
    os.mkfifo(file)
    assert training_log.last(file) is None, "a pipe is not waited for"
    assert training_log.last(tmp_path) is None


def test_hostile_logs_take_bounded_work() -> None:
    """2 MiB is what is kept of a log: points that say nothing, and lines that only look like some."""
    lines = ['{"step": 1, "loss": 4, "progress": 0}'] * 55_000
    lines += ['{"step": ' + "[" * 1000] * 1000 + ['{"step": ' + "9" * 1_000_000 + "}"]
    assert (
        len(training_log.points(lines)) == 55_000
        and len(training_log.digest([("#1", training_log.points(lines))])) == 3
    )


# -- in a run ---------------------------------------------------------------------------------

TRAIN = f"""\
LR = 0.5
print("before")
for line in {log()!r}:
    print(line)
print("after")
print(f"val_bpb: {{1 + LR:.6f}}")
print("training_seconds: 0.2")
print("exam_seconds: 0.1")
"""


@pytest.mark.slow
def test_the_researcher_and_show_get_the_digest_and_no_raw_line(tmp_path: Path) -> None:
    answers = [
        swap("worse", "LR = 0.5", "LR = 0.7"),
        swap("better", "LR = 0.5", "LR = 0.4"),
    ]
    lab = make_lab(tmp_path, TRAIN, researcher=scripted(tmp_path, answers))
    printed = lab.cli("run", "--max", "2").stdout.splitlines()
    [line] = [line for line in printed if line.startswith("estimate: ")]
    assert " s of 20 s (start-up 0." in line and "training 0.2, exam 0.1): " in line
    first, second = lab.file(1, "prompt.txt"), lab.file(2, "prompt.txt")
    for prompt in (first, second):
        told = prompt.partition("## The files")[0]
        assert '{"step"' not in told and "loss at" in told and "before\nafter\n" in told
    assert "\n#0, the incumbent " in first
    assert "\n#1 " in second and "\n#0, the incumbent " in second
    shown = lab.cli("show", "1").stdout
    assert "loss at" in shown and "\ntraining  " in shown
    assert '{"step"' not in shown.partition("its end:")[2] and "after" in shown
    assert '{"step"' in lab.file(1, "trial.log"), "the log itself is whole"
