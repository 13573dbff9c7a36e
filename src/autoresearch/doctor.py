"""What this machine can do, and the line that mends what it can't.

Nothing here raises for a broken environment: each finding is a Check. torch is only ever loaded in
a process of its own, with the Python, and in the environment, that a trial would have.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from autoresearch.config import Config, ResearcherConfig, RunnerConfig, TaskConfig
from autoresearch.errors import AutoresearchError
from autoresearch.lab import Lab
from autoresearch.paths import CHARTER, CONFIG, cache_dir
from autoresearch.report.table import hanging
from autoresearch.researchers.make import KEYS, kind_of
from autoresearch.runners.environment import trial_environment

_PROBE = Path(__file__).with_name("probe.py")
_PROBE_TIMEOUT_S = 60
_GIT = (2, 36)
_DISK_GB, _RAM_GB = 2.0, 2.0
_STYLES = {"ok": "green", "degraded": "yellow", "missing": "red"}

State = Literal["ok", "degraded", "missing"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. mend: the command or line that mends it; "" where there is nothing to mend."""

    name: str
    state: State
    what: str
    mend: str = ""


def checks(lab: Lab | None) -> list[Check]:
    """Everything worth knowing before a night, in the order in which it is needed."""
    found = [_python(), _git(), _platform()]
    config, about_lab = _lab(lab)
    found += about_lab
    task = config.task if config else TaskConfig(command=["python"], mutable=["train.py"])
    root = lab.repo.root if lab else Path.cwd()
    if config:
        found.append(_command(task.command[0], root))
    found += _training(task, root)
    found += [_memory(), *_disks(root), *_keys(config.researcher if config else None)]
    found.append(_researcher(config.researcher if config else ResearcherConfig(), root))
    found += [_data(), _sandbox(config.runner if config else RunnerConfig()), _slurm()]
    return found


def render(found: Iterable[Check], console: Console) -> None:
    """A line for each; what mends it on a line of its own, never folded, to be copied."""
    for check in found:
        head = f"{check.name:<10} {check.state:<9} "
        hanging(console, head, check.what, _STYLES[check.state])
        if check.mend:
            console.print(f"{'':20} {check.mend}", soft_wrap=True, highlight=False, markup=False)


# -- the machine ------------------------------------------------------------------------------


def _python() -> Check:
    version = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info >= (3, 10):
        return Check("python", "ok", version)
    return Check("python", "missing", f"{version} is too old", "install Python 3.10 or newer")


def _git() -> Check:
    mend = "install git 2.36 or newer"
    try:
        said = _output(["git", "--version"], 10)
    except (OSError, subprocess.SubprocessError) as fault:
        return Check("git", "missing", f"git can't be run: {_why(fault)}", mend)
    number = re.search(r"(\d+)\.(\d+)(\.\d+)*", said)
    if number is None:
        return Check("git", "missing", f"git says no version: {said[:60]!r}", mend)
    if (int(number[1]), int(number[2])) < _GIT:
        return Check("git", "missing", f"{number[0]} is too old (core.fsync, hook run)", mend)
    return Check("git", "ok", number[0])


def _platform() -> Check:
    name = f"{platform.system()} {platform.release()} {platform.machine()}"
    if sys.platform.startswith("linux"):
        return Check("platform", "ok", name)
    if sys.platform == "darwin":
        text = f"{name}: no subreaper, so a process that leaves a trial's session may outlive it"
        return Check("platform", "degraded", text, "run on Linux for kills that are verified")
    return Check("platform", "missing", f"{name} is not supported", "run on Linux or macOS")


def _memory() -> Check:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    free, text = total, f"{total:.1f} GB of RAM"
    try:
        line = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        line = None
    if line:
        free = int(line[1]) / 2**20
        text += f", {free:.1f} GB of it available"
    if free < _RAM_GB:
        return Check("memory", "degraded", text, "stop what else runs on this machine")
    return Check("memory", "ok", text)


def _disks(root: Path) -> list[Check]:
    found = []
    for place, folder in (("lab", root), ("cache", cache_dir())):
        there = next((p for p in (folder, *folder.parents) if p.exists()), folder)
        mend = "free some space there" + (", or set AUTORESEARCH_CACHE" if place == "cache" else "")
        try:
            free = shutil.disk_usage(there).free / 1e9
        except OSError as fault:
            found.append(Check("disk", "missing", f"{place} {folder}: {_why(fault)}", mend))
            continue
        text = f"{free:.0f} GB free for the {place}, {folder}"
        state: State = "ok" if free >= _DISK_GB else "degraded"
        found.append(Check("disk", state, text, "" if state == "ok" else mend))
    return found


