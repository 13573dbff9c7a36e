"""What would read the metric of a log that a trial left, where the configuration doesn't. Pure.

A line of configuration is only named after the reader has read the log with it.
"""

from __future__ import annotations

import difflib
import itertools
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator

from autoresearch.config import MetricConfig, TaskConfig
from autoresearch.records import Metrics
from autoresearch.rules.metrics import parse
from autoresearch.text import one_line, without_colours

_NUMBER = re.compile(
    r"(?<![\w.,])[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?!\w|[.,][0-9])"
)
_KEY = re.compile(r"[ \t]*([A-Za-z_][\w./-]{0,60})[ \t]*[:=][ \t]*[-+.]?[0-9]", re.ASCII)
# The whole word, else what of it can be a number: never a part of one, as of 0,93 or 1_000.
_VALUES = (r"(?P<value>\S+)", r"(?P<value>[-+.\w]*\w)(?!\w|[.,]\d)")
_LINES = 2000  # lines with the metric's name that are looked at: the last ones
_PATTERNS = 12  # that are tried
_BETWEEN = 30  # characters between the name and its number
_LONGEST = 2000  # characters of a line that is looked at
_SHOWN = 80


def metric_advice(log: Iterable[str], config: MetricConfig) -> str | None:
    """Returns what the log has where the metric was looked for, and what would read it; None for nothing."""
    lines = [without_colours(line) for line in log]
    name = config.name.casefold()
    named = [x for x in lines if len(x) < _LONGEST and name in x.casefold()][-_LINES:]
    return (
        _several(lines, config)
        or _without_pattern(named, config)
        or _no_plain_number(named, config)
        or _pattern(named, config)
        or _other_name(lines, config)
        or _nothing(lines)
    )


def claim_notice(task: TaskConfig, mutable: Collection[str] = ()) -> str | None:
    """Returns the line that says so where a lab's score is what its candidates say; else None.

    `mutable` are the paths that a candidate may change: a judge among them is none.
    """
    if task.exam:
        return None
    own = next((word for word in task.evaluate if os.path.normpath(word) in mutable), None)
    metric = task.metric
    if own is not None:
        return (
            f"the score is a claim: evaluate runs {own}, which a candidate may change; let it be "
            "in files that are not mutable"
        )
    if task.evaluate:
        return None
    source = (
        f"read from {metric.file_path}, which the trial writes"
        if metric.file
        else "what the trial prints of itself"
    )
    return (
        f"the score is a claim: {metric.name} is {source}, so a script that gives a better number and exits "
        'is kept; let a command of yours judge what trials leave: [task] evaluate = ["python", "evaluate.py"]'
    )


def toml_text(text: str) -> str:
    """Returns printable text as TOML writes it, without escapes where that is possible."""
    return f"'{text}'" if "'" not in text else json.dumps(text, ensure_ascii=False)


def _read_with(lines: Iterable[str], config: MetricConfig, **changes: str) -> float | None:
    """Returns the value that the reader finds with other settings, None where it finds none."""
    found = parse(lines, config.model_copy(update=changes))
    return found.value if isinstance(found, Metrics) else None


def _several(lines: list[str], config: MetricConfig) -> str | None:
    if config.take != "only":
        return None
    last, best = (_read_with(lines, config, take=take) for take in ("last", "best"))
    if last is None or best is None or _read_with(lines, config) is not None:
        return None
    return (
        f'The log has {config.name} more than once: in [task.metric] take = "last" would read '
        f'{last:g}, take = "best" {best:g}'
    )


def _without_pattern(named: list[str], config: MetricConfig) -> str | None:
    if not config.pattern:
        return None
    plain = _read_with(named, config, pattern="")
    if plain is None:
        return None
    return f"No line matches metric.pattern, and without one {plain:g} would be read: leave it out"


def _no_plain_number(named: list[str], config: MetricConfig) -> str | None:
    """Returns what is wrong with the number after the name, where it looks like one and is none."""
    after = re.compile(rf"(?<!\w){re.escape(config.name)}(?!\w)[^\w.+-]{{1,10}}(\S+)")
    for line in reversed(named):
        found = after.search(line)
        if found is None:
            continue
        had = f"The log has {one_line(line, _SHOWN)!r}"
        if re.match(r"[-+]?[0-9]+,[0-9]", found[1]):
            return f"{had}, with a decimal comma: print the number with a point, as in 0.93"
        if any(c.isdecimal() and not c.isascii() for c in found[1]):
            return f"{had}, with digits that are not ASCII: print 0 to 9"
        if re.match(r"[-+]?[0-9]+_[0-9]", found[1]):
            return f"{had}, with an underscore in the number: print it without"
    return None


def _pattern(named: list[str], config: MetricConfig) -> str | None:
    """Returns the pattern that reads the log: one that matches once, else one with `take`."""
    tried: dict[str, tuple[str, float]] = {}
    for line in reversed(named):
        for pattern, number in _candidates(line, config.name):
            if pattern.isprintable() and len(tried) < _PATTERNS * len(_VALUES):
                tried.setdefault(pattern, (line, number))
    for take, (pattern, (line, number)) in itertools.product(("only", "last"), tried.items()):
        value = _read_with(named, config, pattern=pattern, take=take)
        if value is not None and value == number:
            more = ' and take = "last"' if take == "last" else ""
            return (
                f"The log has {one_line(line, _SHOWN)!r}: in [task.metric] pattern = "
                f"{toml_text(pattern)}{more} would read {value:g}"
            )
    return None


def _candidates(line: str, name: str) -> Iterator[tuple[str, float]]:
    """Yields patterns that read the first number after the name in a line, and that number."""
    for found in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", line):
        number = _NUMBER.search(line, found.end())
        if number is None or number.start() - found.end() > _BETWEEN:
            continue
        between = line[found.end() : number.start()]
        if any(c.isdigit() for c in between):
            continue
        before = line[: found.start()]
        context = re.search(r"(?:(?<!\w)[^\W\d_]+)?[^\w]*$", before)
        left = _escaped(context[0].lstrip()) if context else ""
        left = r"^\s*" if not before.strip() else left if left else r"\b"
        between = re.sub(r" $", r"\\s+", _escaped(between))  # numbers are often set to the right
        for value in _VALUES:
            yield f"{left}{_escaped(name)}{between}{value}", float(number[0])


def _escaped(text: str) -> str:
    """Returns a text as a regular expression that people can read; runs of blanks match any."""
    plain = re.sub(r"([\\.^$*+?{}\[\]|()])", r"\\\1", text)
    return re.sub(r"\s\s+|[^\S ]", r"\\s+", plain)


def _other_name(lines: list[str], config: MetricConfig) -> str | None:
    """Returns the nearest key of the log that has a number."""
    keys = {found[1]: line for line in lines if (found := _KEY.match(line))}
    folded = {key.casefold(): key for key in keys}
    near = difflib.get_close_matches(config.name.casefold(), folded, n=1, cutoff=0.6)
    if not near:
        return None
    key = folded[near[0]]
    if _read_with(lines, config, name=key) is None:
        return None
    return (
        f"The log has {one_line(keys[key], _SHOWN)!r}; if that is it: in [task.metric] name = "
        f'"{key}"'
    )


def _nothing(lines: list[str]) -> str:
    last = next((line for line in reversed(lines) if line.strip()), None)
    if last is None:
        return "The log is empty: let the command print a line with the metric"
    return "No line of the log has its name and a number"
