"""What this machine can do, and the command that mends what it can't.

Nothing here raises for a broken environment: what is broken is a Finding.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from autoresearch.commands.doctor import fit, machine, start, training
from autoresearch.commands.doctor.finding import Finding
from autoresearch.config import Config, ResearcherConfig, RunnerConfig, TaskConfig
from autoresearch.errors import AutoresearchError, LabError
from autoresearch.lab.lab import Lab
from autoresearch.lab.python import chosen_python, needs_harness, with_python
from autoresearch.paths import CHARTER, CONFIG
from autoresearch.ratchet.toolchain_advice import elsewhere, path_with
from autoresearch.report.table import hanging
from autoresearch.researchers.agents import agent_of
from autoresearch.researchers.make import KEYS, kind_of, program_of
from autoresearch.runners.environment import which

_STYLES = {"ok": "green", "degraded": "yellow", "missing": "red"}


def checks(lab: Lab | None) -> list[Finding]:
    """Returns all that is worth knowing before a night, in the order in which a run needs it."""
    found = [machine.python(), machine.git()]
    found += machine.git_lfs(lab.repo) if lab else []
    found.append(machine.platform())
    config, tag, about_lab = _lab(lab)
    found += about_lab
    task = config.task if config else TaskConfig(command=["python"], mutable=["train.py"])
    root = lab.repo.root if lab else Path.cwd()
    if lab and config:
        task, about_python = _with_python(lab, tag, config)
        found += about_python
        found.append(_command(task.command[0], root))
    found += training.training(task, root)
    if lab and config:
        found += fit.estimate_of(lab, config)
    found += [machine.memory(), *machine.disks(root)]
    researcher = config.researcher if config else ResearcherConfig()
    found += [_keys(researcher), _researcher(researcher, root)]
    runner = config.runner if config else RunnerConfig()
    sandbox, jail = machine.sandbox(runner, task.command, root)
    found += [_data(lab, tag, config, root), sandbox]
    if lab and config:
        found += start.start(lab, config.model_copy(update={"task": task}), tag, jail)
    return [*found, machine.slurm()]


def render(found: Iterable[Finding], console: Console) -> None:
    """Prints a line for each; what mends it has a line of its own, never folded, to be copied."""
    for each in found:
        head = f"{each.name:<10} {each.state:<9} "
        hanging(console, head, each.what, _STYLES[each.state])
        if each.mend:
            console.print(f"{'':20} {each.mend}", soft_wrap=True, highlight=False, markup=False)


def _with_python(lab: Lab, tag: str | None, config: Config) -> tuple[TaskConfig, list[Finding]]:
    """Returns the task as its trials run it, and what is to be said of the Python that they run with."""
    task = config.task
    try:
        chosen = chosen_python(lab, tag, config, os.environ)
    except LabError as fault:
        return task, [Finding("trials", "missing", str(fault))]
    if chosen is None:
        return task, []
    command, *setup = (
        list(with_python(words, chosen.program)) for words in (task.command, *task.setup)
    )
    said = Finding("trials", "ok", chosen.text)
    return task.model_copy(update={"command": command, "setup": setup}), [said]


def _data(lab: Lab | None, tag: str | None, config: Config | None, root: Path) -> Finding:
    """Returns what was prepared, where trials use the harness or it can't be told whether they do."""
    if lab is not None and config is not None:
        with contextlib.suppress(AutoresearchError):
            if not needs_harness(lab, tag, config):
                return training.NO_DATA
    settings = config.harness if config and "harness" in config.model_fields_set else None
    return training.data(settings, root)


# -- the lab ----------------------------------------------------------------------------------


