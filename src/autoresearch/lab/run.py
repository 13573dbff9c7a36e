"""A run, open for driving: its journal and state, and what keeps refs, branch and files in line with them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from autoresearch.config import Config, HarnessConfig
from autoresearch.errors import LabError
from autoresearch.lab.lab import Lab
from autoresearch.ledger.files import Files
from autoresearch.ledger.journal import Journal
from autoresearch.ledger.state import State
from autoresearch.paths import RunPaths, branch_ref, candidate_ref
from autoresearch.records import Event, Experiment
from autoresearch.rules.guard import Mutable
from autoresearch.runners.base import Runner
from autoresearch.workspace.checkout import Checkout, moved_by_hand
from autoresearch.workspace.removal import remove
from autoresearch.workspace.worktree import Worktree

Events = Generator[Event, None, None]

_MEASURED = ("command", "setup", "inputs", "metric", "exam")
_BUDGET = ("budget", "max_tflop")


class Run:
    """One run of a lab. Hold the lab's lock for the tag while there is one."""

    def __init__(
        self, lab: Lab, tag: str, config: Config, now: Callable[[], float] = time.time
    ) -> None:
        task = config.task
        self.tag, self.config, self.now = tag, config, now
        self.repo = lab.repo
        self.ref = branch_ref(tag)
        self.paths: RunPaths = lab.paths(tag)
        self.journal = Journal(self.paths.journal)
        self.state = State.of(self.journal.records)
        self.files = Files(self.paths, self.repo.root, config.results_name, task.metric.name)
        self.checkout = Checkout(self.repo)
        self.worktree = Worktree(
            self.repo,
            self.paths.worktree,
            tuple(task.inputs),
            tuple(task.caches),
            tuple(task.fresh),
        )
        self.rules = Mutable.of(task.mutable, task.protected, bool(task.exam))

    def note(self, kind: str, **fields: Any) -> None:
        """Journal a record, durably, and fold it into the state."""
        self.state.add(self.journal.append(kind, at=self.now(), **fields))

    @property
    def incumbent(self) -> Experiment:
        """The last kept experiment; a run has a baseline before anything is asked."""
        assert self.state.incumbent is not None
        return self.state.incumbent

    def recover(self, runner: Runner) -> Events:
        """Bring everything in line with the journal, after a kill, a power cut or a person."""
        self.clean_up(runner)
        there = self.repo.refs(f"refs/autoresearch/{self.tag}")
        for experiment in self.state.experiments:
            ref = candidate_ref(self.tag, experiment.number)
            if there.get(ref) != experiment.commit:
                self.repo.set_ref(ref, experiment.commit, there.get(ref))
        self._refuse_other_task()
        yield from self.settle()
        self.files.rebuild(self.state, self.repo.patch)

    def clean_up(self, runner: Runner) -> None:
        """End what a killed supervisor left running, and remove the locks it left lying."""
        pending = self.state.open
        if pending is not None and pending.trial is not None:
            identity = pending.trial["identity"]
            runner.clean_up(identity)
            if identity["scratch"]:
                with contextlib.suppress(OSError):
                    remove(Path(identity["scratch"]))
        self.repo.drop_ref_locks(self.ref, f"refs/autoresearch/{self.tag}")
        if self.paths.moving.exists():
            self.checkout.drop_locks(self.ref, self.paths.moving.stat().st_mtime)

    def _refuse_other_task(self) -> None:
        """Results compare as long as what is measured stays as it was at the baseline."""
        frozen, now = self.state.frozen, self.measured()
        if frozen is None:
            return
        defaults = HarnessConfig().model_dump()
        keys = [f"task.{key}" for key in _MEASURED if frozen.get(key, "") != now[key]]
        then = defaults | frozen.get("harness", {})
        keys += [f"harness.{key}" for key in _BUDGET if then[key] != now["harness"][key]]
        if keys:
            changed = ", ".join(keys)
            raise LabError(
                f"autoresearch.toml: {changed} changed since the baseline of {self.tag}, and results "
                "would not compare; put it back, or start another run: autoresearch init TAG"
            )

    def measured(self) -> dict[str, Any]:
        """The part of the settings that results hang on, fixed by the baseline.

        Of [harness] the budget counts here; what its data was made from shows in the fingerprint.
        """
        task = self.config.task
        return {
            "command": task.command, "setup": task.setup, "inputs": task.inputs,
            "metric": task.metric.model_dump(exclude={"memory"}), "exam": task.exam,
            "harness": self.config.harness.model_dump(),
        }  # fmt: skip

    def settle(self) -> Events:
        """Refs, branch, checkout and files as the journal has them."""
        for text in self.files.write_tables(self.state):
            yield Event("notice", text)
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
                yield Event("notice", text)
        self.paths.moving.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Keep the commit of a candidate under way whose number goes to a new baseline."""
        pending = self.state.open
        if pending is not None and pending.candidate is not None and pending.by != "baseline":
            commit = pending.candidate.commit
            ref = f"{candidate_ref(self.tag, pending.number)}-{commit[:7]}"
            self.repo.set_ref(ref, commit, self.repo.resolve(ref))

    def moved_by_hand(self) -> bool:
        """Whether a person has committed on the run's branch since the last keep."""
        tip = self.repo.resolve(self.ref)
        return tip is not None and tip not in self.state.kept
