"""What a trial reads and git does not lay out: read-only copies in the worktree, never the user's own files.

An input may hold files that git tracks: those are laid out from the candidate's commit, and what is
beside them is copied. The content of submodules and of files that git LFS keeps is copied too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.paths import lies_in
from autoresearch.workspace.copying import Copying, copied
from autoresearch.workspace.lfs import Pointers
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.repository import Repository

_SUBMODULE, _LINK = "160000", "120000"


def holds_tracked(name: str, tree: Tree) -> bool:
    """Says whether git tracks a path, or something below it."""
    return any(lies_in(path, name) for path in tree)


def outermost(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names that lie in none of the others."""
    kept = set(names)
    return tuple(sorted(n for n in kept if not any(n.startswith(f"{o}/") for o in kept)))


@dataclass
class Inputs:
    """The inputs of a task, `names` below the checkout's root, and their copies in a worktree.

    A copy is made once a process, and again where the input or the copy has changed since.
    """

    repo: Repository
    worktree: Path
    names: tuple[str, ...]
    shown: Callable[[str], str] = str  # how a path is named to a person
    notices: list[str] = field(default_factory=list)  # what is to be said, each thing once
    _sources: dict[str, Path | None] = field(default_factory=dict)  # None: the copy stays as it is
    _copied: dict[str, tuple[object, object]] = field(default_factory=dict)  # signatures of both
    _said: set[str] = field(default_factory=set)
    _above: set[str] = field(default_factory=set)  # folders that hold what git tracks

    def __post_init__(self) -> None:
        self._pointers = Pointers(self.repo)
        self.names = outermost(self.names)

    @property
    def paths(self) -> frozenset[str]:
        """What is copied beside the tree that was planned for, by its paths in the worktree."""
        return frozenset(self._sources)

    def plan(self, tree: Tree) -> None:
        """Finds out what is to be copied beside a tree; LabError where an input is not there to be."""
        self._sources = {}
        self._above = {path[:i] for path in tree for i, c in enumerate(path) if c == "/"}
        for name in self.names:
            for path, source in self._found(name, tree):
                self._sources[path] = source

    def _found(self, name: str, tree: Tree) -> Iterator[tuple[str, Path | None]]:
        """Yields (path in the worktree, its source) of what git does not lay out of a name."""
        source, mode = self.repo.root / name, tree.get(name, ("", ""))[0]
        if mode == _SUBMODULE:
            yield name, self._submodule(name)
        elif mode == _LINK:
            if self._leads_out(source, tree):
                yield name, source
        elif mode:
            content = self._pointers.content(name, tree[name][1])
            if content is not None:
                yield name, content
        elif name not in self._above:
            yield name, self._untracked(name)
        elif source.is_dir() and not source.is_symlink():
            for entry in sorted(os.listdir(source)):
                if entry != ".git":
                    yield from self._found(f"{name}/{entry}", tree)

    def _leads_out(self, link: Path, tree: Tree) -> bool:
        """Says whether a link that git lays out would lead to what git does not lay out."""
        if not os.path.exists(link):
            return False
        name = os.path.relpath(os.path.realpath(link), os.path.realpath(self.repo.root))
        return name not in tree and name not in self._above

    def _submodule(self, name: str) -> Path:
        source = self.repo.root / name
        if not source.is_dir() or not any(entry != ".git" for entry in os.listdir(source)):
            raise LabError(
                f"inputs: the submodule {name} is empty; fill it with: git submodule update --init {name}"
            )
        return source

    def _untracked(self, name: str) -> Path | None:
        source = self.repo.root / name
        if os.path.exists(source) or (source.is_symlink() and name not in self.names):
            return source
        _, copy = self._copied.get(name, (None, None))
        if copy is not None and copy == _signature(self.worktree / name):
            self._say(f"inputs: {source} is gone; trials go on with the copy that was made of it")
            return None
        raise LabError(
            f"inputs: {source} does not exist; make it, or take it out of autoresearch.toml"
        )

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.notices.append(text)

    def lay_out(self, tree: Tree) -> None:
        """Sees that everything planned has its copy, made again if the input or the copy has changed."""
        self._copied = {path: both for path, both in self._copied.items() if path in self._sources}
        laid_out = Copying(self.repo.root, self.worktree, frozenset((*tree, *self._sources)))
        for path, source in self._sources.items():
            target = self.worktree / path
            both = (_signature(source, follow=True), _signature(target)) if source else None
            if source is None or self._copied.get(path) == both:
                continue
            is_module = tree.get(path, ("", ""))[0] == _SUBMODULE
            for notice in copied(laid_out, source, target, path in self.names, is_module):
                self._say(f"inputs: {notice}")
            self._copied[path] = (_signature(source, follow=True), _signature(target))

    def changed(self) -> str | None:
        """Returns the first input of which the copy is no longer as it was made, None if all are."""
        for name, (_, copy) in self._copied.items():
            if copy != _signature(self.worktree / name):
                return self.shown(name)
        return None


def _signature(path: Path, follow: bool = False) -> object:
    """Returns what changes when a file or a folder changes: no program can set the kernel's ctime.

    Where the path is a link that is what it says, and with `follow` what it leads to as well.
    """
    found, waiting = [], [os.fspath(path)]
    try:
        while waiting:
            file = waiting.pop()
            info = os.lstat(file)
            found.append((file, info.st_ino, info.st_size, info.st_mode, info.st_ctime_ns))
            if (
                follow
                and file == os.fspath(path)
                and stat.S_ISLNK(info.st_mode)
                and os.path.exists(file)
            ):
                info = os.stat(file)
                found.append((file, info.st_ino, info.st_size, info.st_mode, info.st_ctime_ns))
            if stat.S_ISDIR(info.st_mode):
                waiting += (os.path.join(file, name) for name in os.listdir(file))
    except OSError:
        return None
    return sorted(found)


def is_copied(path: str, names: Iterable[str], tree: Tree, repo: Repository) -> bool:
    """Says whether trials see a path as the checkout has it, whatever a commit says of it."""
    if not any(lies_in(path, name) for name in names):
        return False
    mode, blob = tree.get(path, ("", ""))
    return mode in ("", _SUBMODULE) or Pointers(repo).pointer(blob) is not None
