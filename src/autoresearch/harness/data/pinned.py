"""Sources on the hub, pinned: which files they are, and that they are here, whole and unchanged.

The first use of a source pins it: the commit that its repository is at, and of each file the size
and SHA-256 that the repository lists. Every download is held against that, now and later; so more
shards, or another machine with the same pins, are of the same text.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .. import cache as store
from ..cache import HarnessError
from .corpus import Corpus, LocalFiles
from .fetch import PINS, fetch
from .formats import check_parquet
from .hub import Pin, endpoint, listed, pin
from .progress import Say
from .retry import RetryLimits
from .sources import HubRepository, Shards

LISTING = RetryLimits(attempts=4)  # nothing is lost yet: say soon that there is no network
DOWNLOADS = RetryLimits()


class PinnedSource:
    """A pinned source on the hub; its files lie in `folder`."""

    def __init__(
        self, source: str, repository: HubRepository, folder: Path, shards: int | None, say: Say
    ) -> None:
        self._source = source
        self._folder = folder
        self._sharded = repository.last_shard is not None
        names = [repository.file]
        if repository.last_shard is not None:
            numbers = range(shards or repository.usual_shards)
            names = [repository.file.format(number) for number in numbers]
            names += [repository.file.format(repository.last_shard - back) for back in (1, 0)]
        self._revision, pinned = _pins(repository, folder, say)
        missing = [name for name in names if name not in pinned]
        if missing:
            raise HarnessError(
                f"source {source!r}: {repository.name} at {self._revision} has no {missing[0]}"
            )
        self._pins = [pinned[name] for name in names]
        self._base = f"{endpoint()}/datasets/{repository.name}/resolve/{self._revision}"
        parts = [f"{each.name}:{each.sha256}" for each in self._pins]
        self.digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        self.hidden: list[str] = []  # what is downloaded lies in the cache

    def corpus(self, held_bytes: int, say: Say) -> Corpus:
        """Returns the text, once what is missing or damaged is downloaded."""
        fetch(self._pins, self._base, self._folder, check_parquet, say, DOWNLOADS)
        if self._sharded:
            first = f"{self._pins[0].name}:{self._pins[0].sha256}"
            files = [self._folder / each.name for each in self._pins]
            return Shards(files, first, held_bytes, say)
        paths = [(each.name, self._folder / each.name) for each in self._pins]
        return LocalFiles(self._source, paths, self.hidden).corpus(held_bytes, say)


def _pins(repository: HubRepository, folder: Path, say: Say) -> tuple[str, dict[str, Pin]]:
    """Returns (commit, pins by file name), from the folder, or from the hub and into the folder."""
    path = folder / PINS
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return known["revision"], {
            name: pin(name, *facts) for name, facts in known["files"].items()
        }
    except FileNotFoundError:
        pass
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        raise HarnessError(
            f"{path} is damaged ({fault}); delete it to pin {repository.name} as it is now"
        ) from fault
    say(f"pinning {repository.name}")
    revision, pins = listed(repository.name, say, LISTING)
    with store.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files = {each.name: [each.size, each.sha256] for each in pins}
    content = {"repository": repository.name, "revision": revision, "files": files}
    store.write_atomic(path, json.dumps(content, indent=0, sort_keys=True) + "\n")
    return revision, {each.name: each for each in pins}
