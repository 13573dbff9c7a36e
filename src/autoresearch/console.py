"""What a person sees of a run: a live display in a terminal, one plain line per event elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import partial

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from autoresearch.config import Config
from autoresearch.ledger.results import number
from autoresearch.ledger.state import State
from autoresearch.ratchet.drive import Limits
from autoresearch.records import Event, Experiment, Sink
from autoresearch.streams import say
from autoresearch.text import one_line

_STYLES = {"keep": "bold green", "discard": "dim", "crash": "red"}


@contextlib.contextmanager
def screen(state: State, config: Config, limits: Limits) -> Iterator[Sink]:
    """A sink that shows the events of a run: live in a terminal, else one plain line each."""
    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        yield partial(_say_all, config)
        return
    display = _Display(console, state, config, limits)
    with Live(display.render(), console=console, auto_refresh=False, transient=True) as live:

        def show(event: Event) -> None:
            display.take(event)
            live.update(display.render(), refresh=True)

        yield show


def _say_all(config: Config, event: Event) -> None:
    for line in plain(event, config):
        say(line)


def plain(event: Event, config: Config) -> list[str]:
    """An event as lines without colours; none for what moves on too fast for a log."""
    mark = "" if event.number is None else f"#{event.number} "
    text = one_line(event.text)
    if event.kind == "verdict" and event.experiment is not None:
        return [verdict(event.experiment, config)]
    if event.kind == "start":
        return [f"start: researcher {text}, {event.data['experiments']:.0f} experiments so far"]
    if event.kind == "wait":
        return [f"{mark}waiting {event.data['seconds']:.0f} s: {text}"]
    if event.kind == "progress":
        return []
    words = {
        "baseline": "baseline", "estimate": "estimate", "ask": "asking", "again": "asking again",
        "candidate": "trial", "refused": "refused", "notice": "notice", "stop": "stop",
    }  # fmt: skip
    why = f" ({one_line(event.detail)})" if event.detail else ""
    return [f"{mark}{words[event.kind]}: {text}{why}"]


def verdict(experiment: Experiment, config: Config) -> str:
    """One line per verdict."""
    metric = config.task.metric.name
    value = ""
    if experiment.value is not None:
        value = f" {metric} {number(experiment.value, metric)}"
    return (
        f"#{experiment.number} {experiment.status}{value} ({one_line(experiment.reason)}): "
        f"{one_line(experiment.description)}"
    )


class _Display:
    """The live display: what runs, how far it is, the best so far, counts, spend and time left."""

    def __init__(self, console: Console, state: State, config: Config, limits: Limits) -> None:
        self._console, self._state, self._config, self._limits = console, state, config, limits
        self._began = time.monotonic()
        self._rows_before = max(1, len(state.experiments))  # the baseline does not count
        self._doing = Text("starting")
        self._why = ""
        self._fraction: float | None = None
        self._seconds = 0.0
        self._loss: float | None = None

    def take(self, event: Event) -> None:
        mark = "" if event.number is None else f"#{event.number} "
        if event.kind == "progress":
            self._fraction, self._seconds = event.data["fraction"], event.data["seconds"]
            self._loss = event.data.get("loss")
            return
        self._fraction = None
        if event.kind in ("ask", "candidate", "baseline"):
            words = {"ask": f"asking {event.text}"}.get(event.kind, event.text)
            self._doing = Text(mark + one_line(words), overflow="ellipsis", no_wrap=True)
            self._why = one_line(event.detail)
            return
        style = _STYLES.get(event.experiment.status, "") if event.experiment else "yellow"
        for line in plain(event, self._config):
            # Told to print(), since it joins texts into a new one without settings of their own.
            if event.kind == "verdict":
                self._console.print(Text(line, style=style), overflow="ellipsis", no_wrap=True)
            else:
                self._console.print(Text(line, style=style), overflow="fold")

    def render(self) -> Group:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True)
        if self._fraction is not None:
            bar = ProgressBar(
                total=1.0, completed=self._fraction, width=min(40, self._console.width - 30)
            )
            loss = "" if self._loss is None else f"  loss {self._loss:.4g}"
            grid.add_row(bar, f"{100 * self._fraction:3.0f} %  {_clock(self._seconds)}{loss}")
        why = [Text(self._why, "dim", overflow="ellipsis", no_wrap=True)] if self._why else []
        facts = Text(self._facts(), overflow="ellipsis", no_wrap=True)
        return Group(self._doing, *why, grid, facts)

    def _facts(self) -> str:
        state, metric = self._state, self._config.task.metric.name
        counts = dict.fromkeys(_STYLES, 0)
        for experiment in state.experiments:
            if not experiment.is_baseline:
                counts[experiment.status] += 1
        best = state.incumbent.value if state.incumbent else None
        parts = [
            f"best {number(best, metric) if best is not None else '-'}",
            f"{counts['keep']} kept {counts['discard']} discarded {counts['crash']} crashed",
        ]
        if state.usd:
            parts.append(f"${state.usd:.2f}")
        parts.append(self._left())
        return " · ".join(part for part in parts if part)

    def _left(self) -> str:
        """The time that is left: by the limit of hours, else by the pace of this call's experiments."""
        spent = time.monotonic() - self._began
        if self._limits.hours:
            return f"{_clock(max(0.0, self._limits.hours * 3600 - spent))} left"
        done = max(0, len(self._state.experiments) - self._rows_before)
        most = self._limits.experiments
        if most and done:
            return f"{done}/{most}, {_clock(spent / done * max(0, most - done))} left"
        return _clock(spent)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
