"""`init`: a lab out of an empty folder, and a run out of a lab."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from autoresearch import __version__, config
from autoresearch.config import Config
from autoresearch.errors import LabError, UsageError
from autoresearch.fit.device import find
from autoresearch.fit.fitting import Fitting
from autoresearch.fit.rewrite import with_profile
from autoresearch.lab.lab import STARTER, Lab, no_config
from autoresearch.ledger.files import Files, exclude
from autoresearch.ledger.journal import Journal
from autoresearch.ledger.state import FORMAT, State
from autoresearch.paths import BRANCH, CHARTER, CONFIG, branch_ref
from autoresearch.rules.guard import Mutable, unknown_symbols
from autoresearch.workspace.checkout import Checkout
from autoresearch.workspace.git import GitError, git, text
from autoresearch.workspace.repository import Repository

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_TEMPLATE = {"train.py": "train.py", CHARTER: CHARTER, CONFIG: CONFIG, ".gitignore": "gitignore"}
_CHARTER = "# What this lab is after\n\nSay here what a researcher should know.\n"
Say = Callable[[str], None]


def today() -> str:
    """Today as a tag: apr19, mar5."""
    now = time.localtime()
    return f"{_MONTHS[now.tm_mon - 1]}{now.tm_mday}"


def init(
    folder: Path,
    tag: str | None,
    task: str | None,
    rev: str | None,
    template: str | None,
    profile: str | None,
    sets: Sequence[str],
    say: Say,
) -> None:
    """Make a lab where the folder is empty, then a run; `say` gets the few lines that are told.

    profile, sets: of the template; None and nothing for what suits the device that is found.
    """
    if template not in (None, "gpt", "none"):
        raise UsageError(f"--template {template}: there are gpt and none")
    files, lines = _files(template, profile, sets) if _may_be_empty(folder) else ({}, [])
    empty = bool(files) and _nothing_but(folder, files)
    if (profile is not None or sets) and (template == "none" or not empty):
        raise UsageError(
            "--profile and --set are for the template in an empty folder; in a lab: autoresearch "
            "doctor --fit"
        )
    if empty:
        if rev is not None:
            raise UsageError(f"--from {rev}: an empty folder has no revisions; leave it out")
        _tag(Repository(folder, folder), tag)  # a wrong name, of a run or a task, makes no lab
        config.parse(files[CONFIG], CONFIG, task)
        _make_lab(folder, files, say)
        for line in lines:
            say(line)
    elif not _in_repository(folder):
        raise LabError(
            f"{folder} is not empty, and in no git repository. Make a lab in an empty folder, or, to "
            f"make this one a lab: git init, write {CONFIG}, git add and commit, then autoresearch init"
        )
    lab = Lab(Repository.discover(folder))
    root = lab.repo.root
    if template == "none" and not (root / CONFIG).exists():
        (root / CONFIG).write_text(STARTER)
        say(
            f"wrote {root / CONFIG}, a start: edit it, then git add {CONFIG} && git commit, and "
            "autoresearch init"
        )
        return
    _make_run(lab, tag, task, rev, say)


# -- a lab ------------------------------------------------------------------------------------


def _files(
    template: str | None, profile: str | None, sets: Sequence[str]
) -> tuple[dict[str, bytes], list[str]]:
    """The files of a new lab, and what there is to say of the profile in them."""
    if template == "none":
        return {CONFIG: STARTER.encode(), CHARTER: _CHARTER.encode()}, []
    folder = resources.files("autoresearch") / "template"
    files = {name: (folder / source).read_bytes() for name, source in _TEMPLATE.items()}
    fit = Fitting.of(find(), profile, sets)
    files["train.py"], files[CONFIG] = with_profile(files["train.py"], files[CONFIG], fit.profile)
    return files, list(fit.lines())


def _may_be_empty(folder: Path) -> bool:
    """Whether a folder holds no names but those of a lab's files; nobody is asked for the device else."""
    names = {entry.name for entry in folder.iterdir()}
    if not names <= {".git", *_TEMPLATE}:
        return False
    if ".git" in names and _has_commits(folder / ".git"):
        return False
    return not _inside_git_folder(folder)


def _nothing_but(folder: Path, files: dict[str, bytes]) -> bool:
    """Whether a folder is empty, or holds what an earlier call that was killed left of these files."""
    entries = [entry for entry in folder.iterdir() if entry.name != ".git"]
    return all(_left_over(entry, files.get(entry.name)) for entry in entries)


def _left_over(entry: Path, content: bytes | None) -> bool:
    """Whether a file is the template's, whole or cut off."""
    if content is None or entry.is_symlink() or not entry.is_file():
        return False
    return content.startswith(entry.read_bytes())


