"""Files that git LFS keeps: in a commit stands a pointer, and the content lies elsewhere.

A pointer's shape and where its content lies are those of the specification of git LFS, version 1.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.workspace.git import entries, git, text
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.repository import Repository

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:[^\n]*\n)*?oid sha256:([0-9a-f]{64})\n"
    rb"size ([0-9]+)\n"
)
_POINTER_MAX = 1024  # bytes, by the specification
INSTALL_LFS = "apt install git-lfs (or brew install git-lfs), then: git lfs install && git lfs pull"


@dataclass
class Pointers:
    """The pointers of a repository, and the files that hold what they point to."""

    repo: Repository
    _checked: dict[tuple[str, int, int], str] = field(default_factory=dict)  # file -> its SHA-256

    def content(self, path: str, blob: str) -> Path | None:
        """Returns a file with the content of a path whose blob is a pointer; None where it is none.

        Raises LabError where the content is nowhere here.
        """
        found = self.pointer(blob)
        if found is None:
            return None
        digest, size = found
        store = self.repo.common / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
        for file in (self.repo.root / path, store):
            if self._is(file, digest, size):
                return file
        if shutil.which("git-lfs") is None:
            raise LabError(
                f"inputs: git LFS keeps {path}, and its content is not here: {INSTALL_LFS}"
            )
        raise LabError(f"inputs: git LFS keeps {path}, and its content is not here: git lfs pull")

    def pointer(self, blob: str) -> tuple[str, int] | None:
        """Returns (SHA-256, bytes) of what a blob points to; None where it is no pointer."""
        content = self.repo.blobs([blob])[blob]
        found = _POINTER.fullmatch(content) if len(content) < _POINTER_MAX else None
        return (found[1].decode(), int(found[2])) if found else None

    def _is(self, file: Path, digest: str, size: int) -> bool:
        """Says whether a file holds exactly that content."""
        try:
            info = file.lstat()
            if not file.is_file() or file.is_symlink() or info.st_size != size:
                return False
            key = (str(file), info.st_ino, info.st_ctime_ns)
            if key not in self._checked:
                with file.open("rb") as opened:
                    self._checked[key] = _sha256(opened.fileno())
            return self._checked[key] == digest
        except OSError:
            return False


def _sha256(descriptor: int) -> str:
    digest = hashlib.sha256()
    with open(descriptor, "rb", closefd=False) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def is_pointer(file: Path) -> bool:
    """Says whether a file holds a pointer in the place of its content."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size >= _POINTER_MAX:
            return False
        return _POINTER.fullmatch(file.read_bytes()) is not None
    except OSError:
        return False


def uses_lfs(repo: Repository, tree: Tree) -> bool:
    """Says whether a commit's attributes name the filter of git LFS."""
    named = [blob for path, (_, blob) in tree.items() if path.split("/")[-1] == ".gitattributes"]
    return any(b"filter=lfs" in content for content in repo.blobs(named).values())


def missing_program(repo: Repository, tree: Tree) -> str | None:
    """Returns what to do where a repository uses git LFS and there is no git-lfs; None where all is well.

    Raises LabError where git itself can't read the checkout without it.
    """
    if not uses_lfs(repo, tree) or shutil.which("git-lfs") is not None:
        return None
    said = f"this repository keeps files with git LFS, and git-lfs is not installed: {INSTALL_LFS}"
    if (
        text(repo.root, "config", "--type=bool", "--get", "filter.lfs.required", ok=(0, 1))
        == "true"
    ):
        raise LabError(said)
    return said


def kept_by_lfs(repo: Repository, tree: Tree) -> list[str]:
    """Returns the paths of a commit that are pointers."""
    if not uses_lfs(repo, tree):
        return []
    asked = b"\0".join(os.fsencode(path) for path, (mode, _) in tree.items() if mode != "160000")
    answers = entries(git(repo.root, "check-attr", "--stdin", "-z", "filter", stdin=asked + b"\0"))
    named = [
        path for path, value in zip(answers[::3], answers[2::3], strict=True) if value == "lfs"
    ]
    pointers = Pointers(repo)
    return [path for path in named if pointers.pointer(tree[path][1]) is not None]
