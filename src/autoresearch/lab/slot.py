"""A slot: a place where one trial runs at a time."""

from __future__ import annotations

from dataclasses import dataclass

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
    def of(cls, repo: Repository, tag: str, paths: RunPaths, task: TaskConfig, number: int) -> Slot:
        """Returns a slot of the run `tag`; its folder is made, and nothing in it yet."""
        places = paths.slot(number)
        make_folder(places.folder)
        worktree = Worktree(
            repo,
            places.worktree,
            f"autoresearch-{tag}" + (f"-slot{number}" if number else ""),
            tuple(task.inputs),
            tuple(task.caches),
            tuple(task.fresh),
            (task.metric.file_path,) if task.metric.file else (),
        )
        return cls(number, places, worktree)

    def clear(self) -> None:
        """Removes all that a trial may have left here, `caches` included: the next one makes it anew."""
        self.worktree.clear()
        for path in (self.paths.compiled, self.paths.running_log):
            remove(path)