def _lab(lab: Lab | None) -> tuple[Config | None, str | None, list[Finding]]:
    """Returns the lab's settings and the run at hand, as far as there are any, and what was found."""
    if lab is None:
        text = "this folder is in no repository that can be a lab"
        return None, None, [Finding("lab", "missing", text, "autoresearch init")]
    root = lab.repo.root
    try:
        tag: str | None = lab.tag(None)
    except (AutoresearchError, OSError):
        tag = None
    try:
        config = lab.config(tag)
    except (AutoresearchError, OSError) as fault:
        return None, tag, [Finding("lab", "missing", str(fault), f"edit {root / CONFIG}")]
    run = f"run {tag}" if tag else "no run yet"
    found = [Finding("lab", "ok", f"{root}: {CONFIG} is valid, {run}")]
    if not (root / CHARTER).is_file():
        text = f"no {CHARTER}: a researcher is not told what to try"
        found.append(Finding("charter", "degraded", text, f"write {CHARTER}, and commit it"))
    return config, tag, found


def _command(program: str, root: Path) -> Finding:
    where = which(program, root)
    if where is None:
        place = elsewhere(program)
        text = f"task.command: {program} is not on the PATH"
        if place is not None:
            return Finding("command", "missing", f"{text}, but it is {place}", path_with(place))
        return Finding("command", "missing", text, f"install {program}, or edit {CONFIG}")
    return Finding("command", "ok", f"{program} is {where}")


# -- who proposes ----------------------------------------------------


def _keys(config: ResearcherConfig) -> Finding:
    """Returns which keys are set, by their names; a value is never shown."""
    names = [*dict.fromkeys([*([config.key_env] if config.key_env else []), *KEYS.values()])]
    held = [name for name in names if os.environ.get(name, "").strip()]
    if config.key_env and config.key_env not in held:
        text = f"{config.key_env}, which researcher.key_env names, is not set"
        return Finding("keys", "missing", text, f"export {config.key_env}=...")
    if config.base_url and not config.key_env:
        text = f"none is sent to {config.base_url}: researcher.key_env is empty"
        return Finding("keys", "degraded", text, "set key_env, if that server asks for a key")
    if not held:
        return Finding(
            "keys", "degraded", f"none of {', '.join(names)} is set", f"export {names[0]}=..."
        )
    return Finding("keys", "ok", f"set: {', '.join(held)}")


def _researcher(config: ResearcherConfig, root: Path) -> Finding:
    kind = kind_of(config, os.environ)
    how = "auto means " if config.kind == "auto" else ""
    if kind in KEYS:
        key = config.key_env or ("" if config.base_url else KEYS[kind])
        served = config.base_url or os.environ.get(f"{kind.upper()}_BASE_URL")
        text = f"{how}{kind}, model {config.model or _default_model(kind)}"
        text += f", at {config.base_url}" if config.base_url else ""
        if key and not served and not os.environ.get(key, "").strip():
            return Finding("researcher", "missing", f"{text}, without a key", f"export {key}=...")
        return Finding("researcher", "ok", text)
    if kind == "command":
        command = program_of(config)
        program, known = command[0], agent_of(command)
        if which(program, root) is None:
            text = f"{how}command, but {program} is not on the PATH"
            mend = known.install if known else f"install {program}, or edit {CONFIG}"
            return Finding("researcher", "missing", text, mend)
        return Finding("researcher", "ok", f"{how}command: {shlex.join(command)}")
    if kind == "scripted":
        file = root / config.model
        if not config.model or not file.exists():
            text = f"scripted, but there is no file of answers {config.model!r}"
            return Finding(
                "researcher", "missing", text, f"name one as researcher.model in {CONFIG}"
            )
        return Finding("researcher", "ok", f"scripted: {file}")
    return Finding(
        "researcher", "ok", f"{how}knobs: turns the constants of the file, without a key"
    )


def _default_model(kind: str) -> str:
    if kind == "anthropic":
        from autoresearch.researchers.anthropic import DEFAULT_MODEL
    else:
        from autoresearch.researchers.openai import DEFAULT_MODEL
    return DEFAULT_MODEL
