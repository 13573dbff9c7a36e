"""A lab and its runs: found, opened under a lock, or read."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch import config
from autoresearch.config import Config, TaskConfig
from autoresearch.errors import BusyError, LabError
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
    """A repository with an autoresearch.toml."""

    repo: Repository

    @classmethod
    def here(cls) -> Lab:
        """The lab of the current folder."""
        return cls(Repository.discover(current_folder()))

    def config(self, tag: str | None = None) -> Config:
        """The configuration: of the checkout, else of the run's branch; the run's own task of it."""
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
        """Every run of the lab, by name."""
        folder = self.repo.common / "autoresearch"
        return sorted(path.parent.name for path in folder.glob("*/journal"))

    def tag(self, given: str | None) -> str:
        """The run that is meant: the one named, else the branch checked out, else the last one."""
        if given is None:
            given = self.repo.head_tag()
            if given is None:
                with contextlib.suppress(FileNotFoundError):
                    given = last_tag_file(self.repo.common).read_text().strip()
        if given is None:
            if not (self.repo.root / CONFIG).is_file():
                raise LabError(no_config(self.repo.root))
            raise LabError("there is no run here yet; make one with: autoresearch init")
        if given not in self.tags():
            known = ", ".join(self.tags()) or "none"
            raise LabError(
                f"there is no run {given!r} here (there are: {known}); make one with: "
                "autoresearch init TAG"
            )
        return given

    def task(self) -> TaskConfig:
        """The task that is meant without a run: that of the run at hand, else the only one."""
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
        """Make a run the one that commands without a tag mean."""
        file = last_tag_file(self.repo.common)
        make_folder(file.parent)
        write_durably(file, f"{tag}\n".encode(), writer=tag)

    @contextlib.contextmanager
    def locked(self, tag: str) -> Iterator[None]:
        """Hold the run's lock; BusyError where another process does. It goes with the process."""
        file = self.paths(tag).lock
        make_folder(file.parent)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    f"the run {tag} is driven by another process ({holder(file)}); wait for it, or "
                    "stop it there with Ctrl-C; autoresearch status shows how far it is"
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def driven(self, tag: str) -> bool:
        """Whether a process drives the run now."""
        try:
            with self.paths(tag).lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def current_folder() -> Path:
    """The folder that the command was called in; LabError where it was deleted since."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise LabError("the current folder was deleted; go to the lab's own folder") from None


def holder(lock: Path) -> str:
    """Who says to hold a lock."""
    return lock.read_text().strip() or "pid unknown"


def no_config(folder: Path) -> str:
    """What to do in a repository that is no lab."""
    return (
        f"{folder} has no {CONFIG}. Write one (autoresearch init --template none makes a start), "
        f"commit it with git add {CONFIG} && git commit, and call: autoresearch init"
    )
