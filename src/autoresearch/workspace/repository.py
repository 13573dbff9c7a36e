"""The repository: commits, refs and trees, without any checkout."""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from autoresearch.paths import BRANCH, branch_ref
from autoresearch.records import Edit
from autoresearch.workspace.discovery import find
from autoresearch.workspace.git import GitError, git, text
from autoresearch.workspace.objects import Change, Difference, Recent, Tree, blobs_of, tree_of
from autoresearch.workspace.refs import OnlyGitKnows, Refs

_TAG_MAX = 200  # bytes: a tag is the name of a folder and of a file beside its lock
_BLOBS = 1 << 24  # bytes of blobs that are remembered: scripts, and no data
_ABBREVIATION = 7  # hex digits of a commit, where they name it alone
_DIFF = (
    "diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index",
    "--binary",
)  # fmt: skip


@dataclass(frozen=True)
class Repository:
    """A repository with a checkout, seen from a folder of it.

    root: that folder, the lab's; common: the common git directory; folder: the path of `root` from the
    checkout's top, "" for the top itself. Paths are relative to `root`: what lies outside of it begins
    with "../".
    """

    root: Path
    common: Path
    folder: str = ""

    @classmethod
    def discover(cls, folder: Path) -> Repository:
        """Returns the repository that a folder lies in; raises LabError where there is none."""
        return cls(*find(folder))

    # -- which folder paths are relative to --------------------------------------------------------

    @cached_property
    def at_top(self) -> Repository:
        """The same repository, seen from the checkout's top."""
        if not self.folder:
            return self
        return replace(self, root=self.root.parents[self.folder.count("/")], folder="")

    def seen_from(self, folder: str) -> Repository:
        """Returns the same repository, seen from a folder that is named from the top."""
        if folder == self.folder:
            return self
        return replace(self.at_top, root=self.at_top.root / folder, folder=folder)

    def path_of(self, folder: Path) -> Path:
        """Returns the path of a folder of the checkout from its top."""
        return Path(text(folder, "rev-parse", "--show-prefix"))

    def from_top(self, path: str) -> str:
        """Returns a path of this folder as it is named from the top."""
        return posixpath.normpath(f"{self.folder}/{path}") if self.folder else path

    def from_here(self, path: str) -> str:
        """Returns a path that is named from the top as it is named from this folder."""
        if not self.folder:
            return path
        inside = path.removeprefix(f"{self.folder}/")
        return inside if inside != path else posixpath.relpath(path, self.folder)

    # -- commits and refs -------------------------------------------------------------------

    def resolve(self, rev: str) -> str | None:
        """Returns the commit that a revision names, None where it names none."""
        if rev.startswith("refs/"):
            with contextlib.suppress(OnlyGitKnows):
                target = self._refs.target(rev)
                if target is None or target in self._commits:
                    return target
        try:
            commit = text(self.root, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
        except GitError:
            return None
        self._commits.add(commit)
        return commit

    def short(self, commit: str, digits: int = _ABBREVIATION) -> str:
        """Returns the first digits of a commit's id, more of them only where another object has the same."""
        return text(self.root, "rev-parse", "--verify", f"--short={digits}", commit)

    def head_branch(self) -> str | None:
        """Returns the full ref that HEAD stands on, None where it is detached."""
        with contextlib.suppress(OnlyGitKnows):
            return self._refs.head()
        return text(self.root, "symbolic-ref", "--quiet", "HEAD", ok=(0, 1)) or None

    def head_tag(self) -> str | None:
        """Returns the tag of the run whose branch is checked out, None if none is."""
        branch = self.head_branch()
        return branch[len(BRANCH) :] if branch and branch.startswith(BRANCH) else None

    def valid_branch(self, tag: str) -> bool:
        """Says whether a tag makes a branch name."""
        try:
            git(self.root, "check-ref-format", branch_ref(tag))
        except GitError:
            return False
        plain = tag.isprintable() and "/" not in tag and not tag.startswith("-")
        return plain and len(os.fsencode(tag)) <= _TAG_MAX

    def set_ref(self, ref: str, commit: str, expected: str | None = None) -> bool:
        """Moves a ref by compare-and-swap from where it is expected; with None it must not exist yet.

        Returns True also where it is at the commit already, False where it was elsewhere.
        """
        current = self.resolve(ref)
        if current == commit:
            return True
        if current != expected:
            return False
        try:
            git(self.root, "update-ref", "--no-deref", ref, commit, expected or "")
        except GitError:
            if self.resolve(ref) != expected:
                return False
            raise
        return True

    def subject(self, commit: str) -> str:
        """Returns the first line of a commit's message."""
        return text(self.root, "log", "-1", "--format=%s", "--no-show-signature", commit)

    def message(self, commit: str) -> str:
        """Returns a commit's whole message."""
        return text(self.root, "log", "-1", "--format=%B", "--no-show-signature", commit)

    def has_identity(self) -> bool:
        """Says whether git knows who commits, without guessing from the host's name."""
        try:
            git(self.root, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        except GitError:
            return False
        return True

    def refs(self, prefix: str) -> dict[str, str]:
        """Returns every ref below a prefix, and what it names."""
        lines = text(self.root, "for-each-ref", "--format=%(refname) %(objectname)", prefix)
        return dict(line.split(" ", 1) for line in lines.splitlines())

    def drop_ref_locks(self, *refs: str) -> None:
        """Removes lock files that a killed process left beside refs that are the run's alone."""
        for ref in refs:
            place = self.common / ref
            for lock in [place.with_name(f"{place.name}.lock"), *place.glob("*.lock")]:
                lock.unlink(missing_ok=True)

    def only_deletes(self, old: str, new: str) -> bool:
        """Says whether the diff between two commits takes lines away and adds none."""
        counts = self._difference(old, new).counts
        return bool(counts) and all(added == "0" and gone != "0" for added, gone in counts)

    # -- trees ------------------------------------------------------------------------------

    def tree(self, commit: str) -> Tree:
        """Returns every path of a commit, by its full id."""
        if self.folder:
            tree = self.at_top.tree(commit)
            return {self.from_here(path): entry for path, entry in tree.items()}
        found = self._trees.get(commit)
        if found is None:
            found = tree_of(git(self.root, "ls-tree", "-r", "-z", "--full-tree", commit))
            self._trees.put(commit, found)
        return dict(found)

    def tree_id(self, commit: str) -> str:
        """Returns the id of a commit's tree."""
        return text(self.root, "rev-parse", "--verify", f"{commit}^{{tree}}")

    def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Returns the bytes of blobs, unfiltered; those that are not remembered are read in one call."""
        wanted = dict.fromkeys(ids)
        found = {blob: content for blob in wanted if (content := self._blobs.get(blob)) is not None}
        missing = [blob for blob in wanted if blob not in found]
        if not missing:
            return found
        output = git(self.root, "cat-file", "--batch", stdin="\n".join(missing).encode() + b"\n")
        for blob, content in blobs_of(output, missing):
            found[blob] = content
            self._blobs.put(blob, content)
        return found

    def changed(self, old: str, new: str) -> tuple[Change, ...]:
        """Returns (path, old mode, new mode, old blob, new blob) of all that differs between two commits.

        The paths are named from the top.
        """
        return self._difference(old, new).changes

    def write_blob(self, content: bytes) -> str:
        """Stores bytes as they are; returns the blob's id."""
        output = git(self.root, "hash-object", "-w", "--no-filters", "--stdin", stdin=content)
        blob = output.decode().strip()
        self._blobs.put(blob, content)
        return blob

    def commit(
        self, parent: str, edits: Iterable[Edit], message: str, at: float, index: Path
    ) -> tuple[str, str]:
        """Commits edits on a parent with exactly their bytes; returns (commit, tree).

        The same arguments give the same commit, so that a commit lost in a crash is made again as
        it was. index: a scratch file.
        """
        if self.folder:
            named = [Edit(self.from_top(edit.path), edit.content, edit.mode) for edit in edits]
            return self.at_top.commit(parent, named, message, at, index)
        before = self.tree(parent)
        lines = []
        for edit in edits:
            if edit.content is None:
                lines.append(b"0 " + b"0" * len(parent) + b"\t" + os.fsencode(edit.path))
            else:
                mode = edit.mode or before.get(edit.path, ("100644", ""))[0]
                blob = self.write_blob(edit.content)
                lines.append(f"{mode} {blob}\t".encode() + os.fsencode(edit.path))
        for left in (index, index.with_name(f"{index.name}.lock")):  # of a commit that was cut off
            left.unlink(missing_ok=True)
        env = {"GIT_INDEX_FILE": str(index)}
        git(self.root, "read-tree", parent, env=env)
        listed = b"\0".join(lines) + b"\0"
        git(self.root, "update-index", "-z", "--index-info", stdin=listed, env=env)
        tree = git(self.root, "write-tree", env=env).decode().strip()
        index.unlink(missing_ok=True)
        date = f"@{int(at)} +0000"
        output = git(
            self.root, "commit-tree", tree, "-p", parent,
            stdin=message.encode("utf-8", "replace"),
            env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        )  # fmt: skip
        commit = output.decode().strip()
        self._commits.add(commit)
        self._trees.put(commit, self._difference(parent, commit).on(before))
        return commit, tree

    def patch(self, old: str, new: str) -> bytes:
        """Returns the diff between two commits, as git prints it; paths are relative to this folder.

        Where it changes something outside of the folder they are named from the top.
        """
        found = self._difference(old, new)
        if not self.folder or not all(
            path.startswith(f"{self.folder}/") for path, *_ in found.changes
        ):
            return found.patch
        return git(self.at_top.root, *_DIFF, "-p", f"--relative={self.folder}", old, new)

    def _difference(self, old: str, new: str) -> Difference:
        if self.folder:
            return self.at_top._difference(old, new)
        found = self._differences.get((old, new))
        if found is None:
            found = Difference.read(
                git(self.root, *_DIFF, "-z", "--raw", "--numstat", "-p", old, new)
            )
            self._differences.put((old, new), found)
        return found

    @cached_property
    def exclude_file(self) -> Path:
        """The file of patterns that git ignores in this repository alone."""
        return self.common / "info" / "exclude"

    # -- what is remembered ---------------------------------------------------------------------

    @cached_property
    def _refs(self) -> Refs:
        return Refs(self.at_top.root, self.common)

    @cached_property
    def _commits(self) -> set[str]:
        """Ids that git has said, in this process, to be commits."""
        return set()

    @cached_property
    def _trees(self) -> Recent[str, Tree]:
        return Recent(8)  # an experiment looks at the same two or three again and again

    @cached_property
    def _differences(self) -> Recent[tuple[str, str], Difference]:
        return Recent(_BLOBS, lambda difference: 1000 + len(difference.patch))

    @cached_property
    def _blobs(self) -> Recent[str, bytes]:
        return Recent(_BLOBS, len)
