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
from autoresearch.rules import metrics
from autoresearch.runners.base import Runner, TrialSpec, finish
from autoresearch.runners.environment import make_scratch, python_of, trial_environment
from autoresearch.workspace.removal import remove

_TIMEOUT_S = 60.0
_SHAPE = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Fingerprint:
    """The run's fingerprint, and the way to the harness that can be asked for today's."""

    run: Run
    runner: Runner
    environment: dict[str, str]
    stopping: Callable[[], bool]

    def check(self) -> None:
        """LabError where data or harness are not those of the run's baseline any more."""
        was = self.run.state.fingerprint
        if not was:
            return
        now, fault = self._ask()
        if now != was:
            raise LabError(self._changed(was, now, fault))

    def judge(self, measured: Metrics | Crash) -> Metrics | Crash:
        """What a trial measured, where its fingerprint is the run's.

        Else the harness is asked who is to blame: LabError where it says another one itself (the
        machine), `tampered` where it does not (the candidate). A trial that failed by itself may
        have found no data, and is asked about too.
        """
        was = self.run.state.fingerprint
        if not was:
            return measured
        if isinstance(measured, Crash):
            if measured.failure in ("exit", "no_summary", "exam"):
                self.check()
            return measured
        if measured.fingerprint == was:
            return measured
        self.check()
        printed = f"the fingerprint {measured.fingerprint}" if measured.fingerprint else "none"
        return Crash(
            "tampered",
            f"the trial printed {printed}, and data and harness have the fingerprint {was}",
        )

    def _ask(self) -> tuple[str, str]:
        """The harness's fingerprint now, and why there is none where that is ""."""
        run, task = self.run, self.run.config.task
        scratch = make_scratch()
        log = run.paths.state / "fingerprint.log"
        log.unlink(missing_ok=True)
        try:
            env = trial_environment(
                self.environment,
                run.state.next_number,
                scratch,
                cache_dir(),
                task.env_pass,
                trial_variables(run.config.harness, run.repo.root),
            )
            python = python_of(task.command, run.repo.root) or sys.executable
            asking = (
                python,
                "-m",
                "autoresearch.harness",
                "fingerprint",
                "--cache",
                str(cache_dir()),
            )
            # In a folder where no file of a candidate's is in the way of the harness.
            spec = TrialSpec((asking,), scratch, env, log, _TIMEOUT_S)
            outcome = finish(self.runner.start(spec), self.stopping)
        finally:
            with contextlib.suppress(OSError):
                remove(scratch)
        if outcome.interrupted:
            raise Interrupted
        if outcome.timed_out:
            return "", f"no answer within {_TIMEOUT_S:g} s"
        last = metrics.tail(metrics.lines(log), 1, 300) if log.exists() else ""
        if outcome.exit_code == 0 and _SHAPE.fullmatch(last.strip()):
            return last.strip(), ""
        return "", last or f"exit code {outcome.exit_code}"

    def _changed(self, was: str, now: str, fault: str) -> str:
        tag = self.run.tag
        says = f"the harness now says {now}" if now else f"the harness now says none ({fault})"
        settings = (self.run.state.frozen or {}).get("harness", {})
        flags: list[str] = []
        for key in DATA_SETTINGS:
            if settings.get(key):
                flags += [f"--{key.replace('_', '-')}", str(settings[key])]
        return (
            f"data or harness changed under the run {tag}: its baseline was measured with the "
            f"fingerprint {was}, {says}, and results would not compare. Put it back with: "
            f"{shlex.join(['autoresearch', 'prepare', *flags])} (and the same release of autoresearch "
            "in the trials' Python), then call this again; or start another run: autoresearch init TAG"
        )
