"""The cache folder: where prepared data lies, and how a file gets there whole or not at all."""

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

CURRENT = "current"  # a file with the name of the data folder that trials use
MANIFEST = "manifest.json"
# Rows: raw little-endian uint16, [rows, seq_len + 1]; a BOS, then seq_len tokens.
TRAIN, VAL, VAULT = "train.u16", "val.u16", "vault.u16"
TOKENIZER, TOKEN_BYTES = "tokenizer.json", "token_bytes.npy"


class HarnessError(Exception):
    """Something the user can mend: what happened, where, and what to do next."""


class UsageError(HarnessError):
    """A request that this version does not serve."""


@dataclass(frozen=True)
class Manifest:
    """What a data folder holds; `digests` are SHA-256 by file name."""

    source: str
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
    harness: str
    fingerprint: str


def cache_folder() -> Path:
    """AUTORESEARCH_CACHE, else the XDG cache folder's `autoresearch`."""
    if own := os.environ.get("AUTORESEARCH_CACHE"):
        return Path(own)
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "autoresearch"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def harness_digest(names: tuple[str, ...] = ()) -> str:
    """SHA-256 over the harness's own source files, or over those named."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        if not names or name in names:
            digest.update(f"{name}:{file_digest(path)}\n".encode())
    return digest.hexdigest()


def fingerprint(digests: dict[str, str], harness: str) -> str:
    """One short name for data, tokenizer, byte table and harness together."""
    whole = json.dumps([sorted(digests.items()), harness])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def sync(path: Path) -> None:
    """Wait until a file or a folder's entries are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` in one move: a reader sees the old text or the new one, never a part."""
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
    """Put the manifest into a data folder, atomically, with a digest of itself."""
    content = asdict(manifest)
    content["self"] = _content_digest(content)
    write_atomic(folder / MANIFEST, json.dumps(content, indent=1, sort_keys=True) + "\n")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a data folder; None where there is none that can be read."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if content.pop("self", None) != _content_digest(content):
            return None
        return Manifest(**content)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _content_digest(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def current_folder(cache: Path) -> Path:
    """The data folder that trials use. Raises HarnessError where no folder of `cache` is named."""
    try:
        name = (cache / CURRENT).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise HarnessError(f"no prepared data in {cache}; run: autoresearch prepare") from None
    if not name or "/" in name or name.startswith("."):
        raise HarnessError(
            f"{cache / CURRENT} names no data folder ({name[:80]!r}); run: autoresearch prepare"
        )
    return cache / name


def current_fingerprint(cache: Path) -> str:
    """Of the current data with the harness that runs now. Raises HarnessError without any."""
    folder = current_folder(cache)
    manifest = read_manifest(folder)
    if manifest is None:
        raise HarnessError(f"no readable manifest in {folder}; run: autoresearch prepare")
    return fingerprint(manifest.digests, harness_digest())


def not_written(path: Path, fault: OSError) -> HarnessError:
    """The error of a write that failed: a full disk, a limit, a folder that may not be written."""
    full = fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return HarnessError(
        f"cannot write {path}: {fault.strerror or fault}; "
        f"{'free space there' if full else 'make it writable'}, or name another folder with "
        "AUTORESEARCH_CACHE"
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around nothing but writes: what the system refuses becomes a HarnessError that names it."""
    try:
        yield
    except OSError as fault:
        raise not_written(path, fault) from fault


def need_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Raise HarnessError where the file system of `folder` has less than that free."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise HarnessError(
            f"{what} need {needed_bytes / 1e6:.1f} MB, and {folder} has {free_bytes / 1e6:.1f} MB "
            "free; free space there, or name another folder with AUTORESEARCH_CACHE"
        )


@contextmanager
def locked(cache: Path, say: Callable[[str], None]) -> Iterator[None]:
    """One preparation at a time; the lock dies with its process."""
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
