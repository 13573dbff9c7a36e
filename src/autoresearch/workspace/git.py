"""How git is called: by plumbing, without anybody's hooks, filters, monitors, signing or pager.

Every command gets an environment without GIT_* variables, and settings that win over the
repository's: no hooks, no fsmonitor, no replaced objects, everything fsynced before a command
returns. It runs in a session of its own, so that Ctrl-C in the terminal does not reach it half way.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from autoresearch.errors import InfrastructureError, LabError

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
    """The environment of a git command: the user's, of GIT_* only what is meant; English messages."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _KEPT}
    env.update(
        GIT_NO_REPLACE_OBJECTS="1",
        GIT_TERMINAL_PROMPT="0",
        GIT_OPTIONAL_LOCKS="0",
        LC_ALL="C.UTF-8",
    )
    if extra:
        env.update(extra)
    return env


def git(
    folder: Path,
    *arguments: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    ok: tuple[int, ...] = (0,),
    hooks: bool = False,
) -> bytes:
    """Run one git command in a folder; its standard output. hooks: with the user's own.

    Raises GitError where the exit code is not in `ok`, InfrastructureError where git was killed or
    the disk is full, LabError where there is no git.
    """
    try:
        done = subprocess.run(
            ["git", *(_OPTIONS[2:] if hooks else _OPTIONS), *arguments],
            cwd=folder,
            input=stdin,
            capture_output=True,
            env=environment(env),
            start_new_session=True,
        )
    except FileNotFoundError:
        if not folder.is_dir():
            raise LabError(f"{folder} does not exist") from None
        raise LabError("git was not found; install git 2.36 or newer") from None
    output = done.stderr.decode("utf-8", "replace").strip()
    broken = any(words in output.lower() for words in _MACHINE_FAULTS)  # also where git only warns
    if done.returncode in ok and not broken:
        return done.stdout
    if done.returncode < 0 or broken:
        how = f"killed by signal {-done.returncode}" if done.returncode < 0 else output
        raise InfrastructureError(
            f"git {arguments[0]}: {' '.join(how.split())[:300]}. Nothing recorded is lost; "
            "mend the machine and call autoresearch run again"
        )
    raise GitError(arguments[0], done.returncode, output)


def text(folder: Path, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
    """Run one git command; its output as text without the final newline."""
    return git(folder, *arguments, ok=ok).decode("utf-8", "surrogateescape").rstrip("\n")


def entries(output: bytes) -> list[str]:
    """The NUL-separated names in an output of -z."""
    return [os.fsdecode(name) for name in output.split(b"\0") if name]
