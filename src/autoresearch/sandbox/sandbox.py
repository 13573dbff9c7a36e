"""The sandbox of a run: proved at its start and again as it goes, and the files that no trial may change."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import autoresearch
from autoresearch.errors import LabError
from autoresearch.harness import names
from autoresearch.lab.data import data_name, trial_variables
from autoresearch.lab.run import Run
from autoresearch.paths import cache_dir
from autoresearch.runners.base import Access
from autoresearch.runners.local import LocalRunner
from autoresearch.sandbox.policy import Ground, Python, own_python, pythons, readable_of
from autoresearch.sandbox.seal import Seal
from autoresearch.sandbox.selftest import Proof, choose, prove, remedy

_GOOD_FOR_S = 600.0


class Sandbox:
    """What holds the trials of a run. Raises LabError where the jail that was asked for does not hold."""

    def __init__(self, run: Run, environment: Mapping[str, str]) -> None:
        config = run.config
        self._run, self._setting = run, config.runner.sandbox
        jailed = self._setting != "none"
        asked = (config.task.command, environment, run.repo.root)
        found = pythons(*asked) if jailed else [own_python(*asked)]
        self._python = found[0] if found else None
        self._ground = _ground(run, environment, jailed)
        self._jail, self.proof = choose(self._setting, self._ground, self._python)
        self._proved = time.monotonic()
        self._seal = Seal(*_sealed(run, self._python, self.proof))
        self._broken = ""

    @property
    def text(self) -> str:
        """The level and what makes it, as it stands in every record."""
        return self.proof.text

    @property
    def mark(self) -> list[int | str]:
        """What must stay the same throughout a run."""
        return [self.proof.level, self.proof.jail]

    @property
    def remedy(self) -> str:
        """How to get to a higher level here."""
        if self._setting == "none":
            return 'Set runner.sandbox = "auto" in autoresearch.toml'
        return remedy(self.proof.said)

    def runner(self) -> LocalRunner:
        """The runner whose trials this sandbox holds."""
        return LocalRunner(self._jail)

    @property
    def jailed(self) -> bool:
        """Whether a jail holds."""
        return self.proof.level > 1

    def access(self, scratch: Path) -> Access | None:
        """What a trial with this scratch folder may touch; None where there is no jail."""
        return self._ground.access(scratch) if self._jail else None

    def check(self) -> None:
        """LabError where the sandbox is not the one that the baseline had, or a trial got through."""
        if self._broken:
            raise LabError(
                f"a trial changed {self._broken}, which none may, and nothing here could keep it from "
                f"that: look at it, put it back, and call autoresearch run again. {self.remedy}"
            )
        if time.monotonic() - self._proved > _GOOD_FOR_S:
            self.proof = prove(self._jail, self._ground, self._python)
            self._proved = time.monotonic()
        was = (self._run.state.frozen or {}).get("sandbox", self.mark)
        if was != self.mark:
            lost = f" (what no longer holds: {', '.join(self.proof.failed)})"
            raise LabError(
                f"the sandbox changed under the run {self._run.tag}: its baseline had level {was[0]} "
                f"({was[1]}), and now it is {self.text}{lost if self.proof.failed else ''}. Put it "
                "back (autoresearch doctor looks at it), or start another run: autoresearch init TAG"
            )

    def broken(self) -> str:
        """The first file that no trial may change and that was changed meanwhile; "" if none.

        In a jail that is proved it was no trial: LabError.
        """
        found = self._broken = self._broken or self._seal.broken()
        if found and self.jailed:
            raise LabError(
                f"{found} was changed while a trial ran, and not by it: the sandbox holds. Do not "
                "install or upgrade packages under a run; call autoresearch run again, and the "
                "candidate is tried again"
            )
        return found


def _ground(run: Run, environment: Mapping[str, str], jailed: bool) -> Ground:
    task, root, cache = run.config.task, run.repo.root, cache_dir()
    readable: tuple[Path, ...] = ()
    if jailed:
        readable = readable_of(task.command, environment, root, run.config.runner.readable)
    trial_variables(run.config.harness, root)  # raises where the lab's own data is not there
    name = data_name(run.config.harness, root)
    hidden: tuple[Path, ...] = ()
    if name is not None:
        folder = cache / name
        hidden = tuple(map(Path, _hidden(folder)))
        if task.exam:
            readable += tuple(folder / file for file in (names.TOKENIZER, names.TOKEN_BYTES))
            # whatever runner.readable opens
            hidden += tuple(folder / file for file in (names.TRAIN, names.VAL, names.VAULT))
        else:  # it scores itself, and reads what it is scored on
            readable += (cache / names.CURRENT, folder)
            hidden = (folder / names.VAULT,)
    return Ground(
        root=root,
        git=run.repo.common,
        worktree=run.paths.worktree,
        compiled=run.paths.compiled,
        cache=cache,
        home=Path.home(),
        readable=readable,
        hidden=hidden,
        inputs=tuple(task.inputs),
    )


def _hidden(folder: Path) -> list[str]:
    """Where held-out text could be read outside the cache, as the data's manifest has it."""
    try:
        found: list[str] = json.loads((folder / names.MANIFEST).read_bytes())["hidden"]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return found


def _sealed(
    run: Run, python: Python | None, proof: Proof
) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Files and folders, and patterns in folders, that no trial may change."""
    places = [Path(autoresearch.__file__).parent]
    patterns: list[tuple[Path, str]] = []
    if python is not None:
        patterns = [(python.packages, "*.pth"), (python.packages, "*customize.py")]
    if proof.level <= 1:  # in a jail only a person can change these, who may
        git = run.repo.common
        places += [git / "config", git / "hooks", git / "info"]
    return places, patterns
