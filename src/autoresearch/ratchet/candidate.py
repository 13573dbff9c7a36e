"""A proposal made into a candidate: guarded, committed, recorded."""

from __future__ import annotations

from collections.abc import Iterable

from autoresearch.errors import BadAnswer, TriedBefore
from autoresearch.lab.run import Run
from autoresearch.ledger.codec import candidate_fields
from autoresearch.ledger.pending import Pending
from autoresearch.paths import candidate_ref, lies_in
from autoresearch.records import Candidate, Edit, Proposal
from autoresearch.researchers.base import DESCRIPTION_LENGTH
from autoresearch.rules.guard import Mutable, changes_code, refusals
from autoresearch.rules.volume import outgrown
from autoresearch.text import one_line
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.repository import Repository


def commit(run: Run, pending: Pending, proposal: Proposal, description: str = "") -> Candidate:
    """Returns the proposal of an experiment under way as its candidate: guarded, committed, recorded.

    Exactly the bytes that the guard saw are committed, with the time of the ask, so that a resume
    makes the same commit. `description` is taken where the proposal has none. Raises BadAnswer
    where the guard refuses it, and where its files were tried before.
    """
    parent, number = run.incumbent, pending.number
    tree = run.repo.tree(parent.commit)
    edits = _guarded(run, proposal.edits, tree)
    paths = ", ".join(one_line(edit.path) for edit in edits)
    description = proposal.description or description or f"edit {paths}"[:DESCRIPTION_LENGTH]
    message = (
        f"{description}\n\n{proposal.hypothesis}".strip()
        + f"\n\nAutoresearch-Experiment: {run.tag}/{number:04d}\n"
    )
    index = run.slot_of(pending).paths.index
    made, tree_id = run.repo.commit(parent.commit, edits, message, pending.at, index)
    earlier = run.state.trees.get(tree_id)
    if earlier is not None:
        value = (
            "" if earlier.value is None else f", {run.config.task.metric.name} {earlier.value:g}"
        )
        raise TriedBefore(
            f"this makes the same files as experiment {earlier.number} ({earlier.description}: "
            f"{earlier.status}{value}); propose something that was not tried",
            earlier.number,
        )
    ref = candidate_ref(run.tag, number)
    run.repo.set_ref(ref, made, run.repo.resolve(ref))
    candidate = Candidate(
        number, made, parent.commit, tree_id, description, proposal.hypothesis,
        proposal.lesson, run.repo.only_deletes(parent.commit, made),
    )  # fmt: skip
    return accept(run, candidate, pending.by)


def _guarded(run: Run, edits: tuple[Edit, ...], tree: Tree) -> list[Edit]:
    """The edits that change something; BadAnswer where one may not be made."""
    modes = {path: mode for path, (mode, _) in tree.items()}
    blobs = run.repo.blobs(
        tree[e.path][1] for e in edits if e.path in tree and tree[e.path][0] != "160000"
    )

    def content(path: str) -> bytes | None:
        return blobs.get(tree[path][1]) if path in tree else None

    kept = (*run.config.task.caches, *run.config.task.inputs)
    for e in edits:
        if any(lies_in(e.path, name) for name in kept):
            raise BadAnswer(f"the guard refused the change: {e.path}: in a cache or an input")
    reasons = refusals(edits, run.rules, modes, lambda path: content(path) or b"")
    if not reasons and run.rules.code_only:
        baseline = next(e.commit for e in reversed(run.state.experiments) if e.is_baseline)
        reasons = overweight(run.repo, run.rules, baseline, tree, edits)
    if reasons:
        raise BadAnswer("the guard refused the change: " + "; ".join(reasons))
    changed = [e for e in edits if e.content != content(e.path)]
    if not changed:
        raise BadAnswer("the change leaves every file as it is")
    if not any(changes_code(e.path, content(e.path), e.content) for e in changed):
        raise BadAnswer("the change touches comments and layout alone; there is nothing to measure")
    return changed


def overweight(
    repo: Repository, rules: Mutable, baseline: str, tree: Tree, edits: Iterable[Edit]
) -> list[str]:
    """Returns why edits of a tree would carry too much more than a baseline's commit; [] where not."""
    before, new = repo.tree(baseline), {edit.path: edit.content for edit in edits}
    paths = [
        path
        for path in {*before, *tree, *new}
        if rules.names(path) and (path in new or tree.get(path) != before.get(path))
    ]
    ids = {each[path][1] for each in (before, tree) for path in paths if path in each}
    blobs = repo.blobs(ids)
    then = {path: blobs[before[path][1]] for path in paths if path in before}
    now = {path: blobs[tree[path][1]] for path in paths if path in tree and path not in new}
    now |= {path: content for path, content in new.items() if path in paths and content is not None}
    reason = outgrown(now, then)
    return [] if reason is None else [reason]


def accept(run: Run, candidate: Candidate, by: str) -> Candidate:
    """Records a commit as the candidate of its experiment, and returns it."""
    if by == "baseline":
        ref = candidate_ref(run.tag, candidate.number)
        run.repo.set_ref(ref, candidate.commit, run.repo.resolve(ref))
    run.note("candidate", n=candidate.number, by=by, **candidate_fields(candidate))
    patch = run.repo.patch(candidate.parent, candidate.commit)
    run.files.write_patch(candidate.number, patch)
    run.files.write_tables(run.state)
    return candidate
