"""The examiner beside a trial: a process of ours that grants the data, asks the model, and scores.

It is the harness, started with the Python of the trials (the orchestrator loads neither numpy nor
the harness), outside of any sandbox and with bytecode of its own, so that nothing a trial left can
run in it. It and the trial share a socket pair and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoresearch.errors import InfrastructureError, LabError
from autoresearch.fit import device
from autoresearch.harness.names import SEED, Role
from autoresearch.lab.data import data_name
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.paths import cache_dir, make_folder
from autoresearch.runners import control_group
from autoresearch.runners.control_group import ControlGroup
from autoresearch.runners.environment import python_of
from autoresearch.runners.log import last_line
from autoresearch.workspace.removal import remove

_SAYS = "examine: "  # before what a person can mend (harness/__main__.py)
_END_S = 60.0  # for a result, once the trial is gone
_LAST_WORDS_S = 5.0  # for a trial that is void to say so and end


@dataclass
class Examiner:
    """One examiner; `descriptor` is the trial's end of the socket pair."""

    role: Role
    process: subprocess.Popen[bytes]
    trials_end: socket.socket
    folder: Path
    device: str
    group: ControlGroup | None = None  # its trial's, by which processor time is counted
    _voided_at: float | None = None  # inf: it ended well

    @property
    def descriptor(self) -> int:
        return self.trials_end.fileno()

    def count(self, launcher: int) -> None:
        """Puts the process that a trial is started by into its group, and tells the examiner both."""
        usage = None
        if self.group is not None:
            with contextlib.suppress(OSError):  # then it is counted by looking at its processes
                self.group.add(launcher)
                usage = str(self.group.usage)
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it may have ended; then `finish` tells why
            self.process.stdin.write(
                json.dumps({"below": launcher, "group": usage}).encode() + b"\n"
            )
            self.process.stdin.flush()

    def finish(self) -> dict[str, Any]:
        """Waits for what it found, and returns it, once the trial is gone.

        Raises LabError where the data can't be used, InfrastructureError where it died.
        """
        self._hang_up()
        late = False
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            late = True
        self.abandon()
        result = self.folder / f"{self.role}.json"
        if self.process.returncode == 0 and result.exists():
            try:
                found: dict[str, Any] = json.loads(result.read_bytes())
                return found
            except ValueError:  # without a jail a trial may write there
                reason = "what the examiner found is no JSON any more"
                return {"void": {"failure": "exam", "reason": reason}}
        code = self.process.returncode
        if code < 0 and not late:
            reason = (
                f"the examiner was killed (signal {-code}): by the trial, or since memory ran out"
            )
            return {"void": {"failure": "exam", "reason": reason}}
        log = self.folder / "examiner.log"
        last = last_line(log, 400) or ""
        if code == 1 and last.startswith(_SAYS):
            raise LabError(last.removeprefix(_SAYS))
        raise InfrastructureError(
            f"the examiner {'did not end' if late else f'failed (exit code {code})'}: "
            f"{last or 'it said nothing'}. Its log: {log}. Mend what it names (its Python needs "
            "numpy and this release of autoresearch), and call autoresearch run again: the candidate "
            "is tried again then"
        )

    def _hang_up(self) -> None:
        """Ends the conversation: a trial that is gone may have left its end in a message to itself."""
        with contextlib.suppress(OSError):
            self.trials_end.shutdown(socket.SHUT_RDWR)
        self.trials_end.close()

    def has_ended_trial(self) -> bool:
        """Whether it found the trial void, and the trial has had the time to hear of it and end."""
        if self.process.poll() is None:
            return False
        if self._voided_at is None:
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                found = json.loads((self.folder / f"{self.role}.json").read_bytes())
                self._voided_at = time.monotonic() if found["void"] else math.inf
        return self._voided_at is not None and time.monotonic() > self._voided_at + _LAST_WORDS_S

    def abandon(self) -> None:
        """Ends it, whatever it is at; it also ends by itself when we die."""
        self._hang_up()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.group is not None:
            self.group.remove()


class Examiners:
    """Starts the examiners of one slot; `outer` is the supervisor's environment."""

    def __init__(self, run: Run, slot: Slot, outer: dict[str, str]) -> None:
        task = run.config.task
        self._run, self._slot = run, slot
        self._python = python_of(run.words(task.command), run.repo.root) or sys.executable
        self._env = {k: v for k, v in outer.items() if k in ("PATH", "LANG", "LC_ALL", "TZ")}
        self._device = ""
        self._begun = False

    @property
    def device(self) -> str:
        """What trials run on, by what the driver says and not by what a trial does."""
        self._device = self._device or device.find().kind
        return self._device

    def start(
        self,
        role: Role,
        threshold: float | None = None,
        repeat: int = 0,
        full: bool = False,
        baseline: bool = False,
    ) -> Examiner:
        """Starts an examiner that waits for its trial, and returns it.

        threshold: of a score, below which the model is handed over too; None: always. full:
        verification looks at every row. baseline: what an earlier one took is no limit.
        """
        run, folder = self._run, self._slot.paths.exam
        if not self._begun:  # bytecode of an earlier session's, perhaps somebody else's by now
            if folder.exists():
                remove(folder)
            self._begun = True
        make_folder(folder)
        result, log, plan = folder / f"{role}.json", folder / "examiner.log", folder / "plan.json"
        result.unlink(missing_ok=True)
        group = control_group.make(f"autoresearch-{_digest(self._slot.paths.exam)}")
        ours, theirs = socket.socketpair()
        with ours, log.open("wb") as out:
            harness = run.config.harness
            settings = {
                "role": role,
                "descriptor": ours.fileno(),
                "cache": str(cache_dir()),
                "data": data_name(run.config.harness, run.repo.root),
                "folder": str(folder),
                "seed": SEED + repeat,
                "device": self.device,
                "budget": harness.budget,
                "threshold": threshold,
                "calibration": None if baseline else run.state.calibration,
                "full": full,
                "control": str(run.paths.control) if run.state.calibration else None,
                "counted": True,
            }
            plan.write_text(json.dumps(settings))
            process = subprocess.Popen(
                [
                    *(self._python, "-I", "-X", f"pycache_prefix={folder / 'bytecode'}"),
                    *("-m", "autoresearch.harness", "examine", str(plan)),
                ],
                cwd=folder,
                env={**self._env, "PWD": str(folder)},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                pass_fds=(ours.fileno(),),
                start_new_session=True,
            )
        os.set_inheritable(theirs.fileno(), True)
        return Examiner(role, process, theirs, folder, self.device, group)


def _digest(folder: Path) -> str:
    """Returns a short name for a slot, the same at each start."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
