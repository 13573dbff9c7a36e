"""What both sides of the harness's wall call by one name: the tool, and the trials' own Python.

The tool imports this module and cards.py of the harness, and nothing else; the harness imports
nothing of the tool. Both modules load the standard library alone.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

# Variables of a trial's environment, and of the harness's own commands.
CACHE_VARIABLE = "AUTORESEARCH_CACHE"
DATA_VARIABLE = "AUTORESEARCH_DATA"  # the data folder's name in the cache; without it, `current`
SEED_VARIABLE = "AUTORESEARCH_SEED"
BUDGET_VARIABLE = "AUTORESEARCH_BUDGET"
EXAMINER_VARIABLE = "AUTORESEARCH_EXAMINER"  # the number of the socket's descriptor

# The same seed for the first trial of every experiment, so that comparisons are paired.
SEED = 42

# -- the cache --------------------------------------------------------------------------------

CURRENT = "current"  # a file with the name of the data folder that was prepared last
MANIFEST = "manifest.json"
# Rows: raw little-endian uint16, [rows, seq_len + 1]; a BOS, then seq_len tokens.
TRAIN, VAL, VAULT = "train.u16", "val.u16", "vault.u16"
TOKENIZER, TOKEN_BYTES = "tokenizer.json", "token_bytes.npy"

# Training shards of the sources that come in shards, where no number is given.
USUAL_SHARDS = {"climbmix": 10, "fineweb-edu": 10}
SOURCES = ("stdlib", *USUAL_SHARDS, "tinystories")  # the sources that have names
DATA_SETTINGS = ("source", "shards", "vocab_size", "seq_len", "val_tokens")


def cache_folder() -> Path:
    """Returns AUTORESEARCH_CACHE, else the XDG cache folder's `autoresearch`."""
    if given := os.environ.get(CACHE_VARIABLE):
        return Path(given).absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "autoresearch"


def current_name(cache: Path) -> str | None:
    """Returns the name of the data folder that was prepared last; None where none is named."""
    try:
        name = (cache / CURRENT).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return name if is_data_name(name) else None


def is_data_name(name: str) -> bool:
    """Whether a data folder may have this name: one part of a path, and not a hidden one."""
    return bool(name) and "/" not in name and "\0" not in name and not name.startswith(".")


def data_settings(settings: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Returns what identifies prepared data, as its manifest stores it.

    A path in `source` is meant from `root` and becomes absolute; `shards` of 0 or None is the
    source's usual number, and 0 where it does not come in shards.
    """
    found = {key: settings[key] for key in DATA_SETTINGS}
    found["shards"] = found["shards"] or USUAL_SHARDS.get(found["source"], 0)
    if found["source"] not in SOURCES:
        found["source"] = os.path.abspath(root.resolve() / os.path.expanduser(found["source"]))
    return found


def prepared_name(cache: Path, wanted: Mapping[str, Any]) -> str | None:
    """Returns the data folder that was prepared with these settings, the last one of several.

    None where there is none. The folder that `current` names goes before others; of those, the one
    that `autoresearch prepare` touched last.
    """
    current = current_name(cache)
    if current is not None and _settings_in(cache / current) == wanted:
        return current
    try:
        folders = [path.parent for path in cache.glob(f"*/{MANIFEST}")]
        fitting = [path for path in folders if _settings_in(path) == wanted]
        dated = [(path.stat().st_mtime_ns, path.name) for path in fitting]
    except OSError:
        return None
    return max(dated)[1] if dated else None


def _settings_in(folder: Path) -> object:
    """Returns the settings in a data folder's manifest; None where there are none to be read."""
    try:
        return json.loads((folder / MANIFEST).read_bytes())["settings"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


# -- budgets ----------------------------------------------------------------------------------

# What a device has where nothing is set: seconds on a GPU, tokens on a CPU, whose seconds vary.
GPU_BUDGET = "300s"
CPU_BUDGET = "614400tokens"
_BUDGET = re.compile(r"([1-9]\d{0,14})(s|steps|tokens)", re.ASCII)


def read_budget(text: str) -> tuple[int, str] | None:
    """Returns (amount, unit) of `300s`, `600steps` or `614400tokens`; None for any other text."""
    match = _BUDGET.fullmatch(text)
    return None if match is None else (int(match[1]), match[2])


def steps_as_tokens(steps: int, known_steps: float, known_tokens: float) -> int:
    """Returns the tokens of a budget of steps, by those that the baseline's steps had."""
    return max(1, round(steps * known_tokens / known_steps))


def usual_budget(device_type: str) -> str:
    """Returns the budget of a device where none is set."""
    return CPU_BUDGET if device_type == "cpu" else GPU_BUDGET


# -- examinations -----------------------------------------------------------------------------

# "score": the trial; then "foreign" and "true": fresh processes that are asked about rows with a
# foreign end, and about rows as they are.
Role = Literal["score", "foreign", "true"]
ROLES: tuple[Role, ...] = get_args(Role)
# What an examiner keeps in its own folder of a trial, for the workers that verify it: weights,
# losses, and which training rows it was granted; and of the first worker for the second: what it was
# asked, and what it answered.
CHECKPOINT, LOSSES, GRANTED = "checkpoint.bin", "losses.npy", "granted.npy"
QUESTIONS, TWIN = "questions.npz", "twin.npy"
OF_VERIFICATION = (CHECKPOINT, LOSSES, GRANTED, QUESTIONS, TWIN)
CONTROL = "vault_losses.npy"  # the baseline's, of the vault
