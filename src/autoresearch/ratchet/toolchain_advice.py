"""What mends a toolchain that does not start, or lacks something, by what it says of itself."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from autoresearch.workspace.inputs import holds_tracked
from autoresearch.workspace.objects import Tree

# What a tool says, and the line that mends it, to be typed in the lab's folder.
_SAYS: tuple[tuple[str, str], ...] = (
    (r"rustup could not choose a version|no default is configured", "rustup default stable"),
    (r"toolchain '([^']+)' is not installed", r"rustup toolchain install \1"),
    (
        r"failed to (?:get|download|load source for dependency) |no matching package named|"
        r"failed to query replaced source registry|unable to update registry|"
        r"attempting to make an HTTP request, but --offline",
        "cargo fetch",
    ),
    (r"linker `?(?:cc|gcc|clang)`? not found", "sudo apt install build-essential"),
    (
        r"network (?:connectivity is|was) disabled|No interpreter found|Failed to spawn: |"
        r"No solution found when resolving",
        "uv sync",
    ),
    (r"pyenv: version `([^']+)' is not installed", r"pyenv install \1"),
    (r"EnvironmentLocationNotFound|Could not find conda environment", "conda env list"),
    (
        r"module lookup disabled by GOPROXY=off|lookup proxy\.golang\.org|missing go\.sum entry",
        "go mod download",
    ),
    (
        r"is required but does not seem to be installed|Package \S+ not found in current path",
        "julia --project -e 'using Pkg; Pkg.instantiate()'",
    ),
)
_NODE = re.compile(r"Cannot find (?:module|package) '[^'./][^']*'|ENOTCACHED|ERR_MODULE_NOT_FOUND")
_NOT_FOUND = re.compile(
    r"^(?:.*: )?(?:\d+: )?(?P<shell>[\w.+-]+): (?:command )?not found|^(?P<ours>[\w.+-]+): No such file"
)
# Where installers put programs that a login shell has on its PATH and a job's often has not.
_BINS = (
    "~/.cargo/bin", "~/.local/bin", "~/.juliaup/bin", "~/.pyenv/shims", "~/.volta/bin", "~/go/bin",
    "~/.bun/bin", "~/.deno/bin", "~/miniconda3/bin", "~/miniforge3/bin", "~/anaconda3/bin",
    "/usr/local/go/bin", "/usr/local/cuda/bin", "/opt/conda/bin", "/usr/local/cargo/bin",
)  # fmt: skip


def toolchain_advice(
    end: Sequence[str], root: Path, tree: Tree, inputs: Sequence[str]
) -> str | None:
    """Returns the line that mends it, in a sentence; None where nothing of a toolchain's was said."""
    for line in reversed(end):
        for pattern, mend in _SAYS:
            found = re.search(pattern, line)
            if found is not None:
                return f"In the lab's folder, with a network: {found.expand(mend)}; then call this again"
    if any(_NODE.search(line) for line in end):
        return _node_modules(root, tree, inputs)
    for line in reversed(end):
        found = _NOT_FOUND.match(line.strip())
        name = found and (found["shell"] or found["ours"])
        place = elsewhere(name) if name else None
        if place is not None:
            return f"{name} is not on the PATH that trials are given: {path_with(place)}"
        if name and "node_modules" not in inputs and (root / "node_modules/.bin" / name).exists():
            return _node_modules(root, tree, inputs)
    return None


def elsewhere(program: str) -> Path | None:
    """Returns where a program is that is not on PATH, among the places that installers take."""
    if "/" in program:
        return None
    homes = [Path(place).expanduser() for place in _BINS]
    homes += sorted(Path("~/.nvm/versions/node").expanduser().glob("*/bin"), reverse=True)
    return next((place / program for place in homes if os.access(place / program, os.X_OK)), None)


def path_with(program: Path) -> str:
    """Returns the line that puts a program's folder on PATH."""
    return f'export PATH="{program.parent}:$PATH"'


def _node_modules(root: Path, tree: Tree, inputs: Sequence[str]) -> str | None:
    """Returns what brings packages of npm's into a trial's worktree."""
    name = "node_modules"
    if name in inputs or holds_tracked(name, tree):
        return "A package is missing: npm install it in the lab's folder, and call this again"
    first = "" if (root / name).is_dir() else "npm ci in the lab's folder; then "
    line = json.dumps([*inputs, name], ensure_ascii=False)
    return f"Its packages are ignored by git, and not in a trial's worktree: {first}in [task] inputs = {line}"
