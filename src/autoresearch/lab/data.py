"""Which prepared data the trials of a lab use: that of its own [harness] table, or the last one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoresearch.config import HarnessConfig
from autoresearch.errors import LabError
from autoresearch.harness.names import (
    DATA_SETTINGS,
    DATA_VARIABLE,
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
