"""A profile written into train.py and autoresearch.toml: every other byte, comments too, stays. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autoresearch import config
from autoresearch.errors import UsageError
from autoresearch.fit import constants
from autoresearch.fit.constants import Value
from autoresearch.fit.profiles import Profile

if TYPE_CHECKING:
    import tomlkit


class RewriteError(Exception):
    """A value can't be written into a file; the text says which file, and why."""


def with_profile(
    train: bytes, settings: bytes, profile: Profile, task: str | None = None
) -> tuple[bytes, bytes]:
    """Returns train.py and autoresearch.toml with a profile's values.

    Raises RewriteError, with the file's name, where one of them can't be followed.
    """
    try:
        train = with_constants(train, profile.knobs)
    except RewriteError as fault:
        raise RewriteError(f"train.py: {fault}") from None
    table = f"tasks.{task}" if task else "task"
    tables: dict[str, dict[str, Value]] = {
        table: {"timeout_s": profile.timeout_s},
        "harness": profile.harness,
    }
    try:
        return train, with_settings(settings, tables)
    except RewriteError as fault:
        raise RewriteError(f"{config.FILE}: {fault}") from None


def with_constants(source: bytes, new: Mapping[str, Value]) -> bytes:
    """Returns a Python file with these constants set; raises RewriteError where it has not all of them."""
    missing = [name for name in new if name not in constants.values(source)]
    if missing:
        raise RewriteError(
            f"it has no line {missing[0]} = ... at its top level, as the template has"
        )
    return constants.assign(source, new)


def with_settings(text: bytes, new: Mapping[str, Mapping[str, Value]]) -> bytes:
    """Returns an autoresearch.toml with keys set, by table; keys and tables that it lacks are added.

    Raises RewriteError where a table can't be followed, UsageError where the file is no TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    wanted = config.tables(text)
    body = text.decode()
    crlf = "\r\n" in body and "\n" not in body.replace("\r\n", "")
    try:
        document = tomlkit.parse(body if not body or body.endswith("\n") else f"{body}\n")
        for name, keys in new.items():
            now = _at(wanted, name)
            changes = {key: v for key, v in keys.items() if not _equal(now.get(key), v)}
            if changes:
                _write(_table(document, name), changes)
            now.update(keys)
        body = document.as_string()
        if crlf:
            body = body.replace("\r\n", "\n").replace("\n", "\r\n")
        after = body.encode()
        followed = config.tables(after) == wanted
    except (TOMLKitError, UsageError):
        followed = False
    if not followed:
        raise RewriteError("its tables are written in a way that this can't follow")
    return after


def _at(data: dict[str, Any], table: str) -> dict[str, Any]:
    """Returns a table by its dotted name, made where there is none."""
    for part in table.split("."):
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise RewriteError(f"{table} is no table")
    return data


def _equal(one: object, other: Value) -> bool:
    return one == other and isinstance(one, str) == isinstance(other, str)


def _table(document: tomlkit.TOMLDocument, name: str) -> Any:
    """Returns a table of the document by its dotted name; one that is new stands at its end."""
    import tomlkit

    found: Any = document
    for part in name.split("."):
        if part not in found:
            made = tomlkit.table()
            made.trivia.indent = "\n" if document.body else ""
            found[part] = made
        found = found[part]
    return found


def _write(table: Any, changes: Mapping[str, Value]) -> None:
    """Sets keys of a table: a comment stays in its column where there is room, new keys go last."""
    import tomlkit

    added = {}
    for key, value in changes.items():
        if key not in table:
            added[key] = value
            continue
        item, old = tomlkit.item(value), table[key]
        table[key] = item
        if isinstance(old, tomlkit.items.Item):  # a bool comes without its comment and line end
            item.trivia.trail = old.trivia.trail
            if old.trivia.comment:
                room = len(old.as_string()) + len(old.trivia.comment_ws) - len(item.as_string())
                item.trivia.comment_ws = " " * max(1, room)
    # What follows the last key, blank lines and comments, is about what comes next.
    body = table.value.body if isinstance(table, tomlkit.items.Table) else []
    last = max((at for at, (key, _) in enumerate(body) if key is not None), default=-1)
    follows = body[last + 1 :]
    del body[last + 1 :]
    for key, value in added.items():
        table[key] = value
    body.extend(follows)
