"""`autoresearch status`: where a run stands, whoever drives it."""

from __future__ import annotations

import time

from autoresearch.lab.lab import Lab, holder
from autoresearch.ledger import results
from autoresearch.ledger.state import State
from autoresearch.streams import say
from autoresearch.text import one_line


def status(tag: str | None) -> None:
    """Prints who drives a run, its incumbent, what it did and spent, and what comes next."""
    lab = Lab.here()
    tag = lab.tag(tag)
    state, config = lab.state(tag), lab.config(tag)
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
    rows = [experiment for experiment in state.experiments if not experiment.is_baseline]
    counts = {kind: sum(e.status == kind for e in rows) for kind in ("keep", "discard", "crash")}
    say(
        f"{len(rows)} experiments: {counts['keep']} kept, {counts['discard']} discarded, "
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


def _doing(state: State) -> str:
    """Returns what is under way, in words."""
    words = ""
    for pending in state.open.values():
        what = "asking for" if pending.candidate is None else "trying"
        about = "" if pending.candidate is None else f": {pending.candidate.description}"
        words += f"; {what} #{pending.number}{about}"
    return words
