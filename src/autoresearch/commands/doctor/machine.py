"""The machine: Python, git, memory, disk, sandbox, Slurm."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from autoresearch.commands.doctor.finding import Condition, Finding, in_one_line
from autoresearch.config import RunnerConfig
from autoresearch.errors import AutoresearchError, InfrastructureError, LabError
from autoresearch.fit.device import ram_mb
from autoresearch.harness.names import CACHE_VARIABLE
from autoresearch.paths import CONFIG, cache_dir
from autoresearch.sandbox.jail import Jail
from autoresearch.sandbox.policy import Policy, pythons, readable_of, without_effect
from autoresearch.sandbox.selftest import choose, remedy
from autoresearch.text import one_line
from autoresearch.workspace.git import GitError
from autoresearch.workspace.git import git as started
from autoresearch.workspace.lfs import INSTALL_LFS, is_pointer, kept_by_lfs, uses_lfs
from autoresearch.workspace.repository import Repository

_GIT, _GIT_S = (2, 36), 10
_DISK_GB, _RAM_GB = 2.0, 2.0
# A socket's name in bytes, less what mkdtemp and multiprocessing add to TMPDIR for a worker's.
_TMPDIR_MAX = (107 if sys.platform == "linux" else 103) - len(
    "/autoresearch-12345678/pymp-12345678/listener-12345678"
)
_AUTO = f'set runner.sandbox = "auto" in {CONFIG}'
_OTHERWISE = "run it as a user of its own, in a container or a virtual machine"


def python() -> Finding:
    return Finding("python", "ok", f"{sys.version.split()[0]} ({sys.executable})")


def git() -> Finding:
    mend = "install git 2.36 or newer"
    try:
        said = started(Path("/"), "version", timeout_s=_GIT_S).decode("utf-8", "replace")
    except GitError as fault:
        last = fault.output.splitlines()[-1:] or [f"exited with {fault.code}"]
        return Finding("git", "missing", f"git can't be run: {last[0][:200]}", mend)
    except LabError:
        return Finding("git", "missing", "git can't be run: No such file or directory", mend)
    except InfrastructureError:
        late = f"killed, or no answer within {_GIT_S} s"
        return Finding("git", "missing", f"git can't be run: {late}", mend)
    number = re.search(r"(\d+)\.(\d+)(\.\d+)*", said)
    if number is None:
        return Finding("git", "missing", f"git says no version: {said[:60]!r}", mend)
    if (int(number[1]), int(number[2])) < _GIT:
        return Finding("git", "missing", f"{number[0]} is too old (core.fsync, hook run)", mend)
    return Finding("git", "ok", number[0])


def git_lfs(repo: Repository) -> list[Finding]:
    """Returns whether git-lfs is here, where a repository's HEAD uses it."""
    try:
        head = repo.resolve("HEAD")
        tree = repo.tree(head) if head else {}
        if not uses_lfs(repo, tree):
            return []
        pointers = [path for path in kept_by_lfs(repo, tree) if is_pointer(repo.root / path)]
    except AutoresearchError as fault:
        return [Finding("git-lfs", "degraded", one_line(str(fault)))]
    if shutil.which("git-lfs") is None:
        return [Finding("git-lfs", "missing", "this repository keeps files with it", INSTALL_LFS)]
    if pointers:
        text = f"{len(pointers)} files are pointers in the checkout: {', '.join(pointers[:3])}"
        return [Finding("git-lfs", "degraded", text, "git lfs pull")]
    return [Finding("git-lfs", "ok", "this repository keeps files with it")]


def platform() -> Finding:
    system = os.uname()
    name = f"{system.sysname} {system.release} {system.machine}"
    if sys.platform.startswith("linux"):
        return Finding("platform", "ok", name)
    if sys.platform == "darwin":
        text = f"{name}: no subreaper, so a process that leaves a trial's session may outlive it"
        return Finding("platform", "degraded", text, "run on Linux for kills that are verified")
    return Finding("platform", "missing", f"{name} is not supported", "run on Linux or macOS")


def memory() -> Finding:
    total = ram_mb() / 2**10
    free, text = total, f"{total:.1f} GB of RAM"
    try:
        line = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        line = None
    if line:
        free = int(line[1]) / 2**20
        text += f", {free:.1f} GB of it available"
    if free < _RAM_GB:
        return Finding("memory", "degraded", text, "stop what else runs on this machine")
    return Finding("memory", "ok", text)


def disks(root: Path) -> list[Finding]:
    found = []
    scratch = Path(tempfile.gettempdir())
    for place, folder, variable in (
        ("lab", root, ""), ("cache", cache_dir(), CACHE_VARIABLE), ("scratch", scratch, "TMPDIR"),
    ):  # fmt: skip
        there = next((p for p in (folder, *folder.parents) if p.exists()), folder)
        mend = "free some space there" + (f", or set {variable}" if variable else "")
        try:
            free = shutil.disk_usage(there).free / 1e9
        except OSError as fault:
            found.append(
                Finding("disk", "missing", f"{place} {folder}: {in_one_line(fault)}", mend)
            )
            continue
        text = f"{free:.0f} GB free for the {place}, {folder}"
        state: Condition = "ok" if free >= _DISK_GB else "degraded"
        found.append(Finding("disk", state, text, "" if state == "ok" else mend))
    if len(os.fsencode(scratch)) > _TMPDIR_MAX:
        text = f"{scratch} is too long a name for the sockets of a data loader's workers"
        mend = f"set TMPDIR to a folder with a name of {_TMPDIR_MAX} characters or fewer"
        found.append(Finding("disk", "degraded", text, mend))
    return found


def sandbox(
    settings: RunnerConfig, command: Sequence[str], root: Path
) -> tuple[Finding, Jail | None]:
    """Returns the level of the sandbox that holds here and now, tried as at the start of a run, and it."""
    if settings.sandbox == "none":
        text = "switched off: trials run as you, and may read and write what you may"
        return Finding("sandbox", "degraded", text, _AUTO), None
    try:
        with tempfile.TemporaryDirectory() as folder:
            state, home = Path(folder), Path.home()
            readable = readable_of(command, os.environ, root, settings.readable)
            git = root / ".git" if (root / ".git").is_dir() else state / "git"
            policy = Policy(
                root, git, state / "worktree", state / "compiled", cache_dir(), home, readable
            )
            fault = without_effect(policy, root, settings.readable)
            if fault is not None:
                return Finding("sandbox", "missing", fault, f"edit {CONFIG}"), None
            asked = pythons(command, os.environ, root)
            jail, found = choose(settings.sandbox, policy, asked[0] if asked else None)
    except AutoresearchError as fault:
        return Finding("sandbox", "missing", one_line(str(fault)), _AUTO), None
    except OSError as fault:
        text = f"can't be tried: {in_one_line(fault)}"
        return Finding("sandbox", "missing", text, _OTHERWISE), None
    mend = remedy(found.said) or "" if settings.sandbox == "auto" else _AUTO
    if found.level < 2 and found.jail != "sandbox-exec":
        text = f"none holds here, and trials would run as you ({'; '.join(found.said)})"
        return Finding("sandbox", "missing", one_line(text), mend or _OTHERWISE), None
    text = f"level {found.text}; not covered: {found.uncovered}"
    if found.level == 4:
        return Finding("sandbox", "ok", text), jail
    return Finding("sandbox", "degraded", text, mend), jail


def slurm() -> Finding:
    if shutil.which("sbatch") is None:
        return Finding("Slurm", "ok", "not here, and not needed")
    text = "sbatch is here; this release runs trials on this machine alone"
    return Finding("Slurm", "degraded", text)
