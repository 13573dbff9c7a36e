"""Toolchains that live in the user's home, where a trial sees nothing: found, opened, told where they are.

A trial's HOME is its scratch folder, and the user's own is hidden. A compiler that is installed below it
is found on PATH and finds nothing itself: it needs its folders readable, and the variable that names
each. Of these folders what may hold keys stays hidden.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoresearch.paths import lies_in

_READ_MAX = 256 << 10  # bytes of a script that is looked through
_WORD = re.compile(r"[A-Za-z_][\w+-]*")
_QUOTED = re.compile(
    r"[\"'`]([A-Za-z_][\w+-]*)"
)  # what begins a text of a program's: ["cargo", "build"]
_WITH_LITERALS = (".py", ".js", ".mjs", ".ts", ".rb", ".jl", ".lua", ".pl")
# What tells that a folder with a bin/ in it is one installation, and no folder of the user's own.
_INSTALLED = ("lib", "libexec", "conda-meta", "pkg", "VERSION", "include")
_SHARED = (".local", ".config", ".cache")  # of the home: what others keep there is no toolchain's
_SCRIPTS = {
    "make": ("GNUmakefile", "makefile", "Makefile"), "just": ("justfile", "Justfile"),
    **dict.fromkeys(("npm", "npx", "pnpm", "yarn", "bun"), ("package.json",)),
}  # fmt: skip
_COMPILED = "{compiled}"  # stands for the folder of compilers, which outlives a trial as the baseline left it


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of toolchain.

    words: the programs by which its use shows. places: (variable, folder of the home) of what it reads.
    secret: names below the last of these that may hold keys. passed: variables of the user's that choose
    among what is installed. fixed: variables that it is told; offline: those for where there is no network.
    """

    name: str
    words: tuple[str, ...]
    places: tuple[tuple[str, str], ...] = ()
    secret: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    offline: tuple[tuple[str, str], ...] = ()


