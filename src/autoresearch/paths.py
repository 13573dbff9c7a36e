"""The name of every file that a run writes, and how a file is written so that it stays.

<git-common-dir>/autoresearch/
    .last                    the tag of the run last made or run
    <tag>/
        journal              the truth (journal.py)
        lock                 held with flock while a process drives the run
        results.tsv          the run's own copy, whatever lies in the checkout
        musings.md
        worktree/            where candidates are laid out and trials run
        compiled/            what compilers made for the trial that runs
        compiled.baseline/   what they made for the baseline: where each trial starts from
        exam/                the examiner's own: plan, answers, checkpoint, results
        experiments/NNNN/    record.json prompt.txt answer.txt candidate.patch trial.log metrics.json
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from autoresearch.harness.names import cache_folder

cache_dir = cache_folder  # the cache of data and tokenizer, as the harness finds it too

BRANCH = "refs/heads/autoresearch/"
REFS = "refs/autoresearch/"
CONFIG = "autoresearch.toml"
CHARTER = "program.md"
MUSINGS = "musings.md"
# What begins the names of files that a sandbox is tried on, for a moment, in a person's folders too.
DECOY = ".autoresearch-witness-"


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Where a run keeps what it writes; `state` is its folder inside the git directory."""

    state: Path

    @classmethod
    def of(cls, common_dir: Path, tag: str) -> RunPaths:
        """The paths of the run `tag` of the repository with this common git directory."""
        return cls(common_dir / "autoresearch" / tag)

    @property
    def journal(self) -> Path:
        return self.state / "journal"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def results(self) -> Path:
        return self.state / "results.tsv"

    @property
    def musings(self) -> Path:
        return self.state / MUSINGS

    @property
    def worktree(self) -> Path:
        return self.state / "worktree"

    @property
    def compiled(self) -> Path:
        """Caches of compilers, at one place for all trials, since they know their own path."""
        return self.state / "compiled"

    @property
    def compiled_baseline(self) -> Path:
        """The caches as the baseline's trial left them."""
        return self.state / "compiled.baseline"

    @property
    def exam(self) -> Path:
        """The examiner's folder."""
        return self.state / "exam"

    @property
    def moving(self) -> Path:
        """Marks that a checkout is being brought forward: a lock younger than it is ours."""
        return self.state / "moving"

    @property
    def index(self) -> Path:
        """The scratch index that candidates are committed with."""
        return self.state / "index"

    @property
    def running_log(self) -> Path:
        """The log as the trial writes it, before it is folded and capped."""
        return self.state / "running.log"

    def experiment(self, number: int) -> Path:
        return self.state / "experiments" / f"{number:04d}"


def last_tag_file(common_dir: Path) -> Path:
    """The file that names the run last made or run."""
    return common_dir / "autoresearch" / ".last"


def branch_ref(tag: str) -> str:
    return f"{BRANCH}{tag}"


def candidate_ref(tag: str, number: int) -> str:
    return f"{REFS}{tag}/{number:04d}"


def sync_folder(folder: Path) -> None:
    """Make names that were added to or changed in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """mkdir -p, durable."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file, and wait until its bytes are on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_durably(path: Path, content: bytes, writer: str = "") -> None:
    """Write a file whole or not at all: a temporary beside it, fsync, rename, fsync the folder.

    writer: names the temporary too, where several processes write the same file.
    """
    temporary = path.with_name(f".{path.name}.{writer}.tmp" if writer else f"{path.name}.tmp")
    write_synced(temporary, content)
    temporary.replace(path)
    sync_folder(path.parent)
