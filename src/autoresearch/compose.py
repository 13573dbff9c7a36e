"""The parts of a command put together: lab, lock, signals, researcher, ratchet, driver, console."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from autoresearch.config import Config
from autoresearch.console import say, watch
from autoresearch.drive import Driver, Limits, run_program
from autoresearch.errors import LabError
from autoresearch.interrupts import Interrupts
from autoresearch.lab import Lab
from autoresearch.ratchet import Ratchet
from autoresearch.records import Edit, Proposal
from autoresearch.researchers.make import kind_of, make
from autoresearch.run import Run
from autoresearch.runners.hygiene import harden
from autoresearch.runners.local import LocalRunner
from autoresearch.text import one_line
from autoresearch.workspace.checkout import Checkout
from autoresearch.workspace.merge import merge

_NO_SANDBOX = (
    "notice: no sandbox in this release: trials run as you, and may read and write what you may "
    '(runner.sandbox = "none" or --allow-unsandboxed says that this is meant)'
)
_DESCRIPTION = 200


@dataclass(frozen=True)
class Open:
    """A run that this process drives."""

    ratchet: Ratchet
    driver: Driver
    config: Config
    environment: dict[str, str]


@contextlib.contextmanager
def opened(tag: str | None, notices: bool = True) -> Iterator[Open]:
    """Open a run for driving: locked, with our signal handlers, our environment hidden from trials."""
    lab = Lab.here()
    tag = lab.tag(tag)
    config = lab.config(tag)
    environment = dict(os.environ)
    with Interrupts() as interrupts, lab.locked(tag):
        harden(*([config.researcher.key_env] if config.researcher.key_env else []))
        lab.remember(tag)
        if notices and config.runner.sandbox == "auto":
            say(_NO_SANDBOX)
        run = Run(lab, tag, config)
        ratchet = Ratchet(run, LocalRunner(), environment, breaking=interrupts.breaking)
        driver = Driver(ratchet, stopping=lambda: interrupts.requested)
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
    with opened(tag, notices=not unsandboxed) as run:
        settings = run.config.researcher
        kind = kind if kind not in (None, "auto") else kind_of(settings, run.environment)
        limits = Limits(most, hours, max_usd, run.config.budget)
        run.ratchet.description = one_line(description, _DESCRIPTION)
        researcher = make(
            settings,
            kind,
            run.environment,
            run.ratchet.run.repo.root,
            run_program(run.ratchet, settings.command, settings.timeout_s, run.driver.stopping),
            usd_limited=bool(max_usd or run.config.budget.usd),
        )
        run.ratchet.description = _typed(description)
        watch(run.driver.run(researcher, limits), run.ratchet.run.state, run.config, limits)


def baseline(tag: str | None) -> None:
    """`autoresearch baseline`."""
    with opened(tag) as run:
        limits = Limits(budget=run.config.budget)
        watch(run.driver.baseline(), run.ratchet.run.state, run.config, limits)
        incumbent = run.ratchet.run.incumbent
        say(f"baseline: {run.config.task.metric.name} {incumbent.value} at {incumbent.commit[:7]}")


def attempt(tag: str | None, message: str, rewind: bool, as_json: bool) -> None:
    """`autoresearch try`."""
    with opened(tag, notices=not as_json) as run:
        ratchet, repo = run.ratchet, run.ratchet.run.repo
        head = repo.resolve("HEAD")
        if head is None:
            raise LabError(
                "the checkout has no commit yet; there is nothing that edits could be told from"
            )
        edits = Checkout(repo).edits(head)
        if not edits:
            raise LabError(
                "nothing to try: the working tree is as its HEAD; edit a mutable file first"
            )

        place = {"root": str(repo.root), "head": head}
        last = ratchet.run.state.checkout or {}
        base = last["blobs"] if {**place, "blobs": last.get("blobs")} == last else {}
        blobs = {e.path: repo.write_blob(e.content) for e in edits if e.content is not None}

        def proposal() -> Proposal:
            put_on = merge(repo, edits, base, head, ratchet.run.incumbent.commit)
            return Proposal(_typed(message), put_on)

        events = run.driver.attempt(proposal, {**place, "blobs": blobs})
        if as_json:
            for _ in events:
                pass
        else:
            watch(events, ratchet.run.state, run.config, Limits(budget=run.config.budget))
        experiment = ratchet.run.state.experiments[-1]
        if rewind and experiment.status != "keep":
            left = _rewind(ratchet.run, edits, place, base)
            for path in left:
                say(f"notice: {path} was edited after the try began, and stays", sys.stderr)
        if as_json:
            print(json.dumps(asdict(experiment), indent=2))


def _typed(text: str) -> str:
    """A description from the command line, where bytes of another locale come in escaped."""
    return one_line(os.fsencode(text).decode("utf-8", "replace"))[:_DESCRIPTION]


def _rewind(
    run: Run, edits: tuple[Edit, ...], place: dict[str, str], base: dict[str, str]
) -> list[str]:
    """Give tried files the incumbent's content; the edits live on under the candidate's ref.

    A file that was edited on while its trial ran stays as it is. Returns the paths of those.
    """
    tree, checkout = run.repo.tree(run.incumbent.commit), Checkout(run.repo)
    now = {edit.path: edit for edit in checkout.edits(place["head"])}
    tried = [edit.path for edit in edits if now.get(edit.path) == edit]
    left = [edit.path for edit in edits if edit.path not in tried]
    checkout.restore(tried, run.incumbent.commit)
    blobs = {path: tree[path][1] for path in tried if path in tree}
    blobs |= {path: base[path] for path in left if path in base}
    run.note("rewound", checkout={**place, "blobs": blobs})
    return left
