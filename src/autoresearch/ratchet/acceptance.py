"""A held experiment becomes the incumbent, by a person's word.

The journal's record is the commit point; refs, branch, checkout and files follow from it, and are
brought in line by the next start where this one is killed.
"""

from __future__ import annotations

from autoresearch.errors import LabError
from autoresearch.lab.run import Run
from autoresearch.paths import candidate_ref
from autoresearch.records import Edit, Event, Experiment
from autoresearch.runners.base import Runner


def accept_held(run: Run, runner: Runner, number: int) -> Experiment:
    """Returns the experiment, now a keep at the end of the branch.

    Raises LabError where it is not held, where a person has committed on the branch since, and where its
    change was made for another incumbent's files.
    """
    run.recover(runner)
    held = run.state.experiment(number)
    if held is None or held.failure != "held":
        raise LabError(_not_held(run, number, held))
    incumbent = run.incumbent
    commit, parent = held.commit, held.parent
    if parent != incumbent.commit:
        if run.repo.tree_id(parent) != run.repo.tree_id(incumbent.commit):
            raise LabError(
                f"#{number} was made for {parent[:7]}, and the incumbent is #{incumbent.number} now, with "
                f"other files. Put the change on it, and try it there: git checkout autoresearch/{run.tag}, "
                f"git cherry-pick --no-commit {candidate_ref(run.tag, number)}, autoresearch try -m TEXT"
            )
        commit, parent = _put_on(run, held, incumbent.commit), incumbent.commit
    run.note(
        "accepted", n=number, commit=commit, parent=parent,
        abbreviated=run.repo.short(commit), reason="accepted by a person; it was held",
    )  # fmt: skip
    accepted = run.incumbent
    run.files.write_result(accepted)
    run.settle()
    run.emit(Event("verdict", accepted.reason, number, accepted))
    return accepted


def _put_on(run: Run, held: Experiment, parent: str) -> str:
    """Returns a commit of a held change on another parent with the same files; its ref names it then."""
    changes = run.repo.changed(held.parent, held.commit)
    blobs = run.repo.blobs(blob for _, _, mode, _, blob in changes if mode != "000000")
    edits = [
        Edit(path, None) if mode == "000000" else Edit(path, blobs[blob], mode)
        for path, _, mode, _, blob in changes
    ]
    message = run.repo.message(held.commit)
    commit, _ = run.repo.commit(parent, edits, message, held.at, run.slots[0].paths.index)
    ref = candidate_ref(run.tag, held.number)
    for name, target in ((f"{ref}-{held.commit[:7]}", held.commit), (ref, commit)):
        run.repo.set_ref(name, target, run.repo.resolve(name))
    return commit


def _not_held(run: Run, number: int, found: Experiment | None) -> str:
    waiting = ", ".join(f"#{each.number}" for each in run.state.waiting) or "none"
    if found is None:
        return f"there is no experiment {number} in the run {run.tag}; held are: {waiting}"
    what = "kept already" if found.status == "keep" else f"not held, but a {found.status}"
    return f"#{number} is {what} ({found.reason}); held are: {waiting}"
