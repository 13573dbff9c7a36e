"""One session of a run: lab, lock, signals, sandbox, ratchet and driver, put together and let go again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from autoresearch.config import Config
from autoresearch.console import screen
from autoresearch.errors import LabError
from autoresearch.lab.lab import Lab
from autoresearch.lab.python import chosen_python
from autoresearch.lab.run import Run
from autoresearch.ratchet.drive import Driver, Limits
from autoresearch.ratchet.interrupts import Interrupts
from autoresearch.ratchet.ratchet import Ratchet
from autoresearch.ratchet.run_sandbox import sandbox_of
from autoresearch.records import Event, Sink
from autoresearch.researchers.base import DESCRIPTION_LENGTH
from autoresearch.runners.hygiene import harden
from autoresearch.runners.local import LocalRunner
from autoresearch.streams import say
from autoresearch.text import one_line
from autoresearch.workspace.lfs import missing_program


@dataclass(frozen=True)
class Session:
    """A run that this process drives; `environment` is the user's, as it was at the start."""

    ratchet: Ratchet
    driver: Driver
    config: Config
    environment: dict[str, str]
    sinks: list[Sink]

    @contextlib.contextmanager
    def shown(self, limits: Limits) -> Iterator[None]:
        """Shows on the screen what happens meanwhile."""
        with screen(self.ratchet.run.state, self.config, limits) as sink:
            self.sinks.append(sink)
            yield


@contextlib.contextmanager
def opened(tag: str | None, notices: bool = True, unwatched: bool = False) -> Iterator[Session]:
    """Opens a run for driving: locked, with our signal handlers, our environment hidden from trials.

    `unwatched` says that nobody looks on, and that nobody said that no sandbox is meant; then a
    LabError is raised where there is none.
    """
    lab = Lab.here()
    tag = lab.tag(tag)
    config = lab.config(tag)
    environment = dict(os.environ)
    with Interrupts() as interrupts, lab.locked(tag):
        harden(*([config.researcher.key_env] if config.researcher.key_env else []))
        lab.remember(tag)
        sinks: list[Sink] = []

        def emit(event: Event) -> None:
            for sink in sinks:
                sink(event)

        python = chosen_python(lab, tag, config, environment)
        run = Run(lab, tag, config, emit, python=None if python is None else python.program)
        run.make_room()
        sandbox = sandbox_of(run, environment)
        if notices:
            if python is not None and run.state.frozen is None:
                say(python.text)
            say(sandbox.self_test.line)
        advice = missing_program(
            lab.repo, lab.repo.tree(lab.repo.resolve(run.ref) or run.state.base)
        )
        if notices and advice is not None:
            say(advice)
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
        yield Session(ratchet, Driver(ratchet), config, environment, sinks)


def typed(text: str) -> str:
    """Returns a description from the command line as one line of at most 200 characters.

    Bytes that are no UTF-8 come in escaped, and are replaced.
    """
    return one_line(os.fsencode(text).decode("utf-8", "replace"))[:DESCRIPTION_LENGTH]