def _has_commits(git_folder: Path) -> bool:
    """Whether a .git has a commit checked out; one that was cut off in the making has none."""
    try:
        git(git_folder.parent, f"--git-dir={git_folder}", "rev-parse", "--verify", "HEAD^{commit}")
    except GitError:
        return False
    return True


def _inside_git_folder(folder: Path) -> bool:
    try:
        return text(folder, "rev-parse", "--is-inside-git-dir") == "true"
    except GitError:
        return False


def _in_repository(folder: Path) -> bool:
    try:
        git(folder, "rev-parse", "--git-dir")
    except GitError as fault:
        if "not a git repository" in fault.output:
            return False
    return True


def _make_lab(folder: Path, files: dict[str, bytes], say: Say) -> None:
    if not (folder / ".git").exists() and _in_repository(folder):
        outer = Repository.discover(folder)
        say(f"inside the repository {outer.root}: the lab gets a repository of its own")
    git(folder, "init", "-q", "--template=")  # where there is one, it mends what is missing
    repo = Repository.discover(folder)
    _identity(repo, say)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    git(folder, "add", "--", *files)
    git(folder, "commit", "-q", "-m", "A lab, from the template of autoresearch")
    say(f"made a lab in {folder}: {', '.join(files)}")


def _identity(repo: Repository, say: Say) -> None:
    if repo.has_identity():
        return
    git(repo.root, "config", "user.name", "autoresearch")
    git(repo.root, "config", "user.email", "autoresearch@localhost")
    say(
        "git knows no name to commit with: set autoresearch <autoresearch@localhost> for this "
        "repository (git config user.name and user.email change it)"
    )


# -- a run ------------------------------------------------------------------------------------


def _make_run(lab: Lab, tag: str | None, task: str | None, rev: str | None, say: Say) -> None:
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
    settings = _settings(lab, base, task, rev)
    tag = _tag(repo, tag)
    rules = Mutable.of(settings.task.mutable, settings.task.protected)
    _refuse_unknown_symbols(repo, rules, base)
    _refuse_edits(repo, rules)
    _identity(repo, say)
    _refuse_taken(lab, tag)
    with lab.locked(tag):
        journal = Journal(lab.paths(tag).journal)
        state = State.of(journal.records)
        if not state.tag:
            state.add(
                journal.append(
                    "run", tag=tag, base=base, task=settings.task_name, at=time.time(),
                    format=FORMAT, version=__version__,
                )
            )  # fmt: skip
        repo.set_ref(branch_ref(tag), base)
        exclude(repo.exclude_file)
        files = Files(lab.paths(tag), repo.root, settings.results_name, settings.task.metric.name)
        for notice in files.write_tables(state):
            say(notice)
        journal.close()
    lab.remember(tag)
    _tell(lab, tag, base, settings, rules, say)


def _settings(lab: Lab, base: str, task: str | None, rev: str | None) -> Config:
    """The configuration at the run's base; uncommitted, missing and broken ones are told apart."""
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


def _tag(repo: Repository, tag: str | None) -> str:
    tag = today() if tag is None else tag
    if not repo.valid_branch(tag):
        raise UsageError(
            f"{tag!r} is no name for a branch: one word of letters, digits, - and _, such as {today()}"
        )
    return tag


def _refuse_unknown_symbols(repo: Repository, rules: Mutable, base: str) -> None:
    """A mistyped symbol would protect nothing, or forbid everything, all night long."""
    tree = repo.tree(base)

    def content(path: str) -> bytes | None:
        return repo.blobs([tree[path][1]])[tree[path][1]] if path in tree else None

    unknown = unknown_symbols(rules, content)
    if unknown:
        raise LabError(f"{CONFIG}: mutable or protected: {'; '.join(unknown)}; mend it and commit")


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


def _tell(lab: Lab, tag: str, base: str, settings: Config, rules: Mutable, say: Say) -> None:
    """A few lines: what was found, and what comes next."""
    repo, task = lab.repo, settings.task
    here = (repo.head_branch() or f"detached at {base[:7]}").removeprefix("refs/heads/")
    better = "lower" if task.metric.direction == "minimize" else "higher"
    mutable = [path for path in repo.tree(base) if rules.names(path)]
    say(f"run {tag}: branch autoresearch/{tag} at {base[:7]}; the checkout stays on {here}")
    say(f"task: {' '.join(task.command)}, killed at {task.timeout_s:g} s")
    say(f"metric: {task.metric.name}, {better} is better")
    say(
        f"mutable: {', '.join(mutable[:5]) or 'nothing that exists'}"
        + (" ..." if len(mutable) > 5 else "")
    )
    harness = any(
        b"autoresearch.harness" in blob
        for blob in repo.blobs(repo.tree(base)[p][1] for p in mutable).values()
    )
    say(
        "next: "
        + ("autoresearch prepare (data, once), then " if harness else "")
        + "autoresearch run"
        + (f" --tag {tag}" if repo.head_tag() not in (None, tag) else "")
    )
