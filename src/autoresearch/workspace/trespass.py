"""What a program did to the user's own: files of the checkout, its HEAD, branches and tags.

A program that should work in the private worktree may follow a path of the user's into the checkout.
The same is seen before and after it: a person works there too, so what differs is told, and nothing is
put back.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autoresearch.workspace.git import entries, git, text
from autoresearch.workspace.repository import Repository

_READ_MAX = 1 << 20  # bytes: sources, and no data; a larger file is known by its size and times
_REFS = ("refs/heads", "refs/tags", "refs/stash")  # a person's editor fetches into refs/remotes
_KINDS = {"refs/heads/": "the branch ", "refs/tags/": "the tag ", "refs/": "the "}

_Signature = tuple[int, ...]  # mode, size, times and inode


@dataclass(frozen=True, slots=True)
class Picture:
    """The user's own as it was at one moment: name -> digest, of files and of refs."""

    files: dict[str, bytes]
    refs: dict[str, bytes]

    def changed(self, later: Picture) -> tuple[str, ...]:
        """Returns what differs in a later picture: paths from the checkout's top, refs in words."""
        refs = map(_in_words, _differing(self.refs, later.refs))
        return (*_differing(self.files, later.files), *refs)


class Watch:
    """Takes pictures of a checkout. A file's bytes are read again where its size, times or inode differ.

    `inputs` are files and folders of the lab that git need not see, and trials read.
    """

    def __init__(self, repo: Repository, inputs: tuple[str, ...] = ()) -> None:
        self._repo, self._inputs = repo, inputs
        self._known: dict[str, tuple[_Signature, bytes]] = {}

    def picture(self) -> Picture:
        """Returns what is there now. Of files that git ignores only the inputs are looked at."""
        top = self._top
        listed = git(top, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = {*entries(listed), *(os.path.relpath(path, top) for path in self._read_by_trials())}
        known, self._known = self._known, {}
        files = {name: self._digest(top / name, known.get(name), name) for name in sorted(names)}
        lines = git(top, "for-each-ref", "--format=%(refname) %(objectname)", *_REFS).splitlines()
        refs = {
            os.fsdecode(ref): commit for ref, commit in (line.rsplit(b" ", 1) for line in lines)
        }
        head = self._repo.head_branch() or self._repo.resolve("HEAD")
        refs["HEAD"] = os.fsencode(head or "")
        return Picture(files, refs)

    @cached_property
    def _top(self) -> Path:
        """The checkout's top folder."""
        return Path(text(self._repo.root, "rev-parse", "--show-toplevel"))

    def _read_by_trials(self) -> Iterator[str]:
        """Yields the files of the inputs."""
        for name in self._inputs:
            place = self._repo.root / name
            if not place.is_dir():
                yield str(place)
            for folder, _, files in os.walk(place):
                yield from (os.path.join(folder, file) for file in files)

    def _digest(self, path: Path, known: tuple[_Signature, bytes] | None, name: str) -> bytes:
        """Returns what tells a file's content and mode from another; b"" where there is no file."""
        try:
            info = path.lstat()
            signature = (
                info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino
            )  # fmt: skip
            if known is None or known[0] != signature:
                known = signature, _read(path, info)
        except OSError:  # gone, or closed to us
            return b""
        self._known[name] = known
        return known[1]


def _read(path: Path, info: os.stat_result) -> bytes:
    if stat.S_ISLNK(info.st_mode):
        content = os.fsencode(path.readlink())
    elif stat.S_ISREG(info.st_mode) and info.st_size <= _READ_MAX:
        content = path.read_bytes()
    elif stat.S_ISREG(info.st_mode):
        content = b"%d %d" % (info.st_size, info.st_mtime_ns)
    else:
        content = b""
    return hashlib.blake2b(b"%o " % info.st_mode + content, digest_size=16).digest()


def _differing(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    names = sorted(before.keys() | after.keys())
    return [name for name in names if before.get(name, b"") != after.get(name, b"")]


def _in_words(ref: str) -> str:
    kind = next((kind for kind in _KINDS if ref.startswith(kind)), None)
    return ref if kind is None else _KINDS[kind] + ref.removeprefix(kind)
