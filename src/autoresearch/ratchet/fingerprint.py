"""The fingerprint of data and harness: results of one run compare, because it stays the same.

A baseline that printed one sets the run's. From then on the harness itself is asked, by the Python
of the trials and in their environment: once before a session, and where a trial printed another.
Runs whose baseline printed none never ask.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch.errors import Interrupted, LabError
from autoresearch.harness.names import DATA_SETTINGS
from autoresearch.lab.data import trial_variables
from autoresearch.lab.run import Run
from autoresearch.paths import cache_dir
from autoresearch.records import Crash, Metrics
from autoresearch.runners import process
from autoresearch.runners.environment import make_scratch, python_of, trial_environment
from autoresearch.runners.log import last_line
from autoresearch.workspace.removal import remove

_TIMEOUT_S = 60.0
_SHAPE = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Fingerprint:
    """The run's fingerprint, and the way to the harness that can be asked for today's."""

    run: Run
    environment: dict[str, str]
    stopping: Callable[[], bool]

    def check(self) -> None:
        """Raises LabError where data or harness are not those of the run's baseline any more."""
        was = self.run.state.fingerprint
        if not was:
            return
        now, fault = self._ask()
        if now is None:
            raise LabError(self._unasked(was, fault))
        if now != was:
            raise LabError(self._changed(was, now))

    def judge(self, found: Metrics | Crash) -> Metrics | Crash:
        """Returns what a trial found, where its fingerprint is the run's.

        Else the harness is asked who is to blame: where it says another one itself it is the machine,
        and LabError is raised; where it does not it is the candidate, a crash `tampered`. Where a
        trial failed by itself the harness is asked too, since the trial may have found no data.
        """
        was = self.run.state.fingerprint
        if not was:
            return found
        if isinstance(found, Crash):
            if found.failure in ("exit", "no_summary", "exam"):
                self.check()
            return found
        if found.fingerprint == was:
            return found
        self.check()
        printed = f"the fingerprint {found.fingerprint}" if found.fingerprint else "none"
        return Crash(
            "tampered",
            f"the trial printed {printed}, and data and harness have the fingerprint {was}",
        )

    def _ask(self) -> tuple[str | None, str]:
        """Returns the harness's fingerprint now, and, where that is None, why there is none."""
        run, task = self.run, self.run.config.task
        scratch = make_scratch()
        log = run.paths.state / "fingerprint.log"
        try:
            env = trial_environment(
                self.environment,
                run.state.next_number,
                scratch,
                cache_dir(),
                task.env_pass,
                trial_variables(run.config.harness, run.repo.root),
                written=task.env,
            )
            asking = (
                self._python(),
                "-m",
                "autoresearch.harness",
                "fingerprint",
                "--cache",
                str(cache_dir()),
            )
            # In a folder where no file of a candidate's is in the way of the harness.
            outcome = process.run(
                asking, cwd=scratch, env=env, log=log, timeout_s=_TIMEOUT_S, stopping=self.stopping
            )
        finally:
            with contextlib.suppress(OSError):
                remove(scratch)
        if outcome.interrupted:
            raise Interrupted
        if outcome.timed_out:
            return None, f"no answer within {_TIMEOUT_S:g} s"
        last = last_line(log, 300) or f"exit code {outcome.exit_code}"
        if outcome.exit_code == 0 and _SHAPE.fullmatch(last):
            return last, ""
        return None, last

    def _python(self) -> str:
        run = self.run
        return python_of(run.words(run.config.task.command), run.repo.root) or sys.executable

    def _unasked(self, was: str, fault: str) -> str:
        """Returns what is said where the harness gives no answer: nothing says that anything changed."""
        return (
            f"the harness can't be asked whether the data is that of the run {self.run.tag}, whose baseline "
            f"has the fingerprint {was}: {self._python()} says: {fault}. Mend that: where no data is there, "
            f"{self._prepare()}; where that Python has no autoresearch.harness, install autoresearch there"
        )

    def _changed(self, was: str, now: str) -> str:
        tag = self.run.tag
        return (
            f"data or harness changed under the run {tag}: its baseline was measured with the "
            f"fingerprint {was}, the harness now says {now}, and results would not compare. Put it back "
            f"with: {self._prepare()} (and the same release of autoresearch in the trials' Python), then "
            "call this again; or start another run from its tip: autoresearch init TAG --from "
            f"autoresearch/{tag}"
        )

    def _prepare(self) -> str:
        """Returns the command that makes the run's data."""
        settings = (self.run.state.frozen or {}).get("harness", {})
        flags: list[str] = []
        for key in DATA_SETTINGS:
            if settings.get(key):
                flags += [f"--{key.replace('_', '-')}", str(settings[key])]
        return shlex.join(["autoresearch", "prepare", *flags])
