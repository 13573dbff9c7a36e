"""What a run's trials may reach: they read the system and their Python, and write their own folders."""

from __future__ import annotations

import functools
import json
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch.config import TaskConfig
from autoresearch.runners.environment import python_of, which
from autoresearch.sandbox.access import Access, reach
from autoresearch.sandbox.toolchains import NO_TOOLCHAINS, Toolchains, find_toolchains

_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store",
    "/gnu/store", "/run/current-system", "/run/opengl-driver",
)  # fmt: skip
# Of /etc what programs need to start, find their libraries and name their user; no secret is in it.
_ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload", "alternatives", "passwd", "group",
    "nsswitch.conf", "hosts", "host.conf", "localtime", "timezone", "os-release", "machine-id",
    "ssl", "pki", "ca-certificates", "mime.types", "OpenCL", "vulkan", "nvidia", "profile",
    "bash.bashrc", "inputrc", "terminfo", "fonts", "static", "crypto-policies",
)  # fmt: skip

# Asked of a Python itself, after its site module has run: editable installs may lie anywhere.
_QUESTION = """\
import json, os, sys, sysconfig
found = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, sys.executable}
found |= {*sys.path, *sysconfig.get_paths().values()}
found |= {getattr(sys, "_base_executable", "") or ""}
installed = (sys.prefix, sys.base_prefix, sys.exec_prefix)
sources = [path for path in sys.path if path and not path.startswith(installed)]
for name, module in [*sys.modules.items()]:
    if name.startswith("__editable__"):
        mapped = [str(place) for place in getattr(module, "MAPPING", {}).values()]
        found |= {*mapped}
        sources += map(os.path.dirname, mapped)
print(json.dumps([sys.executable, sorted(found), sysconfig.get_paths()["purelib"], sources]))
"""
_QUESTION_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Python:
    """A Python that trials use: its program, every path that it reads, and where its packages lie.

    command: how the trial calls it, which may be a script that looks for the program (a shim). sources:
    the folders outside of the installation that it imports from, as editable installs name them.
    """

    command: str
    program: str
    paths: tuple[Path, ...]
    packages: Path
    sources: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """What the trials of a run may reach, the same for each of them but for its scratch folder.

    root: the lab; git: its common git folder; inputs: read-only names in the worktree; readable:
    what `readable_of` found; hidden: where held-out text could be read besides the cache; of_judges:
    what `evaluate` and the checks may read besides.
    """

    root: Path
    git: Path
    worktree: Path
    compiled: Path
    cache: Path
    home: Path
    readable: tuple[Path, ...]
    hidden: tuple[Path, ...] = ()
    inputs: tuple[str, ...] = ()
    of_judges: tuple[Path, ...] = ()

    def access(self, scratch: Path) -> Access:
        """Returns what the trial with this scratch folder may reach. Makes the folder of compilers."""
        self.compiled.mkdir(parents=True, exist_ok=True)
        fixed = (".git", *self.inputs)
        return Access(
            readable=(*self.readable, *(self.worktree / name for name in fixed)),
            writable=(self.worktree, scratch, self.compiled),
            hidden=(
                self.root, self.git, self.cache, self.home, *_users_home(), scratch.parent,
                *self.hidden,
            ),
        )  # fmt: skip


def without_effect(policy: Policy, root: Path, names: Iterable[str]) -> str | None:
    """Returns why one of the paths in runner.readable opens nothing, with what would; None where all do.

    root: the lab's folder, which they are relative to.
    """
    for name in names:
        path = root / Path(name).expanduser()
        if not os.path.lexists(path):
            return f"runner.readable: {name} does not exist ({path}); mend the path, or take it out"
        access = policy.access(Path(tempfile.gettempdir(), "of-a-trial"))
        if reach(access, path) == "hidden":
            return (
                f"runner.readable: {name} has no effect: the whole of it stays hidden from trials, as the "
                "lab's root, your home, the cache and the system's folder for temporary files do; name "
                "what a trial needs in it"
            )
    return None


def toolchains_of(task: TaskConfig, env: Mapping[str, str], root: Path) -> Toolchains:
    """Returns the toolchains in the user's home that the commands of a task use."""
    homes = tuple(dict.fromkeys((Path.home(), *_users_home())))
    return find_toolchains(task.all_commands(), env, root, homes, (*task.inputs, *task.caches))


