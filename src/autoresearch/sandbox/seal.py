"""The files that no trial may change: read at a session's start, and looked at after each trial."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from autoresearch.paths import DECOY

_Signature = tuple[int, int, int, int]
_CHUNK = 1 << 20


class Seal:
    """Knows files by their digests: given ones, all below given folders, and those that fit a pattern.

    A file whose inode, mode, size and change time stand still is not read again: no program can set
    the change time (root could, by the clock). One that was written with the bytes it had is unbroken.
    """

    def __init__(self, places: Iterable[Path], patterns: Iterable[tuple[Path, str]] = ()) -> None:
        self._places, self._patterns = tuple(places), tuple(patterns)
        self._seen = {path: (_signature(path), _digest(path)) for path in self._files()}

    def broken(self) -> str | None:
        """Returns the first file that was changed, made or removed since; None where none was."""
        now = set(self._files())
        for path in sorted(self._seen.keys() ^ now):
            return str(path)
        for path, (signature, digest) in self._seen.items():
            found = _signature(path)
            if found == signature:
                continue
            if found is None or signature is None or found[2] != signature[2]:
                return str(path)  # of another size: it may be terabytes by now
            if _digest(path) != digest:
                return str(path)
            self._seen[path] = (found, digest)
        return None

    def _files(self) -> Iterator[Path]:
        for place in self._places:
            if place.is_dir():
                yield from _below(place)
            elif os.path.lexists(place):
                yield place
        for parent, pattern in self._patterns:
            yield from parent.glob(pattern)


def _below(place: Path) -> Iterator[Path]:
    """Yields the files below a folder, and folders that can't be listed; as deep as a path can be."""
    waiting = [place]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as scan:
                found = list(scan)
        except OSError:
            yield folder
            continue
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    waiting.append(Path(entry.path))
            elif not entry.name.startswith(DECOY):  # another run's self-test may try to write here
                yield Path(entry.path)


def _signature(path: Path) -> _Signature | None:
    try:
        info = path.lstat()
    except OSError:
        return None
    return info.st_ino, info.st_mode, info.st_size, info.st_ctime_ns


def _digest(path: Path) -> str | None:
    """Returns the SHA-256 of a file, or of where a link leads; None of what can't be read."""
    try:
        if stat.S_ISLNK(path.lstat().st_mode):
            return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
        if not path.is_file():
            return None
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
        return digest.hexdigest()
    except OSError:
        return None
