"""The sandbox of a run, out of its configuration: what its trials may touch, see and are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from autoresearch.errors import LabError
from autoresearch.harness import names
from autoresearch.lab.data import data_name, require_data, trial_variables
from autoresearch.lab.run import Run
from autoresearch.lab.slot import Slot
from autoresearch.paths import cache_dir
from autoresearch.runners.environment import trial_environment
from autoresearch.sandbox.policy import (
    Policy,
    imported_from,
    own_python,
    pythons,
    readable_of,
    toolchains_of,
    without_effect,
)
from autoresearch.sandbox.sandbox import Sandbox
from autoresearch.sandbox.toolchains import Toolchains


def sandbox_of(run: Run, environment: Mapping[str, str]) -> Sandbox:
    """Returns the sandbox of a run, tested. Raises LabError where the jail asked for does not hold."""
    config, root = run.config, run.repo.root
    setting = config.runner.sandbox
    jailed = setting != "none"
    command, environment = run.words(config.task.command), run.with_path(environment)
    python = (
        next(iter(pythons(command, environment, root)), None)
        if jailed
        else own_python(command, environment, root)
    )
    toolchains = toolchains_of(config.task, environment, root)
    policy = _policy_of(run, environment, jailed, toolchains)
    fault = without_effect(policy, root, config.runner.readable) if jailed else None
    if fault is not None:
        raise LabError(fault)
    return Sandbox(
        setting,
        policy,
        python,
        run.tag,
        lambda: (run.state.frozen or {}).get("sandbox"),
        toolchains,
        imported_from(command, environment, policy.root, toolchains),
    )


def environment_of(
    run: Run,
    slot: Slot,
    sandbox: Sandbox,
    outer: Mapping[str, str],
    number: int,
    scratch: Path,
    compiled: Path | None = None,
    examiner: int | None = None,
) -> dict[str, str]:
    """Returns what a command of the lab's sees in a slot's worktree: a trial, or what judges one.

    outer is the supervisor's environment, number the experiment's, examiner the descriptor that leads to
    the trial's. compiled: where compilers keep what they made; without it, toolchains have the scratch.
    """
    task = run.config.task
    env = trial_environment(
        outer, number, scratch, cache_dir(), task.env_pass,
        trial_variables(run.config.harness, run.repo.root), compiled, examiner=examiner,
        written=task.env, toolchains=sandbox.told(compiled or scratch),
    )  # fmt: skip
    return env | sandbox.import_path(slot.worktree.path, env.get("PYTHONPATH"))


def _policy_of(
    run: Run,
    environment: Mapping[str, str],
    jailed: bool,
    toolchains: Toolchains,
) -> Policy:
    task, root, cache = run.config.task, run.repo.root, cache_dir()
    readable: tuple[Path, ...] = ()
    of_judges: tuple[Path, ...] = ()
    if jailed:
        command, more = run.words(task.command), run.config.runner.readable
        readable = readable_of(command, environment, root, more, toolchains)
        of_judges = tuple(
            place
            for command in task.judging()
            for place in readable_of(run.words(command), environment, root, (), toolchains)
        )
    if run.state.incumbent is None or run.state.fingerprint:  # else its trials use no harness
        require_data(run.config.harness, root)
    name = data_name(run.config.harness, root)
    hidden: tuple[Path, ...] = ()
    if name is not None:
        folder = cache / name
        hidden = tuple(map(Path, _hidden(folder)))
        if task.exam:
            readable += tuple(folder / file for file in (names.TOKENIZER, names.TOKEN_BYTES))
            # whatever runner.readable opens
            hidden += tuple(folder / file for file in (names.TRAIN, names.VAL, names.VAULT))
        else:  # it scores itself, and reads what it is scored on
            readable += (cache / names.CURRENT, folder)
            hidden = (folder / names.VAULT,)
    worktree = run.slots[0].worktree.path
    hidden += (worktree.parent.parent, *toolchains.hidden)  # the first: other slots and runs
    return Policy(
        root=run.repo.at_top.root,
        git=run.repo.common,
        worktree=worktree,
        compiled=run.slots[0].paths.compiled,
        cache=cache,
        home=Path.home(),
        readable=readable,
        hidden=hidden,
        inputs=tuple(map(run.repo.from_top, task.inputs)),
        of_judges=of_judges,
    )


def _hidden(folder: Path) -> list[str]:
    """Returns where held-out text could be read outside the cache, as the data's manifest has it."""
    try:
        found: list[str] = json.loads((folder / names.MANIFEST).read_bytes())["hidden"]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return found
