"""What makes a lab out of a repository without a configuration: one that fits, committed, and said."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pathspec import GitIgnoreSpec

from autoresearch.errors import LabError, UsageError
from autoresearch.lab.projects import (
    KNOWN,
    Found,
    Metric,
    Project,
    Sources,
    direction_of,
    found_in,
    recognise,
)
from autoresearch.lab.projects.folders import data_in_home, told_of
from autoresearch.lab.projects.python import about_python
from autoresearch.paths import CONFIG, write_durably
from autoresearch.rules.guard import never
from autoresearch.runners.environment import is_python
from autoresearch.text import listed
from autoresearch.workspace.git import GitError, git
from autoresearch.workspace.objects import Tree
from autoresearch.workspace.repository import Repository

_MESSAGE = "The configuration of autoresearch"
_SHOWN = 6
_SCRIPTS = ("train.py", "main.py", "run.py", "bench.py", "evaluate.py")


@dataclass(frozen=True)
class Flags:
    """What `init` was told of the task: the command as it was typed, patterns, the metric's name."""

    command: str | None = None
    mutable: tuple[str, ...] = ()
    metric: str | None = None
    maximize: bool = False

    def __bool__(self) -> bool:
        return bool(self.command is not None or self.mutable or self.metric or self.maximize)

    @property
    def words(self) -> tuple[str, ...]:
        """The command's words, split as a shell splits them; UsageError where it could not."""
        try:
            words = tuple(shlex.split(self.command or ""))
        except ValueError as fault:
            raise UsageError(f"--command {self.command!r}: {fault}".rstrip(".")) from None
        if self.command is not None and not words:
            raise UsageError("--command needs a program and its arguments, as in 'python train.py'")
        return words


def project_of(repo: Repository, tree: Tree, flags: Flags) -> Project:
    """Returns what the repository holds, by its layout and the flags.

    Raises LabError with the flags that would do where that is not enough, or where a pattern of the
    flags names no file.
    """
    inside = tuple(
        path for path in tree if not path.startswith("../") and tree[path][0] != "160000"
    )
    sources = Sources(repo.root, inside, lambda path: repo.blobs([tree[path][1]])[tree[path][1]])
    known = recognise(sources)
    project = _with_flags(known, flags, sources)
    if project is None:
        raise LabError(_unknown(flags, sources))
    if project.metric is None:
        raise LabError(_no_metric(project))
    for pattern in flags.mutable:
        refuse_unmatched(repo, tree, pattern)
    return project


def _with_flags(known: Project | None, flags: Flags, sources: Sources) -> Project | None:
    """Returns the project that flags describe, alone or over a known one; None where they don't suffice."""
    words = flags.words
    if known is None:
        if not (words and flags.mutable and flags.metric):
            return None
        known = _unknown_project(words, flags, sources)
    elif words:
        known = replace(known, command=words)
    if flags.mutable:
        known = replace(known, mutable=flags.mutable)
    if flags.metric:
        direction = "maximize" if flags.maximize else "minimize"
        known = replace(known, found=Found(Metric(flags.metric, direction)))  # type: ignore[arg-type]
    elif flags.maximize and known.metric is not None:
        known = replace(known, found=Found(replace(known.metric, direction="maximize")))
    return known


def _unknown_project(words: tuple[str, ...], flags: Flags, sources: Sources) -> Project:
    scripts = [word for word in words if sources.has(word)]
    home = data_in_home(sources, [word for word in scripts if word.endswith(".py")])
    node = words[0] in ("node", "npm", "npx", "pnpm", "yarn", "bun", "deno")
    frozen = [word for word in scripts if word not in flags.mutable]
    return Project(
        kind="",
        shape="",
        command=words,
        mutable=flags.mutable,
        found=Found(None),
        frozen=tuple(frozen),
        inputs=("node_modules",) if node and (sources.root / "node_modules").is_dir() else (),
        caches=("target",) if words[0] == "cargo" else (),
        env=told_of(home),
        readable=home,
        note=about_python(sources) if is_python(words[0]) else "",
    )


def refuse_unmatched(repo: Repository, tree: Tree, pattern: str) -> None:
    """Raises LabError where a pattern of `mutable` names no file of a commit that may be changed."""
    if matches(tree, pattern):
        return
    path = pattern.partition("::")[0]
    there = "" if "*" in path or not (repo.root / path).exists() else (
        " (it is there, and git doesn't track it: git add and commit it first)"
    )  # fmt: skip
    reason = f": that is {why}" if path in tree and (why := never(path)) else ""
    raise LabError(
        f"mutable: {pattern} matches no file{reason}{there}; git ls-files shows them all"
    )


