"""An examiner's plan, the end of an examination without a figure, and the data it alone may open."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import names
from ..budget import Budget, Time, TimeLimit, budget_in
from ..cache import HarnessError, Manifest
from ..fingerprint import fingerprint
from ..rows import TRIAL_FILES, Rows, checked_folder, mapped, token_lengths

# What a phase may take, as a multiple of the baseline's seconds and so many more. Measured by
# benchmarks/budget.py: of honest trials under load the dearest start-up took 1.9 x the baseline's
# processor time. Training has the room that the cap of 1.7e12 operations left above train.py's 0.74.
STARTUP = {"processor": (2.0, 1.0), "wall": (2.0, 30.0)}
TRAINING_TIMES, TRAINING_S = 2.3, 0.5
BEYOND_TIMES, BEYOND_S = 1.1, 0.5  # for the step under way and the hand-over, of who ends in time
# Where processor time counts, a machine may be so busy that a trial waits for four times as long.
BUSY_TIMES, BUSY_S = 4.0, 60.0


class VoidError(Exception):
    """The trial has no figure: `failure` is "budget" or "exam", `reason` is for a person."""

    def __init__(self, failure: str, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason


@dataclass(frozen=True)
class Plan:
    """PLAN.json, which the tool writes into `folder`; no trial can read it."""

    role: str  # "score": the trial; "foreign" or "true": a worker that replays it
    descriptor: int  # of the socket whose other end the trial has
    cache: str
    folder: str  # of the answers, the checkpoint and the results
    seed: int
    device: str
    budget: str
    threshold: float | None  # a score below it is kept for workers; null: any
    # The baseline's seconds, steps and tokens; null: this is a baseline
    calibration: dict[str, Any] | None
    full: bool = False  # workers are asked about all rows
    control: str | None = None  # the file of the baseline's losses on the vault; null: a baseline's
    data: str | None = None  # the data folder's name in the cache; null: the one prepared last
    counted: bool = False  # the tool says on standard input where processor time is counted

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Returns the plan in a file. Raises HarnessError where it is none."""
        try:
            plan = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise HarnessError(f"{path} is no plan of an examination ({error})") from error
        if plan.role not in names.ROLES:
            raise HarnessError(f"{path}: role {plan.role!r} is none of {', '.join(names.ROLES)}")
        return plan

    @property
    def trial_budget(self) -> Budget:
        """The trial's budget; one of steps is one of tokens, as many as those of the baseline's had.

        In the baseline itself, whose tokens a step nobody knows yet, steps are what its script says.
        """
        budget = budget_in(self.budget, self.device)
        steps, tokens = self.baseline("steps"), self.baseline("tokens")
        if budget.unit == "steps" and steps and tokens:
            return Budget(names.steps_as_tokens(budget.amount, steps, tokens), "tokens")
        return budget

    def baseline(self, name: str) -> float | None:
        """Returns a figure of the baseline's examination; None in a baseline, or where it has none."""
        value = (self.calibration or {}).get(name)
        return None if value is None else float(value)

    def allowance_s(self, name: str) -> float | None:
        """Returns the most seconds on the wall of a start-up or an examination; None: no limit.

        Four times what the baseline took, since machines are shared; and a minute, since the first
        start of a night reads cold files.
        """
        seconds = self.baseline(name)
        return None if seconds is None else BUSY_TIMES * seconds + BUSY_S

    def startup(self) -> TimeLimit | None:
        """Returns what the start-up may take; None where no baseline tells.

        On a CPU that is processor time, which other work on the machine hardly moves.
        """
        of = self._time("startup_processor_s")
        seconds = self.baseline("startup_processor_s" if of == "processor" else "startup_seconds")
        if seconds is None or (self.device == "cpu" and of == "wall"):
            return None
        times, more_s = STARTUP[of]
        most_s = times * seconds + more_s
        return TimeLimit(most_s, most_s, of)

    def training(self) -> TimeLimit | None:
        """Returns what the training may take, from the first grant to the hand-over.

        Of a budget in seconds these are on the wall: 1 % and a second more for the step that was
        under way, and twice what the baseline went over it. Of others a multiple of the baseline's
        seconds, which bound what a token may cost. None where no baseline tells.
        """
        budget, wall_s = self.trial_budget, self.baseline("training_seconds")
        if budget.unit == "s":
            if wall_s is None:
                return None
            over_s = 2 * max(0.0, wall_s - budget.amount)
            return TimeLimit(budget.amount, 1.01 * budget.amount + 1 + over_s, "wall")
        of = self._time("training_processor_s")
        seconds = self.baseline("training_processor_s") if of == "processor" else wall_s
        if seconds is None or (self.device == "cpu" and of == "wall"):
            return None
        told_s = TRAINING_TIMES * seconds + TRAINING_S
        return TimeLimit(told_s, BEYOND_TIMES * told_s + BEYOND_S, of)

    def training_wall_s(self) -> float | None:
        """Returns the most seconds on the wall from the first grant to the hand-over.

        Where the processor's time counts they bound a trial that waits, or hides its time.
        """
        limit, seconds = self.training(), self.baseline("training_seconds")
        if limit is not None and limit.of == "wall":
            return limit.most_s
        return None if seconds is None else max(BUSY_S, BUSY_TIMES * TRAINING_TIMES * seconds)

    def _time(self, figure: str) -> Time:
        """Returns what a limit is of: the processor on a CPU, where the baseline's was counted."""
        return "processor" if self.device == "cpu" and self.baseline(figure) else "wall"


@dataclass
class ExamData:
    """The data that the examiner alone may open: every file checked, and known again at the end."""

    folder: Path
    manifest: Manifest
    fingerprint: str
    train: Rows
    val: Rows
    vault: Rows
    token_bytes: npt.NDArray[np.int64]  # [V]
    signatures: dict[Path, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def open(cls, cache: Path, name: str | None = None) -> ExamData:
        """Reads all files of the data folder `name` whole, while the trial starts up.

        Without a name it is the one prepared last.
        """
        folder, manifest = checked_folder(cache, name, vault=True)
        files = (*TRIAL_FILES, names.VAULT, names.MANIFEST)
        return cls(
            folder=folder,
            manifest=manifest,
            fingerprint=fingerprint(manifest.digests),
            train=mapped(folder, names.TRAIN, manifest),
            val=mapped(folder, names.VAL, manifest),
            vault=mapped(folder, names.VAULT, manifest),
            token_bytes=token_lengths(folder, manifest),
            signatures={folder / name: _signature(folder / name) for name in files},
        )

    def size_bytes(self, rows: Rows) -> int:
        """Returns the UTF-8 bytes of the targets that count."""
        return int(self.token_bytes[rows[:, 1:]].sum())

    def check_untouched(self) -> None:
        """Raises VoidError where a file is another one than at the start, or was written to."""
        for path, signature in self.signatures.items():
            if _signature(path) != signature:
                raise VoidError("exam", f"{path} changed while the trial ran")


def _signature(path: Path) -> tuple[int, ...]:
    """Returns what a write changes; () where the file is gone.

    To change the content and leave all four the same, the clock must be set back.
    """
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