_KINDS = (
    Kind(
        "rustup", ("cargo", "rustc", "rustup", "rustdoc", "maturin", "wasm-pack"),
        (("RUSTUP_HOME", ".rustup"), ("CARGO_HOME", ".cargo")), ("credentials", "credentials.toml"),
        passed=("RUSTUP_TOOLCHAIN",), offline=(("CARGO_NET_OFFLINE", "true"),),
    ),
    Kind(
        "uv", ("uv", "uvx"), (("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python"),),
        passed=("UV_PYTHON", "UV_PROJECT_ENVIRONMENT"),
        offline=(("UV_OFFLINE", "1"), ("UV_PYTHON_DOWNLOADS", "never")),
    ),
    Kind("pyenv", ("pyenv",), (("PYENV_ROOT", ".pyenv"),), passed=("PYENV_VERSION",)),
    Kind(
        "conda", ("conda", "mamba", "micromamba"),
        (("MAMBA_ROOT_PREFIX", "micromamba"), ("CONDA_PREFIX", "miniconda3")),
        passed=("CONDA_DEFAULT_ENV", "CONDA_EXE", "CONDA_PYTHON_EXE", "CONDA_SHLVL"),
    ),
    Kind("nvm", ("nvm",), (("NVM_DIR", ".nvm"),), passed=("NVM_BIN",)),
    Kind("volta", ("volta",), (("VOLTA_HOME", ".volta"),)),
    Kind("asdf", ("asdf",), (("ASDF_DATA_DIR", ".asdf"),)),
    Kind("rbenv", ("rbenv",), (("RBENV_ROOT", ".rbenv"),), passed=("RBENV_VERSION",)),
    Kind("npm", ("npm", "npx"), offline=(("npm_config_offline", "true"),)),
    Kind(
        "go", ("go", "gofmt"), (("GOMODCACHE", "go/pkg/mod"),), passed=("GOROOT", "GOTOOLCHAIN"),
        fixed=(("GOCACHE", f"{_COMPILED}/go"),), offline=(("GOPROXY", "off"),),
    ),
    Kind(
        "julia", ("julia", "juliaup"), (("JULIAUP_DEPOT_PATH", ".julia"),), passed=("JULIA_PROJECT",),
        offline=(("JULIA_PKG_OFFLINE", "true"),),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Toolchains:
    """What the commands of a lab use that is installed in the home.

    python is that of the environment of a project of uv. variables are told every trial, offline only
    those that have no network.
    """

    names: tuple[str, ...] = ()
    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    offline: tuple[tuple[str, str], ...] = ()
    python: Path | None = None

    def environment(self, compiled: Path, jailed: bool) -> dict[str, str]:
        """Returns the variables of a trial with this folder of compilers."""
        told = (*self.variables, *(self.offline if jailed else ()))
        return {name: value.replace(_COMPILED, str(compiled)) for name, value in told}


NO_TOOLCHAINS = Toolchains()


def find_toolchains(
    commands: Iterable[Sequence[str]],
    environment: Mapping[str, str],
    root: Path,
    homes: Sequence[Path],
    laid_out: Iterable[str] = (),
) -> Toolchains:
    """Returns the toolchains of the homes that the commands use, themselves or in the scripts they name.

    homes are what HOME says and what the system has for the user; laid_out are the lab's inputs and
    caches: what is among them is in the worktree.
    """
    words, mentioned = _words([list(command) for command in commands], root)
    path = environment.get("PATH")
    known = {word for kind in _KINDS for word in kind.words} & mentioned
    words |= {word for word in known if shutil.which(word, path=path)}
    programs = list(_programs(words, environment, root))
    readable = list(_opened(programs, homes))
    found = [
        kind
        for kind in _KINDS
        if words.intersection(kind.words)
        or any(program.is_relative_to(place) for program in programs
               for _, place in _places(kind, environment, homes))
    ]  # fmt: skip
    variables: dict[str, str] = {}
    hidden: list[Path] = []
    for kind in found:
        places = [
            (name, place) for name, place in _places(kind, environment, homes) if place.is_dir()
        ]
        variables |= {name: str(place) for name, place in places}
        variables |= {name: environment[name] for name in kind.passed if environment.get(name)}
        variables |= dict(kind.fixed)
        readable += [place for _, place in places]
        hidden += [place / secret for _, place in places[-1:] for secret in kind.secret]
    if "JULIAUP_DEPOT_PATH" in variables:
        # The first is written to; the empty one at the end stands for those of the installation.
        variables["JULIA_DEPOT_PATH"] = f"{_COMPILED}/julia:{variables['JULIAUP_DEPOT_PATH']}:"
    names = tuple(kind.name for kind in found)
    project = _project(root, laid_out) if "uv" in names else None
    if project is not None and "UV_PROJECT_ENVIRONMENT" not in variables:
        variables["UV_PROJECT_ENVIRONMENT"] = str(project)
    if "UV_PROJECT_ENVIRONMENT" in variables:
        variables["UV_NO_SYNC"] = "1"  # the environment is the user's: no trial changes it
        project = root / variables["UV_PROJECT_ENVIRONMENT"]
        readable.append(project)
    offline = [pair for kind in found for pair in kind.offline]
    return Toolchains(
        names, tuple(readable), tuple(hidden), tuple(variables.items()), tuple(offline),
        project / "bin" / "python" if project is not None else None,
    )  # fmt: skip


def _words(commands: list[list[str]], root: Path) -> tuple[set[str], set[str]]:
    """Returns the programs that commands may name, and the words in the scripts that they name."""
    words: set[str] = set()
    mentioned: set[str] = set()
    for command in commands:
        for word in command:
            words |= {word} if " " not in word else set(_WORD.findall(word))
            mentioned.add(os.path.basename(word))
        scripts = [*command, *(name for word in command for name in _SCRIPTS.get(word, ()))]
        for script in scripts:
            begin = _QUOTED if script.endswith(_WITH_LITERALS) else _WORD
            mentioned |= set(begin.findall(_text(root / script)))
    return words, mentioned


def _text(script: Path) -> str:
    """Returns the text of a script; "" for what is none."""
    try:
        if not script.is_file() or script.stat().st_size > _READ_MAX:
            return ""
        content = script.read_bytes()
    except (OSError, ValueError):
        return ""
    return "" if b"\0" in content else content.decode("utf-8", "replace")


def _programs(words: Iterable[str], environment: Mapping[str, str], root: Path) -> Iterator[Path]:
    """Yields those of the words that are programs, by PATH or by their own path, links not followed."""
    for word in sorted(words):
        if not word or "\0" in word or word.startswith("-"):
            continue
        program = str(root / Path(word).expanduser()) if "/" in word else word
        found = shutil.which(program, path=environment.get("PATH"))
        if found is not None:
            yield Path(os.path.abspath(found))


def _opened(programs: Iterable[Path], homes: Sequence[Path]) -> Iterator[Path]:
    """Yields what of the homes programs need to start: themselves, where links lead, their installations."""
    for program in programs:
        for place in (program, Path(os.path.realpath(program))):
            if any(map(place.is_relative_to, homes)):
                yield place
                yield from _installation(place, homes)


def _installation(program: Path, homes: Sequence[Path]) -> Iterator[Path]:
    """Yields the folder of the installation that a program of the home belongs to, if it is one."""
    prefix = program.parent.parent
    if program.parent.name == "shims":
        yield prefix
    elif program.parent.name in ("bin", "condabin") and any(
        home in prefix.parents for home in homes
    ):
        shared = prefix in [home / name for home in homes for name in _SHARED]
        if (
            not shared
            and prefix not in homes
            and any((prefix / name).exists() for name in _INSTALLED)
        ):
            yield prefix


def _places(
    kind: Kind, environment: Mapping[str, str], homes: Sequence[Path]
) -> Iterator[tuple[str, Path]]:
    """Yields (variable, folder) of what a kind reads, as the user's variables or its defaults have it."""
    for variable, default in kind.places:
        given = environment.get(variable) or _by_another(variable, environment)
        if given:
            yield variable, Path(given)
            continue
        there = next((home / default for home in homes if (home / default).is_dir()), None)
        if there is not None:
            yield variable, there


def _by_another(variable: str, environment: Mapping[str, str]) -> str | None:
    """Returns what another variable of the user's says of a place."""
    if variable == "UV_PYTHON_INSTALL_DIR" and os.path.isabs(environment.get("XDG_DATA_HOME", "")):
        return f"{environment['XDG_DATA_HOME']}/uv/python"
    if variable == "GOMODCACHE" and environment.get("GOPATH"):
        return f"{environment['GOPATH'].split(os.pathsep)[0]}/pkg/mod"
    return None


def _project(root: Path, laid_out: Iterable[str]) -> Path | None:
    """Returns the environment of a project of uv, in the lab's folder or above it in the repository."""
    if any(lies_in(name, ".venv") for name in laid_out):
        return None
    for folder in (root, *root.parents):
        if (folder / ".venv" / "pyvenv.cfg").is_file():
            return folder / ".venv"
        if (folder / ".git").exists():
            return None
    return None