def matches(tree: Tree, pattern: str) -> bool:
    """Says whether a pattern of `mutable` names a file that may be changed; an exception needs none."""
    path, separator, _ = pattern.partition("::")
    if separator:
        return path in tree and never(path) is None
    if pattern.startswith("!"):
        return True
    spec = GitIgnoreSpec.from_lines([pattern])
    return any(spec.match_file(each) and never(each) is None for each in tree)


def _unknown(flags: Flags, sources: Sources) -> str:
    """Returns the sentence for a layout that is not known, with the flags that would do."""
    script = next((name for name in _SCRIPTS if sources.has(name)), None)
    guess = found_in(sources.texts([script] if script else []))
    metric = flags.metric or (guess.metric.name if guess.metric else (guess.names or ("NAME",))[0])
    maximize = flags.maximize or (guess.metric is not None and guess.metric.direction == "maximize")
    command = flags.command or (f"python {script}" if script else "PROGRAM ARGUMENTS")
    mutable = flags.mutable or ((script,) if script else ("PATTERN",))
    words = ["autoresearch", "init", "--command", command]
    for pattern in mutable:
        words += ["--mutable", pattern]
    words += ["--metric", metric, *(["--maximize"] if maximize else [])]
    missing = [
        name
        for name, given in (
            ("--command", flags.command), ("--mutable", flags.mutable), ("--metric", flags.metric)
        )
        if not given
    ]  # fmt: skip
    return (
        f"{sources.root} has no {CONFIG}, and its layout is none that is known ({KNOWN}): "
        f"{', '.join(missing)} would say what a trial is, as in: {shlex.join(words)}"
        f"{'' if maximize else ' [--maximize]'}; or autoresearch init --template none writes a start "
        "to edit and commit"
    )


def _no_metric(project: Project) -> str:
    names = project.found.names
    what = (
        f"it prints {', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''}, and which of "
        "these counts is not plain"
        if names
        else 'no source prints a line such as "score: 0.93"'
    )
    name = names[0] if len(names) == 1 else "NAME"
    return (
        f"recognised {project.kind} ({project.shape}), but not its metric: {what}. Say it: autoresearch "
        f"init --metric {name} [--maximize]"
    )


def commit_configuration(repo: Repository, content: bytes) -> None:
    """Writes a configuration and commits it alone, as `git commit` would, hooks and all.

    Raises LabError, with everything as it was, where that is refused.
    """
    file = repo.root / CONFIG
    write_durably(file, content)
    literal = {"GIT_LITERAL_PATHSPECS": "1"}
    try:
        git(repo.root, "add", "--force", "--", CONFIG, env=literal)
        message = ("-q", "-m", _MESSAGE)
        git(repo.root, "commit", *message, "--only", "--", CONFIG, env=literal, hooks=True)
    except BaseException as fault:
        git(repo.root, "rm", "-q", "--cached", "--ignore-unmatch", "--", CONFIG, env=literal)
        file.unlink(missing_ok=True)
        if isinstance(fault, GitError):
            said = " ".join(fault.output.split())[:500] or "a hook refused it without a word"
            raise LabError(
                f"{CONFIG} could not be committed, and nothing was changed: {said}. Mend that, and call "
                "autoresearch init again"
            ) from None
        raise


def told(project: Project, said: Callable[[str], None]) -> None:
    """Says in four lines what was recognised, and why."""
    assert project.metric is not None
    because = f" ({project.timeout_why})" if project.timeout_why else ""
    note = f"; {project.note}" if project.note else ""
    better = "lower" if project.metric.direction == "minimize" else "higher"
    why = f" ({project.metric.why})" if project.metric.why else ""
    memory = f"; memory: {project.memory}" if project.memory else ""
    opposite = direction_of(project.metric.name) not in (None, project.metric.direction)
    doubt = f"; is {'higher' if better == 'lower' else 'lower'} not better?" if opposite else ""
    more = [
        f"{words}: {listed(names, _SHOWN)}"
        for words, names in (
            ("read-only", project.frozen), ("data", project.readable), ("inputs", project.inputs),
            ("caches", project.caches),
        )
        if names
    ]  # fmt: skip
    said(f"recognised: {project.kind} ({project.shape})" if project.kind else "a task by its flags")
    said(f"task: {shlex.join(project.command)}, killed at {project.timeout_s:g} s{because}{note}")
    said(f"metric: {project.metric.name}, {better} is better{why}{doubt}{memory}")
    said("; ".join([f"mutable: {listed(project.mutable, _SHOWN)}", *more]))


def is_new(repo: Repository, base: str | None) -> bool:
    """Says whether a repository has commits and no configuration, neither there nor in the checkout."""
    if base is None or (repo.root / CONFIG).exists():
        return False
    return CONFIG not in repo.tree(base)


def folder_of(repo: Repository, folder: Path) -> Repository:
    """Returns the repository seen from the folder that a new lab is made in: where the person stands."""
    place = repo.path_of(folder)
    return repo.seen_from("" if place == Path() else place.as_posix())
