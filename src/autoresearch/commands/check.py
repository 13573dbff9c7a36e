"""`autoresearch check`: the guard alone, over what was edited in the checkout."""

from __future__ import annotations

from autoresearch.config import TaskConfig
from autoresearch.errors import LabError
from autoresearch.lab.lab import Lab
from autoresearch.ratchet.candidate import overweight
from autoresearch.records import Edit
from autoresearch.rules.guard import Mutable, refusals
from autoresearch.streams import say
from autoresearch.workspace.checkout import Checkout
from autoresearch.workspace.inputs import is_copied
from autoresearch.workspace.repository import Repository


def check(rev: str) -> bool:
    """Says whether a candidate may change what changed from a revision to the working tree.

    Returns whether it may; where not, each reason is a line. Raises LabError for an unknown revision.
    """
    lab = Lab.here()
    task = lab.task()
    base = lab.repo.resolve(rev)
    if base is None:
        raise LabError(f"{rev}: there is no such commit; git log --oneline --all shows them")
    rules = Mutable.of(task.mutable, task.protected, bool(task.exam))
    edits = edits_of(lab.repo, rules, base, task)
    reasons = refused(lab.repo, rules, base, edits)
    for reason in reasons:
        say(reason)
    if not reasons:
        say(f"ok: {len(edits)} changed, all mutable" if edits else "ok: nothing changed")
    return not reasons


def edits_of(repo: Repository, rules: Mutable, base: str, task: TaskConfig) -> tuple[Edit, ...]:
    """Returns what the checkout changes against a commit.

    Inputs that are copied from it are no edits, and neither is the file that a trial writes its metric to.
    """
    tree, found = repo.tree(base), Checkout(repo).edits(base, rules.names)
    return tuple(
        edit
        for edit in found
        if not is_copied(edit.path, task.inputs, tree, repo) and edit.path != task.metric.file_path
    )


def refused(repo: Repository, rules: Mutable, base: str, edits: tuple[Edit, ...]) -> list[str]:
    """Returns why edits against a commit may not be made, a line each; none where they may."""
    tree = repo.tree(base)
    reasons = refusals(
        edits,
        rules,
        {path: mode for path, (mode, _) in tree.items()},
        lambda path: repo.blobs([tree[path][1]])[tree[path][1]],
    )
    if not reasons and rules.code_only:
        reasons = overweight(repo, rules, base, tree, edits)
    return reasons
