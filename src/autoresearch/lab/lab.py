"""A lab and its runs: found, opened under a lock, or read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch import config
from autoresearch.config import Config, TaskConfig
from autoresearch.errors import BusyError, LabError
from autoresearch.lab.data import with_open_cache
from autoresearch.ledger import journal
from autoresearch.ledger.state import State
from autoresearch.paths import (
    CONFIG,
    RunPaths,
    branch_ref,
    last_tag_file,
    make_folder,
    write_durably,
)
from autoresearch.workspace.repository import Repository

STARTER = """\
[task]
command = ["python", "train.py"]   # one trial; it prints one line "val_bpb: 0.997900"
mutable = ["train.py"]             # what a candidate may change

[task.metric]
name      = "val_bpb"
direction = "minimize"
"""


@dataclass(frozen=True)
class Lab:
    """A folder of a repository with an autoresearch.toml; `repo` is seen from that folder."""

    repo: Repository

    @classmethod
    def here(cls) -> Lab:
        """Returns the lab of the current folder."""
        return cls.around(current_folder())

    @classmethod
    def around(cls, folder: Path) -> Lab:
        """Returns the lab that a folder lies in: the nearest one upward, within the repository.

        Where no folder above has a configuration (its branch may not be checked out), that is the
        folder that a run was made in, else the checkout's top.
        """
        repo = Repository.discover(folder)
        place = repo.path_of(folder)
        above = ["" if each == Path() else each.as_posix() for each in (place, *place.parents)]
        made = set(cls(repo)._folders().values())
        there = (name for name in above if (repo.root / name / CONFIG).is_file())
        known = (name for name in above if name in made)
        return cls(repo.seen_from(next(there, next(known, ""))))

    def config(self, tag: str | None = None) -> Config:
        """Returns the settings of the checkout, else of the run's branch, with the run's own task."""
        settings = self._config(tag)
        if settings.task.exam:  # of its data nothing is opened
            return settings
        runner = with_open_cache(settings.runner, self.repo.root)
        if runner == settings.runner:
            return settings
        return settings.model_copy(update={"runner": runner})

    def _config(self, tag: str | None) -> Config:
        task = self.state(tag).task if tag else None
        file = self.repo.root / CONFIG
        if file.is_file():
            return config.parse(file.read_bytes(), CONFIG, task)
        tip = self.repo.resolve(branch_ref(tag)) if tag else None
        tree = self.repo.tree(tip) if tip else {}
        if CONFIG not in tree:
            raise LabError(no_config(self.repo.root))
        blob = tree[CONFIG][1]
        return config.parse(self.repo.blobs([blob])[blob], CONFIG, task)

    def tags(self) -> list[str]:
        """Returns every run of the lab, by name."""
        return sorted(tag for tag, folder in self._folders().items() if folder == self.repo.folder)

    def _folders(self) -> dict[str, str]:
        """Returns the folder of the lab of every run in the repository, by tag."""
        runs = self.repo.common / "autoresearch"
        return {
            path.parent.name: journal.first(path).get("folder", "")
            for path in runs.glob("*/journal")
        }

    def tag(self, given: str | None) -> str:
        """Returns the run that is meant: the one named, else the one checked out, else the last one.

        Raises LabError where there is none, or none of that name.
        """
        if given is None:
            given = self.repo.head_tag()
            if given is None or self._folders().get(given, self.repo.folder) != self.repo.folder:
                given = None  # what is checked out may be a run of another lab's
                with contextlib.suppress(FileNotFoundError):
                    given = last_tag_file(self.repo.common, self.repo.folder).read_text().strip()
        if given is None:
            if not (self.repo.root / CONFIG).is_file():
                raise LabError(no_config(self.repo.root))
            raise LabError("there is no run here yet; make one with: autoresearch init")
        if given not in self.tags():
            known = ", ".join(self.tags()) or "none"
            other = self._folders().get(given)
            if other is not None:
                raise LabError(
                    f"the run {given} is that of the lab in {self.repo.at_top.root / other}; call this "
                    "there"
                )
            raise LabError(
                f"there is no run {given!r} here (there are: {known}); make one with: "
                "autoresearch init TAG"
            )
        return given

    def task(self) -> TaskConfig:
        """Returns the task that is meant without a run: that of the run at hand, else the only one."""
        try:
            tag = self.tag(None)
        except LabError:
            tag = None
        return self.config(tag).task

    def paths(self, tag: str) -> RunPaths:
        return RunPaths.of(self.repo.common, tag)

    def state(self, tag: str) -> State:
        """The run as it stands, whoever is driving it."""
        file = self.paths(tag).journal
        return State.of(journal.read(file), str(file))

    def remember(self, tag: str) -> None:
        """Makes a run the one that commands without a tag mean."""
        file = last_tag_file(self.repo.common, self.repo.folder)
        make_folder(file.parent)
        write_durably(file, f"{tag}\n".encode(), writer=tag)

    @contextlib.contextmanager
    def locked(self, tag: str) -> Iterator[None]:
        """Holds the run's lock, which goes with the process; BusyError where another one holds it."""
        file = self.paths(tag).lock
        make_folder(file.parent)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if not _taken(descriptor):
                raise BusyError(
                    f"the run {tag} is driven by another process ({holder(file)}); wait for it, or "
                    "stop it there with Ctrl-C; autoresearch status shows how far it is"
                )
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def driven(self, tag: str) -> bool:
        """Whether a process drives the run now; who takes the lock meanwhile is not disturbed."""
        try:
            with self.paths(tag).lock.open() as file:
                return not _locked(file.fileno(), fcntl.LOCK_SH)
        except FileNotFoundError:
            return False


def _locked(descriptor: int, kind: int) -> bool:
    """Locks a file, shared or exclusively, without waiting; returns whether that was possible."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(descriptor: int) -> bool:
    """Takes a run's lock; returns False where another process drives the run.

    Whoever looks at the lock holds it, shared, for some microseconds. A lock that can be shared is
    looked at and not driven, and is tried again; up to five seconds, in case a reader was stopped
    in the middle.
    """
    for _ in range(1000):
        if _locked(descriptor, fcntl.LOCK_EX):
            return True
        if not _locked(descriptor, fcntl.LOCK_SH):
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # else two who take would look at each other
        time.sleep(random.uniform(0.001, 0.009))
    return False


def current_folder() -> Path:
    """Returns the folder that the command was called in; LabError where it was deleted since."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise LabError("the current folder was deleted; go to the lab's own folder") from None


def holder(lock: Path) -> str:
    """Returns who says to hold a lock, in words."""
    return lock.read_text().strip() or "a process that has just begun"


def no_config(folder: Path) -> str:
    """Returns what to do in a repository that is no lab."""
    return (
        f"{folder} has no {CONFIG}. Write one (autoresearch init --template none makes a start), "
        f"commit it with git add {CONFIG} && git commit, and call: autoresearch init"
    )