# -- the lab ----------------------------------------------------------------------------------


def _lab(lab: Lab | None) -> tuple[Config | None, list[Check]]:
    if lab is None:
        text = "this folder is in no repository that can be a lab"
        return None, [Check("lab", "missing", text, "autoresearch init")]
    root = lab.repo.root
    try:
        tag: str | None = lab.tag(None)
    except (AutoresearchError, OSError):
        tag = None
    try:
        config = lab.config(tag)
    except (AutoresearchError, OSError) as fault:
        return None, [Check("lab", "missing", str(fault), f"edit {root / CONFIG}")]
    run = f"run {tag}" if tag else "no run yet"
    found = [Check("lab", "ok", f"{root}: {CONFIG} is valid, {run}")]
    if not (root / CHARTER).is_file():
        text = f"no {CHARTER}: a researcher is not told what to try"
        found.append(Check("charter", "degraded", text, f"write {CHARTER}, and commit it"))
    return config, found


def _command(program: str, root: Path) -> Check:
    where = _which(program, root)
    if where is None:
        text = f"task.command: {program} is not on the PATH"
        return Check("command", "missing", text, f"install {program}, or edit {CONFIG}")
    return Check("command", "ok", f"{program} is {where}")


def _which(program: str, root: Path) -> str | None:
    return shutil.which(root / program if "/" in program else program)


# -- training ---------------------------------------------------------------------------------


def _training(task: TaskConfig, root: Path) -> list[Check]:
    """Packages, GPU and attention, as the Python that trials run with finds them."""
    program = task.command[0]
    if not re.fullmatch(r"(.*/)?(python|pypy)[\d.]*", program):
        text = f"not looked at: {program} is no Python"
        return [Check("training", "ok", text), _gpu(None), Check("attention", "ok", text)]
    python = _which(program, root) or sys.executable
    mend = f"{shlex.quote(python)} -m pip install 'autoresearch[train]'"
    try:
        seen = _probe(python, task)
    except (OSError, subprocess.SubprocessError, ValueError) as fault:
        text = f"{python}: {_why(fault)}"
        unknown = "not known: see training"
        return [
            Check("training", "missing", text, mend),
            Check("GPU", "degraded", unknown),
            Check("attention", "degraded", unknown),
        ]
    packages: dict[str, str | None] = seen["packages"]
    missing = [name for name, version in packages.items() if version is None]
    have = ", ".join(f"{name} {v}".strip() for name, v in packages.items() if v is not None)
    text = f"{python} ({seen['python']}) has {have or 'none of the packages'}"
    if not missing:
        return [Check("training", "ok", text), _gpu(seen), _attention(seen)]
    text += f"; not {', '.join(missing)}, which the template needs"
    return [Check("training", "missing", text, mend), _gpu(seen), _attention(seen)]


def _probe(python: str, task: TaskConfig) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        env = trial_environment(os.environ, 0, folder, cache_dir(), task.env_pass)
        source = _PROBE.read_text(encoding="utf-8")
        said = _output([python, "-c", source], _PROBE_TIMEOUT_S, folder, env)
    seen = json.loads(said.strip().splitlines()[-1] if said.strip() else "null")
    if not isinstance(seen, dict):
        raise ValueError("it answered nothing")
    return seen


def _gpu(seen: dict[str, Any] | None) -> Check:
    cores = f"trials run on the CPU, {_cores()} cores"
    if seen is None or "gpus" not in seen:
        return Check("GPU", "degraded", f"not known without torch; {cores}")
    if not seen["gpus"]:
        if shutil.which("nvidia-smi"):
            text = f"torch sees none, though nvidia-smi is here; {cores}"
            return Check("GPU", "degraded", text, "install a torch that is built for this driver")
        return Check("GPU", "degraded", f"none; {cores}")
    cards = [f"{card['name']}, {card['memory_gb']:.0f} GB" for card in seen["gpus"]]
    return Check("GPU", "ok", "; ".join(cards))


def _attention(seen: dict[str, Any]) -> Check:
    found = seen.get("attention")
    if found is None:
        return Check("attention", "degraded", "not known without torch")
    return Check("attention", "ok" if found else "degraded", ", ".join(found) or "none that runs")


