"""`autoresearch try`: a person's own edits, or an agent's, judged as one experiment."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from autoresearch.commands.check import edits_of, paths_refused, refused, without_strays
from autoresearch.commands.session import Session, opened, typed
from autoresearch.commands.show import log_tail
from autoresearch.commands.status import place
from autoresearch.errors import LabError, RefusedError
from autoresearch.lab.run import Run
from autoresearch.paths import REFS
from autoresearch.ratchet.drive import Limits
from autoresearch.records import Edit, Event, Experiment, Proposal
from autoresearch.streams import say, say_json
from autoresearch.text import listed
from autoresearch.workspace.checkout import Checkout
from autoresearch.workspace.merge import merge
from autoresearch.workspace.objects import Tree

_SHOWN = 5  # untracked files, by their names
_FILE_MODES = ("100644", "100755", "120000")


def try_(
    tag: str | None, message: str, rewind: bool, as_json: bool, ignore: Sequence[str] = ()
) -> None:
    """Judges the edits in the checkout, put on the incumbent; `rewind` makes losing ones give way.

    Untracked files outside of `mutable` that match `ignore` are passed over, aloud. Raises LabError
    where there is nothing to try, and RefusedError where the guard refuses it.
    """
    with opened(tag, notices=not as_json) as session:
        run = session.ratchet.run
        head = run.repo.resolve("HEAD")
        if head is None:
            raise LabError(
                "the checkout has no commit yet; there is nothing that edits could be told from"
            )
        found = edits_of(run.repo, run.rules, head, session.config.task)
        tree = run.repo.tree(head)
        edits, ignored = without_strays(found, tree, run.rules, ignore)
        for path in ignored:
            say(f"notice: {path}: untracked, and ignored", sys.stderr)
        if not edits:
            raise LabError(
                "nothing to try: the working tree is as its HEAD; edit a mutable file first"
            )
        notices: list[str] = []
        try:
            reasons = refused(run.repo, run.rules, head, edits)
            if reasons:
                text = "the guard refused the change: " + "; ".join(reasons)
                strays = _strays(run, edits, tree)
                if strays:
                    text += (
                        f"; untracked: {listed(strays, _SHOWN)} (--ignore PATTERN passes them over)"
                    )
                raise RefusedError(text, paths_refused(reasons, edits))
            experiment = _judged(session, edits, head, message, as_json, rewind, notices)
        except RefusedError as refusal:
            if not rewind:
                raise
            left = _give_way(run, edits, head)
            raise RefusedError(f"{refusal}; {left}", refusal.paths) from None
        if as_json:
            told = {"notices": notices, "ignored": list(ignored)}
            say_json(_fields(run, experiment) | told)


def _judged(
    session: Session,
    edits: tuple[Edit, ...],
    head: str,
    message: str,
    as_json: bool,
    rewind: bool,
    notices: list[str],
) -> Experiment:
    """Returns the verdict on edits that the guard lets through; what is said aloud goes to `notices`."""
    run = session.ratchet.run
    stands, base = _begun_from(run, head)
    blobs = {e.path: run.repo.write_blob(e.content) for e in edits if e.content is not None}
    gone = sorted(e.path for e in edits if e.content is None)
    checkout = {**stands, "blobs": blobs, "gone": gone}

    def proposal() -> Proposal | Experiment:
        put_on = merge(run.repo, edits, base, head, run.incumbent.commit)
        if not put_on:
            return _verdict_on(run, checkout)
        return Proposal(typed(message), put_on)

    def take(event: Event) -> None:
        if event.kind == "notice":
            notices.append(event.text)
            if as_json:
                say(f"notice: {event.text}", sys.stderr)

    session.sinks.append(take)
    limits = Limits(budget=session.config.budget)
    with contextlib.nullcontext() if as_json else session.shown(limits):
        experiment = session.driver.attempt(proposal, checkout)
    if rewind and experiment.status != "keep":
        for path in _rewind(run, edits, stands, base):
            notices.append(f"{path} was edited after the try began, and stays")
            say(f"notice: {notices[-1]}", sys.stderr)
    return experiment


def _verdict_on(run: Run, checkout: dict[str, Any]) -> Experiment:
    """Returns the verdict on edits that are in the incumbent, where a try has brought them there.

    Raises LabError where nothing has, and where nothing was edited since files made way for it.
    """
    last = run.state.checkout or {}
    untouched = "gone" not in last and checkout["blobs"].items() <= last.get("blobs", {}).items()
    for tried, experiment in reversed([] if untouched else run.state.tries):
        if all(tried.get(key) == checkout[key] for key in ("head", "blobs", "gone")):
            return experiment
    raise LabError(
        f"nothing to try: the edits make the files of the incumbent {run.incumbent.short}, which has "
        "them already"
    )


def _fields(run: Run, experiment: Experiment) -> dict[str, Any]:
    """Returns what JSON says of a verdict."""
    return {
        **asdict(experiment),
        "incumbent": place(run.incumbent),
        "best": place(run.incumbent),
        "log_tail": log_tail(run.paths.experiment(experiment.number)),
        "flags": [experiment.flag] if experiment.flag else [],
    }


def _begun_from(run: Run, head: str) -> tuple[dict[str, str], dict[str, str]]:
    """Returns where the checkout stands, and path -> blob of what edits there are made from besides HEAD."""
    stands = {"root": str(run.repo.root), "head": head}
    last = run.state.checkout or {}
    return stands, last["blobs"] if stands.items() <= last.items() else {}


def _rewind(
    run: Run, edits: tuple[Edit, ...], stands: dict[str, str], base: dict[str, str]
) -> list[str]:
    """Gives tried files the incumbent's content; the edits live on under the candidate's ref.

    A file that was edited on while its trial ran stays as it is. Returns the paths of those.
    """
    tree, checkout = run.repo.tree(run.incumbent.commit), Checkout(run.repo)
    now = {edit.path: edit for edit in checkout.edits(stands["head"], run.rules.names)}
    tried = [edit.path for edit in edits if now.get(edit.path) == edit]
    left = [edit.path for edit in edits if edit.path not in tried]
    checkout.restore(tried, run.incumbent.commit)
    blobs = {path: tree[path][1] for path in tried if path in tree}
    blobs |= {path: base[path] for path in left if path in base}
    run.note("rewound", checkout={**stands, "blobs": blobs})
    return left


def _give_way(run: Run, edits: tuple[Edit, ...], head: str) -> str:
    """Takes refused edits out of the checkout, and says under which ref they live on.

    Mutable files become the incumbent's, others those of HEAD. Untracked files outside of `mutable`
    stay where they are: they may be anything of a person's.
    """
    repo, tree = run.repo, run.repo.tree(head)
    strays = _strays(run, edits, tree)
    wanted = {e.path for e in edits} - set(strays)
    whole = tuple(
        each
        for each in Checkout(repo).edits(head, lambda path: path in wanted)
        if each.path in wanted and (each.content is None or each.mode in _FILE_MODES)
    )
    told = f"untracked, and left there: {listed(strays, _SHOWN)}" if strays else ""
    if not whole:
        return told
    at = run.now()
    made, _ = repo.commit(head, whole, "refused edits of a try\n", at, run.slots[0].paths.index)
    ref = f"{REFS}{run.tag}/refused-{made[:7]}"
    repo.set_ref(ref, made, repo.resolve(ref))
    tip = run.state.incumbent.commit if run.state.incumbent else repo.resolve(run.ref) or head
    ours = [edit.path for edit in whole if run.rules.names(edit.path)]
    checkout = Checkout(repo)
    checkout.restore(ours, tip)
    checkout.restore([edit.path for edit in whole if edit.path not in ours], head)
    _note_base(run, ours, head, repo.tree(tip))
    made_way = f"with --rewind they made way, and live on under {ref}"
    return "; ".join(part for part in (made_way, told) if part)


def _note_base(run: Run, paths: Iterable[str], head: str, tree: Tree) -> None:
    """Journals from which content the next edits of these paths are made."""
    stands, base = _begun_from(run, head)
    blobs = base | {path: tree[path][1] for path in paths if path in tree}
    run.note("rewound", checkout={**stands, "blobs": blobs})


def _strays(run: Run, edits: tuple[Edit, ...], tree: Tree) -> list[str]:
    """Returns the paths of untracked files outside of `mutable`."""
    return [e.path for e in edits if e.path not in tree and not run.rules.names(e.path)]
