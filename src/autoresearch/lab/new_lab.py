"""What makes a lab out of an empty folder: the template's files, a repository, its first commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

from autoresearch.fit.device import find
from autoresearch.fit.fitting import Fitting
from autoresearch.fit.rewrite import with_profile
from autoresearch.lab.lab import STARTER
from autoresearch.paths import CHARTER, CONFIG
from autoresearch.workspace.git import GitError, git, text
from autoresearch.workspace.repository import Repository

_TEMPLATE = {"train.py": "train.py", CHARTER: CHARTER, CONFIG: CONFIG, ".gitignore": "gitignore"}
_CHARTER = "# What this lab is after\n\nSay here what a researcher should know.\n"
Say = Callable[[str], None]


def template_files(
    template: str | None, profile: str | None, sets: Sequence[str]
) -> tuple[dict[str, bytes], list[str]]:
    """Returns the files of a new lab, and what there is to say of the profile in them."""
    if template == "none":
        return {CONFIG: STARTER.encode(), CHARTER: _CHARTER.encode()}, []
    folder = resources.files("autoresearch") / "template"
    files = {name: (folder / source).read_bytes() for name, source in _TEMPLATE.items()}
    fit = Fitting.of(find(), profile, sets)
    files["train.py"], files[CONFIG] = with_profile(files["train.py"], files[CONFIG], fit.profile)
    return files, list(fit.lines())


def may_become_lab(folder: Path) -> bool:
    """Says whether a folder holds no names but those of a lab's files, and no commit."""
    names = {entry.name for entry in folder.iterdir()}
    if not names <= {".git", *_TEMPLATE}:
        return False
    if ".git" in names and _has_commits(folder / ".git"):
        return False
    return not _inside_git_folder(folder)


def holds_nothing_but(folder: Path, files: dict[str, bytes]) -> bool:
    """Says whether a folder is empty, or holds what a killed call left of these files."""
    entries = [entry for entry in folder.iterdir() if entry.name != ".git"]
    return all(_left_over(entry, files.get(entry.name)) for entry in entries)


def _left_over(entry: Path, content: bytes | None) -> bool:
    """Says whether a file is the template's, whole or cut off."""
    if content is None or entry.is_symlink() or not entry.is_file():
        return False
    return content.startswith(entry.read_bytes())


def _has_commits(git_folder: Path) -> bool:
    """Says whether a .git has a commit checked out; one that was cut off in the making has none."""
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


def in_repository(folder: Path) -> bool:
    """Says whether a folder lies in a git repository, be it a broken one."""
    try:
        git(folder, "rev-parse", "--git-dir")
    except GitError as fault:
        if "not a git repository" in fault.output:
            return False
    return True


def make_lab(folder: Path, files: dict[str, bytes], say: Say) -> None:
    """Makes a repository in a folder, with these files as its first commit."""
    if not (folder / ".git").exists() and in_repository(folder):
        outer = Repository.discover(folder)
        say(f"inside the repository {outer.root}: the lab gets a repository of its own")
    git(folder, "init", "-q", "--template=")  # where there is one, it mends what is missing
    repo = Repository.discover(folder)
    ensure_identity(repo, say)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    git(folder, "add", "--", *files)
    git(folder, "commit", "-q", "-m", "A lab, from the template of autoresearch")
    say(f"made a lab in {folder}: {', '.join(files)}")


def ensure_identity(repo: Repository, say: Say) -> None:
    """Sees that git knows who commits, by a name for this repository alone where it knows nobody."""
    if repo.has_identity():
        return
    git(repo.root, "config", "user.name", "autoresearch")
    git(repo.root, "config", "user.email", "autoresearch@localhost")
    say(
        "git knows no name to commit with: set autoresearch <autoresearch@localhost> for this "
        "repository (git config user.name and user.email change it)"
    )
