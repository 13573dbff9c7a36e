"""Whether the disk has room for what a run must write."""

from __future__ import annotations

import os
from pathlib import Path

from autoresearch.errors import OutsideError

_LEAST_BYTES = 64 << 20
_LEAST_FILES = 64


def is_full(folder: Path) -> bool:
    """Returns whether the disk of a folder has no room left, for bytes or for files."""
    if not folder.exists():  # a person removed it; whoever writes there makes it anew
        return False
    found = os.statvfs(folder)
    few = found.f_files > 0 and found.f_favail < _LEAST_FILES
    return found.f_bavail * found.f_frsize < _LEAST_BYTES or few


def check_disk(folder: Path) -> None:
    """Raises OutsideError where the disk of a folder is full: no crash is a candidate's then.

    To be called when nothing is left of a trial.
    """
    if is_full(folder):
        raise OutsideError(
            f"{folder}: the disk is full; make room and call autoresearch run again: the candidate "
            "is tried again then"
        )
