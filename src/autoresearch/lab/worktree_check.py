"""What a trial's worktree will not hold as the checkout does: refused, or said, before a run begins."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from autoresearch.config import TaskConfig
from autoresearch.errors import LabError
from autoresearch.paths import lies_in
from autoresearch.rules.guard import Mutable
from autoresearch.workspace.inputs import Inputs, holds_tracked
from autoresearch.workspace.lfs import kept_by_lfs, missing_program
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.repository import Repository

_LISTED = 3


def check_worktree(
    repo: Repository, tree: Tree, task: TaskConfig, rules: Mutable, say: Callable[[str], None]
) -> None:
    """Says what of inputs, submodules and LFS files a trial would miss.

    Raises LabError where an input can't be laid out as the configuration has it.
    """
    advice = missing_program(repo, tree)
    if advice is not None:
        say(advice)
    changed = [name for name in task.inputs if name in tree and rules.names(name)]
    if changed:
        raise LabError(
            f"inputs: {changed[0]} is mutable too, and no candidate may change an input: take it out of "
            "one of the two in autoresearch.toml, and commit that"
        )
    there = tuple(
        name
        for name in task.inputs
        if os.path.exists(repo.root / name) or holds_tracked(name, tree)
    )
    for name in task.inputs:
        if name not in there:
            say(f"inputs: {name} is not there yet; make it before autoresearch run")
    inputs = Inputs(repo, Path(os.devnull), there)
    inputs.plan(tree)
    for name in inputs.names:
        if not any(lies_in(path, name) for path in inputs.paths):
            say(
                f"inputs: git tracks all of {name} and lays it out as committed; it need not be named"
            )
    _say_unnamed(
        [path for path, (mode, _) in tree.items() if mode == "160000"], inputs,
        "submodules are laid out empty", say,
    )  # fmt: skip
    _say_unnamed(
        kept_by_lfs(repo, tree), inputs, "git LFS keeps files that are laid out as pointers", say
    )


def _say_unnamed(paths: list[str], inputs: Inputs, words: str, say: Callable[[str], None]) -> None:
    """Says which of the paths are no inputs, and how they would be."""
    named = inputs.names
    left = [
        path
        for path in paths
        if path not in inputs.paths
        and not path.startswith("../")  # outside of the lab's folder
        and not any(lies_in(n, path) or lies_in(path, n) for n in named)
    ]
    if left:
        listed = ", ".join(f'"{path}"' for path in left[:_LISTED])
        more = f" and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
        say(f"{words}; if trials read them: inputs = [{listed}]{more}")
