"""A run, open for driving: its journal and state, and what keeps refs, branch and files in line with them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoresearch import __version__
from autoresearch.config import Config, HarnessConfig, MetricConfig, TaskConfig
from autoresearch.errors import InfrastructureError, Interrupted, LabError, OutsideError
from autoresearch.lab.lab import Lab
from autoresearch.lab.python import with_python
from autoresearch.lab.room import check_disk, is_full
from autoresearch.lab.slot import Slot
from autoresearch.lab.worktrees import find_worktrees
from autoresearch.ledger.files import Files
from autoresearch.ledger.journal import Journal
from autoresearch.ledger.pending import Pending
from autoresearch.ledger.state import FORMAT, State
from autoresearch.paths import RunPaths, branch_ref, candidate_ref
from autoresearch.records import Event, Experiment, Sink
from autoresearch.rules.guard import Mutable
from autoresearch.runners.base import Runner
from autoresearch.workspace.checkout import Checkout, moved_by_hand
from autoresearch.workspace.removal import remove

# What a baseline fixes, of [task] and of [harness]: results hang on it.
_FROZEN_TASK = (
    "command", "setup", "env", "inputs", "caches", "metric", "exam", "evaluate",
)  # fmt: skip
_FROZEN_HARNESS = ("budget",)


def _ignore(event: Event) -> None:
    pass


class Run:
    """One run of a lab. Hold the lab's lock for the tag while there is one.

    `emit` is called with every event: the console, a tracker and a test are such sinks. `python` is what
    the word means in the lab's commands; None leaves it to PATH.
    """

    def __init__(
        self,
        lab: Lab,
        tag: str,
        config: Config,
        emit: Sink = _ignore,
        now: Callable[[], float] = time.time,
        python: str | None = None,
    ) -> None:
        task = config.task
        self.tag, self.config, self.emit, self.now = tag, config, emit, now
        self.python = python
        self.repo = lab.repo
        self.ref = branch_ref(tag)
        self.paths: RunPaths = lab.paths(tag)
        self.journal = Journal(self.paths.journal)
        self.state = State.of(self.journal.records, str(self.paths.journal))
        self.checkout = Checkout(self.repo)
        worktrees = find_worktrees(config.runner.worktrees, self.repo, os.environ)
        self.files = Files(
            self.paths, self.repo.root, config.results_name, task.metric.name, self.checkout.tracks
        )
        self.slots = [
            Slot.of(self.repo, tag, self.paths, task, worktrees, number)
            for number in range(config.runner.slots)
        ]
        self._refuse_other_exam()
        self.rules = Mutable.of(task.mutable, task.protected, bool(task.exam))

    def words(self, command: Sequence[str]) -> tuple[str, ...]:
        """Returns a command of the lab's as it is started: with the run's own Python."""
        return with_python(command, self.python)

    def with_path(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Returns an environment in which the programs of the run's Python are found first."""
        if self.python is None:
            return dict(environment)
        folders = [os.path.dirname(self.python), environment.get("PATH", os.defpath)]
        return {**environment, "PATH": os.pathsep.join(folders)}

    def note(self, kind: str, **fields: Any) -> None:
        """Journal a record, durably, and fold it into the state."""
        self.state.add(self.journal.append(kind, at=self.now(), **fields))

    @contextlib.contextmanager
    def putting_off(self, number: int) -> Iterator[None]:
        """A stop, or a fault that can't be the candidate's, leaves it for the next call.

        The start that ends so is not held against the candidate: "pause" is journaled, and the
        fault goes on upwards.
        """
        try:
            yield
        except (OutsideError, Interrupted):
            with contextlib.suppress(InfrastructureError):
                self.note("pause", n=number)
            raise

    def is_full(self) -> bool:
        """Returns whether a disk is full that the run writes to: the journal's or a worktree's."""
        return any(map(is_full, self._disks()))

    def check_disk(self) -> None:
        """Raises OutsideError where such a disk is full; to be called when nothing is left of a trial."""
        for folder in self._disks():
            check_disk(folder)

    def _disks(self) -> list[Path]:
        return [self.paths.state, *(slot.worktree.path.parent for slot in self.slots)]

    def make_room(self) -> None:
        """Removes what a killed trial left, where that may be what fills the disk."""
        if self.is_full():
            for slot in self.slots:
                slot.clear()

    def slot_of(self, pending: Pending) -> Slot:
        """The slot of an experiment under way.

        What stands in a slot that an earlier call had, and this one hasn't, is shared out.
        """
        return self.slots[pending.slot % len(self.slots)]

    def under_way(self, slot: int) -> Pending | None:
        """The experiment under way in a slot that was asked for first."""
        ours = (each for each in self.state.open.values() if self.slot_of(each).number == slot)
        return next(ours, None)

    @property
    def incumbent(self) -> Experiment:
        """The last kept experiment; a run has a baseline before anything is asked."""
        assert self.state.incumbent is not None
        return self.state.incumbent

    def begin(self, researcher: str, sandbox: str) -> None:
        """Journal that this process begins to drive the run."""
        self.note(
            "session", researcher=researcher, sandbox=sandbox, format=FORMAT, version=__version__
        )

    def recover(self, runner: Runner) -> None:
        """Bring everything in line with the journal, after a kill, a power cut or a person."""
        self.clean_up(runner)
        there = self.repo.refs(f"refs/autoresearch/{self.tag}")
        for experiment in self.state.experiments:
            ref = candidate_ref(self.tag, experiment.number)
            if there.get(ref) != experiment.commit:
                self.repo.set_ref(ref, experiment.commit, there.get(ref))
        self._refuse_other_task()
        self.settle()
        self.files.rebuild(self.state, self.repo.patch)

    def clean_up(self, runner: Runner) -> None:
        """End what a killed supervisor left running, and remove the locks it left lying."""
        for pending in self.state.open.values():
            if pending.trial is None:
                continue
            identity = pending.trial["identity"]
            runner.clean_up(identity)
            if identity["scratch"]:
                with contextlib.suppress(OSError):
                    remove(Path(identity["scratch"]))
        self._leave_earlier_worktrees()
        self.repo.drop_ref_locks(self.ref, f"refs/autoresearch/{self.tag}")
        if self.paths.moving.exists():
            self.checkout.drop_locks(self.ref, self.paths.moving.stat().st_mtime)

    def _leave_earlier_worktrees(self) -> None:
        """Remove private worktrees at other places than this call's, aloud; trials make them anew."""
        for slot in self.slots:
            for place in slot.leave_earlier():
                text = f"the private worktree moved: from {place} to {slot.worktree.path}"
                if self.config.task.caches:
                    text += (
                        "; its caches are made anew, since tools write down where they were made"
                    )
                self.emit(Event("notice", text))

    def _refuse_other_task(self) -> None:
        """Results compare as long as the frozen settings stay as they were at the baseline.

        A key that an older release did not freeze counts as its default then.
        """
        if self.state.frozen is None:
            return
        now = self.frozen_settings()
        # Caches were not journaled then, and any lab may have had some.
        then = _frozen_or_default({"caches": now["caches"], **self.state.frozen})
        keys = [f"task.{key}" for key in _FROZEN_TASK if then[key] != now[key]]
        keys += [
            f"harness.{key}"
            for key in _FROZEN_HARNESS
            if then["harness"][key] != now["harness"][key]
        ]
        if keys:
            changed = ", ".join(keys)
            raise LabError(
                f"autoresearch.toml: {changed} changed since the baseline of {self.tag}, and results "
                "would not compare; put it back, or start another run from its tip: autoresearch init "
                f"TAG --from autoresearch/{self.tag}"
            )

    def _refuse_other_exam(self) -> None:
        """What the harness of the release of 2026-11-21 measured compares with no later one's."""
        frozen = self.state.frozen or {}
        if frozen.get("exam") and self.state.baseline_format == 1:
            raise LabError(
                f"the run {self.tag} was examined by the harness of another release, and results would "
                f"not compare. It can be read (report, show); start another run from its tip: "
                f"autoresearch init TAG --from autoresearch/{self.tag}"
            )

    def frozen_settings(self) -> dict[str, Any]:
        """The settings that results hang on, fixed by the baseline.

        Of [harness] the budget counts here; what its data was made from shows in the fingerprint.
        """
        task = self.config.task
        return {
            "command": task.command, "setup": task.setup, "env": task.env, "inputs": task.inputs,
            "caches": task.caches,
            "metric": task.metric.model_dump(exclude={"memory"}), "exam": task.exam,
            "evaluate": task.evaluate, "python": self.python,
            "harness": self.config.harness.model_dump(),
        }  # fmt: skip

    def settle(self) -> None:
        """Refs, branch, checkout and files as the journal has them."""
        for text in self.files.write_tables(self.state):
            self.emit(Event("notice", text))
        tip, incumbent = self.repo.resolve(self.ref), self.state.incumbent
        if incumbent is None:
            if tip is None:
                self.repo.set_ref(self.ref, self.state.base)
        elif tip is None:
            self.repo.set_ref(self.ref, incumbent.commit)
        elif tip != incumbent.commit:
            if tip not in self.state.kept:
                raise moved_by_hand(self.repo, self.ref, incumbent.commit)
            self.paths.moving.touch()
            for text in self.checkout.advance(self.ref, tip, incumbent.commit):
                self.emit(Event("notice", text))
        self.paths.moving.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Keep the commits of candidates under way, whose numbers go to a new baseline."""
        for pending in self.state.open.values():
            if pending.candidate is not None and not pending.is_baseline:
                commit = pending.candidate.commit
                ref = f"{candidate_ref(self.tag, pending.number)}-{commit[:7]}"
                self.repo.set_ref(ref, commit, self.repo.resolve(ref))

    def moved_by_hand(self) -> bool:
        """Whether a person has committed on the run's branch since the last keep."""
        tip = self.repo.resolve(self.ref)
        return tip is not None and tip not in self.state.kept


def _frozen_or_default(frozen: dict[str, Any]) -> dict[str, Any]:
    """Frozen settings as an older release journaled them, with the defaults of what it didn't know."""
    task = {name: field.get_default() for name, field in TaskConfig.model_fields.items()}
    metric = MetricConfig().model_dump(exclude={"memory"}) | frozen.get("metric", {})
    harness = HarnessConfig().model_dump() | frozen.get("harness", {})
    setup = frozen.get("setup", [])
    if setup and isinstance(setup[0], str):  # it was one command then
        setup = [setup]
    return task | frozen | {"metric": metric, "harness": harness, "setup": setup}
