"""What a jailed trial may reach, and which of several named paths decides."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Access:
    """Which files a jailed trial may reach: absolute paths, each with all below it.

    Where several name a place, the longest path decides; of one path named twice, hidden goes before
    writable, and writable before readable. What is not named is hidden.
    """

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()


def reach(access: Access, path: Path) -> str:
    """Returns what an access says of a path: readable, writable or hidden."""
    named, real = named_paths(access), os.path.realpath(path)
    return named.get(real) or above(real, named) or "hidden"


def named_paths(access: Access, empty: Iterable[str] = (), rest: str = "hidden") -> dict[str, str]:
    """Returns real path -> hidden, writable or readable, of what exists.

    A path that is what the one above it is is left out. empty: folders in which there is nothing but
    what is named; rest: what all that is not named is.
    """
    named = dict.fromkeys(empty, "hidden")
    for kind in ("readable", "writable", "hidden"):
        for path in getattr(access, kind):
            if os.path.exists(path):
                named[os.path.realpath(path)] = kind
    for path in sorted(named, key=len, reverse=True):
        if named[path] == (above(path, named) or rest):
            del named[path]
    return named


def above(path: str, named: dict[str, str]) -> str | None:
    """Returns what the nearest named folder above a path is; None where none is named."""
    while path != "/":
        path = os.path.dirname(path)
        if path in named:
            return named[path]
    return None
