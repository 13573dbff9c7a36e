"""Projects of npm: a script of package.json that measures."""

from __future__ import annotations

import json
import re

from autoresearch.lab.projects.base import Project, Sources, patterns_of
from autoresearch.lab.projects.metric import found_in

_SCRIPTS = ("bench", "benchmark", "perf", "eval", "evaluate", "score", "train", "measure", "start")
_CODE = (".js", ".mjs", ".cjs", ".ts", ".mts", ".jsx", ".tsx")
_NAMED = re.compile(r"[\w./-]+\.(?:[mc]?[jt]s|[jt]sx)\b")
_FROZEN = re.compile(
    r"(?:^|/)(?:node_modules/|tests?/|__tests__/|bench(?:mark)?s?/|dist/|build/|scripts/|\.)|"
    r"(?:^|[/._-])(?:test|spec|bench|benchmark|eval|evaluate|config|score)\.[mc]?[jt]sx?$|\.config\.|\.d\.ts$"
)
_LOCKS = ("package.json", "package-lock.json", "pnpm-lock.yaml", "yarn.lock", "tsconfig.json")


def npm(sources: Sources) -> Project | None:
    """Returns a project of npm with a script that measures; None for anything else."""
    try:
        package = json.loads(sources.text("package.json") or "null")
        scripts = {**package["scripts"]}
    except (ValueError, LookupError, TypeError):
        return None
    name = next((each for each in _SCRIPTS if isinstance(scripts.get(each), str)), None)
    if name is None:
        return None
    named = [path.removeprefix("./") for path in _NAMED.findall(scripts[name])]
    judges = [path for path in named if sources.has(path)]
    code = [path for path in sources.below("", _CODE) if not _FROZEN.search(path)]
    work = [path for path in code if path not in judges]
    texts = [*judges, *(path for path in sources.below("", _CODE) if path not in judges)]
    found = found_in(sources.texts(judges), sources.charter)
    if found.metric is None:
        found = found_in(sources.texts(texts), sources.charter)
    needs = any(package.get(key) for key in ("dependencies", "devDependencies"))
    return Project(
        kind="a project of npm",
        shape=f'package.json, script "{name}"',
        command=("npm", "run", "--silent", name),
        mutable=patterns_of(work or judges, sources.below("", _CODE)),
        found=found,
        frozen=(*(judges if work else ()), *(each for each in _LOCKS if sources.has(each))),
        inputs=("node_modules",) if needs or (sources.root / "node_modules").is_dir() else (),
        before=("npm install",) if needs and not (sources.root / "node_modules").is_dir() else (),
    )