def readable_of(
    command: Sequence[str],
    env: Mapping[str, str],
    root: Path,
    more: Iterable[str] = (),
    toolchains: Toolchains = NO_TOOLCHAINS,
) -> tuple[Path, ...]:
    """Returns what a trial with this command and environment may read outside its own folders.

    more: runner.readable. Below the user's home that is its Pythons, its program, the toolchains that
    it uses, and `more`.
    """
    return (*_readable_of(command, env, root, more), *_readable_for(toolchains, env))


def _readable_for(toolchains: Toolchains, env: Mapping[str, str]) -> Iterator[Path]:
    yield from toolchains.readable
    python = _python_of_project(toolchains, env)
    yield from () if python is None else python.paths


def _python_of_project(toolchains: Toolchains, env: Mapping[str, str]) -> Python | None:
    if toolchains.python is None:
        return None
    return _ask(str(toolchains.python), frozenset(env.items()))


def imported_from(
    command: Sequence[str], env: Mapping[str, str], root: Path, toolchains: Toolchains
) -> tuple[Path, ...]:
    """Returns the folders of the checkout that the command's Python imports from, by editable installs.

    A trial must import from its worktree instead: else it runs the checkout's code, whatever the candidate.
    """
    found = (own_python(command, env, root), _python_of_project(toolchains, env))
    sources = [source for python in found if python is not None for source in python.sources]
    top = Path(os.path.realpath(root))
    inside = (
        place for place in map(Path, map(os.path.realpath, sources)) if place.is_relative_to(top)
    )
    return tuple(dict.fromkeys(place.relative_to(top) for place in inside))


def _readable_of(
    command: Sequence[str], env: Mapping[str, str], root: Path, more: Iterable[str]
) -> Iterator[Path]:
    yield from map(Path, _SYSTEM)
    yield from (Path("/etc", name) for name in _ETC)
    private = [Path(os.path.realpath(place)) for place in (root, Path.home(), *_users_home())]
    for folder in _search_path(env):
        if not any(_within(folder, place) for place in private):
            yield folder
    for python in pythons(command, env, root):
        yield Path(python.command)
        yield from _shims(Path(python.command))
        yield from python.paths
    program = which(command[0], root)
    if program is not None:
        yield Path(program)
        for folder in (Path(program).parent, Path(program).resolve().parent):
            if not any(_within(place, folder) for place in private):
                yield folder
    for name in more:
        yield root / Path(name).expanduser()


def pythons(command: Sequence[str], env: Mapping[str, str], root: Path) -> list[Python]:
    """Returns the Pythons of a trial, its command's own first: also those that PATH offers to a script.

    Those of one folder are taken for one.
    """
    path = env.get("PATH")
    given = (python_of(command, root), *(which(name, root, path) for name in ("python", "python3")))
    programs: dict[str, str] = {}
    for program in given:
        if program is not None:
            programs.setdefault(os.path.dirname(program), program)
    found = (_ask(program, frozenset(env.items())) for program in programs.values())
    return [python for python in found if python is not None]


def own_python(command: Sequence[str], env: Mapping[str, str], root: Path) -> Python | None:
    """Returns the Python of a trial's command; None where it is none, or can't be run."""
    program = python_of(command, root)
    return None if program is None else _ask(program, frozenset(env.items()))


@functools.lru_cache(maxsize=8)
def _ask(command: str, variables: frozenset[tuple[str, str]]) -> Python | None:
    """Returns what a Python says of itself; None where it can't be run (the trial will say why)."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [command, "-c", _QUESTION], cwd=folder,
                env={**dict(variables), "HOME": folder, "TMPDIR": folder, "PWD": folder},
                capture_output=True, stdin=subprocess.DEVNULL, timeout=_QUESTION_TIMEOUT_S, check=True,
            )  # fmt: skip
        program, paths, packages, sources = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    absolute = tuple(Path(path) for path in paths if path.startswith("/") and path != "/")
    return Python(command, program, absolute, Path(packages), tuple(map(Path, sources)))


def _shims(program: Path) -> Iterator[Path]:
    """Yields where pyenv, asdf and the like keep the programs that their scripts look for."""
    if program.parent.name == "shims":
        yield program.parent.parent


def _search_path(env: Mapping[str, str]) -> list[Path]:
    folders = env.get("PATH", "").split(os.pathsep)
    return [Path(folder) for folder in folders if folder.startswith("/") and folder != "/"]


def _within(path: Path, folder: Path) -> bool:
    """Returns whether a path is in a folder, or the folder itself, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _users_home() -> tuple[Path, ...]:
    """Returns the home that the system has for the user, whatever HOME says."""
    try:
        return (Path(pwd.getpwuid(os.getuid()).pw_dir),)
    except KeyError:
        return ()
