"""The user's pre-commit hook, shown a candidate as `git commit` would show it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from autoresearch.paths import write_durably
from autoresearch.workspace.git import GitError, environment, git, text
from autoresearch.workspace.repository import Repository
from autoresearch.workspace.worktree import Worktree


def hook_of(repo: Repository) -> Path | None:
    """Returns the pre-commit hook that git would run; None where there is none, or it is switched off."""
    try:
        output = git(repo.root, "rev-parse", "--path-format=absolute", "--git-path",
                     "hooks/pre-commit", hooks=True)  # fmt: skip
    except GitError:  # core.hooksPath names something that is no folder, as /dev/null is none
        return None
    hook = Path(os.fsdecode(output.rstrip(b"\n")))
    return hook if os.access(hook, os.X_OK) else None


def hook_refusal(
    worktree: Worktree,
    parent: str,
    commit: str,
    run: Callable[[list[str], dict[str, str]], str | None],
) -> str | None:
    """Returns what the lab's pre-commit hook says against a commit, None if it has none or agrees.

    The hook sees what it would see of `git commit`: HEAD at the parent, the commit's tree staged
    and in the worktree. A hook that changes files refuses, since exactly the guarded bytes are
    what is kept. `run` runs a command in the worktree with an environment, and returns its failure.
    """
    repo = worktree.repo
    hook = hook_of(repo)
    if hook is None:
        return None
    tree = worktree.lay_out(commit)
    write_durably(worktree.admin / "HEAD", f"{parent}\n".encode())
    git(worktree.path, "update-index", "-q", "--refresh", ok=(0, 1))
    # By its place in the checkout: a relative hooks' path would name the candidate's own files.
    setting = f"core.hooksPath={hook.parent}"
    failure = run(["git", "-c", setting, "hook", "run", "pre-commit"], environment())
    if failure is not None:
        return f"the pre-commit hook refused it: {failure}"
    if text(worktree.path, "write-tree") != repo.tree_id(commit):
        return "the pre-commit hook changed what is staged"
    changed = worktree.altered(tree)
    return None if changed is None else f"the pre-commit hook changed {changed}"
