"""The seam between the ratchet and wherever trials run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autoresearch.records import Outcome

# What finds a trial's processes again after a crash of ours: numbers and names, as they are journaled.
Identity = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Confinement:
    """A jail, as far as a runner must know it.

    prefix: the words before each command; "{status}" among them stands for a descriptor, on which the
    jail writes "1" once it holds. monitor: the first word's process is the jail's own and stays above
    the trial. own_shm: the trial has a /dev/shm of its own.
    """

    prefix: tuple[str, ...]
    monitor: bool = False
    own_shm: bool = False


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """What is run: commands one after the other, under one deadline.

    env is the whole environment. stdin is a file; None is /dev/null. log is appended to.
    confinement: the jail of a model's code; None for what is our own or the user's, and where there
    is no jail. descriptors: open files that the commands inherit, under the same numbers; the caller
    closes its own.
    """

    commands: tuple[tuple[str, ...], ...]
    cwd: Path
    env: dict[str, str]
    log: Path
    timeout_s: float
    stdin: Path | None = None
    confinement: Confinement | None = None
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a trial is: seconds since its start, and which share of its time they are, 0 to 1."""

    seconds: float
    fraction: float


def unwatched(progress: Progress) -> None:
    """Looks at no progress."""


class Trial(Protocol):
    """A trial that is ready and waits; its `identity` finds it again after a crash of ours."""

    identity: Identity

    def run(
        self, stopping: Callable[[], bool], watch: Callable[[Progress], None] = unwatched
    ) -> Outcome:
        """Lets it go, and returns how it ended once nothing of it is left; asked to stop, within 5 s.

        `watch` is told how far it is, some ten times a second.
        """
        ...

    def abandon(self) -> None:
        """Ends a trial that never ran, or that nobody watches any more."""
        ...


class Runner(Protocol):
    """Wherever trials run."""

    def start(self, spec: TrialSpec) -> Trial:
        """Makes a trial ready without letting it go."""
        ...

    def clean_up(self, identity: Identity) -> None:
        """Kills what an earlier supervisor's trial may have left, and waits until it is gone."""
        ...
