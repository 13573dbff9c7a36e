"""Edits that were made against one commit are put on another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from autoresearch.errors import LabError
from autoresearch.records import Edit
from autoresearch.workspace.repository import Repository


def merge(
    repo: Repository, edits: tuple[Edit, ...], base: Mapping[str, str], head: str, onto: str
) -> tuple[Edit, ...]:
    """Returns edits of the working tree put on a commit; raises LabError where both change the same lines.

    base has the blob that the edit of a path was made from, where that is not what `head` has there.
    """
    head_tree, onto_tree = repo.tree(head), repo.tree(onto)
    merged = []
    for edit in edits:
        now = onto_tree.get(edit.path)
        was = base.get(edit.path) or head_tree.get(edit.path, ("", None))[1]
        if edit.content is None:
            merged += [edit] if now else []
            continue
        blobs = repo.blobs(blob for blob in (was, now and now[1]) if blob)
        ours = blobs[now[1]] if now else b""
        content = merge_lines(blobs[was] if was else b"", ours, edit.content)
        if content is None:
            raise LabError(
                f"{edit.path}: your edit and the incumbent {onto[:7]} change the same lines. Bring the "
                f"incumbent in first: git diff {head[:7]} {onto[:7]} -- {edit.path} shows what it changed",
                [edit.path],
            )
        if now is None or content != ours or edit.mode != now[0]:
            merged.append(Edit(edit.path, content, edit.mode))
    return tuple(merged)


@dataclass(frozen=True, order=True)
class _Change:
    """Lines start to end of the base become others."""

    start: int
    end: int
    lines: tuple[bytes, ...]


def merge_lines(base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Returns the three-way merge by lines, None for a conflict.

    Changes of neighbouring lines merge (git calls that a conflict): constants that stand in a block
    are what experiments change. Changes that both sides made are taken once.
    """
    lines = base.splitlines(keepends=True)
    changes = sorted({*_changes(lines, ours), *_changes(lines, theirs)})
    result: list[bytes] = []
    at, last = 0, None
    for change in changes:
        both_insert = last is not None and last.start == last.end == change.start == change.end
        if change.start < at or both_insert:
            return None
        result += [*lines[at : change.start], *change.lines]
        at, last = change.end, change
    return b"".join([*result, *lines[at:]])


def _changes(base: list[bytes], content: bytes) -> Iterator[_Change]:
    """Yields what makes the base the content, line by line where as many lines replace as many others."""
    lines = content.splitlines(keepends=True)
    for kind, start, end, new_start, new_end in SequenceMatcher(
        None, base, lines, autojunk=False
    ).get_opcodes():
        if kind == "replace" and end - start == new_end - new_start:
            for offset in range(end - start):
                old, new = base[start + offset], lines[new_start + offset]
                if old != new:
                    yield _Change(start + offset, start + offset + 1, (new,))
        elif kind != "equal":
            yield _Change(start, end, tuple(lines[new_start:new_end]))
