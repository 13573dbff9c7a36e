"""Sources of text by name: where they come from, and how they are pinned.

climbmix, fineweb-edu  parquet shards of documents in random order, as the reference uses them
                       (karpathy/autoresearch, karpathy/nanochat). The last shard is for validation,
                       the one before it is the vault, the first ones are for training.
tinystories            karpathy/tinystories-gpt4-clean, one parquet file: the data set that the
                       reference names for small machines. roneneldan/TinyStories, which it is a
                       cleaned subset of, holds copies and broken characters.
stdlib                 the library of the Python that runs, see library.py
a path                 see corpus.py

What comes from the hub is pinned at its first use, see pinned.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..cache import RequestError
from ..names import SOURCES, USUAL_SHARDS
from .corpus import TRAIN, VAL, VAULT, Corpus, local
from .formats import check_parquet, parquet_texts
from .library import stdlib
from .progress import Say


@dataclass(frozen=True)
class HubRepository:
    """A data set on the hub; `last_shard` is None where it is a single file."""

    name: str
    file: str  # its name, with the place of the shard's number
    last_shard: int | None = None
    usual_shards: int = 0  # for training, where no number is given


REPOSITORIES = {
    "climbmix": HubRepository(
        "karpathy/climbmix-400b-shuffle", "shard_{:05d}.parquet", 6542, USUAL_SHARDS["climbmix"]
    ),
    "fineweb-edu": HubRepository(
        "karpathy/fineweb-edu-100b-shuffle",
        "shard_{:05d}.parquet",
        1822,
        USUAL_SHARDS["fineweb-edu"],
    ),
    "tinystories": HubRepository(
        "karpathy/tinystories-gpt4-clean", "tinystories_gpt4_clean.parquet"
    ),
}


class Source(Protocol):
    """A source whose text is determined, though not all of it may be on this machine yet."""

    digest: str  # SHA-256 of what its text is made of
    hidden: list[str]  # absolute paths outside the cache where held-out text could be read

    def corpus(self, held_bytes: int, say: Say) -> Corpus:
        """Returns the text, whole and checked; about `held_bytes` of it are held out twice."""


def open_source(source: str, cache: Path, shards: int | None, say: Say) -> Source:
    """Returns a source by name or path. Raises RequestError for none, or shards it does not have."""
    if not source.strip():
        raise RequestError(f"no source is named: one of {', '.join(SOURCES)}, or a file or folder")
    repository = REPOSITORIES.get(source)
    if repository is None or repository.last_shard is None:
        if shards is not None:
            raise RequestError(f"--shards {shards}: source {source!r} does not come in shards")
    elif shards is not None and not 1 <= shards <= repository.last_shard - 1:
        raise RequestError(
            f"--shards {shards}: source {source!r} has 1 to {repository.last_shard - 1} for training"
        )
    if repository is not None:
        from .pinned import PinnedSource  # loads huggingface_hub

        return PinnedSource(source, repository, cache / "sources" / source, shards, say)
    return stdlib() if source == "stdlib" else local(source, SOURCES)


class Shards:
    """Shards as files: the last is for validation, the one before it the vault, the rest training.

    The tokenizer is trained on the first shard alone, and the two held-out shards are the source's
    own, so that more training shards change neither.
    """

    def __init__(self, paths: list[Path], trained_on: str, held_bytes: int, say: Say) -> None:
        """trained_on: names the first shard, with its digest."""
        self._paths = {TRAIN: paths[:-2], VAULT: paths[-2:-1], VAL: paths[-1:]}
        self._held_bytes = held_bytes
        self._say = say
        self.trained_on = trained_on

    def size_bytes(self, part: str) -> int:
        """Returns the bytes of a part by the metadata of its files."""
        return sum(check_parquet(path) for path in self._paths[part])

    def texts(self, part: str) -> Iterator[str]:
        """Yields all documents of a training shard; of a held-out one so many, evenly spaced."""
        for number, path in enumerate(self._paths[part], 1):
            if part == TRAIN:
                self._say(f"{path.name}: shard {number} of {len(self._paths[part])}")
                yield from parquet_texts(path)
            else:
                every = max(1, check_parquet(path) // self._held_bytes)
                yield from (t for i, t in enumerate(parquet_texts(path)) if i % every == 0)

    def tokenizer_texts(self) -> Iterator[str]:
        """Yields the documents of the first training shard."""
        return parquet_texts(self._paths[TRAIN][0])
