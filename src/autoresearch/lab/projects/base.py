"""What is known of a project: how one trial of it runs, what a candidate may change, what is measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pathspec import GitIgnoreSpec

from autoresearch.lab.projects.metric import Found, Metric

_EXCEPTIONS = 12  # files that are left out of a pattern by name
_SOURCE_BYTES = 400_000  # of a file that is looked into; a longer one is data


@dataclass(frozen=True)
class Sources:
    """The files of a folder that a commit holds, and the folder itself; paths are relative to it.

    read: the bytes of one of `paths`.
    """

    root: Path
    paths: tuple[str, ...]
    read: Callable[[str], bytes]

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.paths)

    def has(self, *paths: str) -> bool:
        """Says whether the commit holds all of these files."""
        return self._known.issuperset(paths)

    def text(self, path: str) -> str:
        """Returns a file as text, "" where the commit has none or it is too long for a source."""
        content = self.read(path) if path in self._known else b""
        return content.decode("utf-8", "replace") if len(content) <= _SOURCE_BYTES else ""

    def texts(self, paths: Iterable[str]) -> list[tuple[str, str]]:
        """Returns (path, text) of files, as `found_in` takes them."""
        return [(path, self.text(path)) for path in paths]

    @property
    def charter(self) -> str:
        """What is written for people."""
        return self.text("program.md") + self.text("README.md")

    def below(self, folder: str, endings: tuple[str, ...]) -> list[str]:
        """Returns the files below a folder ("" for all) with one of these endings."""
        above = f"{folder}/" if folder else ""
        return [path for path in self.paths if path.startswith(above) and path.endswith(endings)]


@dataclass(frozen=True)
class Project:
    """A project of a known layout, or what flags say of another. Fields of a configuration are as there.

    kind and shape: what it was taken for, and by which files; frozen: files beside `mutable` that
    are worth a word, since a researcher may want to change them; note: what else is to be said;
    before: the commands that a person runs once, before the first trial.
    """

    kind: str
    shape: str
    command: tuple[str, ...]
    mutable: tuple[str, ...]
    found: Found
    frozen: tuple[str, ...] = ()
    memory: str | None = None  # the log's key, in MB
    timeout_s: float = 600
    timeout_why: str = ""
    inputs: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    readable: tuple[str, ...] = ()
    note: str = ""
    before: tuple[str, ...] = ()

    @property
    def metric(self) -> Metric | None:
        return self.found.metric

    def configuration(self) -> bytes:
        """Returns the autoresearch.toml that fits, with what differs from the defaults."""
        assert self.metric is not None
        lines = [
            "[task]",
            f"command   = {_list(self.command)}",
            f"mutable   = {_list(self.mutable)}",
        ]
        lines += [f"inputs    = {_list(self.inputs)}"] if self.inputs else []
        lines += [f"caches    = {_list(self.caches)}"] if self.caches else []
        lines += [f"timeout_s = {self.timeout_s:g}"]
        if self.env:
            pairs = ", ".join(f"{name} = {quoted(value)}" for name, value in self.env.items())
            lines += [f"env       = {{ {pairs} }}"]
        lines += [
            "",
            "[task.metric]",
            f"name      = {quoted(self.metric.name)}",
            f"direction = {quoted(self.metric.direction)}",
        ]
        lines += [f"memory    = {quoted(self.memory)}"] if self.memory is not None else []
        if self.readable:
            lines += ["", "[runner]", f"readable  = {_list(self.readable)}"]
        return ("\n".join(lines) + "\n").encode()


def patterns_of(work: Sequence[str], code: Sequence[str]) -> tuple[str, ...]:
    """Returns patterns that name `work` and nothing else of `code`: files at the top, and whole folders.

    Of a crate in a workspace the folder is that of its sources.
    """
    top = [path for path in work if "/" not in path]
    folders = sorted({(_folder(path), path[path.rindex(".") :]) for path in work if "/" in path})
    wide = [f"{folder}/**/*{ending}" for folder, ending in folders]
    spec = GitIgnoreSpec.from_lines(wide)
    others = sorted(path for path in {*code} - {*work} if spec.match_file(path))
    if len(others) > _EXCEPTIONS:
        return tuple(work)
    return (*top, *wide, *(f"!{path}" for path in others))


def _folder(path: str) -> str:
    parts = path.split("/")[:-1]
    return "/".join(parts[: parts.index("src") + 1]) if "src" in parts else parts[0]


def quoted(text: str) -> str:
    """Returns a text as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(words: Sequence[str]) -> str:
    return f"[{', '.join(map(quoted, words))}]"
