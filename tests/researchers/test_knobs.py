"""The tuner: what a knob is, how it is rewritten, and that it finds better values."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import pytest

from autoresearch.errors import BadAnswer, NothingToPropose, ResearcherError
from autoresearch.fit import constants
from autoresearch.records import Answer, Experiment
from autoresearch.researchers.base import Brief
from autoresearch.researchers.knobs import KnobsResearcher
from autoresearch.researchers.ranges import range_of

SOURCE = """\
# größe, Größe
NAME = "é"; DIM = 64  # the width
TOTAL_BATCH_SIZE = 2 ** 19
LR: float = 3e-4
DROPOUT=0.0
BIAS = -0.5
STEPS = 1_000
BETA = (0.95)
DEPTH = 1

USE_BIAS = True
RANDOM_SEED = 42
DEVICE_BATCH = 16
LOG_STEPS = 10
_HIDDEN = 7
OFF = 0
lower = 3
BETAS = (0.8, 0.95)
TWICE = 1
TWICE = 2
if DIM: LATER = 3


def f():
    DIM = 3
    return DIM
""".encode()


def brief(files: dict[str, bytes], number: int = 1, **more: object) -> Brief:
    base = Brief(
        number,
        "",
        files,
        (),
        frozenset(files),
        ("*.py",),
        "loss",
        "minimize",
        600.0,
        baseline_files=files,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def test_what_a_knob_is() -> None:
    found = constants.find(SOURCE)
    assert {name: knob.value for name, knob in found.items()} == {
        **{"DIM": 64, "TOTAL_BATCH_SIZE": 2**19, "LR": 3e-4, "DROPOUT": 0.0, "BIAS": -0.5},
        **{"STEPS": 1000, "BETA": 0.95, "DEPTH": 1, "OFF": 0},
    }
    assert constants.find(b"A = (\n") == {}
    assert constants.find(b"\xff") == {}
    assert constants.find(b"A = 2**70\nB = 1e400\nC = 2**-1\nD = 9" + b"9" * 30) == {}
    assert constants.find(b"A = 1\nA += 1\nB: int\nC = D = 3\n") == {}


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_only_the_literal_is_rewritten(prefix: bytes, end: bytes) -> None:
    source = prefix + SOURCE.replace(b"\n", end)
    new = {"DIM": 96, "TOTAL_BATCH_SIZE": 2**17, "LR": 1.5e-05, "DROPOUT": 0.05, "BIAS": -1}
    got = constants.rewrite(source, constants.find(source), {**new, "STEPS": 12_500, "BETA": 0.99})
    wanted = SOURCE
    for old, now in (
        *((b"DIM = 64 ", b"DIM = 96 "), (b"2 ** 19", b"2 ** 17"), (b"3e-4", b"1.5e-05")),
        *((b"DROPOUT=0.0", b"DROPOUT=0.05"), (b"-0.5", b"-1.0"), (b"1_000", b"12_500")),
        (b"(0.95)", b"(0.99)"),
    ):
        assert wanted.count(old) == 1
        wanted = wanted.replace(old, now)
    assert got == prefix + wanted.replace(b"\n", end)
    assert constants.rewrite(source, {}, {}) == source


def ends(literal: str) -> tuple[float, float]:
    span = range_of(constants.find(f"A = {literal}\n".encode())["A"])
    assert span is not None
    low, high = sorted((span.value(span.low), span.value(span.high)))
    return low, high


def test_ranges_hang_on_the_baseline() -> None:
    assert ends("64") == (16, 256)
    assert ends("2**19") == (2**17, 2**21)
    assert ends("2**0") == (1, 4)
    assert ends("2") == (1, 8)
    assert ends("1") == (1, 4)
    assert ends("6") == (3, 12)
    assert ends("-6") == (-12, -3)
    assert ends("10**4") == (5000, 20000)
    assert ends("0.04") == pytest.approx((0.01, 0.16))
    assert ends("0.5") == (0.125, 1.0)
    assert ends("-2.0") == (-8.0, -0.5)
    assert ends("0.0") == (0.0, 0.1)
    assert ends("0.95") == pytest.approx((0.8, 0.987), abs=1e-3)
    assert range_of(constants.find(b"A = 0\n")["A"]) is None


def test_a_proposal_changes_one_knob_or_two_and_keeps_powers_of_two() -> None:
    researcher = KnobsResearcher()
    counts = []
    for number in range(1, 60):
        told = brief({"train.py": SOURCE}, number)
        answer = researcher.propose("", told, ())
        proposal = researcher.read(answer, told)
        (edit,) = proposal.edits
        assert edit.content is not None
        after = {name: knob.value for name, knob in constants.find(edit.content).items()}
        before = {name: knob.value for name, knob in constants.find(SOURCE).items()}
        changed = [name for name in after if after[name] != before[name]]
        counts.append(len(changed))
        assert all(name in proposal.description for name in changed)
        assert "TPE" in proposal.hypothesis
        for name in ("DIM", "TOTAL_BATCH_SIZE"):
            assert math.log2(after[name]).is_integer()
        assert after["OFF"] == 0
        assert b"2 ** " in edit.content
    assert set(counts) == {1, 2}
    assert counts.count(1) > counts.count(2)


def loss(source: bytes) -> float:
    """A bowl: the best is DIM 128, LR 1e-3, BETA 0.97, DROPOUT 0.03."""
    at = {name: knob.value for name, knob in constants.find(source).items()}
    bowl = (math.log2(at["DIM"]) - 7) ** 2 + math.log(at["LR"] / 1e-3) ** 2
    return bowl + math.log((1 - at["BETA"]) / 0.03) ** 2 + (at["DROPOUT"] - 0.03) ** 2 * 400


TOY = b"DIM = 64\nLR = 3e-4\nBETA = 0.9\nDROPOUT = 0.0\nBATCH = 2**10\n"


def simulate(steps: int, restart: bool = False) -> tuple[list[float], list[str]]:
    """The ratchet in small: keep what is better; every seventh experiment crashes."""
    researcher = KnobsResearcher()
    base = {"train.py": TOY}
    best, best_value = base, loss(TOY)
    rows = [Experiment(0, "c", "p", "keep", "baseline", "", value=best_value)]
    answers: list[tuple[int, str]] = []
    for number in range(1, steps + 1):
        if restart:
            researcher = KnobsResearcher()
        told = brief(
            best, number, baseline_files=base, experiments=tuple(rows), answers=tuple(answers)
        )
        answer = researcher.propose("", told, ())
        answers.append((number, answer.text))
        (edit,) = researcher.read(answer, told).edits
        assert edit.content is not None
        value = None if number % 7 == 0 else loss(edit.content)
        kept = value is not None and value < best_value
        if kept and value is not None:
            best, best_value = {"train.py": edit.content}, value
        status = "crash" if value is None else "keep" if kept else "discard"
        rows.append(Experiment(number, "c", "p", status, "", "", value=value))  # type: ignore[arg-type]
    return [r.value for r in rows if r.status == "keep" and r.value is not None], [
        t for _, t in answers
    ]


def test_thirty_experiments_improve_a_bowl_and_repeat_nothing() -> None:
    kept, answers = simulate(30)
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.5 * kept[0]
    vectors = [json.dumps(json.loads(text)["values"], sort_keys=True) for text in answers]
    assert len(set(vectors)) == 30


def test_a_run_that_is_taken_up_again_goes_on_alike() -> None:
    assert simulate(12) == simulate(12, restart=True)


def test_refusals_lead_to_another_proposal() -> None:
    researcher = KnobsResearcher()
    first, again = brief({"train.py": TOY}), brief({"train.py": TOY})
    other = brief({"train.py": TOY}, refusals=("no",))
    assert researcher.propose("", first, ()) == researcher.propose("", again, ())
    assert researcher.propose("", first, ()) != researcher.propose("", other, ())


def test_a_hundred_experiments_cost_little() -> None:
    rows = [Experiment(0, "c", "p", "keep", "baseline", "", value=1.0)]
    answers = []
    base = {f"train.py::{name}": knob.value for name, knob in constants.find(TOY).items()}
    for n in range(1, 101):
        vector = base | {"train.py::LR": 3e-4 * (1 + n / 200)}
        answers.append((n, json.dumps({"changed": {}, "values": vector})))
        rows.append(Experiment(n, "c", "p", "discard", "", "", value=1 + n / 100))
    told = brief({"train.py": TOY}, 101, experiments=tuple(rows), answers=tuple(answers))
    researcher = KnobsResearcher()
    researcher.propose("", told, ())  # the import of optuna
    began = time.process_time()
    for _ in range(5):
        researcher.propose("", told, ())
    assert (time.process_time() - began) / 5 < 0.2


def test_when_every_value_was_tried_it_says_so() -> None:
    files = {"train.py": b"DEPTH = 1\n"}
    answers = tuple((n, json.dumps({"values": {"train.py::DEPTH": n}})) for n in (2, 3, 4))
    with pytest.raises(NothingToPropose):
        KnobsResearcher().propose("", brief(files, 4, answers=answers), ())
    told = brief(files, 3, answers=answers[:2])
    assert json.loads(KnobsResearcher().propose("", told, ()).text)["changed"] == {
        "train.py::DEPTH": 4
    }


def test_other_researchers_answers_and_foreign_values_do_no_harm() -> None:
    files = {"train.py": b"DEPTH = 6\nLR = 0.5\n"}
    odd = {"train.py::DEPTH": 900, "train.py::LR": 77, "gone.py::X": 3}
    answers = ((1, "description: an LLM's"), (2, json.dumps({"values": odd})), (3, "[1]"))
    rows = tuple(Experiment(n, "c", "p", "discard", "", "", value=1.0) for n in range(4))
    told = brief(files, 4, answers=answers, experiments=rows)
    assert KnobsResearcher().read(KnobsResearcher().propose("", told, ()), told).edits


def test_files_without_knobs_are_the_users_to_mend() -> None:
    with pytest.raises(ResearcherError, match="a knob is"):
        KnobsResearcher().propose("", brief({"train.py": b"x = 1\n", "a.txt": b"A = 1\n"}), ())
    bound = brief({"train.py": b"DIM = 64\n"}, mutable=("train.py::Model",))
    with pytest.raises(ResearcherError, match="a knob is"):
        KnobsResearcher().propose("", bound, ())


@pytest.mark.parametrize(
    "text",
    [
        *("", "no json", "[]", "{}", '{"changed": {}}', '{"changed": {"train.py::GONE": 1}}'),
        *('{"changed": {"DIM": 1}}', '{"changed": {"train.py::DIM": "9"}}', '{"changed": 3}'),
        *('{"changed": {"train.py::DIM": true}}', '{"changed": {"train.py::DIM": 1.5}}'),
        *('{"changed": {"train.py::BATCH": 1000}}', '{"changed": {"train.py::LR": NaN}}'),
        *('{"changed": {"train.py::DIM": 64}}', '{"changed": {"train.py::LR": 1e999}}'),
        *("[" * 100_000, '{"changed": {"train.py::DIM": ' + "9" * 6000 + "}}"),
        '{"changed": {"train.py::BATCH": 0}}',
        '{"changed": {"train.py::LR": 1' + "0" * 400 + "}}",
    ],
    ids=lambda text: text[:40],
)
def test_answers_that_are_not_the_tuners_are_refused(text: str) -> None:
    with pytest.raises(BadAnswer):
        KnobsResearcher().read(Answer(text), brief({"train.py": TOY}))
