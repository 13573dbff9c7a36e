"""The repository: commits, refs and trees, without any checkout."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.paths import BRANCH, branch_ref
from autoresearch.records import Edit
from autoresearch.workspace.git import GitError, entries, git, text

_TAG_MAX = 200  # bytes: a tag is the name of a folder and of a file beside its lock
Tree = dict[str, tuple[str, str]]  # path -> (mode, object id)


@dataclass(frozen=True)
class Repository:
    """A repository with a checkout. root: the checkout's top folder; common: the common git directory."""

    root: Path
    common: Path

    @classmethod
    def discover(cls, folder: Path) -> Repository:
        """The repository that a folder lies in; LabError with the way out where there is none."""
        try:
            answer = text(
                folder, "rev-parse", "--is-bare-repository", "--is-inside-git-dir",
                "--path-format=absolute", "--git-common-dir",
            ).splitlines()  # fmt: skip
        except GitError as fault:
            if "dubious ownership" in fault.output:
                named = re.search(r"repository at '(.+)'", fault.output)
                place = named[1] if named else folder
                raise LabError(
                    f"{place} belongs to another user, and git refuses to work in it; if you trust "
                    f"it: git config --global --add safe.directory {shlex.quote(str(place))}"
                ) from None
            if "not a git repository" in fault.output:
                raise LabError(
                    f"{folder} is in no git repository; make a lab in an empty folder with: "
                    "autoresearch init"
                ) from None
            raise
        if answer[0] == "true":
            raise LabError(
                f"{folder} is a bare repository, without files to work on; clone it, and call "
                "autoresearch in the clone"
            )
        if answer[1] == "true":
            raise LabError(f"{folder} is inside a git directory; go to the lab's own folder")
        root = Path(text(folder, "rev-parse", "--path-format=absolute", "--show-toplevel"))
        return cls(root, Path(answer[2]))

    # -- commits and refs -------------------------------------------------------------------

    def resolve(self, rev: str) -> str | None:
        """The commit that a revision names, or None."""
        try:
            return text(self.root, "rev-parse", "--verify", "--quiet", f"{rev}^{{commit}}")
        except GitError:
            return None

    def head_branch(self) -> str | None:
        """The full ref that HEAD stands on; None where it is detached."""
        return text(self.root, "symbolic-ref", "--quiet", "HEAD", ok=(0, 1)) or None

    def head_tag(self) -> str | None:
        """The tag of the run whose branch is checked out, if one is."""
        branch = self.head_branch()
        return branch[len(BRANCH) :] if branch and branch.startswith(BRANCH) else None

    def valid_branch(self, tag: str) -> bool:
        """Whether a tag makes a branch name."""
        try:
            git(self.root, "check-ref-format", branch_ref(tag))
        except GitError:
            return False
        plain = tag.isprintable() and "/" not in tag and not tag.startswith("-")
        return plain and len(os.fsencode(tag)) <= _TAG_MAX

    def set_ref(self, ref: str, commit: str, expected: str | None = None) -> bool:
        """Move a ref by compare-and-swap; expected None: it must not exist or be there already.

        False where the ref was elsewhere.
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
        """The first line of a commit's message."""
        return text(self.root, "log", "-1", "--format=%s", "--no-show-signature", commit)

    def has_identity(self) -> bool:
        """Whether git knows who commits, without guessing from the host's name."""
        try:
            git(self.root, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        except GitError:
            return False
        return True

    def refs(self, prefix: str) -> dict[str, str]:
        """Every ref below a prefix, and what it names."""
        lines = text(self.root, "for-each-ref", "--format=%(refname) %(objectname)", prefix)
        return dict(line.split(" ", 1) for line in lines.splitlines())

    def drop_ref_locks(self, *refs: str) -> None:
        """Remove lock files that a killed process left beside refs that are the run's alone."""
        for ref in refs:
            place = self.common / ref
            for lock in [place.with_name(f"{place.name}.lock"), *place.glob("*.lock")]:
                lock.unlink(missing_ok=True)

    def only_deletes(self, old: str, new: str) -> bool:
        """Whether the diff between two commits takes lines away and adds none."""
        output = git(self.root, "diff-tree", "-r", "-z", "--numstat", "--no-renames", old, new)
        counts = [entry.split("\t")[:2] for entry in entries(output)]
        return bool(counts) and all(added == "0" and gone != "0" for added, gone in counts)

    # -- trees ------------------------------------------------------------------------------

    def tree(self, commit: str) -> Tree:
        """Every path of a commit, by its full id."""
        return dict(_tree(self.root, commit))

    def tree_id(self, commit: str) -> str:
        return text(self.root, "rev-parse", "--verify", f"{commit}^{{tree}}")

    def blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """The bytes of objects, unfiltered, in one call."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return {}
        output = git(self.root, "cat-file", "--batch", stdin="\n".join(wanted).encode() + b"\n")
        found, at = {}, 0
        for blob in wanted:
            end = output.index(b"\n", at)
            header = output[at:end].split(b" ")
            if len(header) != 3:
                raise LabError(f"object {blob} is missing from the repository; see: git fsck")
            size = int(header[2])
            found[blob] = output[end + 1 : end + 1 + size]
            at = end + size + 2
        return found

    def changed(self, old: str, new: str) -> list[tuple[str, str, str, str, str]]:
        """(path, old mode, new mode, old blob, new blob) between two commits."""
        fields = entries(
            git(
                self.root,
                "diff-tree",
                "-r",
                "-z",
                "--raw",
                "--no-renames",
                "--no-ext-diff",
                old,
                new,
            )
        )
        found = []
        for meta, path in zip(fields[::2], fields[1::2], strict=True):
            old_mode, new_mode, old_blob, new_blob, _ = meta.lstrip(":").split(" ")
            found.append((path, old_mode, new_mode, old_blob, new_blob))
        return found

    def write_blob(self, content: bytes) -> str:
        """Store bytes as they are."""
        return (
            git(self.root, "hash-object", "-w", "--no-filters", "--stdin", stdin=content)
            .decode()
            .strip()
        )

    def commit(
        self, parent: str, edits: Iterable[Edit], message: str, at: float, index: Path
    ) -> tuple[str, str]:
        """Commit edits on a parent with exactly their bytes; (commit, tree).

        The same arguments give the same commit, so that a commit lost in a crash is made again as
        it was. index: a scratch file.
        """
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
        git(
            self.root,
            "update-index",
            "-z",
            "--index-info",
            stdin=b"\0".join(lines) + b"\0",
            env=env,
        )
        tree = git(self.root, "write-tree", env=env).decode().strip()
        index.unlink(missing_ok=True)
        date = f"@{int(at)} +0000"
        commit = git(
            self.root, "commit-tree", tree, "-p", parent,
            stdin=message.encode("utf-8", "replace"),
            env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date},
        )  # fmt: skip
        return commit.decode().strip(), tree

    def patch(self, old: str, new: str) -> bytes:
        """The diff between two commits, as git prints it."""
        return git(
            self.root, "diff-tree", "-p", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index",
            "--binary", old, new,
        )  # fmt: skip

    @cached_property
    def exclude_file(self) -> Path:
        return self.common / "info" / "exclude"


@lru_cache(maxsize=8)
def _tree(root: Path, commit: str) -> Tree:
    """A commit never changes, and one experiment looks at the same two or three again and again."""
    found: Tree = {}
    for entry in entries(git(root, "ls-tree", "-r", "-z", "--full-tree", commit)):
        meta, _, path = entry.partition("\t")
        mode, _, blob = meta.split(" ")
        found[path] = (mode, blob)
    return found
