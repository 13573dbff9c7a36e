"""The seam between the ratchet and wherever trials run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autoresearch.records import Outcome


@dataclass(frozen=True, slots=True)
class Access:
    """Which files a jailed trial may reach: absolute paths, each with all below it.

    Where several name a place, the longest path decides; of one path named twice, hidden before
    writable before readable. What is not named is hidden.
    """

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """What is run: commands one after the other, under one deadline.

    env is the whole environment. stdin is a file; None is /dev/null. log is appended to. access:
    what the commands may reach, in the runner's jail; None for what is not a model's code and runs
    as the user. descriptors: open files that the commands inherit, under the same numbers; the
    caller closes its own.
    """

    commands: tuple[tuple[str, ...], ...]
    cwd: Path
    env: dict[str, str]
    log: Path
    timeout_s: float
    stdin: Path | None = None
    access: Access | None = None  # None: not jailed, since it is our own code or the user's
    descriptors: tuple[int, ...] = ()  # inherited by the commands, under the same numbers


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a trial is: seconds since its start, and the share done, 0 to 1."""

    seconds: float
    fraction: float


def unwatched(progress: Progress) -> None:
    """Looks at no progress."""


class Trial(Protocol):
    """A trial that is ready and waits; `identity` finds it again after a crash of ours."""

    identity: dict[str, str | int]

    def run(
        self, stopping: Callable[[], bool], watch: Callable[[Progress], None] = unwatched
    ) -> Outcome:
        """Lets it go, and returns how it ended once nothing of it is left; asked to stop, within 5 s.

        `watch` is told how far it is, some ten times a second.
        """
        ...

    def abandon(self) -> None:
        """End a trial that never ran, or that nobody watches any more."""
        ...


class Runner(Protocol):
    """Wherever trials run."""

    def start(self, spec: TrialSpec) -> Trial:
        """Make a trial ready without letting it go."""
        ...

    def clean_up(self, identity: dict[str, str | int]) -> None:
        """Kill what an earlier supervisor's trial may have left, and wait until it is gone."""
        ...


def finish(trial: Trial, stopping: Callable[[], bool]) -> Outcome:
    """Run a trial to its end without looking at how far it is."""
    return trial.run(stopping)
