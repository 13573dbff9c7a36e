"""A slot: a place where one trial runs at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoresearch.config import TaskConfig
from autoresearch.paths import RunPaths, SlotPaths, make_folder
from autoresearch.workspace.removal import remove
from autoresearch.workspace.repository import Repository
from autoresearch.workspace.worktree import Worktree


@dataclass(frozen=True)
class Slot:
    """One place for one trial: its files and its private worktree. Slots are numbered from 0."""

    number: int
    paths: SlotPaths
    worktree: Worktree

    @classmethod
    def of(
        cls,
        repo: Repository,
        tag: str,
        paths: RunPaths,
        task: TaskConfig,
        worktrees: Path,
        number: int,
    ) -> Slot:
        """Returns a slot of the run `tag`; its folder is made, and nothing in it yet.

        worktrees is the folder of all private worktrees of the repository.
        """
        places = paths.slot(number)
        make_folder(places.folder)
        worktree = Worktree(
            repo,
            worktrees / tag / str(number),
            f"autoresearch-{tag}" + (f"-slot{number}" if number else ""),
            tuple(task.inputs),
            tuple(task.caches),
            tuple(task.fresh),
            (task.metric.file_path,) if task.metric.file else (),
        )
        return cls(number, places, worktree)

    def leave_earlier(self) -> list[Path]:
        """Removes this slot's worktree at other places, of earlier calls; returns where it was.

        Releases up to 2026-11-27 had it beside the run's own files, inside the git directory.
        """
        return self.worktree.leave_earlier(self.paths.folder / "worktree")

    def clear(self) -> None:
        """Removes all that a trial may have left here, `caches` included: the next one makes it anew."""
        self.worktree.clear()
        for path in (self.paths.compiled, self.paths.running_log):
            remove(path)
