"""What a trial's own Python can load and use; torch is loaded in a process of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from autoresearch.commands.doctor.finding import Finding, in_one_line, printed_by
from autoresearch.config import HarnessConfig, TaskConfig
from autoresearch.fit.device import cores
from autoresearch.harness.names import MANIFEST
from autoresearch.lab.data import data_name, missing
from autoresearch.paths import cache_dir
from autoresearch.runners.environment import is_python, trial_environment, which

_PROBE = Path(__file__).with_name("probe.py")
_PROBE_TIMEOUT_S = 60


def training(task: TaskConfig, root: Path) -> list[Finding]:
    """Returns packages, GPU and attention, as the Python that trials run with finds them."""
    program = task.command[0]
    if not is_python(program):
        text = f"not looked at: {program} is no Python"
        return [Finding("training", "ok", text), _gpu(None), Finding("attention", "ok", text)]
    python = which(program, root)
    if python is None:
        text = f"{program} is not on the PATH, which trials are given"
        return _unknown(
            text, "activate the environment that has it, or give its path in task.command"
        )
    mend = f"{shlex.quote(python)} -m pip install 'autoresearch[train]'"
    try:
        seen = _probe(python, task)
    except (OSError, subprocess.SubprocessError, ValueError) as fault:
        return _unknown(f"{python}: {in_one_line(fault)}", mend)
    packages: dict[str, str | None] = seen["packages"]
    missing = [name for name, version in packages.items() if version is None]
    have = ", ".join(f"{name} {v}".strip() for name, v in packages.items() if v is not None)
    text = f"{python} ({seen['python']}) has {have or 'none of the packages'}"
    if not missing:
        return [Finding("training", "ok", text), _gpu(seen), _attention(seen)]
    text += f"; not {', '.join(missing)}, which the template needs"
    return [Finding("training", "missing", text, mend), _gpu(seen), _attention(seen)]


def _unknown(text: str, mend: str) -> list[Finding]:
    names = ("GPU", "attention")
    rest = [Finding(name, "degraded", "not known: see training") for name in names]
    return [Finding("training", "missing", text, mend), *rest]


def _probe(python: str, task: TaskConfig) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        env = trial_environment(os.environ, 0, folder, cache_dir(), task.env_pass, written=task.env)
        source = _PROBE.read_text(encoding="utf-8")
        said = printed_by([python, "-c", source], _PROBE_TIMEOUT_S, folder, env)
    seen = json.loads(said.strip().splitlines()[-1] if said.strip() else "null")
    if not isinstance(seen, dict):
        raise ValueError("it answered nothing")
    return seen


def _gpu(seen: dict[str, Any] | None) -> Finding:
    processors = f"trials run on the CPU, {cores()} cores"
    if seen is None or "gpus" not in seen:
        return Finding("GPU", "degraded", f"not known without torch; {processors}")
    if not seen["gpus"]:
        if shutil.which("nvidia-smi"):
            text = f"torch sees none, though nvidia-smi is here; {processors}"
            return Finding("GPU", "degraded", text, "install a torch that is built for this driver")
        return Finding("GPU", "degraded", f"none; {processors}")
    cards = [f"{card['name']}, {card['memory_gb']:.0f} GB" for card in seen["gpus"]]
    return Finding("GPU", "ok", "; ".join(cards))


def _attention(seen: dict[str, Any]) -> Finding:
    found = seen.get("attention")
    if found is None:
        return Finding("attention", "degraded", "not known without torch")
    return Finding("attention", "ok" if found else "degraded", ", ".join(found) or "none that runs")


# In a lab that is none of the template's.
NO_DATA = Finding("data", "ok", "none of the harness's: this lab's trials don't use it")


def data(harness: HarnessConfig | None = None, root: Path | None = None) -> Finding:
    """Returns what `prepare` left: a folder with a manifest and the files that it names.

    `harness` and `root` are the [harness] table of a lab and its root, where there is a lab; if the table
    names its data, that is looked for, and else what was prepared last.
    """
    cache, mend = cache_dir(), "autoresearch prepare"
    harness, root = harness or HarnessConfig(), root or Path.cwd()
    name = data_name(harness, root)
    if name is None:
        text = missing(harness, root).partition("; run")[0]
        return Finding("data", "missing", f"{text} (the template needs it)", mend)
    folder = cache / name
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        gone = [name for name in manifest["digests"] if not (folder / name).is_file()]
        text = (
            f"{folder}: source {manifest['source']}, {manifest['train_rows']} training rows, "
            f"fingerprint {manifest['fingerprint']}"
        )
    except (OSError, ValueError, LookupError, TypeError) as fault:
        return Finding("data", "missing", f"{cache}: {in_one_line(fault)}", mend)
    if gone:
        return Finding("data", "missing", f"{folder} lost {', '.join(gone)}", mend)
    return Finding("data", "ok", text)
