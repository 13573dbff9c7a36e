"""The parts of a command put together: lab, lock, signals, researcher, ratchet, driver, console."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from autoresearch.config import Config
from autoresearch.console import say, watch
from autoresearch.errors import LabError
from autoresearch.lab.lab import Lab
from autoresearch.lab.run import Run
from autoresearch.ratchet.drive import Driver, Limits, run_program
from autoresearch.ratchet.interrupts import Interrupts
from autoresearch.ratchet.ratchet import Ratchet
from autoresearch.researchers.make import kind_of, make
from autoresearch.runners.hygiene import harden
from autoresearch.runners.local import LocalRunner
from autoresearch.sandbox.sandbox import sandbox_of
from autoresearch.text import one_line

_DESCRIPTION = 200


@dataclass(frozen=True)
class Open:
    """A run that this process drives."""

    ratchet: Ratchet
    driver: Driver
    config: Config
    environment: dict[str, str]


@contextlib.contextmanager
def opened(tag: str | None, notices: bool = True, unwatched: bool = False) -> Iterator[Open]:
    """Open a run for driving: locked, with our signal handlers, our environment hidden from trials.

    unwatched: nobody looks on, and nobody said that a sandbox is not needed.
    """
    lab = Lab.here()
    tag = lab.tag(tag)
    config = lab.config(tag)
    environment = dict(os.environ)
    with Interrupts() as interrupts, lab.locked(tag):
        harden(*([config.researcher.key_env] if config.researcher.key_env else []))
        lab.remember(tag)
        run = Run(lab, tag, config)
        sandbox = sandbox_of(run, environment)
        if notices:
            say(sandbox.self_test.line)
        if unwatched and sandbox.self_test.level <= 1:
            raise LabError(
                f"sandbox {sandbox.text}: a model's code would run as you, with nobody watching. "
                f"{sandbox.remedy or 'See autoresearch doctor'}; or say that it is meant: autoresearch "
                "run --allow-unsandboxed"
            )
        ratchet = Ratchet(
            run,
            LocalRunner(),
            environment,
            sandbox,
            breaking=interrupts.breaking,
            stopping=lambda: interrupts.requested,
        )
        driver = Driver(ratchet)
        yield Open(ratchet, driver, config, environment)


def run(
    tag: str | None,
    most: int | None,
    hours: float | None,
    max_usd: float | None,
    kind: str | None,
    description: str,
    unsandboxed: bool,
) -> None:
    """`autoresearch run`."""
    with opened(tag, unwatched=not (unsandboxed or sys.stdout.isatty())) as run:
        settings = run.config.researcher
        kind = kind if kind not in (None, "auto") else kind_of(settings, run.environment)
        limits = Limits(most, hours, max_usd, run.config.budget)
        run.ratchet.description = typed(description)
        researcher = make(
            settings,
            kind,
            run.environment,
            run.ratchet.run.repo.root,
            run_program(run.ratchet, settings.command, settings.timeout_s, run.driver.stopping),
            usd_limited=bool(max_usd or run.config.budget.usd),
            description=run.ratchet.description,
        )
        watch(run.driver.run(researcher, limits), run.ratchet.run.state, run.config, limits)


def baseline(tag: str | None) -> None:
    """`autoresearch baseline`."""
    with opened(tag) as run:
        limits = Limits(budget=run.config.budget)
        watch(run.driver.baseline(), run.ratchet.run.state, run.config, limits)
        state = run.ratchet.run.state
        last = [e for e in state.experiments if e.researcher == "baseline"][-1]
        say(f"baseline: {run.config.task.metric.name} {last.value} at {last.commit[:7]}")


def typed(text: str) -> str:
    """A description from the command line, where bytes of another locale come in escaped."""
    return one_line(os.fsencode(text).decode("utf-8", "replace"))[:_DESCRIPTION]
