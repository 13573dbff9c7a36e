"""The user's checkout: read with care, moved forward where it stands on the run's branch, else left alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.paths import write_synced
from autoresearch.records import Edit
from autoresearch.workspace.edit import edit_of
from autoresearch.workspace.git import GitError, entries, git, text
from autoresearch.workspace.repository import Repository

_LOCK_S = 2.0  # how long a lock on the user's index is waited for
_Form = tuple[str, str] | None  # mode and blob of a file; None where there is none


@dataclass(frozen=True)
class Checkout:
    """The checkout that the user works in."""

    repo: Repository

    # -- reading ----------------------------------------------------------------------------

    def edits(self, base: str, wanted: Callable[[str], bool]) -> tuple[Edit, ...]:
        """Returns what the working tree changes against a commit, untracked files that git sees too.

        Bytes are as git would commit them (line ends and filters of the user's own applied); of paths
        that are not wanted they are not read, and empty: data may lie there.
        """
        root, top = self.repo.root, self.repo.at_top.root
        with self._index_copy() as env:
            git(top, "update-index", "-q", "--refresh", env=env, ok=(0, 1))
            raw = entries(git(top, "diff-index", "-z", "--raw", "--no-renames", base, env=env))
            others = entries(git(top, "ls-files", "-z", "--others", "--exclude-standard"))
        found = {}
        for path in map(self.repo.from_here, [*raw[1::2], *others]):
            found[path] = edit_of(root, path, wanted(path))
        old_modes = {
            self.repo.from_here(path): meta.lstrip(":").split(" ")[0]
            for meta, path in zip(raw[::2], raw[1::2], strict=True)
        }
        for path, edit in list(found.items()):
            if edit.mode in ("100644", "100755") and wanted(path):
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
            before[p][1] for p in found if p in before and before[p][0] != "160000" and wanted(p)
        )
        return tuple(
            edit
            for path, edit in sorted(found.items())
            if path not in before
            or not wanted(path)
            or edit.content != blobs.get(before[path][1])
            or edit.mode != before[path][0]
        )

    def _committed_form(self, path: str) -> bytes:
        blob = text(self.repo.root, "hash-object", "-w", f"--path={path}", "--", path)
        return self.repo.blobs([blob])[blob]

    @contextlib.contextmanager
    def _index_copy(self) -> Iterator[dict[str, str]]:
        """Yields the environment of git commands that see the user's index, and can't write it."""
        index = Path(
            text(self.repo.root, "rev-parse", "--path-format=absolute", "--git-path", "index")
        )
        with tempfile.TemporaryDirectory(prefix="autoresearch-") as folder:
            copy = Path(folder) / "index"
            if index.exists():
                shutil.copy2(index, copy)
            yield {"GIT_INDEX_FILE": str(copy)}

    def tracks(self, path: str) -> bool:
        """Says whether git tracks a path, by the index."""
        literal = {"GIT_LITERAL_PATHSPECS": "1"}
        return bool(git(self.repo.root, "ls-files", "-z", "--", path, env=literal))

    # -- moving with the run's branch ---------------------------------------------------------

    def advance(self, ref: str, old: str, new: str) -> list[str]:
        """Moves a branch from a kept commit to the next, and the checkouts that stand on it.

        A checkout with a local edit in the way is detached at its commit first, so that no later
        commit undoes a keep. Returns what has to be said aloud; raises LabError where somebody else
        moved the branch. It can be called again after a kill at any point.
        """
        notices = []
        for folder in self._standing_on(ref):
            head = text(folder, "rev-parse", "HEAD")
            if head not in (old, new):
                continue  # the compare-and-swap below tells
            if not self._fast_forward(folder, old, new):
                git(folder, "update-ref", "--no-deref", "HEAD", head)
                notices.append(
                    f"{folder} has local edits (or a locked index) where a kept commit changes files: "
                    f"detached at {head[:7]}, the edits stay; take the keep with: git checkout --merge "
                    f"{ref.removeprefix('refs/heads/')}"
                )
        if not self.repo.set_ref(ref, new, old):
            raise moved_by_hand(self.repo, ref, old)
        return notices

    def _standing_on(self, ref: str) -> list[Path]:
        """Returns the checkouts, linked worktrees included, that have a branch checked out."""
        found = []
        folder: Path | None = None
        for line in entries(git(self.repo.root, "worktree", "list", "--porcelain", "-z")):
            if line.startswith("worktree "):
                folder = Path(line.removeprefix("worktree "))
            elif line == f"branch {ref}" and folder is not None and folder.is_dir():
                found.append(folder)
        return found

    def _fast_forward(self, folder: Path, old: str, new: str) -> bool:
        """Brings index and files of a checkout from one commit to the next; False if an edit is in the way.

        It looks at all before it touches any. Each file changes at once, by a rename, so that a kill
        leaves it as it was or as it will be, and a second call takes up there.
        """
        before, after = {}, {}
        for path, *change in self.repo.changed(old, new):
            before[path] = _form(change[0], change[2])
            after[path] = _form(change[1], change[3])
            _spare(folder / path).unlink(missing_ok=True)
        if self._locked(folder):
            return False
        try:
            staged = self._staged(folder, list(after))
            for path in after:
                for there in (self._there(folder, path), staged.get(path)):
                    if there not in (before[path], after[path]):
                        return False
            for path, form in after.items():
                if self._there(folder, path) != form:
                    self._put(folder, path, form)
            lines = [
                f"{mode} {blob}\t{path}"
                for path, form in after.items()
                for mode, blob in [form or ("0", "0" * len(new))]
            ]
            listed = os.fsencode("\0".join(lines) + "\0")
            git(folder, "update-index", "-z", "--index-info", stdin=listed)
            # Times and sizes alone, which git looks up again where this can't write them (128).
            git(folder, "update-index", "-q", "--refresh", ok=(0, 1, 128))
        except (GitError, NotADirectoryError, IsADirectoryError, FileExistsError):
            return False
        return True

    @staticmethod
    def _locked(folder: Path) -> bool:
        """Says whether another git command holds the checkout's index, and goes on holding it."""
        lock = Path(text(folder, "rev-parse", "--path-format=absolute", "--git-path", "index.lock"))
        end = time.monotonic() + _LOCK_S
        while lock.exists() and time.monotonic() < end:
            time.sleep(0.05)
        return lock.exists()

    @staticmethod
    def _staged(folder: Path, paths: list[str]) -> dict[str, _Form]:
        """Returns mode and blob of paths in a checkout's index."""
        found: dict[str, _Form] = {}
        literal = {"GIT_LITERAL_PATHSPECS": "1"}
        for entry in entries(git(folder, "ls-files", "-s", "-z", "--", *paths, env=literal)):
            meta, _, path = entry.partition("\t")
            mode, blob, _ = meta.split(" ")
            found[path] = (mode, blob)
        return found

    @staticmethod
    def _there(folder: Path, path: str) -> _Form:
        """Returns mode and blob of a file as git would commit it, None where there is nothing."""
        file = folder / path
        if any((folder / above).is_symlink() for above in Path(path).parents):
            return ("", "")  # what is behind a link is not the checkout's
        if not os.path.lexists(file):
            return None
        if not file.is_file() or file.is_symlink():
            return ("", "")
        mode = "100755" if os.access(file, os.X_OK) else "100644"
        return (mode, text(folder, "hash-object", f"--path={path}", "--", path))

    def _put(self, folder: Path, path: str, form: _Form) -> None:
        """Gives a file of a checkout a blob's content, with the user's own filters and line ends."""
        file, spare = folder / path, _spare(folder / path)
        if form is None:
            file.unlink()
            for above in file.relative_to(folder).parents:
                with contextlib.suppress(OSError):  # git keeps no empty folders
                    (folder / above).rmdir()
            return
        mode, blob = form
        file.parent.mkdir(parents=True, exist_ok=True)
        write_synced(spare, git(folder, "cat-file", "--filters", f"--path={path}", blob))
        spare.chmod(0o755 if mode == "100755" else 0o644)
        spare.replace(file)

    def drop_locks(self, ref: str, since: float) -> None:
        """Removes the locks that a killed `advance` left, and none that is older than its beginning."""
        for folder in self._standing_on(ref):
            for name in ("index.lock", "HEAD.lock"):
                lock = Path(text(folder, "rev-parse", "--path-format=absolute", "--git-path", name))
                with contextlib.suppress(FileNotFoundError):
                    if lock.stat().st_mtime >= since:
                        lock.unlink()

    # -- try --rewind -------------------------------------------------------------------------

    def restore(self, paths: list[str], commit: str) -> None:
        """Gives paths of the working tree the content that they have in a commit."""
        tree = self.repo.tree(commit)
        known = [path for path in paths if path in tree]
        for path in set(paths) - set(known):
            (self.repo.root / path).unlink(missing_ok=True)
        for path in known:  # a folder that took a file's place
            for folder, _, _ in os.walk(self.repo.root / path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        if known:
            git(
                self.repo.root, "restore", f"--source={commit}", "--worktree",
                "--pathspec-from-file=-", "--pathspec-file-nul",
                stdin=b"\0".join(os.fsencode(path) for path in known),
                env={"GIT_LITERAL_PATHSPECS": "1"},
            )  # fmt: skip


def _form(mode: str, blob: str) -> _Form:
    return None if mode == "000000" else (mode, blob)


def _spare(file: Path) -> Path:
    """Returns where a file's new content is written before it takes the file's place."""
    return file.with_name(f".{file.name}.autoresearch")


def moved_by_hand(repo: Repository, ref: str, expected: str) -> LabError:
    """Returns the error for a run's branch that is not where the run left it."""
    branch = ref.removeprefix("refs/heads/")
    tip = repo.resolve(ref)
    return LabError(
        f"{branch} was moved by hand from {expected[:7]} to {(tip or 'nowhere')[:7]}. Two ways out: "
        f"another tag from there (autoresearch init TAG --from {branch}), or a new baseline "
        f"from there (autoresearch baseline)"
    )
