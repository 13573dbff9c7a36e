"""The user's checkout: read with care, moved forward where it stands on the run's branch, else left alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.records import Edit
from autoresearch.workspace.git import GitError, entries, git, text
from autoresearch.workspace.repository import Repository
from autoresearch.workspace.worktree import _edit


@dataclass(frozen=True)
class Checkout:
    """The checkout that the user works in."""

    repo: Repository

    # -- reading ----------------------------------------------------------------------------

    def edits(self, base: str) -> tuple[Edit, ...]:
        """What the working tree changes against a commit, untracked files that git does not ignore too.

        Bytes are as git would commit them (line ends and filters of the user's own applied).
        """
        root = self.repo.root
        with self._index_copy() as env:
            git(root, "update-index", "-q", "--refresh", env=env, ok=(0, 1))
            raw = entries(git(root, "diff-index", "-z", "--raw", "--no-renames", base, env=env))
            others = entries(git(root, "ls-files", "-z", "--others", "--exclude-standard"))
        found = {path: _edit(root, path) for path in [*raw[1::2], *others]}
        old_modes = {
            path: meta.lstrip(":").split(" ")[0]
            for meta, path in zip(raw[::2], raw[1::2], strict=True)
        }
        for path, edit in list(found.items()):
            if edit.mode in ("100644", "100755") and not path.endswith("/"):
                content = self._committed_form(path)
                mode = edit.mode
                if (
                    text(root, "config", "--type=bool", "--default=true", "core.fileMode")
                    == "false"
                ):
                    mode = old_modes.get(path, "100644")
                found[path] = Edit(path, content, mode)
        before = self.repo.tree(base)
        blobs = self.repo.blobs(
            before[p][1] for p in found if p in before and before[p][0] != "160000"
        )
        return tuple(
            edit
            for path, edit in sorted(found.items())
            if path not in before
            or edit.content != blobs.get(before[path][1])
            or edit.mode != before[path][0]
        )

    def _committed_form(self, path: str) -> bytes:
        blob = text(self.repo.root, "hash-object", "-w", f"--path={path}", "--", path)
        return self.repo.blobs([blob])[blob]

    @contextlib.contextmanager
    def _index_copy(self) -> Iterator[dict[str, str]]:
        """The environment of git commands that see the user's index, and can't write it."""
        index = Path(
            text(self.repo.root, "rev-parse", "--path-format=absolute", "--git-path", "index")
        )
        with tempfile.TemporaryDirectory(prefix="autoresearch-") as folder:
            copy = Path(folder) / "index"
            if index.exists():
                shutil.copy2(index, copy)
            yield {"GIT_INDEX_FILE": str(copy)}

    # -- moving with the run's branch ---------------------------------------------------------

    def advance(self, ref: str, old: str, new: str) -> list[str]:
        """Move a branch from a kept commit to the next, and the checkouts that stand on it.

        A checkout with a local edit in the way is detached at its commit first, so that no later
        commit undoes a keep. Returns what has to be said aloud. LabError where somebody else moved
        the branch. Can be called again after a kill at any point.
        """
        notices = []
        for folder in self._standing_on(ref):
            head = text(folder, "rev-parse", "HEAD")
            if head not in (old, new):
                continue  # the compare-and-swap below tells
            if not self._fast_forward(folder, old, new):
                git(folder, "update-ref", "--no-deref", "HEAD", head)
                notices.append(
                    f"{folder} has local edits where a kept commit changes files: detached at "
                    f"{head[:7]}, the edits stay; take the keep with: git checkout --merge "
                    f"{ref.removeprefix('refs/heads/')}"
                )
        if not self.repo.set_ref(ref, new, old):
            raise moved_by_hand(self.repo, ref, old)
        return notices

    def _standing_on(self, ref: str) -> list[Path]:
        """The checkouts, linked worktrees included, that have a branch checked out."""
        found = []
        folder: Path | None = None
        for line in entries(git(self.repo.root, "worktree", "list", "--porcelain", "-z")):
            if line.startswith("worktree "):
                folder = Path(line.removeprefix("worktree "))
            elif line == f"branch {ref}" and folder is not None and folder.is_dir():
                found.append(folder)
        return found

    def _fast_forward(self, folder: Path, old: str, new: str) -> bool:
        """Bring index and files of a checkout from one commit to the next; False if an edit is in the way."""
        changed = self.repo.changed(old, new)
        try:
            for path, _, mode, _, blob in changed:
                file = folder / path
                # A file that is as the new commit has it: the user's own edit, or a kill half way.
                if mode == "000000" and not os.path.lexists(file):
                    git(folder, "update-index", "--force-remove", "--", path)
                elif (
                    _plain(file)
                    and text(folder, "hash-object", f"--path={path}", "--", path) == blob
                ):
                    git(folder, "update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}")
            for path, old_mode, *_ in changed:
                untracked = old_mode == "000000" and not text(folder, "ls-files", "--", path)
                if untracked and os.path.lexists(folder / path):
                    return False  # ignored or not, it is the user's
            git(folder, "update-index", "-q", "--refresh", ok=(0, 1))
            git(folder, "read-tree", "-m", "-u", old, new)
        except GitError:
            return False
        return True

    def drop_locks(self, ref: str, since: float) -> None:
        """Remove the locks that a killed `advance` left; none that is older than its beginning."""
        for folder in self._standing_on(ref):
            for name in ("index.lock", "HEAD.lock"):
                lock = Path(text(folder, "rev-parse", "--path-format=absolute", "--git-path", name))
                with contextlib.suppress(FileNotFoundError):
                    if lock.stat().st_mtime >= since:
                        lock.unlink()

    # -- try --rewind -------------------------------------------------------------------------

    def restore(self, paths: list[str], commit: str) -> None:
        """Give paths of the working tree the content that they have in a commit."""
        tree = self.repo.tree(commit)
        known = [path for path in paths if path in tree]
        if known:
            git(
                self.repo.root, "restore", f"--source={commit}", "--worktree",
                "--pathspec-from-file=-", "--pathspec-file-nul", stdin="\0".join(known).encode(),
                env={"GIT_LITERAL_PATHSPECS": "1"},
            )  # fmt: skip
        for path in set(paths) - set(known):
            (self.repo.root / path).unlink(missing_ok=True)


def _plain(file: Path) -> bool:
    return file.is_file() and not file.is_symlink()


def moved_by_hand(repo: Repository, ref: str, expected: str) -> LabError:
    """What is said where a run's branch is not where the run left it."""
    branch = ref.removeprefix("refs/heads/")
    tip = repo.resolve(ref)
    return LabError(
        f"{branch} was moved by hand from {expected[:7]} to {(tip or 'nowhere')[:7]}. Two ways out: "
        f"another tag from there (autoresearch init TAG --from {branch}), or a new baseline "
        f"from there (autoresearch baseline)"
    )
