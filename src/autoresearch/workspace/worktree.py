"""The run's private worktree: where candidates are laid out and trials run.

Files are written and compared by us, byte for byte as the commit has them: no filter, no line-end
conversion and no hook runs, and what a trial or a program left behind is gone before the next.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.paths import lies_in, make_folder, write_durably, write_synced
from autoresearch.records import Edit
from autoresearch.workspace.earlier import leave_earlier, plain_bytes
from autoresearch.workspace.edit import edit_of, write_entry
from autoresearch.workspace.fresh import remove_matches
from autoresearch.workspace.git import GitError, entries, git
from autoresearch.workspace.inputs import Inputs, holds_tracked
from autoresearch.workspace.objects import Tree, blob_id
from autoresearch.workspace.outputs import remove_output
from autoresearch.workspace.removal import detach_mounts, look_into, open_up, remove
from autoresearch.workspace.repository import Repository

_LOCKED = b"a run of autoresearch works here\n"
_READ_MAX = 256 << 20  # bytes of a file whose size we don't know yet; a larger one is written anew


@dataclass
class Worktree:
    """A worktree of a repository at `path`, on a detached HEAD; git knows it by its `name`.

    inputs: what a trial reads and git does not track; caches: folders that stay from trial to trial;
    fresh: patterns of files that are removed before a trial; outputs: files that a trial writes, and that
    are not laid out even where git tracks them. These, and the paths that are returned, are relative to
    the lab's folder, as those of `repo` are; a Tree that is laid out has all paths as they are named from
    the top.
    """

    repo: Repository
    path: Path
    name: str
    inputs: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._top = self.repo.at_top
        self._kept_caches = tuple(map(self.repo.from_top, self.caches))
        names = tuple(map(self.repo.from_top, self.inputs))
        self._copies = Inputs(self._top, self.path, names, self.repo.from_here)
        self._sizes: dict[str, int] = {}  # blob -> bytes, of those that were laid out

    @property
    def cwd(self) -> Path:
        """The lab's folder in the worktree, where its commands run."""
        return self.path / self.repo.folder

    # -- laying out -------------------------------------------------------------------------

    def lay_out(self, commit: str, anew: bool = False) -> Tree:
        """Makes the worktree the commit's tree, plus inputs and caches, and nothing else; returns the tree.

        anew: no file or folder of an earlier trial's stays, whose attributes or times could tell
        the next what it may not know.
        """
        detach_mounts(self.path)
        if anew:
            self._make(commit)
        self._attach(commit)
        tree = self._top.tree(commit)
        written = map(self.repo.from_top, self.outputs)
        tracked = [path for path in written if tree.pop(path, None) is not None]
        for name, cache in zip(self.caches, self._kept_caches, strict=True):
            if holds_tracked(cache, tree):
                raise LabError(
                    f"caches: {name} holds files that git tracks; name a folder of its own"
                )
        self._copies.plan(tree)
        have = self._sweep(tree) | self._copies.paths
        blobs = self._top.blobs(
            blob for path, (mode, blob) in tree.items() if path not in have and mode != "160000"
        )
        for path, (mode, blob) in tree.items():
            if path not in have:
                write_entry(self.path / path, mode, blobs.get(blob, b""))
                self._sizes[blob] = len(blobs.get(blob, b""))
        self._copies.lay_out(tree)
        for pattern in self.fresh:
            remove_matches(self.cwd, pattern, self.caches)
        for name in self.outputs:
            remove_output(self.cwd, name)
        for path in tracked:  # its folder is there in any checkout
            (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        return tree

    def _attach(self, commit: str) -> None:
        """Sees that the worktree exists, with HEAD and index at the commit."""
        if not self._in_order():
            self._make(commit)
        for lock in ("index.lock", "HEAD.lock"):
            (self.admin / lock).unlink(missing_ok=True)  # the run's lock is ours: nobody works here
        # Whole or not at all: an empty one, of a kill or a power cut, breaks the user's `git fsck`.
        write_durably(self.admin / "HEAD", f"{commit}\n".encode())
        try:
            git(self.path, "read-tree", "--reset", commit)
        except GitError:
            (self.admin / "index").unlink(missing_ok=True)  # a torn index of a kill or a power cut
            git(self.path, "read-tree", commit)

    @property
    def admin(self) -> Path:
        """The worktree's folder inside the git directory is named after the run, and never a user's own."""
        ours = os.fsencode(f"{self.path / '.git'}\n")
        for number in itertools.count(1):
            name = self.name + (f"-{number}" if number > 1 else "")
            admin = self.repo.common / "worktrees" / name
            if not os.path.lexists(admin) or plain_bytes(admin / "locked") == _LOCKED:
                return admin
            if plain_bytes(admin / "gitdir") == ours:  # somebody unlocked it
                return admin
        raise AssertionError("itertools.count ends nowhere")

    def _in_order(self) -> bool:
        """Says whether the worktree is as `_make` makes it."""
        admin = self.admin
        return (
            plain_bytes(self.path / ".git") == self._pointer
            and plain_bytes(admin / "commondir") == b"../..\n"
            and plain_bytes(admin / "gitdir") == os.fsencode(f"{self.path / '.git'}\n")
        )

    @property
    def _pointer(self) -> bytes:
        return b"gitdir: " + os.fsencode(self.admin) + b"\n"

    def _make(self, commit: str) -> None:
        """Makes the worktree by hand, as gitrepository-layout(5) has it.

        A killed `git worktree add` leaves a half that breaks other git commands of the user's; here
        the folder inside the git directory appears whole, by a rename.
        """
        made = (
            self.repo.common / "autoresearch" / f".{self.name}.new"
        )  # no run's name has a dot there
        for left in (made, self.admin, self.path):
            remove(left)
        made.mkdir(parents=True)
        for name, content in (
            ("HEAD", f"{commit}\n".encode()),
            ("commondir", b"../..\n"),
            ("gitdir", os.fsencode(f"{self.path / '.git'}\n")),
            ("locked", _LOCKED),
        ):
            write_synced(made / name, content)
        make_folder(self.admin.parent)
        made.rename(self.admin)
        self.path.mkdir(parents=True)
        (self.path / ".git").write_bytes(self._pointer)

    def leave_earlier(self, *others: Path) -> list[Path]:
        """Removes this worktree where git last knew it, and at `others`; returns where it was."""
        return leave_earlier(self.admin, self.path, others)

    def _sweep(self, tree: Tree) -> set[str]:
        """Removes what does not belong; returns the paths that are there as the tree has them."""
        have: set[str] = set()
        folders = {path[:i] for path in tree for i, c in enumerate(path) if c == "/"}
        kept = {*self._copies.paths, *self._kept_caches}
        above = {name[:i] for name in kept for i, c in enumerate(name) if c == "/"}
        for entry, path in self._walk():
            folder = entry.is_dir(follow_symlinks=False)
            # A link could lead a later trial, or our own deletions, outside.
            if path in self._copies.paths and not entry.is_symlink():
                continue
            if path in self._kept_caches and folder:
                open_up(Path(entry.path))
                continue
            if folder:
                if (
                    path not in folders
                    and path not in above
                    and tree.get(path, ("",))[0] != "160000"
                ):
                    remove(Path(entry.path))
            elif path in tree and self._same(path, *tree[path]):
                have.add(path)
            else:
                remove(Path(entry.path))
        return have

    def _walk(self) -> Iterator[tuple[os.DirEntry[str], str]]:
        """Yields every entry below the worktree but .git, folders first; enters no inputs and no caches."""
        kept = {*self._copies.paths, *self._kept_caches}
        waiting = [("", self.path)]
        while waiting:
            prefix, folder = waiting.pop()
            for entry in look_into(folder):
                path = prefix + entry.name
                if path == ".git":
                    continue
                yield entry, path
                if (
                    path not in kept
                    and entry.is_dir(follow_symlinks=False)
                    and Path(entry.path).is_dir()
                ):
                    waiting.append((path + "/", Path(entry.path)))

    def _same(self, path: str, mode: str, blob: str) -> bool:
        """Says whether a file is as a tree has it: kind, executable bit and bytes."""
        file = self.path / path
        try:
            info = file.lstat()
            if mode == "120000":
                return (
                    stat.S_ISLNK(info.st_mode)
                    and blob_id(os.fsencode(file.readlink()), blob) == blob
                )
            if mode == "160000":
                return stat.S_ISDIR(info.st_mode)
            executable = bool(info.st_mode & 0o100)
            if not stat.S_ISREG(info.st_mode) or executable != (mode == "100755"):
                return False
            if info.st_nlink != 1:
                return False  # a second name could change it from outside
            size = self._sizes.get(blob)
            if info.st_size > _READ_MAX if size is None else info.st_size != size:
                return False  # nothing of terabytes is read
            same = blob_id(file.read_bytes(), blob) == blob
            if same:
                self._sizes[blob] = info.st_size
            return same
        except OSError:
            return False

    # -- after a trial ----------------------------------------------------------------------

    def tampered(self, commit: str, tree: Tree) -> str | None:
        """Returns what a trial changed and must not have: a tracked file, HEAD, an input; None if nothing."""
        if not self._in_order():
            return ".git"
        if plain_bytes(self.admin / "HEAD") != f"{commit}\n".encode():
            return "HEAD"
        return self.altered(tree) or self._copies.changed()

    def altered(self, tree: Tree) -> str | None:
        """Returns the first path that is not as a tree has it, None if all are."""
        for path, (mode, blob) in tree.items():
            if path not in self._copies.paths and not self._same(path, mode, blob):
                return self.repo.from_here(path)
        return None

    def clean(self, tree: Tree, anew: bool = False) -> None:
        """Removes what a trial left: all but what the tree has, inputs and caches; `anew`: these too.

        To be called once `tampered` has looked.
        """
        if anew or not self._in_order():
            self.clear()
            return
        detach_mounts(self.path)
        self._sweep(tree)

    def clear(self) -> None:
        """Removes the worktree; `lay_out` makes it again."""
        remove(self.path)

    def notices(self) -> list[str]:
        """Returns what is to be said of the inputs since the last call."""
        said, self._copies.notices = self._copies.notices, []
        return said

    # -- what a program changed -------------------------------------------------------------

    def edits(self, commit: str, tree: Tree, wanted: Callable[[str], bool]) -> tuple[Edit, ...]:
        """Returns what was changed in the worktree against a commit, ignored files apart.

        Commits that a program made are squashed: HEAD and index are put back first. Bytes of paths
        that are not wanted are not read: the guard refuses them, and a checkpoint may lie there.
        """
        self._attach(commit)
        changed = [
            path
            for path, (mode, blob) in tree.items()
            if path not in self._copies.paths and not self._same(path, mode, blob)
        ]
        others = entries(git(self.path, "ls-files", "-z", "--others", "--exclude-standard"))
        kept = (*map(self.repo.from_top, self.inputs), *self._kept_caches)
        changed += [path for path in others if not any(lies_in(path, name) for name in kept)]
        named = map(self.repo.from_here, changed)
        return tuple(edit_of(self.cwd, path, wanted(path)) for path in named)
