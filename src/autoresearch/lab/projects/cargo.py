"""Projects of cargo: a crate's benchmark, or its program."""

from __future__ import annotations

import re

from autoresearch.lab.projects.base import Project, Sources, patterns_of
from autoresearch.lab.projects.metric import found_in


def cargo(sources: Sources) -> Project | None:
    """Returns a project of cargo; None for anything else, and where it has nothing that runs."""
    if not sources.has("Cargo.toml"):
        return None
    manifest = sources.text("Cargo.toml")
    benches = [path for path in sources.below("benches", (".rs",)) if path.count("/") == 1]
    binaries = _binaries(sources, manifest)
    code = [path for path in sources.below("", (".rs",)) if _is_code(path)]
    fetches = 'source = "registry+' in sources.text("Cargo.lock") or bool(
        re.search(r"^\[(?:.*\.)?dependencies\]\s*\n\s*[\w-]+\s*=", manifest, re.MULTILINE)
    )
    frozen = [name for name in ("Cargo.toml", "Cargo.lock", "build.rs") if sources.has(name)]
    if len(benches) == 1 and not _libtest(manifest, sources.text(benches[0])):
        name = benches[0].removeprefix("benches/").removesuffix(".rs")
        command: tuple[str, ...] = ("cargo", "bench", "--offline", "--quiet", "--bench", name)
        found = found_in(sources.texts(benches), sources.charter)
        frozen.insert(0, benches[0])
    elif binaries:
        command = (
            "cargo",
            "run",
            "--release",
            "--offline",
            "--quiet",
            *_chosen(binaries, manifest),
        )
        first = [path for path in binaries.values() if path in code]
        texts = [*first, *(path for path in code if path not in first)]
        found = found_in(sources.texts(texts), sources.charter)
    else:
        return None
    return Project(
        kind="a project of cargo",
        shape=f"Cargo.toml, {benches[0] if command[1] == 'bench' else next(iter(binaries.values()))}",
        command=command,
        mutable=patterns_of(code, sources.below("", (".rs",))),
        found=found,
        frozen=tuple(frozen),
        caches=("target",),
        note="no crate is fetched in a trial" if fetches else "",
        before=("cargo fetch",) if fetches else (),
    )


def _libtest(manifest: str, source: str) -> bool:
    """Says whether a benchmark is one that cargo's own harness would run, which prints no number."""
    return "#[bench]" in source or not re.search(r"^\s*harness\s*=\s*false", manifest, re.MULTILINE)


def _is_code(path: str) -> bool:
    parts = path.split("/")
    return "src" in parts[:-1] and not {"tests", "benches", "examples", "vendor", "target"} & {
        *parts
    }


def _binaries(sources: Sources, manifest: str) -> dict[str, str]:
    """Returns the programs of a crate or of a workspace's members: name -> the file with `main`."""
    found = {}
    for path in sources.below("", (".rs",)):
        if not _is_code(path):
            continue
        crate, _, inner = path.rpartition("src/")
        own = sources.text(f"{crate}Cargo.toml") if crate else manifest
        if inner == "main.rs":
            named = re.search(r"^\s*name\s*=\s*\"([^\"]+)\"", own, re.MULTILINE)
            found[named[1] if named else "main"] = path
        elif re.fullmatch(r"bin/[^/]+\.rs", inner):
            found[inner[4:-3]] = path
    return found


def _chosen(binaries: dict[str, str], manifest: str) -> tuple[str, ...]:
    """Returns the flag that names the program, where cargo would not know which."""
    default = re.search(r"^\s*default-run\s*=", manifest, re.MULTILINE)
    likely = [name for name in binaries if re.search(r"bench|train|eval|score", name)]
    if len(binaries) == 1 or default:
        return ()
    return ("--bin", (likely or [*binaries])[0])
