"""Which prepared data the trials of a lab use: that of its own [harness] table, or the last one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from autoresearch.config import HarnessConfig, RunnerConfig
from autoresearch.errors import LabError
from autoresearch.harness.names import (
    CURRENT,
    DATA_SETTINGS,
    DATA_VARIABLE,
    MANIFEST,
    cache_folder,
    current_name,
    data_settings,
    prepared_name,
)

_NOT_PREPARED = "not-prepared-for-this-lab"


def wanted_data(harness: HarnessConfig, root: Path) -> dict[str, Any] | None:
    """Returns the settings of the data that the [harness] table asks for, as a manifest has them.

    None where the table names none of them: then the data that was prepared last will do.
    """
    if not {*DATA_SETTINGS} & harness.model_fields_set:
        return None
    return data_settings(harness.model_dump(), root)


def with_open_cache(runner: RunnerConfig, root: Path) -> RunnerConfig:
    """Returns settings in which the harness's own cache is no readable folder, but what others keep in it.

    karpathy/autoresearch has its data in a folder of the same name. What the harness prepared stays
    hidden, and so does the folder itself.
    """
    cache, readable = cache_folder(), []
    for name in runner.readable:
        path = root / Path(name).expanduser()
        if os.path.realpath(path) != os.path.realpath(cache):
            readable.append(name)
        elif path.is_dir():
            readable += [str(entry) for entry in sorted(path.iterdir()) if not _is_ours(entry)]
    return runner.model_copy(update={"readable": readable})


def _is_ours(entry: Path) -> bool:
    """Returns whether a folder or file of the cache is the harness's own."""
    return entry.name == CURRENT or (entry / MANIFEST).exists()


def data_name(harness: HarnessConfig, root: Path) -> str | None:
    """Returns the name of the data folder that trials use; None where there is none yet."""
    wanted, cache = wanted_data(harness, root), cache_folder()
    return current_name(cache) if wanted is None else prepared_name(cache, wanted)


def trial_variables(harness: HarnessConfig, root: Path) -> dict[str, str]:
    """Returns what the harness in a trial is told: its budget, and which data is the lab's own.

    Where the lab names its data and none such is prepared, a name that no data has: a trial that
    asks for data then fails with the command that makes it, and one that needs none goes on.
    """
    variables, wanted = harness.environment(), wanted_data(harness, root)
    if wanted is None:
        return variables
    return {**variables, DATA_VARIABLE: prepared_name(cache_folder(), wanted) or _NOT_PREPARED}


def require_data(harness: HarnessConfig, root: Path) -> None:
    """Raises LabError where the lab names its data, and none such is prepared."""
    wanted = wanted_data(harness, root)
    if wanted is not None and prepared_name(cache_folder(), wanted) is None:
        raise LabError(missing(harness, root))


def missing(harness: HarnessConfig, root: Path) -> str:
    """Returns the sentence for a person whose lab has no data, with the command that makes it."""
    wanted, cache = wanted_data(harness, root), cache_folder()
    if wanted is None:
        return f"nothing is prepared in {cache}; run: autoresearch prepare"
    settings = ", ".join(f"{key} {value}" for key, value in wanted.items())
    return (
        f"{cache} has no data as this lab's [harness] asks for it ({settings}); run in the lab: "
        "autoresearch prepare"
    )
