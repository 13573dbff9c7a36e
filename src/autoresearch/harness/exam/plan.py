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
from ..budget import Budget, limits
from ..cache import HarnessError, Manifest
from ..fingerprint import fingerprint
from ..rows import TRIAL_FILES, Rows, checked_folder, mapped, token_lengths


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
    max_tflop: float | None
    threshold: float | None  # a score below it is kept for workers; null: any
    # The baseline's seconds, tokens and operations for each token; null: this is a baseline
    calibration: dict[str, Any] | None
    full: bool = False  # workers are asked about all rows
    control: str | None = None  # the file of the baseline's losses on the vault; null: a baseline's
    data: str | None = None  # the data folder's name in the cache; null: the one prepared last

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

    def limits(self) -> tuple[Budget, float | None]:
        """Returns the trial's budget, and its cap in 10^12 operations."""
        cap = "" if self.max_tflop is None else str(self.max_tflop)
        return limits(self.budget, cap, self.device)

    def baseline(self, name: str) -> float | None:
        """Returns a figure of the baseline's examination; None in a baseline, or where it has none."""
        value = (self.calibration or {}).get(name)
        return None if value is None else float(value)

    def allowance_s(self, name: str) -> float | None:
        """Returns the seconds for a start-up or an examination; None where only a timeout bounds it.

        Four times what the baseline took, since a larger model compiles and runs for longer, and
        machines are shared; and a minute, since the first start of a night reads cold files.
        """
        seconds = self.baseline(name)
        return None if seconds is None else 4 * seconds + 60

    def training_s(self) -> float | None:
        """Returns the most seconds from the first grant to the hand-over; None where no baseline tells.

        Of a budget in seconds: 1 % and a second for the step that was under way, and twice what
        the baseline went over it. Of others four times the baseline's seconds, times the headroom
        that the cap leaves above the baseline, whose operations the trial may use up: they bound
        what a token may cost where nothing else does.
        """
        budget, max_tflop = self.limits()
        seconds = self.baseline("training_seconds")
        if seconds is None:
            return None
        if budget.unit == "s":
            return 1.01 * budget.amount + 1 + 2 * max(0.0, seconds - budget.amount)
        tokens, flops = self.baseline("tokens"), self.baseline("flops_per_token")
        headroom = 1.0
        if max_tflop is not None and tokens and flops:
            headroom = max(1.0, max_tflop * 1e12 / (tokens * flops))
        return max(60.0, 4 * seconds * headroom)


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
