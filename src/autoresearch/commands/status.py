"""`autoresearch status`: where a run stands, whoever drives it."""

from __future__ import annotations

import time
from typing import Any

from autoresearch.config import Config
from autoresearch.lab.lab import Lab, holder
from autoresearch.ledger import results
from autoresearch.ledger.state import State
from autoresearch.records import Experiment
from autoresearch.streams import say, say_json
from autoresearch.text import one_line


def status(tag: str | None, as_json: bool = False) -> None:
    """Prints who drives a run, its incumbent, what it did and spent, and what comes next."""
    lab = Lab.here()
    tag = lab.tag(tag)
    state, config = lab.state(tag), lab.config(tag)
    if as_json:
        say_json(_fields(lab, tag, state, config))
        return
    metric = config.task.metric.name
    say(f"run {tag}, branch autoresearch/{tag}")
    if lab.driven(tag):
        say(f"driven by {holder(lab.paths(tag).lock)}{_doing(state)}")
    elif state.stop is not None:
        reason = one_line(state.stop["reason"].partition("\n")[0])
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.stop["at"]))
        say(f"not running; stopped {when}: {reason}")
    else:
        say("not running" + ("; it was cut off" if state.session else "") + _doing(state))
    if state.incumbent is not None and state.incumbent.value is not None:
        first = state.experiments[0]
        say(
            f"incumbent #{state.incumbent.number} {state.incumbent.short} {metric} "
            f"{results.number(state.incumbent.value, metric)} (baseline "
            f"{results.number(first.value or 0.0, metric)}): {state.incumbent.description}"
        )
    rows, counts = _counts(state)
    say(
        f"{rows} experiments: {counts['keep']} kept, {counts['discard']} discarded, "
        f"{counts['crash']} crashed; {state.refused} proposals refused"
    )
    if state.waiting:
        numbers = ", ".join(f"#{e.number}" for e in state.waiting)
        say(
            f"held, too good to be true: {numbers}; autoresearch show N, then autoresearch accept N"
        )
    tokens = f", {state.input_tokens + state.output_tokens} tokens" if state.input_tokens else ""
    say(f"spent {state.seconds / 3600:.2f} h, ${state.usd:.2f}{tokens}")
    for reason in state.refusals[-3:]:
        say(f"refused: {one_line(reason)[:300]}")
    if state.session is not None:
        say(f"sandbox {state.session['sandbox']}")
    say(
        "next: autoresearch run"
        if rows or state.incumbent
        else "next: autoresearch run (baseline first)"
    )


def _counts(state: State) -> tuple[int, dict[str, int]]:
    """Returns how many experiments there are, baselines apart, and how many of each status."""
    rows = [experiment for experiment in state.experiments if not experiment.is_baseline]
    kinds = ("keep", "discard", "crash")
    return len(rows), {kind: sum(e.status == kind for e in rows) for kind in kinds}


def _fields(lab: Lab, tag: str, state: State, config: Config) -> dict[str, Any]:
    """Returns what JSON says of a run."""
    rows, counts = _counts(state)
    incumbent = state.incumbent
    return {
        "tag": tag,
        "branch": f"autoresearch/{tag}",
        "driven": lab.driven(tag),
        "metric": config.task.metric.name,
        "direction": config.task.metric.direction,
        "incumbent": None if incumbent is None else place(incumbent),
        "baseline": place(state.experiments[0]) if state.experiments else None,
        "experiments": rows,
        **counts,
        "refused": state.refused,
        "refusals": state.refusals,
        "under_way": [
            {
                "number": pending.number,
                "by": pending.by,
                "description": None if pending.candidate is None else pending.candidate.description,
            }
            for pending in state.open.values()
        ],
        "stop": None if state.stop is None else state.stop["reason"],
        "seconds": state.seconds,
        "usd": state.usd,
        "input_tokens": state.input_tokens,
        "output_tokens": state.output_tokens,
        "sandbox": None if state.session is None else state.session["sandbox"],
    }


def place(experiment: Experiment) -> dict[str, Any]:
    """Returns where an experiment stands, as JSON has it: number, commit and value."""
    return {"number": experiment.number, "commit": experiment.commit, "value": experiment.value}


def _doing(state: State) -> str:
    """Returns what is under way, in words."""
    words = ""
    for pending in state.open.values():
        what = "asking for" if pending.candidate is None else "trying"
        about = "" if pending.candidate is None else f": {pending.candidate.description}"
        words += f"; {what} #{pending.number}{about}"
    return words
