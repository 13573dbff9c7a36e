"""Where a project's data lies: what its scripts name in the user's home, elsewhere, or beside themselves."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from autoresearch.lab.projects.base import Sources
from autoresearch.lab.projects.constants import constants_of
from autoresearch.paths import lies_in

# Folders that hold other programs' files too, keys among them: what lies below one is named, or nothing.
_SHARED = frozenset(
    (
        "~", "~/.cache", "~/.local", "~/.local/share", "~/.config", "~/Library", "~/Library/Caches",
        "~/.cache/huggingface", "~/.huggingface", "~/.kaggle", "~/.ssh", "~/.aws", "~/Documents",
        "~/Downloads", "~/Desktop",
    )
)  # fmt: skip
_SYSTEM = ("/", "/tmp", "/var/tmp", "/dev", "/proc", "/sys", "/etc", "/usr", "/root", "/home")


def data_in_home(sources: Sources, scripts: Iterable[str]) -> tuple[str, ...]:
    """Returns the folders outside of the project that scripts name as constants; those in the home by ~."""
    named = {*_named(sources, scripts)}
    home = {path for path in named if path.startswith("~/") and path not in _SHARED}
    elsewhere = {
        path
        for path in named
        if path.startswith("/")
        and not any(lies_in(path, place) for place in _SYSTEM[1:])
        and path != "/"
        and Path(path).is_dir()
        and not Path(path).resolve().is_relative_to(sources.root.resolve())
    }
    return _outermost(home | elsewhere)


def told_of(home: Iterable[str]) -> dict[str, str]:
    """Returns the variables of trials that read these folders: those in the home are found by HOME."""
    return {"HOME": "~"} if any(path.startswith("~") for path in home) else {}


def data_beside(sources: Sources, scripts: Iterable[str]) -> tuple[str, ...]:
    """Returns the folders in the project that scripts name, that are there, and that git doesn't track."""
    found = set()
    for path in _named(sources, scripts):
        inside = path.removeprefix("./")
        if inside.startswith(("~", "/", ".", "-")) or not inside or "\0" in inside:
            continue
        tracked = any(lies_in(each, inside) for each in sources.paths)
        if (sources.root / inside).is_dir() and not tracked:
            found.add(inside)
    return _outermost(found)


def _named(sources: Sources, scripts: Iterable[str]) -> Iterator[str]:
    for script in scripts:
        for value in constants_of(sources.text(script)).values():
            if isinstance(value, str) and value and len(value) < 1000 and "\n" not in value:
                yield posixpath.normpath(value)


def _outermost(paths: set[str]) -> tuple[str, ...]:
    return tuple(
        sorted(
            path
            for path in paths
            if not any(path != other and lies_in(path, other) for other in paths)
        )
    )
