"""Projects of Python: those of uv, and what is said of the environment that they run in."""

from __future__ import annotations

import re

from autoresearch.lab.projects.base import Project, Sources, patterns_of
from autoresearch.lab.projects.folders import data_in_home, told_of
from autoresearch.lab.projects.metric import found_in

DEPENDENCIES = (
    "pyproject.toml",
    "uv.lock",
    "requirements.txt",
    "environment.yml",
    ".python-version",
)
# Scripts that judge, then those that do the work: the first that is there is what a trial runs.
_JUDGES = ("bench.py", "benchmark.py", "evaluate.py", "eval.py", "score.py")
_WORKERS = ("train.py", "main.py", "run.py", "experiment.py", "solve.py")
_NOT_MUTABLE = re.compile(
    r"(?:^|/)(?:tests?/|conftest\.py|setup\.py|noxfile\.py|(?:test|bench|eval)_[^/]*\.py|[^/]*_(?:test|bench|eval)"
    r"\.py|prepare[^/]*\.py|harness[^/]*\.py|\.)"
)


def about_python(sources: Sources) -> str:
    """Returns which Python `python` will be, in words."""
    if (sources.root / ".venv" / "bin" / "python").exists():
        return "python is that of the project's .venv"
    if sources.has("uv.lock"):
        return "python will be that of the project's .venv, which uv sync makes"
    return "python is the active environment's"


def uv(sources: Sources) -> Project | None:
    """Returns a project that uv manages, with a script that is known by its name; None for others."""
    if not sources.has("pyproject.toml"):
        return None
    settings = sources.text("pyproject.toml")
    if not sources.has("uv.lock") and not re.search(r"^\[tool\.uv[\].]", settings, re.MULTILINE):
        return None
    script = next((name for name in (*_JUDGES, *_WORKERS) if sources.has(name)), None)
    alone = [path for path in sources.paths if path.endswith(".py") and "/" not in path]
    if script is None and len(alone) == 1:
        script = alone[0]
    if script is None:
        return None
    mutable, is_judge = _mutable(sources, script), script in _JUDGES
    texts = [script, *(path for path in sources.below("", (".py",)) if path != script)]
    found = found_in(sources.texts(texts[: 1 if is_judge else None]), sources.charter)
    frozen = [script] if script not in mutable else []
    return Project(
        kind="a project of uv",
        shape="pyproject.toml, " + ("uv.lock" if sources.has("uv.lock") else "[tool.uv]"),
        command=("python", script),
        mutable=tuple(mutable),
        found=found,
        frozen=(*frozen, *(name for name in DEPENDENCIES if sources.has(name))),
        readable=(home := data_in_home(sources, texts[:20])),
        env=told_of(home),
        note=about_python(sources),
        before=("uv sync",)
        if sources.has("uv.lock") and not (sources.root / ".venv").is_dir()
        else (),
    )


def _mutable(sources: Sources, script: str) -> list[str]:
    """Returns what a candidate may change: the sources beside a script that judges, else the script."""
    if script not in _JUDGES:
        return [script]
    work = [
        path
        for path in sources.below("", (".py",))
        if path != script and not _NOT_MUTABLE.search(path)
    ]
    return [*patterns_of(work, sources.below("", (".py",)))]
