"""What is known of git's objects without asking again: under their ids they never change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from autoresearch.errors import LabError
from autoresearch.workspace.git import entries

Tree = dict[str, tuple[str, str]]  # path -> (mode, object id)
Change = tuple[str, str, str, str, str]  # path, old mode, new mode, old blob, new blob
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Difference:
    """What lies between two commits, as one `git diff-tree` says it.

    counts: lines added and removed for each path, "-" for binary files; patch: as git prints it.
    """

    changes: tuple[Change, ...]
    counts: tuple[tuple[str, str], ...]
    patch: bytes

    @classmethod
    def read(cls, output: bytes) -> Difference:
        """Reads an output of --raw, --numstat and -p under -z: an empty name stands before the patch."""
        names, _, patch = output.partition(b"\0\0")
        fields = entries(names)
        changes: list[Change] = []
        while fields[:1] and fields[0].startswith(":"):
            meta, path, *fields = fields
            old_mode, new_mode, old_blob, new_blob, _ = meta[1:].split(" ")
            changes.append((path, old_mode, new_mode, old_blob, new_blob))
        counts = [field.split("\t", 2) for field in fields]
        return cls(tuple(changes), tuple((added, gone) for added, gone, _ in counts), patch)

    def on(self, tree: Tree) -> Tree:
        """Returns what the first commit's tree becomes, its paths in git's order."""
        after = dict(tree)
        for path, _, mode, _, blob in self.changes:
            after.pop(path, None)
            if mode != "000000":
                after[path] = (mode, blob)
        return dict(sorted(after.items(), key=lambda entry: os.fsencode(entry[0])))


def tree_of(output: bytes) -> Tree:
    """Returns a tree, out of what `git ls-tree -r -z` says of it."""
    found: Tree = {}
    for entry in entries(output):
        meta, _, path = entry.partition("\t")
        mode, _, blob = meta.split(" ")
        found[path] = (mode, blob)
    return found


def blobs_of(output: bytes, ids: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yields blobs with their bytes, out of what `git cat-file --batch` says when asked for these ids.

    Raises LabError where one is missing.
    """
    at = 0
    for blob in ids:
        end = output.index(b"\n", at)
        header = output[at:end].split(b" ")
        if len(header) != 3:
            raise LabError(f"object {blob} is missing from the repository; see: git fsck")
        size = int(header[2])
        yield blob, output[end + 1 : end + 1 + size]
        at = end + size + 2


class Recent(Generic[Key, Value]):
    """A dictionary that forgets what was not asked for longest once it weighs more than `room`."""

    def __init__(self, room: int, weight: Callable[[Value], int] = lambda _: 1) -> None:
        self._room, self._weight = room, weight
        self._held: dict[Key, Value] = {}
        self._weighs = 0

    def get(self, key: Key) -> Value | None:
        """Returns the value, None where it is not there."""
        value = self._held.pop(key, None)
        if value is not None:
            self._held[key] = value  # the youngest now
        return value

    def put(self, key: Key, value: Value) -> None:
        """Keeps a value, if it fits at all."""
        if key in self._held or self._weight(value) > self._room:
            return
        self._held[key] = value
        self._weighs += self._weight(value)
        while self._weighs > self._room:
            self._weighs -= self._weight(self._held.pop(next(iter(self._held))))


def blob_id(content: bytes, like: str) -> str:
    """Returns git's id of bytes, by the hash that the other id was made with."""
    digest = hashlib.sha1 if len(like) == 40 else hashlib.sha256
    return digest(b"blob %d\0" % len(content) + content).hexdigest()
