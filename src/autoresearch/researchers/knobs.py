"""A tuner for want of an LLM: Optuna's TPE over the numeric constants of the mutable files.

It remembers nothing: each proposal is made from the brief, so a resumed run goes on as if it had
never stopped. One proposal changes one knob of the incumbent, now and then two.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from autoresearch.errors import BadAnswer, NothingToPropose, ResearcherError
from autoresearch.fit import constants
from autoresearch.fit.constants import Knob
from autoresearch.records import Answer, Edit, Experiment, Proposal
from autoresearch.researchers.base import DESCRIPTION_LENGTH, REMARK_LENGTH, Brief, Turn
from autoresearch.text import one_line

if TYPE_CHECKING:
    import optuna

Number: TypeAlias = "int | float"
Vector: TypeAlias = "dict[str, Number]"  # "path::NAME" to value

TWO_KNOBS = 0.2  # how often two are changed at once
TPE_TRIES = 20
RANDOM_TRIES = 200
STARTUP_TRIALS = 8  # before that TPE has nothing to learn from, and draws at random


@dataclass(frozen=True, slots=True)
class Range:
    """Where a knob may go. The tuner sees a coordinate; value() and at() translate."""

    low: Number
    high: Number
    log: bool
    form: str  # float | int | power (exponent of two) | share (1 - x, for 0.95 and the like)
    sign: int = 1

    def value(self, at: Number) -> Number:
        """Returns the knob's value at a coordinate, in three digits where it is a float."""
        if self.form == "power":
            return int(self.sign * 2 ** int(at))
        if self.form == "int":
            return self.sign * int(at)
        if self.form == "share":
            return self.sign * round(1 - float(f"{at:.2g}"), 12)
        return self.sign * min(max(float(f"{at:.3g}"), self.low), self.high)

    def at(self, value: Number) -> Number | None:
        """Returns the coordinate of a value; None where it lies outside."""
        x = value * self.sign
        if self.form == "power":
            where: Number = int(x).bit_length() - 1
            if x < 1 or 2 ** int(where) != x:
                return None
        elif self.form == "share":
            where = 1 - x
        else:
            where = x
        return where if self.low <= where <= self.high else None

    def describe(self) -> str:
        """Returns the range in words, in the knob's own values."""
        low, high = sorted((self.value(self.low), self.value(self.high)))
        steps = "powers of two" if self.form == "power" else "logarithmic" if self.log else "linear"
        return f"{low} to {high}, {steps}"


