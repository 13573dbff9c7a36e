"""Sources of text by name: where they come from, and how they are pinned.

climbmix, fineweb-edu  parquet shards of documents in random order, as the reference uses them
                       (karpathy/autoresearch, karpathy/nanochat). The last shard is for validation,
                       the one before it is the vault, the first ones are for training.
tinystories            karpathy/tinystories-gpt4-clean, one parquet file: the data set that the
                       reference names for small machines. roneneldan/TinyStories, which it is a
                       cleaned subset of, holds copies and broken characters.
stdlib                 the library of the Python that runs, see library.py
a path                 see data.py

The first use of a source pins it: the commit that its repository is at, and of each file the size
and SHA-256 that the repository lists. Every download is held against that, now and later; so more
shards, or another machine with the same pins, are of the same text.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .. import cache as store
from ..cache import HarnessError, UsageError
from .corpus import TRAIN, VAL, VAULT, Corpus, Files, local
from .fetch import PINS, Pin, fetch
from .formats import check_parquet, parquet_texts
from .library import stdlib
from .progress import Say
from .web import Patience, get_json

ENDPOINT = "https://huggingface.co"  # HF_ENDPOINT replaces it
LISTING = Patience(attempts=4)  # nothing is lost yet: say soon that there is no network
DOWNLOADS = Patience()


@dataclass(frozen=True)
class Repository:
    """A data set on the hub; `last_shard` is None where it is a single file."""

    name: str
    file: str  # its name, with the place of the shard's number
    last_shard: int | None = None
    shards: int = 0  # for training, by default


REPOSITORIES = {
    "climbmix": Repository("karpathy/climbmix-400b-shuffle", "shard_{:05d}.parquet", 6542, 10),
    "fineweb-edu": Repository(
        "karpathy/fineweb-edu-100b-shuffle", "shard_{:05d}.parquet", 1822, 10
    ),
    "tinystories": Repository("karpathy/tinystories-gpt4-clean", "tinystories_gpt4_clean.parquet"),
}
KNOWN = ("stdlib", *REPOSITORIES)


class Source(Protocol):
    """A source whose text is determined, though not all of it may be on this machine yet."""

    digest: str  # SHA-256 of what its text is made of
    hidden: list[str]  # absolute paths outside the cache where held-out text could be read

    def corpus(self, held_bytes: int, say: Say) -> Corpus:
        """The text, whole and checked; about `held_bytes` of it are held out twice."""


def open_source(source: str, cache: Path, shards: int | None, say: Say) -> Source:
    """Find a source by name or path. Raises UsageError for none, or shards it does not have."""
    if not source.strip():
        raise UsageError(f"no source is named: one of {', '.join(KNOWN)}, or a file or folder")
    repository = REPOSITORIES.get(source)
    if repository is None or repository.last_shard is None:
        if shards is not None:
            raise UsageError(f"--shards {shards}: source {source!r} does not come in shards")
    elif shards is not None and not 1 <= shards <= repository.last_shard - 1:
        raise UsageError(
            f"--shards {shards}: source {source!r} has 1 to {repository.last_shard - 1} for training"
        )
    if repository is not None:
        return Hub(source, repository, cache / "sources" / source, shards, say)
    return stdlib() if source == "stdlib" else local(source, KNOWN)


class Hub:
    """A pinned source on the hub; its files lie in `folder`."""

    def __init__(
        self, source: str, repository: Repository, folder: Path, shards: int | None, say: Say
    ) -> None:
        self._source = source
        self._folder = folder
        self._sharded = repository.last_shard is not None
        names = [repository.file]
        if repository.last_shard is not None:
            numbers = range(shards or repository.shards)
            names = [repository.file.format(number) for number in numbers]
            names += [repository.file.format(repository.last_shard - back) for back in (1, 0)]
        self._revision, pinned = _pins(repository, folder, say)
        missing = [name for name in names if name not in pinned]
        if missing:
            raise HarnessError(
                f"source {source!r}: {repository.name} at {self._revision} has no {missing[0]}"
            )
        self._pins = [pinned[name] for name in names]
        self._base = f"{_endpoint()}/datasets/{repository.name}/resolve/{self._revision}"
        parts = [f"{pin.name}:{pin.sha256}" for pin in self._pins]
        self.digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        self.hidden: list[str] = []  # what is downloaded lies in the cache

    def corpus(self, held_bytes: int, say: Say) -> Corpus:
        """Download what is missing or damaged."""
        fetch(self._pins, self._base, self._folder, check_parquet, say, DOWNLOADS)
        if self._sharded:
            return Shards(self._folder, self._pins, held_bytes, say)
        paths = [(pin.name, self._folder / pin.name) for pin in self._pins]
        return Files(self._source, paths, self.hidden).corpus(held_bytes, say)


class Shards:
    """Shards as files: the last is for validation, the one before it the vault, the rest training.

    The tokenizer is trained on the first shard alone, and the two held-out shards are the source's
    own, so that more training shards change neither.
    """

    def __init__(self, folder: Path, pins: list[Pin], held_bytes: int, say: Say) -> None:
        paths = [folder / pin.name for pin in pins]
        self._paths = {TRAIN: paths[:-2], VAULT: paths[-2:-1], VAL: paths[-1:]}
        self._held_bytes = held_bytes
        self._say = say
        self.trained_on = f"{pins[0].name}:{pins[0].sha256}"

    def size_bytes(self, part: str) -> int:
        """By the metadata of the files."""
        return sum(check_parquet(path) for path in self._paths[part])

    def texts(self, part: str) -> Iterator[str]:
        """Of a training shard all documents; of a held-out one so many, evenly spaced."""
        for number, path in enumerate(self._paths[part], 1):
            if part == TRAIN:
                self._say(f"{path.name}: shard {number} of {len(self._paths[part])}")
                yield from parquet_texts(path)
            else:
                every = max(1, check_parquet(path) // self._held_bytes)
                yield from (t for i, t in enumerate(parquet_texts(path)) if i % every == 0)

    def tokenizer_texts(self) -> Iterator[str]:
        """The first training shard."""
        return parquet_texts(self._paths[TRAIN][0])


def _pins(repository: Repository, folder: Path, say: Say) -> tuple[str, dict[str, Pin]]:
    """(commit, pins by file name), from the folder, or from the hub and into the folder."""
    path = folder / PINS
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return known["revision"], {name: _pin(name, *pin) for name, pin in known["files"].items()}
    except FileNotFoundError:
        pass
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        raise HarnessError(
            f"{path} is damaged ({fault}); delete it to pin {repository.name} as it is now"
        ) from fault
    say(f"pinning {repository.name}")
    revision, pins = _listed(repository.name, say)
    with store.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files = {pin.name: [pin.size, pin.sha256] for pin in pins}
    content = {"repository": repository.name, "revision": revision, "files": files}
    store.write_atomic(path, json.dumps(content, indent=0, sort_keys=True) + "\n")
    return revision, {pin.name: pin for pin in pins}


def _listed(repository: str, say: Say) -> tuple[str, list[Pin]]:
    """The commit that `main` is at, and the parquet files of that commit as the hub lists them."""
    api = f"{_endpoint()}/api/datasets/{repository}"
    try:
        page, _ = get_json(f"{api}/revision/main", say, LISTING)
        revision = page["sha"]
        pins = []
        address: str | None = f"{api}/tree/{revision}?recursive=true"
        asked = set()
        while address:
            if address in asked:
                raise HarnessError(f"{api}: its listing has no end; it comes back to {address}")
            asked.add(address)
            page, address = get_json(address, say, LISTING)
            pins += [
                _pin(entry["path"], entry["lfs"]["size"], entry["lfs"]["oid"])
                for entry in page
                if "lfs" in entry and entry["path"].endswith(".parquet")
            ]
    except (LookupError, TypeError) as fault:
        raise HarnessError(
            f"{api}: its listing has another form than expected ({fault})"
        ) from fault
    return revision, pins


def _pin(name: str, size: int, oid: str) -> Pin:
    """Raises TypeError where size or SHA-256 is none."""
    sha256 = str(oid).removeprefix("sha256:")
    if not isinstance(size, int) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise TypeError(f"{name}: size {size!r}, SHA-256 {oid!r}")
    return Pin(name, size, sha256)


def _endpoint() -> str:
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    if not endpoint.startswith(("http://", "https://")):
        raise HarnessError(f"HF_ENDPOINT {endpoint!r}: an address with http:// or https://")
    return endpoint
