"""The Python of a lab: chosen once, at the baseline of a run, and the same from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoresearch.config import Config
from autoresearch.errors import LabError
from autoresearch.lab.lab import Lab
from autoresearch.paths import branch_ref
from autoresearch.rules.guard import Mutable
from autoresearch.runners.python import HARNESS, ChosenPython, choose, is_meant, why_not


def chosen_python(
    lab: Lab, tag: str | None, config: Config, environment: Mapping[str, str]
) -> ChosenPython | None:
    """Returns what `python` means in the commands of a lab, and of a run where one is named.

    None where no command leaves that open, and for a run of a release that took what PATH has. Raises
    LabError where the Python of the run's baseline is gone, and where none has what the lab needs.
    """
    if not any(is_meant(command[0]) for command in config.task.commands()):
        return None
    frozen = lab.state(tag).frozen if tag is not None else None
    if frozen is None:
        module = HARNESS if needs_harness(lab, tag, config) else None
        return choose(lab.repo.root, environment, module)
    program = frozen.get("python")
    if program is None:
        return None
    fault = why_not(program, environment, None)
    if fault is not None:
        raise LabError(
            f"the Python of the run's baseline, {program}: {fault}. Put it back; or start another run "
            f"from its tip: autoresearch init TAG --from autoresearch/{tag}"
        )
    return ChosenPython(program, "that of the baseline")


def with_python(command: Sequence[str], program: str | None) -> tuple[str, ...]:
    """Returns a command with the chosen Python in the place of the word `python`."""
    if program is not None and is_meant(command[0]):
        return (program, *command[1:])
    return tuple(command)


def needs_harness(lab: Lab, tag: str | None, config: Config) -> bool:
    """Returns whether trials use the frozen harness: by the configuration, or by what their files import."""
    task, repo = config.task, lab.repo
    if task.exam:
        return True
    tip = (repo.resolve(branch_ref(tag)) if tag else None) or repo.resolve("HEAD")
    tree = repo.tree(tip) if tip else {}
    rules = Mutable.of(task.mutable, task.protected)
    files = [path for path in tree if path in task.command or rules.names(path)]
    blobs = repo.blobs(tree[path][1] for path in files if tree[path][0] != "160000")
    return any(HARNESS.encode() in content for content in blobs.values())
