"""A tuner for want of an LLM: Optuna's TPE over the numeric constants of the mutable files.

It remembers nothing: each proposal is made from the brief, so a resumed run goes on as if it had
never stopped. One proposal changes one knob of the incumbent, now and then two.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from autoresearch.errors import BadAnswer, NothingToPropose, ResearcherError
from autoresearch.fit import constants
from autoresearch.fit.constants import Knob
from autoresearch.fit.declarations import knobs_in
from autoresearch.grammars import GrammarMissing
from autoresearch.records import Answer, Edit, Experiment, Proposal
from autoresearch.researchers.base import DESCRIPTION_LENGTH, REMARK_LENGTH, Brief, Turn
from autoresearch.researchers.prompt import render
from autoresearch.researchers.ranges import Number, Range, range_of, written_range
from autoresearch.text import one_line

if TYPE_CHECKING:
    import optuna

Vector: TypeAlias = "dict[str, Number]"  # "path::NAME" to value

TWO_KNOBS = 0.2  # how often two are changed at once
TPE_TRIES = 20
RANDOM_TRIES = 200
STARTUP_TRIALS = 8  # before that TPE has nothing to learn from, and draws at random


class KnobsResearcher:
    """Proposes values of upper-case constants by ask and tell; asks no one, costs nothing."""

    kind = "knobs"
    attempts = 1  # it samples again by itself

    def __init__(self, ranges: Mapping[str, Sequence[Number]] | None = None) -> None:
        """ranges are those of [researcher.knobs]: the ends, by a knob's name."""
        self._written = dict(ranges or {})

    def warm_up(self) -> None:
        """There is nothing to prepare."""

    def prompt(self, brief: Brief) -> str:
        """Returns the prompt of a model."""
        return render(brief)

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """Returns the next values, as JSON: what changes, and the whole vector.

        Raises ResearcherError where the files hold no knob, NothingToPropose where every value
        that it can think of was tried.
        """
        knobs = _knobs(brief, brief.files)
        now: Vector = {key: knob.value for key, knob in knobs.items()}
        ranges = self._ranges(brief, knobs)
        if not ranges:
            raise ResearcherError(
                "no knobs in the mutable files: a knob is an upper-case constant at the top level "
                "of a Python file, as WIDTH = 64 or LR = 3e-4 (not a bool, not the int 0, not a "
                "SEED), or a #define, const or static with a number in other languages. Add some, or "
                "choose another [researcher] kind."
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
                mine = {k: v for k, v in changed.items() if k.rpartition("::")[0] == path}
                edits.append(Edit(path, constants.rewrite(brief.files[path], knobs, mine)))
        except (KeyError, ValueError, OverflowError) as err:
            raise BadAnswer(f"A knob value can't be written: {err}") from None
        edits = [edit for edit in edits if edit.content != brief.files[edit.path]]
        if not edits:
            raise BadAnswer("The answer changes nothing: every knob has that value already.")
        ranges = self._ranges(brief, knobs)
        spans = [f"{knobs[k].name} ({ranges[k].describe()})" for k in changed if k in ranges]
        why = f"TPE over {len(brief.experiments)} experiments drew {', '.join(spans)}"
        description = one_line(", ".join(steps), DESCRIPTION_LENGTH)
        return Proposal(description, tuple(edits), one_line(why, REMARK_LENGTH))

    def _ranges(self, brief: Brief, knobs: dict[str, Knob]) -> dict[str, Range]:
        """Returns the ranges that the user wrote, and else those around the baseline's values.

        They stay the same all run. Raises ResearcherError where a written one fits no knob.
        """
        names = {knob.name for knob in knobs.values()}
        if unknown := self._written.keys() - names:
            raise ResearcherError(
                f"researcher.knobs: {', '.join(sorted(unknown))}: no knob of this name in the mutable "
                f"files; there are {', '.join(sorted(names)) or 'none'}. Mend autoresearch.toml"
            )
        base = _knobs(brief, brief.files if brief.baseline_files is None else brief.baseline_files)
        found: dict[str, Range] = {}
        for key, knob in knobs.items():
            start = base.get(key, knob)
            alike = type(start.value) is type(knob.value) and start.power == knob.power
            if knob.name in self._written:
                try:
                    found[key] = written_range(knob, self._written[knob.name])
                except ValueError as fault:
                    raise ResearcherError(
                        f"researcher.knobs: {fault}. Mend autoresearch.toml"
                    ) from None
            elif (span := range_of(start if alike else knob)) is not None:
                found[key] = span
        return found


def _knobs(brief: Brief, files: dict[str, bytes]) -> dict[str, Knob]:
    """Returns every knob of the mutable files, by "path::NAME"; raises ResearcherError."""
    found: dict[str, Knob] = {}
    for path, source in sorted(files.items()):
        if path in brief.mutable or not any(p.startswith(path + "::") for p in brief.mutable):
            try:
                found |= {f"{path}::{name}": k for name, k in knobs_in(path, source).items()}
            except GrammarMissing as fault:
                raise ResearcherError(f"{path} {fault}") from None
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
