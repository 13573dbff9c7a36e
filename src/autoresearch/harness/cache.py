"""The cache folder: what prepared data consists of, and how a file gets there whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .fingerprint import fingerprint
from .names import CACHE_VARIABLE, CURRENT, DATA_VARIABLE, MANIFEST, current_name, is_data_name


class HarnessError(Exception):
    """The user can mend it; the text says what happened, where, and what to do next."""


class RequestError(HarnessError):
    """What was asked for is out of range, or this version doesn't serve it."""


@dataclass(frozen=True)
class Manifest:
    """What a data folder holds; `digests` are SHA-256 by file name."""

    source: str
    settings: dict[str, Any]  # what was asked for, by names.DATA_SETTINGS
    recipe: str  # digest of everything that the files were made from
    vocab_size: int
    seq_len: int
    bos: int
    train_rows: int
    val_rows: int
    vault_rows: int
    val_bytes: int  # UTF-8 bytes of the targets that count
    vault_bytes: int
    hidden: list[str]  # absolute paths outside the cache where held-out text could be read
    digests: dict[str, str]
    fingerprint: str


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file, which is read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Waits until a file, or a folder's entries, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, text: str) -> None:
    """Replaces `path` in one move: a reader sees the old text or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        try:
            temporary.write_text(text, encoding="utf-8")
            sync(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync(path.parent)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest of a data folder in one move, with a digest of itself."""
    content = asdict(manifest)
    content["self"] = _content_digest(content)
    write_atomic(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """Returns the manifest of a data folder; None where there is none that can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if content.pop("self", None) != _content_digest(content):
            return None
        return Manifest(**content)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _content_digest(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def data_folder(cache: Path, name: str | None = None) -> Path:
    """Returns the data folder of this name in the cache.

    Without a name it is the one that AUTORESEARCH_DATA names, else the one prepared last. Raises
    HarnessError where there is none.
    """
    name = name or os.environ.get(DATA_VARIABLE) or current_name(cache)
    if name is None and not (cache / CURRENT).is_file():
        raise HarnessError(f"no prepared data in {cache}; run: autoresearch prepare")
    if name is None:
        raise HarnessError(f"{cache / CURRENT} names no data folder; run: autoresearch prepare")
    if not is_data_name(name):
        raise HarnessError(f"{name[:80]!r} is no data folder of {cache}; run: autoresearch prepare")
    return cache / name


def current_fingerprint(cache: Path) -> str:
    """Returns the fingerprint of the data that a trial would use, with the harness that runs now.

    Raises HarnessError where there is no such data.
    """
    folder = data_folder(cache)
    manifest = read_manifest(folder)
    if manifest is None:
        raise HarnessError(f"no readable manifest in {folder}; run: autoresearch prepare")
    return fingerprint(manifest.digests)


def not_written(path: Path, fault: OSError) -> HarnessError:
    """Returns the error of a failed write: a full disk, a limit, a folder that may not be written."""
    full = fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return HarnessError(
        f"cannot write {path}: {fault.strerror or fault}; "
        f"{'free space there' if full else 'make it writable'}, or name another folder with "
        f"{CACHE_VARIABLE}"
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Stands around writes alone, and makes a HarnessError naming `path` of what the system refuses."""
    try:
        yield
    except OSError as fault:
        raise not_written(path, fault) from fault


def need_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Raises HarnessError where the file system of `folder` has less than `needed_bytes` free."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise HarnessError(
            f"{what} need {needed_bytes / 1e6:.1f} MB, and {folder} has {free_bytes / 1e6:.1f} MB "
            f"free; free space there, or name another folder with {CACHE_VARIABLE}"
        )


@contextmanager
def locked(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of a preparation, of which one runs at a time; it dies with its process."""
    path = cache / ".lock"
    with writing(path):
        file = path.open("w")
    with file:
        with writing(path):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another prepare that is at work in {cache}")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
