"""How git is called: by plumbing, without anybody's hooks, filters, monitors, signing or pager.

GitPython's runner starts every command. It gets an environment without GIT_* variables, and settings
that win over the repository's: no hooks, no fsmonitor, no replaced objects, everything fsynced before
a command returns. It runs in a session of its own, so that Ctrl-C in the terminal does not reach it
half way.

GitPython is imported by the first command, for it starts git as it is imported. Its objects (`Commit`,
`Tree`, `Blob`) are not used: behind them stands a `git cat-file` that lives on in the terminal's own
session, they know SHA-1 alone, and a git that was killed looks like an object that is missing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from autoresearch.errors import InfrastructureError, LabError

if TYPE_CHECKING:
    from git import Repo

# What a user may have set for git on purpose: who commits, and where the settings are.
_KEPT = (
    "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL",
    "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES",
)  # fmt: skip

_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.fsync": "all",
    "core.quotePath": "false",
    "core.untrackedCache": "false",
    "commit.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
    "core.safecrlf": "false",
    "color.ui": "false",
}
# What git says where the disk fails it; of some failed writes it does not tell the cause.
_MACHINE_FAULTS = (
    "no space left", "disk quota", "input/output error", "couldn't write", "unable to write",
    "unable to create directory", "couldn't set",
)  # fmt: skip
# The hooks' path stands first: it alone is left out where the user's hooks are to run.
_OPTIONS = [option for key, value in _SETTINGS.items() for option in ("-c", f"{key}={value}")]


class GitError(LabError):
    """A git command failed. `output` is what it said."""

    def __init__(self, command: str, code: int, output: str) -> None:
        super().__init__(f"git {command} failed ({code}): {' '.join(output.split())[:500]}")
        self.code = code
        self.output = output


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the environment of a git command: the user's, of GIT_* only what is meant; in English."""
    env = {name: value for name, value in os.environ.items() if not _dropped(name)}
    env.update(
        GIT_NO_REPLACE_OBJECTS="1",
        GIT_TERMINAL_PROMPT="0",
        GIT_OPTIONAL_LOCKS="0",
        LC_ALL="C.UTF-8",
    )
    if extra:
        env.update(extra)
    return env


def _dropped(name: str) -> bool:
    return name.startswith("GIT_") and name not in _KEPT


@contextlib.contextmanager
def _without_dropped() -> Iterator[None]:
    """Takes what git is not to see out of our own environment, which GitPython reads and passes on."""
    aside = {name: os.environ.pop(name) for name in list(os.environ) if _dropped(name)}
    try:
        if "git" not in sys.modules:
            # Else the import itself fails where there is no git; `git` says that better.
            os.environ["GIT_PYTHON_REFRESH"] = "quiet"
            import git  # noqa: F401

            del os.environ["GIT_PYTHON_REFRESH"]
        yield
    finally:
        os.environ.update(aside)


def open_repo(root: Path) -> Repo | None:
    """Returns GitPython's view of the repository with its checkout at `root`, None where it finds none.

    The view holds no handle and no process as long as nobody asks it for an object.
    """
    with _without_dropped():
        from git import Repo
        from git.exc import GitError as NoRepository

        try:
            return Repo(root, expand_vars=False)  # a `$` in a folder's name is a `$`
        except NoRepository:
            return None


def git(
    folder: Path,
    *arguments: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    ok: tuple[int, ...] = (0,),
    hooks: bool = False,
    timeout_s: float | None = None,
) -> bytes:
    """Runs one git command in a folder, with the user's own hooks where `hooks` says so.

    It is killed after `timeout_s`. Returns its standard output. Raises GitError where the exit code
    is not in `ok`, InfrastructureError where git was killed or the disk is full, LabError where there
    is no git.
    """
    with _without_dropped():
        from git import Git
        from git.exc import GitCommandNotFound

        # The folder by -C: where GitPython can't enter it, it would stay in ours without a word.
        command = ["git", "-C", str(folder), *(_OPTIONS[2:] if hooks else _OPTIONS), *arguments]
        try:
            with _file_of(stdin) as file:
                code, output, said = Git().execute(
                    command,
                    istream=file,
                    env=environment({"PWD": str(folder), **(env or {})}),  # hooks may go by it
                    with_extended_output=True,
                    with_exceptions=False,
                    stdout_as_string=False,
                    strip_newline_in_stdout=False,
                    kill_after_timeout=timeout_s,
                    start_new_session=True,
                )
        except GitCommandNotFound:
            raise LabError("git was not found; install git 2.36 or newer") from None
    said = said.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()
    broken = any(words in said.lower() for words in _MACHINE_FAULTS)  # also where git only warns
    if code in ok and not broken:
        return output
    if code < 0 or broken:
        how = f"killed by signal {-code}" if code < 0 else said
        raise InfrastructureError(
            f"git {arguments[0]}: {' '.join(how.split())[:300]}. Nothing recorded is lost; "
            "mend the machine and call autoresearch run again"
        )
    if not folder.is_dir():
        raise LabError(f"{folder} does not exist")
    raise GitError(arguments[0], code, said)


@contextlib.contextmanager
def _file_of(content: bytes) -> Iterator[BinaryIO | None]:
    """Opens bytes as a file in memory: GitPython hands a command a file, and no bytes."""
    if not content:
        yield None
        return
    with _in_memory() as file:
        file.write(content)
        file.seek(0)
        yield file


def _in_memory() -> BinaryIO:
    """Opens an empty file in memory; where the system has none, one that has no name."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("stdin"), "w+b")
    return cast(BinaryIO, tempfile.TemporaryFile())


def text(folder: Path, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
    """Runs one git command; returns its output as text without the final newline."""
    return git(folder, *arguments, ok=ok).decode("utf-8", "surrogateescape").rstrip("\n")


def entries(output: bytes) -> list[str]:
    """Returns the NUL-separated names in an output of -z."""
    return [os.fsdecode(name) for name in output.split(b"\0") if name]
