"""A second runner, as small as can be: the command line with trials that a plain subprocess runs.

    python -m tests.plainrunner run --max 3

Its trials have neither a launcher nor a kill of what they leave: it shows what a runner needs to know,
which is a command with its jail's prefix. Each trial adds a line to the file that PLAIN_TRIALS names.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from autoresearch.commands import session
from autoresearch.records import Outcome
from autoresearch.runners.base import Identity, Progress, Trial, TrialSpec, unwatched


class PlainTrial:
    """A trial that waits until it is run, and then has begun and ended."""

    def __init__(self, spec: TrialSpec) -> None:
        self._spec = spec
        self.identity: Identity = {"scratch": spec.env["AUTORESEARCH_SCRATCH"]}

    def run(
        self, stopping: Callable[[], bool], watch: Callable[[Progress], None] = unwatched
    ) -> Outcome:
        spec, began, code = self._spec, time.monotonic(), 0
        prefix = spec.confinement.prefix if spec.confinement else ()
        for command in spec.commands:
            watch(Progress(time.monotonic() - began, 0.0))
            with spec.log.open("ab") as log:
                read, status = os.pipe()
                words = [str(status) if word == "{status}" else word for word in prefix]
                code = subprocess.run(
                    [*words, *command], cwd=spec.cwd, env=spec.env, timeout=spec.timeout_s,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    pass_fds=(*spec.descriptors, status),
                ).returncode  # fmt: skip
                os.close(status)
                held = os.read(read, 1) == b"1"
                os.close(read)
            assert held or not prefix, "the jail tells that it holds"
        with open(os.environ["PLAIN_TRIALS"], "a") as file:
            file.write(f"{spec.env['AUTORESEARCH_EXPERIMENT']} {'jailed' if prefix else 'bare'}\n")
        return Outcome(time.monotonic() - began, code)

    def abandon(self) -> None:
        """Has nothing to end."""


class PlainRunner:
    """Runs trials one after the other, and knows of nothing else."""

    def start(self, spec: TrialSpec) -> Trial:
        return PlainTrial(spec)

    def clean_up(self, identity: Identity) -> None:
        """Has nothing that could have outlived its supervisor."""


if __name__ == "__main__":
    session.LocalRunner = PlainRunner  # type: ignore[assignment, misc]
    from autoresearch.__main__ import main

    sys.exit(main())
