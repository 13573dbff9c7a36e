"""`autoresearch try`: a person's own edits, judged as one experiment."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict

from autoresearch.commands.check import edits_of, refused
from autoresearch.commands.session import opened, typed
from autoresearch.errors import LabError
from autoresearch.lab.run import Run
from autoresearch.ratchet.drive import Limits
from autoresearch.records import Edit, Proposal
from autoresearch.streams import say
from autoresearch.workspace.checkout import Checkout
from autoresearch.workspace.merge import merge


def try_(tag: str | None, message: str, rewind: bool, as_json: bool) -> None:
    """Judges the edits in the checkout, put on the incumbent; `rewind` makes losing ones give way.

    Raises LabError where there is nothing to try, or the guard refuses it.
    """
    with opened(tag, notices=not as_json) as session:
        ratchet, repo = session.ratchet, session.ratchet.run.repo
        head = repo.resolve("HEAD")
        if head is None:
            raise LabError(
                "the checkout has no commit yet; there is nothing that edits could be told from"
            )
        rules = ratchet.run.rules
        edits = edits_of(repo, rules, head, session.config.task)
        if not edits:
            raise LabError(
                "nothing to try: the working tree is as its HEAD; edit a mutable file first"
            )
        reasons = refused(repo, rules, head, edits)
        if reasons:
            raise LabError("the guard refused the change: " + "; ".join(reasons))
        place = {"root": str(repo.root), "head": head}
        last = ratchet.run.state.checkout or {}
        base = last["blobs"] if {**place, "blobs": last.get("blobs")} == last else {}
        blobs = {e.path: repo.write_blob(e.content) for e in edits if e.content is not None}

        def proposal() -> Proposal:
            put_on = merge(repo, edits, base, head, ratchet.run.incumbent.commit)
            return Proposal(typed(message), put_on)

        limits = Limits(budget=session.config.budget)
        with contextlib.nullcontext() if as_json else session.shown(limits):
            experiment = session.driver.attempt(proposal, {**place, "blobs": blobs})
        if rewind and experiment.status != "keep":
            left = _rewind(ratchet.run, edits, place, base)
            for path in left:
                say(f"notice: {path} was edited after the try began, and stays", sys.stderr)
        if as_json:
            print(json.dumps(asdict(experiment), indent=2))


def _rewind(
    run: Run, edits: tuple[Edit, ...], place: dict[str, str], base: dict[str, str]
) -> list[str]:
    """Gives tried files the incumbent's content; the edits live on under the candidate's ref.

    A file that was edited on while its trial ran stays as it is. Returns the paths of those.
    """
    tree, checkout = run.repo.tree(run.incumbent.commit), Checkout(run.repo)
    now = {edit.path: edit for edit in checkout.edits(place["head"], run.rules.names)}
    tried = [edit.path for edit in edits if now.get(edit.path) == edit]
    left = [edit.path for edit in edits if edit.path not in tried]
    checkout.restore(tried, run.incumbent.commit)
    blobs = {path: tree[path][1] for path in tried if path in tree}
    blobs |= {path: base[path] for path in left if path in base}
    run.note("rewound", checkout={**place, "blobs": blobs})
    return left
