"""A profile written into train.py and autoresearch.toml: every other byte, comments too, stays. Pure.

Both are edited line by line and read back: what would come out otherwise than meant is refused.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoresearch import config
from autoresearch.errors import UsageError
from autoresearch.fit.estimates import Estimate, Model, computed, memory_of
from autoresearch.fit.profiles import Device, Profile, Value, changed, choose


@dataclass(frozen=True, slots=True)
class Fit:
    """A device, and the profile that was chosen for it."""

    device: Device
    profile: Profile

    @classmethod
    def of(cls, device: Device, name: str | None, sets: Iterable[str]) -> Fit:
        """The device's own profile or the one named, with single values set; UsageError for a wrong one."""
        return cls(device, changed(choose(device, name), sets))

    @property
    def estimate(self) -> Estimate:
        profile = self.profile
        return computed(profile.knobs, profile.settings, self.device, profile.tflops)

    def lines(self) -> Iterator[str]:
        """What was chosen and what it will take, before anything has run."""
        profile, device = self.profile, self.device
        model = Model.of(profile.knobs, profile.settings)
        peak_mb, fits = memory_of(profile.knobs, profile.settings, device)
        size = f"{model.parameters / 1e6:.1f} M parameters, about {peak_mb} MB at its peak"
        yield f"profile {profile.name} for {device.words()}: {size}"
        if device.kind == "cuda" and choose(device).kind == "cpu":
            yield "notice: that is less than the smallest profile for a GPU needs"
        yield f"estimate: {self.estimate.words(profile.timeout_s)}"
        if not fits:
            yield (
                f"warning: about {peak_mb} MB is too much for {device.memory_mb} MB: lower DEVICE_BATCH "
                "or DIM, or take a smaller profile"
            )
        warning = self.estimate.warning(profile.timeout_s)
        if warning:
            yield f"warning: {warning}"


class Unfit(Exception):
    """A file that a value can't be written into; the text says which, and why."""


def knobs_of(source: bytes) -> dict[str, Value]:
    """The upper-case constants at the top level of a Python file; {} where it does not parse.

    A constant is a number, a text, True or False, or a power as 2**18, bound once.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in somebody's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, Value] = {}
    twice = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id.isupper():
                value = _constant(node.value)
                if target.id in found:
                    twice.add(target.id)
                elif value is not None:
                    found[target.id] = value
    return {name: value for name, value in found.items() if name not in twice}


def _constant(node: ast.expr) -> Value | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _constant(node.operand)
        return None if inner is None or isinstance(inner, str) else -inner
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, power = _constant(node.left), _constant(node.right)
        if (
            isinstance(base, int)
            and isinstance(power, int)
            and 0 <= base <= 10
            and 0 <= power <= 64
        ):
            return int(base**power)
    return None


def with_knobs(source: bytes, values: Mapping[str, Value]) -> bytes:
    """A Python file with these constants set, each on its one line `NAME = literal  # comment`.

    Raises Unfit where the file has no such lines.
    """
    now = knobs_of(source)
    missing = [name for name in values if name not in now]
    if missing:
        raise Unfit(f"it has no line {missing[0]} = ... at its top level, as the template has")
    for name, value in values.items():
        if _same(now[name], value):
            continue
        literal = rb"(?m)^%s[ \t]*=[ \t]*([^#\r\n]*?)(?=[ \t]*(?:#|\r|\n|\Z))" % name.encode()
        found = re.search(literal, source)
        if found:
            source = source[: found.start(1)] + _python(value).encode() + source[found.end(1) :]
    after = knobs_of(source)
    wrong = [name for name, value in {**now, **values}.items() if not _same(after.get(name), value)]
    if wrong:
        raise Unfit(f"{wrong[0]} can't be written there; write {wrong[0]} = {values.get(wrong[0])}")
    return source


def _same(one: Value | None, other: Value) -> bool:
    return type(one) is type(other) and one == other


def _python(value: Value) -> str:
    if isinstance(value, int) and value >= 4096 and value & (value - 1) == 0:
        return f"2**{value.bit_length() - 1}"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def with_settings(text: bytes, values: Mapping[str, Mapping[str, Value]]) -> bytes:
    """An autoresearch.toml with keys set, by table; keys and tables that it lacks are added.

    Raises Unfit where it is written in a way that this can't follow, UsageError where it is no TOML.
    """
    before = config.tables(text)
    lines = text.decode().splitlines(keepends=True)
    end = "\r\n" if b"\r\n" in text else "\n"
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += end
    for table, keys in values.items():
        changes = {k: v for k, v in keys.items() if not _equal(_at(before, table).get(k), v)}
        if changes:
            lines = _edited(lines, table, changes, end)
    after = "".join(lines).encode()
    for table, keys in values.items():
        _at(before, table).update(keys)
    try:
        same = config.tables(after) == before
    except UsageError:
        same = False
    if not same:
        raise Unfit("its tables are written in a way that this can't follow")
    return after


def _at(data: dict[str, Any], table: str) -> dict[str, Any]:
    """A table by its dotted name; made where there is none."""
    for part in table.split("."):
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise Unfit(f"{table} is no table")
    return data


def _equal(one: object, other: Value) -> bool:
    return one == other and isinstance(one, str) == isinstance(other, str)


def _edited(lines: list[str], table: str, changes: Mapping[str, Value], end: str) -> list[str]:
    name = r"\s*\.\s*".join(re.escape(part) for part in table.split("."))
    head = re.compile(rf"\s*\[\s*{name}\s*\]\s*(#.*)?$")
    start = next((i for i, line in enumerate(lines) if head.match(line)), None)
    if start is None:
        added = [f"{key} = {_toml(value)}{end}" for key, value in changes.items()]
        return [*lines, end, f"[{table}]{end}", *added]
    stop = next(
        (i for i in range(start + 1, len(lines)) if re.match(r"\s*\[", lines[i])), len(lines)
    )
    body = lines[start + 1 : stop]
    rest = dict(changes)
    for at, line in enumerate(body):
        found = re.match(r"(\s*(\w+)\s*=\s*)(\"[^\"]*\"|'[^']*'|[^#\s]+)(\s*)(#.*)?", line)
        if found and found[2] in rest:
            body[at] = _line(found, _toml(rest.pop(found[2])), end)
    last = max((i for i, line in enumerate(body) if not re.match(r"\s*(#|$)", line)), default=-1)
    added = [f"{key} = {_toml(value)}{end}" for key, value in rest.items()]
    return [*lines[: start + 1], *body[: last + 1], *added, *body[last + 1 :], *lines[stop:]]


def _toml(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)


def _line(found: re.Match[str], value: str, end: str) -> str:
    """A line with another value, its comment in the same column where there is room."""
    if not found[5]:
        return f"{found[1]}{value}{end}"
    room = len(found[3]) + len(found[4])
    return f"{found[1]}{value.ljust(room - 1)} {found[5].rstrip()}{end}"


def fitted(
    train: bytes, settings: bytes, profile: Profile, task: str | None = None
) -> tuple[bytes, bytes]:
    """train.py and autoresearch.toml with a profile's values; Unfit with the file's name."""
    try:
        train = with_knobs(train, profile.knobs)
    except Unfit as fault:
        raise Unfit(f"train.py: {fault}") from None
    table = f"tasks.{task}" if task else "task"
    tables: dict[str, dict[str, Value]] = {
        table: {"timeout_s": profile.timeout_s},
        "harness": profile.harness,
    }
    try:
        return train, with_settings(settings, tables)
    except Unfit as fault:
        raise Unfit(f"{config.FILE}: {fault}") from None
