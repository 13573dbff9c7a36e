"""Where the private worktrees of a repository lie: outside of every repository, and writable."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.paths import CONFIG, make_folder, worktrees_folder
from autoresearch.workspace.repository import Repository

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_MEND = f'name another folder in {CONFIG}: [runner] worktrees = "/path/to/a/folder"'


def find_worktrees(setting: str, repo: Repository, environment: Mapping[str, str]) -> Path:
    """Returns the folder of the private worktrees; raises LabError where `why_not` has a reason."""
    folder = worktrees_folder(setting, repo.root, repo.common, environment)
    fault = why_not(folder)
    if fault is not None:
        raise LabError(fault)
    return folder


def why_not(folder: Path) -> str | None:
    """Returns why private worktrees can't lie in a folder, naming the key; None where they can. Makes it.

    Inside of a repository a program that looks upward finds that one's files, hooks and rules, and in
    a git directory test runners find no tests.
    """
    inside = next((place for place in folder.parents if _is_repository(place)), None)
    if inside is not None:
        return (
            f"runner.worktrees: {folder.parent} is inside the repository {inside}, whose files trials "
            f"and programs would find; {_MEND}"
        )
    try:
        make_folder(folder)
    except OSError as fault:
        if fault.errno in _OF_THE_DISK:
            raise
        return f"runner.worktrees: {folder} can't be made ({fault.strerror}); {_MEND}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"runner.worktrees: {folder} can't be written; {_MEND}"
    return None


def _is_repository(folder: Path) -> bool:
    """Returns whether git, on its way up, would take a folder for a repository or a git directory."""
    marker = folder / ".git"
    if marker.is_file():
        return True
    return any(
        (place / "HEAD").is_file() and (place / "objects").is_dir() for place in (marker, folder)
    )
