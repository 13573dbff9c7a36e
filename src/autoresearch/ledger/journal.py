"""The run's journal: append-only, checksummed, fsynced lines. The truth; all else is rebuilt from it.

A line is `CRC JSON\\n`: eight hex digits of CRC-32 over the line's JSON, chained to the line before,
so that a lost, doubled or swapped line shows. A record counts once it is on disk: `append` returns
after fsync. A torn last line (a kill or a power cut in mid-write) is cut off at the next opening and
kept beside the journal as `journal.torn`; a bad line before the last one is damage that nobody can
mend silently, and stops the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

from autoresearch.errors import InfrastructureError, JournalError
from autoresearch.paths import make_folder, sync_folder

Record = dict[str, Any]


def _encode(record: Record, chain: int) -> tuple[bytes, int]:
    body = json.dumps(record, separators=(",", ":")).encode()
    chain = zlib.crc32(body, chain)
    return b"%08x %s\n" % (chain, body), chain


def _decode(line: bytes, chain: int) -> tuple[Record, int] | None:
    """The record of a whole line, or None where line and checksum do not agree."""
    if len(line) < 10 or line[8:9] != b" ":
        return None
    body = line[9:]
    crc = zlib.crc32(body, chain)
    if line[:8] != b"%08x" % crc:
        return None
    return json.loads(body), crc


def _parse(path: Path, content: bytes) -> tuple[list[Record], int, int]:
    """The records, the chain's state and the length of the sound part; JournalError on damage."""
    records: list[Record] = []
    chain = offset = 0
    while offset < len(content):
        end = content.find(b"\n", offset)
        decoded = None if end < 0 else _decode(content[offset:end], chain)
        if decoded is None:
            if end >= 0 and end + 1 < len(content):
                raise JournalError(
                    f"{path}: line {len(records) + 1} is damaged and is not the last; nothing was "
                    "changed. Restore the file from a backup, or start another run: autoresearch init TAG"
                )
            break
        records.append(decoded[0])
        chain, offset = decoded[1], end + 1
    return records, chain, offset


def read(path: Path) -> list[Record]:
    """The records of a journal that somebody else may be writing; a torn last line is left out."""
    try:
        return _parse(path, path.read_bytes())[0]
    except FileNotFoundError:
        return []


def first(path: Path) -> Record:
    """Returns the first record of a journal, which says what run it is; {} where there is none."""
    with path.open("rb") as file:
        decoded = _decode(file.readline().rstrip(b"\n"), 0)
    return decoded[0] if decoded is not None else {}


class Journal:
    """A journal open for appending. Hold the run's lock while one is open."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self._path = path
        existed = path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if not existed:
            sync_folder(path.parent)
        content = path.read_bytes()
        self.records, self._chain, self._length = _parse(path, content)
        if self._length < len(content):
            path.with_name("journal.torn").write_bytes(content[self._length :])
            self._cut()

    def _cut(self) -> None:
        os.ftruncate(self._file, self._length)
        os.fsync(self._file)

    def append(self, kind: str, **fields: Any) -> Record:
        """Add one record, durably. On a fault the journal is as it was: InfrastructureError."""
        record: Record = {"kind": kind, **fields}
        line, chain = _encode(record, self._chain)
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(28, os.strerror(28))
            os.fsync(self._file)
        except OSError as fault:
            with contextlib.suppress(OSError):
                self._cut()
            raise InfrastructureError(
                f"{self._path}: the journal can't be written: {fault.strerror}. Nothing that was "
                "recorded is lost; make room and call autoresearch run again"
            ) from fault
        self._chain = chain
        self._length += len(line)
        self.records.append(record)
        return record

    def close(self) -> None:
        os.close(self._file)
