"""The one way through a trial: laid out, started, watched, ended, its examiner heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from autoresearch.errors import InfrastructureError, Interrupted
from autoresearch.fit import device
from autoresearch.harness.names import CONTROL, OF_VERIFICATION, Role
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.ledger.files import capped
from autoresearch.paths import open_to_us, write_durably
from autoresearch.ratchet.compiled import CompiledCaches
from autoresearch.ratchet.examiner import Examiner, Examiners
from autoresearch.ratchet.judges import Judges
from autoresearch.ratchet.run_sandbox import environment_of
from autoresearch.records import Candidate, Event, Outcome
from autoresearch.rules import metrics, training_log
from autoresearch.runners.base import Progress, Runner, Trial, TrialSpec, unwatched
from autoresearch.runners.environment import make_scratch
from autoresearch.sandbox.sandbox import Sandbox
from autoresearch.text import one_line
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.outputs import read_output
from autoresearch.workspace.removal import remove

_HELD_MB = 1024  # less may be a driver's own


@dataclass(frozen=True)
class Ended:
    """A trial that ended: its outcome, its log, and what its examiner found (None: it had none).

    evaluated: how the lab's `evaluate` ended, and its log; None where it did not run. file: the bytes of
    metric.file, or why it was not read; None where there is none.
    """

    outcome: Outcome
    log: Path
    device: str = "cpu"
    score: dict[str, Any] | None = None
    filled: bool = False  # whether the disk was full until the trial's files were gone
    evaluated: tuple[Outcome, Path] | None = None
    file: bytes | str | None = None

    @property
    def seconds(self) -> float:
        """What trial and evaluation took."""
        return self.outcome.seconds + (self.evaluated[0].seconds if self.evaluated else 0.0)


@dataclass
class Trials:
    """Runs the trials of one slot. `environment` is the supervisor's own."""

    run: Run
    slot: Slot
    runner: Runner
    environment: dict[str, str]
    sandbox: Sandbox
    stopping: Callable[[], bool]
    _examiner: Examiner | None = None  # of the trial that is laid out
    _laid_out: Tree = field(default_factory=dict)
    _scratch: Path | None = None
    _gpus: device.Load | None = None  # before the trial

    def __post_init__(self) -> None:
        self._examiners = Examiners(self.run, self.slot, self.environment)
        self._compiled = CompiledCaches(self.slot.paths.compiled, self.run.paths.compiled_baseline)
        self.judges = Judges(
            self.run, self.slot, self.runner, self.environment, self.sandbox, self.stopping
        )

    def try_out(
        self,
        candidate: Candidate,
        role: Role = "score",
        threshold: float | None = None,
        full: bool = False,
        of_incumbent: bool = False,
    ) -> Ended:
        """Returns how one trial of a candidate ended, once nothing of it is left.

        `role`, `threshold` and `full` are told to its examiner (Examiners.start); `of_incumbent`: the
        candidate's number, and the incumbent's commit (faults.py). Raises Interrupted and OutsideError,
        with the candidate put off until the next call, and InfrastructureError (the machine failed) or
        LabError (data, harness or sandbox are not what they were).
        """
        own = role == "score" and not of_incumbent
        with self.run.putting_off(candidate.number):
            try:
                trial = self._start(candidate, role, threshold, full)
                try:
                    kind = "trial" if own else "verification"
                    self.run.note(kind, n=candidate.number, identity=trial.identity)
                    if own:
                        about = (candidate.description, candidate.number)
                        self.run.emit(Event("candidate", *about, detail=candidate.hypothesis))
                    watch = partial(self._progress, candidate.number) if own else unwatched
                    outcome = trial.run(self._is_over, watch)
                    if outcome.interrupted and not self.stopping():  # by its examiner
                        outcome = replace(outcome, interrupted=False)
                finally:
                    trial.abandon()
                return self._ended(candidate, outcome, role, of_incumbent)
            finally:
                self._drop_examiner()

    def _is_over(self) -> bool:
        return self.stopping() or (self._examiner is not None and self._examiner.has_ended_trial())

    def _progress(self, number: int, progress: Progress) -> None:
        data = {"seconds": progress.seconds, "fraction": progress.fraction}
        trained = training_log.last(self.slot.paths.running_log)
        if trained is not None:
            data |= {"fraction": trained.progress, "loss": trained.loss}
        self.run.emit(Event("progress", number=number, data=data))

    def forget_exam(self) -> None:
        """Remove what verification needed of a trial: its weights and its answers."""
        for name in OF_VERIFICATION:
            (self.slot.paths.exam / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Removes all that a trial may have left, `caches` included: the next one makes it anew."""
        self.slot.clear()
        self._drop_scratch()
        self.forget_exam()

    def _drop_scratch(self) -> None:
        if self._scratch is not None:
            remove(self._scratch)
            self._scratch = None

    def keep_control(self) -> None:
        """Keeps a baseline's losses on the vault, which others are compared with."""
        made = self.slot.paths.exam / CONTROL
        if made.exists():
            write_durably(self.run.paths.control, made.read_bytes())
            made.unlink()

    def forget_files(self) -> None:
        """Sees that the next process can't tell by a file what the one before it read (sandbox.py)."""
        self.sandbox.evict()

    # -- its beginning ------------------------------------------------------------------------

    def _start(
        self, candidate: Candidate, role: Role, threshold: float | None, full: bool
    ) -> Trial:
        trial = self.runner.start(self._prepare(candidate, role, threshold, full))
        if self._examiner is not None:
            self._examiner.count(int(trial.identity["pid"] or 0))
        return trial

    def _prepare(
        self, candidate: Candidate, role: Role, threshold: float | None, full: bool
    ) -> TrialSpec:
        run, task, paths = self.run, self.run.config.task, self.slot.paths
        self._laid_out = self.slot.worktree.lay_out(candidate.commit, anew=bool(task.exam))
        for text in self.slot.worktree.notices():
            run.emit(Event("notice", text, candidate.number))
        remove(paths.running_log)
        self._scratch = make_scratch()
        self._compiled.lay_out(anew=role != "score")  # the two that verify must not tell each other
        if task.exam:
            pending = run.state.open.get(candidate.number)
            baseline = pending is not None and pending.is_baseline
            self._examiner = self._examiners.start(role, threshold, full=full, baseline=baseline)
        if self._examiners.device == "cuda":
            self._gpus = device.load()
        descriptor = self._examiner.descriptor if self._examiner else None
        examined_on_cpu = descriptor is not None and self._examiners.device == "cpu"
        env = environment_of(
            run, self.slot, self.sandbox, self.environment, candidate.number, self._scratch,
            paths.compiled, descriptor,
        )  # fmt: skip
        if examined_on_cpu:
            # Threads that wait for each other take turns, and spin only where a script says so: spun
            # away, a step's processor time is eight times as much on a machine with other work.
            env.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        if not self.sandbox.jailed:  # in a jail no bytecode can be written where it would be read
            env.setdefault("PYTHONPYCACHEPREFIX", str(paths.compiled / "bytecode"))
        return TrialSpec(
            tuple(map(run.words, task.commands())),
            self.slot.worktree.cwd,
            env,
            paths.running_log,
            task.timeout_s,
            confinement=self.sandbox.confinement(
                self.slot.worktree.path, paths.compiled, self._scratch, self.slot.worktree.cwd
            ),
            descriptors=() if descriptor is None else (descriptor,),
        )

    # -- its end ------------------------------------------------------------------------------

    def _ended(
        self, candidate: Candidate, outcome: Outcome, role: Role, of_incumbent: bool
    ) -> Ended:
        """Looks at what a trial did, and clears away what it left before anything is written."""
        examiner, log, paths = self._examiner, self.slot.paths.running_log, self.slot.paths
        outcome = replace(outcome, tampered=self._tampered(candidate))
        open_to_us(log)
        kept, said = capped(log), None
        evaluated, file = self._judged(candidate, outcome)
        if evaluated is not None:
            said = capped(paths.evaluate_log)
        filled = self._clear_away(log, kept, outcome.log_overflow)
        if role == "score":
            name = "incumbent.log" if of_incumbent else "trial.log"
            if kept is not None:
                self.run.files.write_log(candidate.number, kept, name)
            if said is not None and not of_incumbent:
                self.run.files.write_log(candidate.number, said, paths.evaluate_log.name)
        if outcome.interrupted:
            raise Interrupted
        self._look_at_gpus(candidate.number)
        ended = Ended(outcome, log, filled=filled, evaluated=evaluated, file=file)
        if examiner is None:
            return ended
        return replace(ended, device=examiner.device, score=examiner.finish())

    def _judged(
        self, candidate: Candidate, outcome: Outcome
    ) -> tuple[tuple[Outcome, Path] | None, bytes | str | None]:
        """Returns how `evaluate` ended on what a trial left, and what the trial's file of metrics holds."""
        task, paths = self.run.config.task, self.slot.paths
        if outcome.interrupted or not (task.evaluate or task.metric.file):
            return None, None
        if metrics.crash_of(outcome, paths.running_log, task.timeout_s) is not None:
            return None, None
        if task.metric.file:
            return None, read_output(self.slot.worktree.cwd, task.metric.file_path)
        self._drop_scratch()
        left_s = max(1.0, task.timeout_s - outcome.seconds)
        judged = self.judges.evaluate(candidate, left_s)
        judged = replace(judged, tampered=self._tampered(candidate))
        return (judged, paths.evaluate_log), None

    def _tampered(self, candidate: Candidate) -> str | None:
        """Returns what a trial changed and must not have, None if nothing."""
        tampered = self.slot.worktree.tampered(candidate.commit, self._laid_out)
        return tampered or self.sandbox.broken() or self.judges.planted(self._laid_out)

    def _clear_away(self, log: Path, kept: bytes | None, overflow: bool) -> bool:
        """Removes what a trial left; returns whether the disk was full until then."""
        was_full = self.run.is_full()
        self.slot.worktree.clean(self._laid_out, anew=bool(self.run.config.task.exam))
        self._drop_scratch()
        if kept is not None and (overflow or was_full):
            log.write_bytes(kept)  # no longer the gigabytes that it was
        if self.run.is_full():  # by what outlives a trial, or by somebody else
            self.slot.worktree.clear()
            remove(self.slot.paths.compiled)
        return was_full and not self.run.is_full()

    def _drop_examiner(self) -> None:
        examiner, self._examiner = self._examiner, None
        if examiner is not None:
            examiner.abandon()

    def _look_at_gpus(self, number: int) -> None:
        """Say which processes work on the cards since the trial and are not its own.

        Raises InfrastructureError where memory is gone that no process holds: the next trial would
        not find it either.
        """
        before, self._gpus = self._gpus, None
        if before is None:
            return
        processes, held_mb = device.wait_until_free(before)
        if processes:
            named = ", ".join(f"{pid} ({one_line(name)})" for pid, name in processes.items())
            text = f"on the GPU there are processes that were not there before the trial: {named}"
            self.run.emit(Event("notice", text, number))
        elif held_mb > _HELD_MB:
            raise InfrastructureError(
                f"the GPU has {held_mb} MB less than before the trial, and no process holds them: "
                "look at nvidia-smi, reset the card (nvidia-smi --gpu-reset), and call autoresearch "
                "run again"
            )

    def keep_compiled(self) -> None:
        """The compilers' caches of the trial that ended, a baseline's, are where later ones start."""
        self._compiled.keep(self.slot.worktree.path)
