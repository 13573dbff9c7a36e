"""What a trial may lay where the lab's `evaluate` would load it in the place of its own files.

Python looks for modules beside the script first, and runs bytecode that lies beside a module; pytest reads
settings from where it is started, and make takes GNUmakefile before Makefile.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from autoresearch.workspace.objects import Tree
from autoresearch.workspace.removal import look_into, open_up, remove

_SETTINGS = {"conftest.py", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg", "pyproject.toml"}
_MAKE = {"GNUmakefile", "makefile"}
_MODULE = re.compile(r"([A-Za-z_]\w*)(?:\.[\w-]+)?\.(?:pyc?|so|pyd)|([A-Za-z_]\w*)")
_STARTED = {"sitecustomize", "usercustomize"}


def planted_file(
    worktree: Path, tree: Tree, mutable: Callable[[str], bool], packages: Path | None
) -> str | None:
    """Returns the first path that stands in the place of what `evaluate` would load; None for none.

    mutable: whether a candidate may change a tracked path; packages: where the evaluator's Python has its
    packages.
    """
    known = {*sys.stdlib_module_names, *_STARTED, *_installed(packages)}
    above = {path[:i] for path in tree for i, c in enumerate(path) if c == "/"}
    sources = {os.path.dirname(path) for path in tree if path.endswith(".py")}
    for folder in sorted({"", *sources}):
        for name in _new(worktree, folder, tree, above):
            path = f"{folder}/{name}" if folder else name
            if name in _SETTINGS or (name in _MAKE and f"{folder}/Makefile".lstrip("/") in tree):
                return path
            module = _module(worktree / path)
            beside = [
                f"{folder}/{module}.py".lstrip("/"),
                f"{folder}/{module}/__init__.py".lstrip("/"),
            ]
            fixed = any(each in tree and not mutable(each) for each in beside)
            if module is not None and (module in known or fixed):
                return path
    return None


def remove_bytecode(worktree: Path, inputs: Collection[str]) -> None:
    """Removes every `__pycache__` of a worktree but those of inputs, which no trial could write.

    A folder elsewhere for the judge's bytecode (PYTHONPYCACHEPREFIX) would have it compile all that it
    imports anew.
    """
    waiting = [worktree]
    while waiting:
        folder = waiting.pop()
        try:
            found = [each for each in look_into(folder) if each.is_dir(follow_symlinks=False)]
        except OSError as fault:
            if fault.errno != errno.ENAMETOOLONG:
                raise
            continue  # nobody could read it by its path
        for entry in found:
            path = Path(entry.path)
            if entry.name == "__pycache__":
                remove(path)
            elif path.relative_to(worktree).as_posix() not in inputs:
                waiting.append(path)


def _new(worktree: Path, folder: str, tree: Tree, above: Collection[str]) -> Iterator[str]:
    """Yields the names in a folder that git does not track."""
    place = worktree / folder
    if not place.is_dir() or place.is_symlink():
        return
    open_up(place)
    for name in sorted(os.listdir(place)):
        path = f"{folder}/{name}" if folder else name
        if path not in tree and path not in above:
            yield name


def _module(path: Path) -> str | None:
    """Returns the name by which Python would import a path; None where it would not."""
    found = _MODULE.fullmatch(path.name)
    if found is None:
        return None
    if found[2] is None:
        return found[1]
    if not path.is_dir():
        return None
    open_up(path)
    return found[2] if any(name.startswith("__init__.") for name in os.listdir(path)) else None


def _installed(packages: Path | None) -> Iterator[str]:
    """Yields the modules that lie in a folder of packages."""
    if packages is not None and packages.is_dir():
        for name in os.listdir(packages):
            found = _MODULE.fullmatch(name)
            if found is not None:
                yield found[1] or found[2]