def _cores() -> int:
    if sys.platform.startswith("linux"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# -- who proposes, on what, and how safely ----------------------------------------------------


def _keys(config: ResearcherConfig | None) -> list[Check]:
    """Names alone: a value is never shown."""
    own = [config.key_env] if config and config.key_env else []
    names = [*dict.fromkeys([*own, *KEYS.values()])]
    held = [name for name in names if os.environ.get(name, "").strip()]
    absent = [name for name in own if name not in held]
    if absent:
        text = f"{absent[0]}, which researcher.key_env names, is not set"
        return [Check("keys", "missing", text, f"export {absent[0]}=...")]
    if held:
        return [Check("keys", "ok", f"{' and '.join(held)} set")]
    text = f"none of {', '.join(names)} is set"
    return [Check("keys", "degraded", text, f"export {names[0]}=...")]


def _researcher(config: ResearcherConfig, root: Path) -> Check:
    kind = kind_of(config, os.environ)
    how = "auto means " if config.kind == "auto" else ""
    if kind in KEYS:
        key = config.key_env or ("" if config.base_url else KEYS[kind])
        served = config.base_url or os.environ.get(f"{kind.upper()}_BASE_URL")
        text = f"{how}{kind}, model {config.model or _default_model(kind)}"
        text += f", at {config.base_url}" if config.base_url else ""
        if key and not served and not os.environ.get(key, "").strip():
            return Check("researcher", "missing", f"{text}, without a key", f"export {key}=...")
        return Check("researcher", "ok", text)
    if kind == "command":
        program = config.command[0]
        if _which(program, root) is None:
            text = f"{how}command, but {program} is not on the PATH"
            return Check("researcher", "missing", text, f"install {program}, or edit {CONFIG}")
        return Check("researcher", "ok", f"{how}command: {shlex.join(config.command)}")
    if kind == "scripted":
        file = root / config.model
        if not config.model or not file.exists():
            text = f"scripted, but there is no file of answers {config.model!r}"
            return Check("researcher", "missing", text, f"name one as researcher.model in {CONFIG}")
        return Check("researcher", "ok", f"scripted: {file}")
    return Check("researcher", "ok", f"{how}knobs: turns the constants of the file, without a key")


def _default_model(kind: str) -> str:
    if kind == "anthropic":
        from autoresearch.researchers.anthropic import DEFAULT_MODEL
    else:
        from autoresearch.researchers.openai import DEFAULT_MODEL
    return DEFAULT_MODEL


def _data() -> Check:
    """What `prepare` left: a file `current` that names a folder with a manifest."""
    cache = cache_dir()
    try:
        folder = cache / (cache / "current").read_text(encoding="utf-8").strip()
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        gone = [name for name in manifest["digests"] if not (folder / name).is_file()]
        text = (
            f"{folder}: source {manifest['source']}, {manifest['train_rows']} training rows, "
            f"fingerprint {manifest['fingerprint']}"
        )
    except FileNotFoundError:
        text = f"nothing is prepared in {cache} (the template needs it)"
        return Check("data", "missing", text, "autoresearch prepare")
    except (OSError, ValueError, LookupError, TypeError) as fault:
        return Check("data", "missing", f"{cache}: {_why(fault)}", "autoresearch prepare")
    if gone:
        return Check("data", "missing", f"{folder} lost {', '.join(gone)}", "autoresearch prepare")
    return Check("data", "ok", text)


def _sandbox(config: RunnerConfig) -> Check:
    text = "none yet in this release: trials run as you, and may read and write what you may"
    return Check("sandbox", "missing", text, "run it as a user of its own, or in a container")


def _slurm() -> Check:
    if shutil.which("sbatch") is None:
        return Check("Slurm", "ok", "not here, and not needed")
    text = "sbatch is here; this release runs trials on this machine alone"
    return Check("Slurm", "degraded", text)


# -- how others are asked ---------------------------------------------------------------------


def _output(
    command: list[str], timeout_s: float, cwd: Path | None = None, env: dict[str, str] | None = None
) -> str:
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout_s,
        cwd=cwd, env=env, check=True,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")


def _why(fault: Exception) -> str:
    """A fault in one line: of a failed program its own last line."""
    if isinstance(fault, subprocess.TimeoutExpired):
        return f"no answer within {fault.timeout:g} s"
    if isinstance(fault, subprocess.CalledProcessError):
        said = (fault.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        return said[-1][:200] if said else f"exited with {fault.returncode}"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return f"{type(fault).__name__}: {fault}"
