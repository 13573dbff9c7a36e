"""Projects of make: a target that measures."""

from __future__ import annotations

import re

from autoresearch.lab.projects.base import Project, Sources, patterns_of
from autoresearch.lab.projects.metric import found_in

_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_TARGETS = ("bench", "benchmark", "perf", "eval", "evaluate", "score", "train", "measure", "run")
_CODE = (
    ".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".cu", ".cuh", ".s", ".S", ".go", ".rs", ".java",
    ".jl", ".py", ".f90", ".f", ".zig", ".ml", ".hs",
)  # fmt: skip
_FROZEN = re.compile(
    r"(?:^|/)(?:tests?/|bench(?:mark)?s?/|third_party/|vendor/|\.)|"
    r"(?:^|[/._-])(?:test|tests|bench|benchmark|eval|evaluate|check|harness|main|score|timer|reference|ref)\.\w+$|"
    r"(?:^|/)(?:test|bench|eval|check)_[^/]*$"
)


def make(sources: Sources) -> Project | None:
    """Returns a project of make with a target that measures; None for anything else."""
    makefile = next((name for name in _MAKEFILES if sources.has(name)), None)
    if makefile is None:
        return None
    text = sources.text(makefile)
    target = next(
        (name for name in _TARGETS if re.search(rf"^{name}\s*:(?!=)", text, re.MULTILINE)), None
    )
    code = sources.below("", _CODE)
    if target is None or not code:
        return None
    work = [path for path in code if not _FROZEN.search(path)]
    judges = [path for path in code if path not in work]
    found = found_in(sources.texts((*judges, makefile)), sources.charter)
    if found.metric is None:
        found = found_in(sources.texts((*code, makefile)), sources.charter)
    return Project(
        kind="a project of make",
        shape=f"{makefile}, target {target}",
        command=("make", "-s", target),
        mutable=patterns_of(work or code, code),
        found=found,
        frozen=(*(judges if work else ()), makefile),
    )
