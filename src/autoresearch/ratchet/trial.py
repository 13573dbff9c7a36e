"""A candidate's trial, laid out: worktree, scratch, caches, environment, what it may touch, its examiner."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.errors import InfrastructureError
from autoresearch.fit import device
from autoresearch.harness.names import CHECKPOINT, LOSSES, TWIN, Role
from autoresearch.lab.data import trial_variables
from autoresearch.lab.run import Run
from autoresearch.paths import cache_dir
from autoresearch.ratchet.examiner import Examiner, Examiners
from autoresearch.records import Candidate
from autoresearch.runners.base import Runner, Trial, TrialSpec
from autoresearch.runners.environment import make_scratch, trial_environment
from autoresearch.sandbox.sandbox import Sandbox
from autoresearch.text import one_line
from autoresearch.workspace.removal import remove
from autoresearch.workspace.repository import Tree

_HELD_MB = 1024  # less may be a driver's own


@dataclass
class Trials:
    """Lays out the trials of a run, one at a time. environment: the supervisor's own."""

    run: Run
    runner: Runner
    environment: dict[str, str]
    sandbox: Sandbox
    examiner: Examiner | None = None  # of the trial that is laid out
    _laid_out: Tree = field(default_factory=dict)
    _scratch: Path | None = None

    def __post_init__(self) -> None:
        self._examiners = Examiners(self.run, self.environment)
        self._gpus: device.Load | None = None  # before the trial

    def start(
        self,
        candidate: Candidate,
        role: Role = "score",
        threshold: float | None = None,
        full: bool = False,
    ) -> Trial:
        """Lay a candidate out, and make its trial ready. role, threshold, full: of its examiner."""
        try:
            return self.runner.start(self._prepare(candidate, role, threshold, full))
        finally:
            if self.examiner is not None:  # the trial has its end; ours would keep it open
                self.examiner.trials_end.close()

    def _prepare(
        self, candidate: Candidate, role: Role, threshold: float | None, full: bool
    ) -> TrialSpec:
        run, task = self.run, self.run.config.task
        self._laid_out = run.worktree.lay_out(candidate.commit, anew=bool(task.exam))
        run.paths.running_log.unlink(missing_ok=True)
        self._scratch = make_scratch()
        self._lay_out_compiled()
        if task.exam:
            self.examiner = self._examiners.start(role, threshold, full=full)
        if self._examiners.device == "cuda":
            self._gpus = device.load()
        descriptor = self.examiner.descriptor if self.examiner else None
        env = trial_environment(
            self.environment, candidate.number, self._scratch, cache_dir(), task.env_pass,
            trial_variables(run.config.harness, run.repo.root), run.paths.compiled, examiner=descriptor,
        )  # fmt: skip
        if not self.sandbox.jailed:  # in a jail no bytecode can be written where it would be read
            env["PYTHONPYCACHEPREFIX"] = str(self._scratch / "bytecode")
        return TrialSpec(
            tuple(tuple(c) for c in (task.setup, task.command) if c),
            run.paths.worktree,
            env,
            run.paths.running_log,
            task.timeout_s,
            access=self.sandbox.access(self._scratch),
            descriptors=() if descriptor is None else (descriptor,),
        )

    def ended(self, candidate: Candidate) -> str:
        """What the trial changed and must not have; "" if nothing. Its scratch is gone."""
        tampered = self.run.worktree.tampered(candidate.commit, self._laid_out)
        if self._scratch is not None:
            with contextlib.suppress(OSError):
                remove(self._scratch)
        return tampered or self.sandbox.broken()

    def left_on_gpus(self) -> str:
        """Processes that work on the cards since the trial and are not its own; "" if none.

        Raises InfrastructureError where memory is gone that no process holds: the next trial would
        not find it either.
        """
        before, self._gpus = self._gpus, None
        if before is None:
            return ""
        processes, held_mb = device.wait_until_free(before)
        if processes:
            named = ", ".join(f"{pid} ({one_line(name)})" for pid, name in processes.items())
            return f"on the GPU there are processes that were not there before the trial: {named}"
        if held_mb > _HELD_MB:
            raise InfrastructureError(
                f"the GPU has {held_mb} MB less than before the trial, and no process holds them: "
                "look at nvidia-smi, reset the card (nvidia-smi --gpu-reset), and call autoresearch "
                "run again"
            )
        return ""

    def forget_exam(self) -> None:
        """Remove what verification needed of a trial: its weights and its answers."""
        for name in (CHECKPOINT, LOSSES, TWIN):
            (self.run.paths.exam / name).unlink(missing_ok=True)

    def take_examiner(self) -> Examiner | None:
        """The examiner of the trial that ended, which is then no more the present one."""
        examiner, self.examiner = self.examiner, None
        return examiner

    # -- compilers' caches --------------------------------------------------------------------

    def _lay_out_compiled(self) -> None:
        """Caches as the baseline's trial left them: those of other candidates could hold weights."""
        paths = self.run.paths
        if paths.compiled.exists():
            remove(paths.compiled)
        if paths.compiled_baseline.exists():
            shutil.copytree(paths.compiled_baseline, paths.compiled, symlinks=True)

    def keep_compiled(self) -> None:
        """The caches of the trial that ended, a baseline's, are where later ones start from."""
        paths = self.run.paths
        if paths.compiled_baseline.exists():
            remove(paths.compiled_baseline)
        if paths.compiled.exists():
            paths.compiled.rename(paths.compiled_baseline)
