"""What makes a run out of a lab: a branch from a commit, a journal, an empty results file."""

from __future__ import annotations

import time
from dataclasses import dataclass

from autoresearch import __version__, config
from autoresearch.config import Config
from autoresearch.errors import LabError, UsageError
from autoresearch.lab.lab import Lab, no_config
from autoresearch.lab.new_config import commit_configuration, matches
from autoresearch.lab.new_lab import Say, ensure_identity
from autoresearch.lab.worktree_check import check_worktree
from autoresearch.ledger import history
from autoresearch.ledger.files import Files, exclude
from autoresearch.ledger.journal import Journal
from autoresearch.ledger.state import FORMAT, State
from autoresearch.paths import BRANCH, CONFIG, branch_ref
from autoresearch.rules.guard import Mutable, unknown_symbols
from autoresearch.workspace.checkout import Checkout
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.repository import Repository

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def today() -> str:
    """Returns today as a tag: apr19, mar5."""
    now = time.localtime()
    return f"{_MONTHS[now.tm_mon - 1]}{now.tm_mday}"


@dataclass(frozen=True)
class NewRun:
    """A run that was just made: its tag, the commit that it starts from, its settings and rules."""

    tag: str
    base: str
    settings: Config
    rules: Mutable


def make_run(
    lab: Lab,
    tag: str | None,
    task: str | None,
    rev: str | None,
    say: Say,
    written: bytes | None = None,
    just_made: bool = False,
) -> NewRun:
    """Makes the branch, the journal and the results file of a run from a revision, HEAD unless named.

    written: a configuration for a repository that has none, committed once all else is as it must be;
    just_made: whether the lab was empty a moment ago, and may lack the files that it is about.
    Raises LabError where the checkout or the revision is not as a run needs it, UsageError for a
    tag that makes no branch.
    """
    repo = lab.repo
    base = repo.resolve(rev or "HEAD")
    if base is None:
        if rev is not None:
            raise LabError(
                f"--from {rev}: there is no such commit; git log --oneline --all shows them"
            )
        raise LabError(
            f"{repo.root} has no commit yet; git add and commit what the run starts from"
        )
    settings = (
        _settings(lab, base, task, rev) if written is None else config.parse(written, CONFIG, task)
    )
    tag = valid_tag(repo, tag)
    rules = Mutable.of(settings.task.mutable, settings.task.protected)
    _refuse_unknown_symbols(repo, rules, base)
    if not just_made:
        _refuse_unmatched(repo.tree(base), settings.task.mutable)
    check_worktree(repo, repo.tree(base), settings.task, rules, say)
    _refuse_edits(repo, rules)
    ensure_identity(repo, say)
    _refuse_taken(lab, tag)
    if written is not None:
        commit_configuration(repo, written)
        committed = repo.resolve("HEAD")
        assert committed is not None
        base, settings = committed, _settings(lab, committed, task, None)
        say(f"committed {CONFIG} as {base[:7]}; it is yours to edit and commit")
    with lab.locked(tag):
        journal = Journal(lab.paths(tag).journal)
        state = State.of(journal.records)
        if not state.tag:
            state.add(
                journal.append(
                    "run", tag=tag, base=base, task=settings.task_name, folder=repo.folder,
                    at=time.time(), format=FORMAT, version=__version__,
                )
            )  # fmt: skip
        repo.set_ref(branch_ref(tag), base)
        exclude(repo.exclude_file, repo.folder)
        files = Files(
            lab.paths(tag), repo.root, settings.results_name, settings.task.metric.name,
            Checkout(repo).tracks,
        )  # fmt: skip
        earlier = history.found_in(files.earlier_results())
        if earlier.rows:
            history.write(lab.paths(tag).history, earlier)
        for notice in (*earlier.notices, *files.write_tables(state)):
            say(notice)
        journal.close()
    lab.remember(tag)
    return NewRun(tag, base, settings, rules)


def _settings(lab: Lab, base: str, task: str | None, rev: str | None) -> Config:
    """Returns the configuration at the run's base. Uncommitted, missing and broken ones are told apart."""
    tree = lab.repo.tree(base)
    if CONFIG not in tree:
        if rev is not None:
            raise LabError(f"--from {rev}: that commit has no {CONFIG}; start from one that has")
        if (lab.repo.root / CONFIG).exists():
            raise LabError(
                f"{CONFIG} is not committed: git add {CONFIG} && git commit, then autoresearch init"
            )
        raise LabError(no_config(lab.repo.root))
    blob = tree[CONFIG][1]
    return config.parse(lab.repo.blobs([blob])[blob], CONFIG, task)


def valid_tag(repo: Repository, tag: str | None) -> str:
    """Returns the tag, today's for None; raises UsageError where it makes no branch."""
    tag = today() if tag is None else tag
    if not repo.valid_branch(tag):
        raise UsageError(
            f"{tag!r} is no name for a branch: one word of letters, digits, - and _, such as {today()}"
        )
    return tag


def _refuse_unknown_symbols(repo: Repository, rules: Mutable, base: str) -> None:
    """Raises LabError for a mistyped symbol, which would protect nothing or forbid everything all night."""
    tree = repo.tree(base)

    def content(path: str) -> bytes | None:
        return repo.blobs([tree[path][1]])[tree[path][1]] if path in tree else None

    unknown = unknown_symbols(rules, content)
    if unknown:
        raise LabError(f"{CONFIG}: mutable or protected: {'; '.join(unknown)}; mend it and commit")


def _refuse_unmatched(tree: Tree, mutable: list[str]) -> None:
    """Raises LabError where no pattern names a file: candidates could only make new ones."""
    if not any(matches(tree, pattern) for pattern in mutable if not pattern.startswith("!")):
        raise LabError(
            f"{CONFIG}: mutable: {', '.join(mutable)}: no file has such a path; git ls-files shows them "
            "all. Mend it and commit"
        )


def _refuse_edits(repo: Repository, rules: Mutable) -> None:
    head = repo.resolve("HEAD")
    assert head is not None
    dirty = [
        edit.path
        for edit in Checkout(repo).edits(head, lambda path: path == CONFIG or rules.names(path))
        if edit.path == CONFIG or rules.names(edit.path)
    ]
    if dirty:
        raise LabError(
            f"uncommitted edits of {', '.join(dirty[:5])}: a run starts from a commit; git commit "
            "them, or git stash them, and call autoresearch init again"
        )


def _refuse_taken(lab: Lab, tag: str) -> None:
    ref = branch_ref(tag)
    above = BRANCH.rstrip("/")
    if lab.repo.resolve(above) is not None:
        name = above.removeprefix("refs/heads/")
        raise LabError(
            f"a branch {name} is in the way of {name}/{tag}: git can't have both. Rename it with "
            f"git branch -m {name} OTHER, and call autoresearch init again"
        )
    started = lab.paths(tag).journal.exists() and lab.state(tag).experiments
    if lab.repo.resolve(ref) is not None or started:
        raise LabError(
            f"the run {tag} exists already (branch autoresearch/{tag}); go on with it: autoresearch "
            f"run --tag {tag}; or choose another tag: autoresearch init TAG"
        )
