"""The sandbox of a run: tested at its start and again as it goes, and the files that no trial may change."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import autoresearch
from autoresearch.errors import LabError, OutsideError
from autoresearch.runners.base import Confinement
from autoresearch.sandbox.eviction import evict
from autoresearch.sandbox.jail import own_python
from autoresearch.sandbox.policy import Policy, Python
from autoresearch.sandbox.seal import Seal
from autoresearch.sandbox.selftest import choose, remedy, self_test
from autoresearch.sandbox.toolchains import NO_TOOLCHAINS, Toolchains

Mark = list[int | str]  # the level and the jail, as the journal has them

_GOOD_FOR_S = 600.0


class Sandbox:
    """What holds the trials of a run."""

    def __init__(
        self,
        setting: str,
        policy: Policy,
        python: Python | None,
        tag: str,
        baseline: Callable[[], Mark | None],
        toolchains: Toolchains = NO_TOOLCHAINS,
        sources: Sequence[Path] = (),
    ) -> None:
        """Tests the jail, and raises LabError where one that was asked for does not hold.

        setting: runner.sandbox; python: the one that trials run with; baseline: what `mark` was at
        the baseline of the run `tag`, None before there is one; toolchains: what the policy opens;
        sources: folders of the lab that Python imports from, and a trial finds in its worktree.
        """
        self._setting, self._policy, self._python = setting, policy, python
        self._tag, self._baseline = tag, baseline
        self.toolchains, self._sources = toolchains, sources
        self._jail, self.self_test = choose(setting, policy, python)
        self._tested = time.monotonic()
        self._seal = self._sealed()
        self._broken: str | None = None

    @property
    def text(self) -> str:
        """The level and what makes it, as it stands in every record."""
        return self.self_test.text

    @property
    def mark(self) -> Mark:
        """What must stay the same throughout a run."""
        return [self.self_test.level, self.self_test.jail]

    @property
    def remedy(self) -> str | None:
        """How to get to a higher level here; None where we don't know."""
        if self._setting == "none":
            return 'Set runner.sandbox = "auto" in autoresearch.toml'
        return remedy(self.self_test.said)

    @property
    def jailed(self) -> bool:
        """Whether a jail holds."""
        return self.self_test.level > 1

    def confinement(
        self,
        worktree: Path,
        compiled: Path,
        scratch: Path,
        cwd: Path,
        judging: bool = False,
        fixed: bool = False,
    ) -> Confinement | None:
        """Returns the jail of a trial with these folders of its own; None where there is no jail.

        cwd: where in the worktree its commands run; judging: of a command that judges a trial, which reads
        its own program too; fixed: the worktree is read-only.
        """
        if self._jail is None:
            return None
        policy = replace(self._policy, worktree=worktree, compiled=compiled)
        access = policy.access(scratch)
        if judging:
            access = replace(access, readable=(*access.readable, *policy.of_judges))
        if fixed:
            writable = tuple(path for path in access.writable if path != worktree)
            access = replace(access, readable=(*access.readable, worktree), writable=writable)
        return self._jail.confinement(access, cwd)

    def told(self, compiled: Path) -> dict[str, str]:
        """Returns the variables by which toolchains of the user's home find themselves in a trial."""
        return self.toolchains.environment(compiled, self.jailed)

    def import_path(self, worktree: Path, given: str | None) -> dict[str, str]:
        """Returns PYTHONPATH with the worktree's folders in place of the checkout's, before what is given.

        Nothing where Python imports nothing from the checkout.
        """
        if not self._sources:
            return {}
        places = [str(worktree / source) for source in self._sources]
        return {"PYTHONPATH": os.pathsep.join([*places, *([given] if given else [])])}

    def evict(self) -> None:
        """Sees that no trial can tell by the page cache what an earlier one read.

        Without a jail nothing is done: there a file would do.
        """
        if self.jailed:
            evict((*self._policy.readable, *own_python()))

    def check(self) -> None:
        """Raises LabError where the sandbox is not the baseline's any more, or a trial got through."""
        if self._broken is not None:
            raise LabError(
                f"a trial changed {self._broken}, which none may, and nothing here could keep it from "
                "that: look at it, put it back, and call autoresearch run again. "
                f"{self.remedy or ''}".rstrip()
            )
        if time.monotonic() - self._tested > _GOOD_FOR_S:
            self.self_test = self_test(self._jail, self._policy, self._python)
            self._tested = time.monotonic()
        was = self._baseline() or self.mark
        if was != self.mark:
            failed = ", ".join(self.self_test.failed)
            lost = f" (what no longer holds: {failed})" if failed else ""
            raise LabError(
                f"the sandbox changed under the run {self._tag}: its baseline had level {was[0]} "
                f"({was[1]}), and now it is {self.text}{lost}. Put it back (autoresearch doctor looks "
                "at it), or start another run: autoresearch init TAG"
            )

    def broken(self) -> str | None:
        """Returns the first file that no trial may change and that was changed; None where none was.

        Raises OutsideError in a jail that holds: there it was no trial.
        """
        found = self._broken = self._broken or self._seal.broken()
        if found is not None and self.jailed:
            raise OutsideError(
                f"{found} was changed while a trial ran, and not by it: the sandbox holds. Do not "
                "install or upgrade packages under a run; call autoresearch run again, and the "
                "candidate is tried again"
            )
        return found

    def _sealed(self) -> Seal:
        """Returns the seal of the files that no trial may change."""
        paths = [Path(autoresearch.__file__).parent]
        patterns: list[tuple[Path, str]] = []
        if self._python is not None:
            packages = self._python.packages
            patterns = [(packages, "*.pth"), (packages, "*customize.py")]
        if not self.jailed:  # in a jail only a person can change these, who may
            git = self._policy.git
            paths += [git / "config", git / "hooks", git / "info"]
        return Seal(paths, patterns)
