"""`autoresearch check`: the guard alone, over what was edited in the checkout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pathspec import GitIgnoreSpec

from autoresearch.config import TaskConfig
from autoresearch.errors import LabError, RefusedError, UsageError
from autoresearch.lab.lab import Lab
from autoresearch.ratchet.candidate import overweight
from autoresearch.records import Edit
from autoresearch.researchers.agents import BY_PRODUCTS
from autoresearch.rules.guard import Mutable, printable_path, refusals
from autoresearch.streams import say, say_json
from autoresearch.workspace.checkout import Checkout
from autoresearch.workspace.inputs import is_copied
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.repository import Repository


def check(rev: str, as_json: bool = False) -> bool:
    """Says whether a candidate may change what changed from a revision to the working tree.

    Returns whether it may; where not, each reason is a line. Raises LabError for an unknown revision,
    and RefusedError instead of the lines where JSON is wanted.
    """
    lab = Lab.here()
    task = lab.task()
    base = lab.repo.resolve(rev)
    if base is None:
        raise LabError(f"{rev}: there is no such commit; git log --oneline --all shows them")
    rules = Mutable.of(task.mutable, task.protected, bool(task.exam))
    found = edits_of(lab.repo, rules, base, task)
    edits, ignored = without_strays(found, lab.repo.tree(base), rules)
    reasons = refused(lab.repo, rules, base, edits)
    if as_json and reasons:
        raise RefusedError("; ".join(reasons), paths_refused(reasons, edits))
    for reason in reasons:
        say(reason)
    reason = f"{len(edits)} changed, all mutable" if edits else "nothing changed"
    if as_json:
        paths = [edit.path for edit in edits]
        told = {"status": "ok", "reason": reason, "paths": paths, "ignored": list(ignored)}
        say_json(told)
    elif not reasons:
        passed = f"; ignored, of an agent's own: {', '.join(ignored)}" if ignored else ""
        say(f"ok: {reason}{passed}")
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


def without_strays(
    edits: Iterable[Edit], tree: Tree, rules: Mutable, ignore: Sequence[str] = ()
) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """Returns edits without untracked files to be ignored, and the paths of those.

    That are files that a tree does not have: what a known coding agent leaves, and outside of `mutable`
    those that match a pattern as in .gitignore. Raises UsageError for a pattern that is none.
    """
    agents = GitIgnoreSpec.from_lines(BY_PRODUCTS)
    try:
        spec = GitIgnoreSpec.from_lines(ignore)
    except ValueError as fault:
        raise UsageError(f"--ignore: no pattern as in .gitignore: {fault}") from None
    kept, ignored = [], []
    for edit in edits:
        named = not rules.names(edit.path) and spec.match_file(edit.path)
        if edit.path not in tree and (named or agents.match_file(edit.path)):
            ignored.append(edit.path)
        else:
            kept.append(edit)
    return tuple(kept), tuple(ignored)


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


def paths_refused(reasons: Sequence[str], edits: Sequence[Edit]) -> list[str]:
    """Returns the paths that reasons are about; those of all edits where a reason is about the whole."""
    named = {edit.path: f"{printable_path(edit.path)}: " for edit in edits}
    if not all(any(reason.startswith(name) for name in named.values()) for reason in reasons):
        return list(named)
    return [path for path, name in named.items() if any(r.startswith(name) for r in reasons)]
