"""Refs, read in this process by GitPython where it reads what git would: a start of git less each time."""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.workspace.git import open_repo

if TYPE_CHECKING:
    from git import Repo

# Of git-config(1)'s extensions.* those that leave refs in files, and ids of 40 digits in them.
_HARMLESS = {"noop", "partialclone", "preciousobjects", "relativeworktrees", "worktreeconfig"}


class OnlyGitKnows(Exception):
    """GitPython reads no such ref, or not as git does: SHA-256, reftable, a file that is no plain ref."""


@dataclass(frozen=True)
class Refs:
    """The refs of the repository with its checkout at `root` and its common git directory at `common`."""

    root: Path
    common: Path

    @cached_property
    def _repo(self) -> Repo | None:
        """GitPython's view; None where the repository's format is not one that it reads refs of."""
        repo = open_repo(self.root)
        if repo is None or Path(repo.common_dir).resolve() != self.common.resolve():
            return None
        try:
            settings = repo.config_reader("repository")
            extensions = (
                settings.options("extensions") if settings.has_section("extensions") else []
            )
        except (configparser.Error, ValueError):
            return None
        return repo if _HARMLESS.issuperset(extensions) else None

    def target(self, ref: str) -> str | None:
        """Returns the id that a full ref names, symbolic ones followed; None where there is no such ref.

        Raises OnlyGitKnows. Whether the object exists is not looked at.
        """
        if self._repo is None:
            raise OnlyGitKnows
        from git import SymbolicReference

        try:
            return SymbolicReference.dereference_recursive(self._repo, ref)
        except (ValueError, TypeError, LookupError, AssertionError) as fault:
            # A plain ValueError: it is in no file of its own, and packed-refs has been read.
            if type(fault) is ValueError and not os.path.lexists(self.common / ref):
                return None
            raise OnlyGitKnows from None

    def head(self) -> str:
        """Returns the full ref that HEAD stands on. Raises OnlyGitKnows, also where HEAD is detached."""
        if self._repo is None:
            raise OnlyGitKnows
        try:
            return str(self._repo.head.reference.path)
        except (ValueError, TypeError, LookupError, AssertionError):
            raise OnlyGitKnows from None