def range_of(knob: Knob) -> Range | None:
    """Returns the range around a baseline value; None for the int 0, which says off, not how much."""
    value = knob.value
    sign = -1 if value < 0 else 1
    size = abs(value)
    if isinstance(value, float):
        if size == 0.0:
            return Range(0.0, 0.1, False, "float")
        if 0.5 < size < 1.0:  # a momentum, a decay: what counts is how far it is from 1
            return Range((1 - size) / 4, min(4 * (1 - size), 0.9), True, "share", sign)
        high = 4 * size if size >= 1.0 or size < 0.25 else 1.0  # a share stays one
        return Range(size / 4, high, True, "float", sign)
    if size == 0:
        return None
    if size == 1 and not knob.power:
        return Range(1, 4, True, "int", sign)
    exponent = int(size).bit_length() - 1
    if 2**exponent == size:
        return Range(max(0, exponent - 2), exponent + 2, False, "power", sign)
    return Range(max(1, int(size) // 2), 2 * int(size), True, "int", sign)


class KnobsResearcher:
    """Proposes values of upper-case constants by ask and tell; asks no one, costs nothing."""

    kind = "knobs"
    attempts = 1  # it samples again by itself

    def warm_up(self) -> None:
        """There is nothing to prepare."""

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """Returns the next values, as JSON: what changes, and the whole vector.

        Raises ResearcherError where the files hold no knob, NothingToPropose where every value
        that it can think of was tried.
        """
        knobs = _knobs(brief, brief.files)
        now: Vector = {key: knob.value for key, knob in knobs.items()}
        ranges = _ranges(brief, knobs)
        if not ranges:
            raise ResearcherError(
                "no knobs in the mutable files: a knob is an upper-case constant at the top level "
                "of a Python file, as WIDTH = 64 or LR = 3e-4 (not a bool, not the int 0, not a "
                "SEED). Add some, or choose another [researcher] kind."
            )
        history = _history(brief, now)
        tried = {_identity(vector) for vector, _ in history} | {_identity(now)}
        rng = random.Random(f"{brief.number}:{len(brief.refusals)}")
        study = _study(brief, ranges, history, rng.randrange(2**31))
        for attempt in range(TPE_TRIES + RANDOM_TRIES):
            count = 2 if len(ranges) > 1 and rng.random() < TWO_KNOBS else 1
            keys = rng.sample(sorted(ranges), count)
            draw = _tpe(study, ranges, keys) if attempt < TPE_TRIES else _random(ranges, keys, rng)
            changed = {key: value for key, value in draw.items() if value != now[key]}
            vector = now | changed
            if changed and _identity(vector) not in tried:
                return Answer(json.dumps({"changed": changed, "values": vector}, sort_keys=True))
        raise NothingToPropose(f"the tuner tried every value of its {len(ranges)} knobs")

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        """Returns the files with the answer's values written where the literals stand."""
        changed = _vector(answer.text, "changed")
        knobs = _knobs(brief, brief.files)
        if not changed or not knobs.keys() >= changed.keys():
            raise BadAnswer("The answer is no set of knob values for these files.")
        edits: list[Edit] = []
        try:
            steps = [
                f"{knobs[key].name} {knobs[key].shown(knobs[key].value)} -> {knobs[key].shown(v)}"
                for key, v in changed.items()
            ]
            for path in sorted({key.rpartition("::")[0] for key in changed}):
                values = {
                    key.rpartition("::")[2]: value
                    for key, value in changed.items()
                    if key.rpartition("::")[0] == path
                }
                edits.append(Edit(path, constants.rewrite(brief.files[path], values)))
        except (KeyError, ValueError, OverflowError) as err:
            raise BadAnswer(f"A knob value can't be written: {err}") from None
        edits = [edit for edit in edits if edit.content != brief.files[edit.path]]
        if not edits:
            raise BadAnswer("The answer changes nothing: every knob has that value already.")
        ranges = _ranges(brief, knobs)
        spans = [f"{knobs[k].name} ({ranges[k].describe()})" for k in changed if k in ranges]
        why = f"TPE over {len(brief.experiments)} experiments drew {', '.join(spans)}"
        description = one_line(", ".join(steps), DESCRIPTION_LENGTH)
        return Proposal(description, tuple(edits), one_line(why, REMARK_LENGTH))


def _knobs(brief: Brief, files: dict[str, bytes]) -> dict[str, Knob]:
    """Returns every knob of the mutable Python files, by "path::NAME"."""
    found: dict[str, Knob] = {}
    for path, source in sorted(files.items()):
        whole = path in brief.mutable or not any(p.startswith(path + "::") for p in brief.mutable)
        if path.endswith(".py") and whole:
            found |= {f"{path}::{name}": knob for name, knob in constants.find(source).items()}
    return found


def _ranges(brief: Brief, knobs: dict[str, Knob]) -> dict[str, Range]:
    """Returns the ranges around the baseline's values, which stay the same all run."""
    files = brief.files if brief.baseline_files is None else brief.baseline_files
    base = _knobs(brief, files)
    found: dict[str, Range] = {}
    for key, knob in knobs.items():
        start = base.get(key, knob)
        alike = type(start.value) is type(knob.value) and start.power == knob.power
        span = range_of(start if alike else knob)
        if span is not None:
            found[key] = span
    return found


def _history(brief: Brief, now: Vector) -> list[tuple[Vector, Experiment | None]]:
    """Returns what was tried and what came of it; None while it is still running."""
    rows = {e.number: e for e in brief.experiments}
    files = brief.files if brief.baseline_files is None else brief.baseline_files
    base = {key: knob.value for key, knob in _knobs(brief, files).items()}
    history: list[tuple[Vector, Experiment | None]] = [(base, rows.get(0))]
    for number, text in brief.answers:
        try:
            vector = _vector(text, "values")
        except BadAnswer:
            continue  # another researcher's
        history.append((vector, rows.get(number)))
    return [({k: v for k, v in vector.items() if k in now}, row) for vector, row in history]


def _vector(text: str, part: str) -> Vector:
    """Returns the numbers in one part of an answer; raises BadAnswer where it is not ours."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    values = data.get(part) if isinstance(data, dict) else None
    if not isinstance(values, dict):
        raise BadAnswer("The answer is not the tuner's JSON.")
    for value in values.values():
        if type(value) not in (int, float) or not abs(value) < 1e300:
            raise BadAnswer("The answer holds a value that is not a number.")
    return values


def _identity(vector: Vector) -> tuple[tuple[str, Number], ...]:
    return tuple(sorted(vector.items()))


def _study(
    brief: Brief,
    ranges: dict[str, Range],
    history: list[tuple[Vector, Experiment | None]],
    seed: int,
) -> optuna.Study:
    """Returns a study in memory that was told all of the history."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS)
    study = optuna.create_study(direction=brief.direction, sampler=sampler)
    spans = {key: _distribution(span) for key, span in ranges.items()}
    trials = []
    for vector, row in history:
        if row is None:
            continue
        at: dict[str, Any] = {}
        for key, value in vector.items():
            where = ranges[key].at(value) if key in ranges else None
            if where is not None:
                at[key] = where
        # A crash goes in as pruned without a value: TPE ranks that last, and forgets a failed one.
        done = row.value is not None and row.status != "crash"
        states = optuna.trial.TrialState
        trials.append(
            optuna.trial.create_trial(
                params=at,
                distributions={key: spans[key] for key in at},
                value=row.value if done else None,
                state=states.COMPLETE if done else states.PRUNED,
            )
        )
    study.add_trials(trials)
    return study


def _distribution(span: Range) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    if span.form in ("float", "share"):
        return FloatDistribution(float(span.low), float(span.high), log=span.log)
    return IntDistribution(int(span.low), int(span.high), log=span.log)


def _tpe(study: optuna.Study, ranges: dict[str, Range], keys: list[str]) -> Vector:
    """Returns TPE's values for these knobs; the others are never suggested, so they stay."""
    trial = study.ask()
    draw: Vector = {}
    for key in keys:
        span = ranges[key]
        if span.form in ("float", "share"):
            at: Number = trial.suggest_float(key, float(span.low), float(span.high), log=span.log)
        else:
            at = trial.suggest_int(key, int(span.low), int(span.high), log=span.log)
        draw[key] = span.value(at)
    return draw


def _random(ranges: dict[str, Range], keys: list[str], rng: random.Random) -> Vector:
    """Returns any values of these knobs, for where TPE keeps to what was tried."""
    draw: Vector = {}
    for key in keys:
        span = ranges[key]
        if span.form in ("float", "share"):
            draw[key] = span.value(rng.uniform(float(span.low), float(span.high)))
        else:
            draw[key] = span.value(rng.randint(int(span.low), int(span.high)))
    return draw
