"""The names of all files that a run writes, and how a file is written so that it survives a power cut.

<git-common-dir>/autoresearch/
    .last                    the tag of the run last made or run; .last-HASH: of a lab in a subfolder
    <tag>/
        journal              the truth (journal.py)
        lock                 held with flock while a process drives the run
        results.tsv          the run's own copy, whatever lies in the checkout
        musings.md
        history.json         rows of results files from before the run (ledger/history.py)
        compiled.baseline/   what compilers made for the baseline: where each trial starts from
        vault_losses.npy     the baseline's losses on the vault, which verification compares with
        experiments/NNNN/    record.json prompt.txt answer.txt candidate.patch trial.log metrics.json,
                             evaluate.log and checks.log where the lab has such commands
        slots/K/             the slot K, from 1 on; the files of slot 0 lie in <tag>/ itself:
            running.log      the log as the trial writes it
            evaluate.log     what `evaluate` printed about the trial
            checks.log       what the checks printed
            compiled/        what compilers made for the trial that runs
            exam/            the examiner's own: plan, answers, checkpoint, results
            index            the scratch index that candidates are committed with

<worktrees>/<hash of git-common-dir>/<tag>/K/
                             where the candidates of slot K are laid out and trials run: outside of git's
                             own folder, where test runners find no tests and programs edit no file
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from autoresearch.harness.names import CONTROL, cache_folder

cache_dir = cache_folder  # the cache of data and tokenizer, as the harness finds it too

BRANCH = "refs/heads/autoresearch/"
REFS = "refs/autoresearch/"
CONFIG = "autoresearch.toml"
CHARTER = "program.md"
MUSINGS = "musings.md"
EVALUATE_LOG, CHECKS_LOG = "evaluate.log", "checks.log"
GUIDANCE = "guidance.md"
# What begins the names of files that a sandbox is tried on, for a moment, in a person's folders too.
DECOY = ".autoresearch-witness-"


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Where a run keeps what it writes; `state` is its folder inside the git directory."""

    state: Path

    @classmethod
    def of(cls, common_dir: Path, tag: str) -> RunPaths:
        """Returns the paths of the run `tag` of the repository with this common git directory."""
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
    def history(self) -> Path:
        """The rows of results files that were there before the run."""
        return self.state / "history.json"

    @property
    def compiled_baseline(self) -> Path:
        """The caches as the baseline's trial left them."""
        return self.state / "compiled.baseline"

    @property
    def control(self) -> Path:
        """The losses of the baseline's model on the vault, a token each: what others are compared with."""
        return self.state / CONTROL

    @property
    def moving(self) -> Path:
        """Marks that a checkout is being brought forward: a lock younger than it is ours."""
        return self.state / "moving"

    def experiment(self, number: int) -> Path:
        return self.state / "experiments" / f"{number:04d}"

    def slot(self, number: int) -> SlotPaths:
        """The paths of one slot; those of slot 0 lie where the run's own do."""
        return SlotPaths(self.state / "slots" / str(number) if number else self.state)


@dataclass(frozen=True, slots=True)
class SlotPaths:
    """Where one trial at a time has its files; `folder` holds them all."""

    folder: Path

    @property
    def running_log(self) -> Path:
        """The log as the trial writes it, before it is folded and capped."""
        return self.folder / "running.log"

    @property
    def evaluate_log(self) -> Path:
        """What the lab's `evaluate` printed about the trial, of which the metric is read."""
        return self.folder / EVALUATE_LOG

    @property
    def checks_log(self) -> Path:
        """What the lab's checks printed."""
        return self.folder / CHECKS_LOG

    @property
    def compiled(self) -> Path:
        """Caches of compilers, at one place for all trials, since they know their own path."""
        return self.folder / "compiled"

    @property
    def exam(self) -> Path:
        """The examiner's folder."""
        return self.folder / "exam"

    @property
    def index(self) -> Path:
        """The scratch index that candidates are committed with."""
        return self.folder / "index"


def worktrees_folder(
    setting: str, root: Path, common_dir: Path, environment: Mapping[str, str]
) -> Path:
    """Returns where the private worktrees of a repository lie, with links followed.

    setting is runner.worktrees, which a lab at `root` may write as a path relative to itself. A relative
    XDG_STATE_HOME is ignored, as the XDG Base Directory Specification has it.
    """
    given = environment.get("XDG_STATE_HOME", "")
    state = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
    base = root / Path(setting).expanduser() if setting else state / "autoresearch"
    digest = hashlib.sha256(os.fsencode(os.path.realpath(common_dir))).hexdigest()[:12]
    return Path(os.path.realpath(base), digest)


def last_tag_file(common_dir: Path, folder: str = "") -> Path:
    """Returns the file that names the run last made or run in the lab of a folder of the repository."""
    mark = f"-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}" if folder else ""
    return common_dir / "autoresearch" / f".last{mark}"


def branch_ref(tag: str) -> str:
    return f"{BRANCH}{tag}"


def candidate_ref(tag: str, number: int) -> str:
    return f"{REFS}{tag}/{number:04d}"


def lies_in(path: str, folder: str) -> bool:
    """Returns whether a path of the lab is a folder of it, or lies below that."""
    return path == folder or path.startswith(f"{folder}/")


def open_plain(file: Path) -> BinaryIO | None:
    """Opens a plain file for reading; None for anything else that a trial may have put in its place."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return None


def open_to_us(file: Path) -> None:
    """Makes a plain file of ours readable again that a trial closed, which it may by its descriptor."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        mode = file.lstat().st_mode
        if stat.S_ISREG(mode) and mode & 0o600 != 0o600:
            file.chmod(stat.S_IMODE(mode) | 0o600)


def sync_folder(folder: Path) -> None:
    """Makes names that were added to or changed in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Makes a folder and its parents, so that they survive a power cut."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_folder(each.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file, and waits until its bytes are on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_durably(path: Path, content: bytes, writer: str = "") -> None:
    """Writes a file whole or not at all: a temporary beside it, fsync, rename, fsync of the folder.

    Where several processes write the same file, `writer` tells their temporaries apart.
    """
    temporary = path.with_name(f".{path.name}.{writer}.tmp" if writer else f"{path.name}.tmp")
    write_synced(temporary, content)
    temporary.replace(path)
    sync_folder(path.parent)
