"""The metric in a JSON file that a trial left, or the kind of crash that the trial was. Pure."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable

from autoresearch.config import MetricConfig
from autoresearch.records import Crash
from autoresearch.text import one_line

_SHOWN = 60


class _Twice:
    """What an object of JSON has under a key that stands in it more than once."""


def read(content: bytes | str, config: MetricConfig) -> float | Crash:
    """Returns the number at `file_key`; a text in the place of bytes says why the file was not read.

    `.` steps into objects, digits into lists. Anything but a finite number is a crash.
    """
    path = config.file_path
    if isinstance(content, str):
        return Crash("no_summary", f"{path}, where {config.name} should be, {content}")
    try:
        found = json.loads(content, object_pairs_hook=_object)
    except (ValueError, RecursionError) as fault:
        what = "nests too deep" if isinstance(fault, RecursionError) else str(fault)
        return Crash("no_summary", f"{path} is no JSON: {one_line(what, _SHOWN)}")
    walked = ""
    for part in config.file_key.split("."):
        walked += f".{part}" if walked else part
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and _index(part) < len(found):
            found = found[_index(part)]
        else:
            return Crash("no_summary", f"{path} has no {walked}{_instead(found)}")
        if isinstance(found, _Twice):
            return Crash("two_summaries", f"{path} has {walked} more than once")
    return _number(found, f"{config.file_key} in {path}")


def _object(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in pairs:
        made[key] = _Twice() if key in made else value
    return made


def _index(part: str) -> int:
    """Returns the item that a step means; where it is no number, one that no list has."""
    digits = part.isascii() and part.isdecimal() and len(part) < 10
    return int(part) if digits else sys.maxsize


def _instead(found: object) -> str:
    """Returns in words what is where a step could not be made."""
    if isinstance(found, dict):
        keys = ", ".join(one_line(key, 20) for key in list(found)[:8])
        return f"; there are {keys}" if keys else "; the object is empty"
    if isinstance(found, list):
        return f"; the list has {len(found)} items, from 0 on"
    return ""


def _number(found: object, where: str) -> float | Crash:
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return Crash(
            "no_summary",
            f"{where} is {one_line(json.dumps(found, default=str), _SHOWN)}, no number",
        )
    try:
        value = float(found)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        return Crash("nan", f"{where} is not finite")
    return value + 0.0
