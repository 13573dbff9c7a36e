"""The sandbox of a run: proved at each start, the same throughout, and what it keeps an eye on."""

from __future__ import annotations

from pathlib import Path

from autoresearch.run import Run
from autoresearch.runners.base import Access, Runner


class Sandbox:
    """What holds trials of a run."""

    text = "none"

    def __init__(self, run: Run) -> None:
        self._run = run

    def access(self, scratch: Path) -> Access | None:
        """What a trial with this scratch folder may touch; None: it is not jailed."""
        return None

    def check(self, runner: Runner) -> None:
        """LabError where the sandbox is not the one that the run's baseline was measured in."""

    def broken(self) -> str:
        """The first file that no trial may change and that was changed; "" if none."""
        return ""
