"""An LLM's answer (header lines, then search/replace blocks or whole files) made into a proposal.

Strict where a guess could change the wrong line, lenient about the dress where only one reading is
possible (docs/edits.md). Blocks apply in order, each to the result of those before; one that does
not fit fails the whole answer, with a text that the model can act on, and so does whatever looks
like a change and is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from autoresearch.errors import BadAnswer
from autoresearch.records import Edit, Proposal
from autoresearch.researchers.base import DESCRIPTION_LENGTH, REMARK_LENGTH
from autoresearch.researchers.body import FORM, Block, Shown, returns
from autoresearch.researchers.dress import Paths
from autoresearch.researchers.lookalike import edits_by_shell
from autoresearch.researchers.reader import Reader
from autoresearch.researchers.textfile import TextFile, stands_in
from autoresearch.researchers.thought import without_thought
from autoresearch.text import one_line, path_fault

_NO_BLOCK = "The answer holds no block, so there is nothing to apply."
_SHELL = ("bash", "sh", "shell", "zsh", "console", "terminal")
_TALK_INFOS = frozenset([*_SHELL, "text", "txt", "plain", "plaintext", "log", "output"])
_INSTRUCTION = re.compile(
    r"\b(?:replace[sd]?|change[sd]?|insert(?:ed)?|add(?:ed)?|append|prepend|delete[sd]?|remove[sd]?|updated?"
    r"|modify|create|put|move[sd]?|rename[sd]?|becomes?|edit|patch|apply|rewrite|swap|also)\b"
    r"|^\W*(?:with|by|to|into|new|and|then|after|updated)\b.{0,20}$",
    re.IGNORECASE,
)
_DELETION = re.compile(r"\b(?:delete|remove|drop)\b", re.IGNORECASE)


def parse(text: str, files: dict[str, bytes], existing: frozenset[str]) -> Proposal:
    """Returns the proposal in an answer.

    files are the mutable files as they are, existing every path there is. Raises BadAnswer, whose
    text says which block is wrong and why; nothing is applied then.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadAnswer("The answer holds half a character (a lone surrogate).") from None
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = {path: _lines(data) for path, data in files.items()}
    read = Reader(without_thought(plain), Paths(files, existing), lines)
    changed: dict[str, bytes] = {}
    notes: list[str] = []
    seen: dict[tuple[str, ...], int] = {}
    for n, block in enumerate(read.blocks):
        _check_repeated(block, seen)
        if not block.sure:
            _check_only_there(block, files | changed)
        current = changed.get(block.path, files.get(block.path))
        changed[block.path] = _apply(block, current, existing | changed.keys())
        if changed[block.path] == current:
            notes.append(f"{block.name} changes nothing and was passed over")
        elif block.search is None and any(b.path == block.path for b in read.blocks[:n]):
            raise BadAnswer(
                f"{block.name}: the file was changed before, and comes whole. Give one of both."
            )
    edits = tuple(Edit(p, data) for p, data in changed.items() if files.get(p) != data)
    texts = [*files.values(), *changed.values()] if read.shown else []
    for code in read.shown:
        if why := _dropped(code, texts, (files | changed).values(), existing):
            raise BadAnswer(_not_read(code, why, bool(read.blocks)))
    if not read.blocks:
        raise BadAnswer(f"{_NO_BLOCK}\n{FORM}")
    if not edits:
        raise BadAnswer("The answer changes nothing: after its blocks every file is as it was.")
    said = read.header
    return Proposal(
        description=one_line(said.get("description", ""), DESCRIPTION_LENGTH),
        edits=edits,
        hypothesis=one_line(said.get("hypothesis", ""), REMARK_LENGTH),
        lesson=one_line(said.get("lesson", ""), REMARK_LENGTH),
        notes=tuple(notes),
    )


def _lines(data: bytes) -> tuple[str, ...] | None:
    try:
        return TextFile.of(data).lines
    except UnicodeDecodeError:
        return None


def _text(data: bytes) -> list[str]:
    """Returns the lines of a file that have text, without the blanks around them."""
    return [line.strip() for line in _lines(data) or () if line.strip()]


def _check_repeated(block: Block, seen: dict[tuple[str, ...], int]) -> None:
    """Raises BadAnswer where an earlier block searched the same lines: a revision, or a copy."""
    lines = ("",) if block.search is None else tuple(line.strip() for line in block.search)
    other = seen.setdefault((block.path, str(block.search is None), *lines), block.number)
    if other != block.number:
        what = "the same file as" if block.search is None else "the same SEARCH as"
        raise BadAnswer(
            f"{block.name}: it has {what} block {other}. Give each change once, the final one."
        )


def _check_only_there(block: Block, files: dict[str, bytes]) -> None:
    """Raises BadAnswer where a block whose path was gathered from the text fits another file too."""
    for path, data in files.items():
        lines = _lines(data) if path != block.path else None
        if lines and block.search and stands_in(lines, block.search):
            raise BadAnswer(
                f"{block.name}: its lines stand in {one_line(path, 120)} too. Put the file's path on the "
                "line before the block."
            )


def _dropped(
    code: Shown, texts: Iterable[bytes], after: Iterable[bytes], existing: frozenset[str]
) -> str | None:
    """Returns why code that is only shown may be a change; None where it is talk.

    Code that stands in a file as it was, or as it becomes, says nothing new.
    """
    lines = [line.strip() for line in code.lines if line.strip()]
    shell = code.info.lower() in _TALK_INFOS
    if code.after_whole_file and not shell:
        return "stands behind a whole file, whose fence may have ended too early"
    if any(stands_in(_text(data), lines) for data in texts):
        gone = _DELETION.search(code.lead) is None or not any(
            stands_in(_text(data), lines) for data in after
        )
        return None if gone else "is to be deleted, and is still there"
    if any(text and returns(text, lines) for text in map(_text, texts)):
        return "has the text of a file, changed, and no path before it"
    if any(map(edits_by_shell, lines)):
        return "holds commands that edit files"
    named = code.files - existing if shell else code.files
    if named or any(path.endswith(".sh") for path in code.files):
        return "belongs to " + ", ".join(sorted(code.files)[:5]) + " and is no block"
    if code.info.lower() in ("diff", "patch", "tool_code", "tool_call"):
        return "is a patch or a tool call"
    if shell:
        return None
    if not code.lead:
        return "has no path"
    return "is told in words" if _INSTRUCTION.search(code.lead) else None


def _not_read(code: Shown, why: str, beside_blocks: bool) -> str:
    first = next(line for line in code.lines if line.strip())
    about = f"The code fence that begins {one_line(first, 80)!r} {why}."
    if not beside_blocks:
        return f"{_NO_BLOCK} {about}\n{FORM}"
    return (
        f"{about} It may be a change that would be dropped, so nothing is applied. Give each change in "
        f"this form, and leave out code that is none.\n{FORM}"
    )


def _apply(block: Block, current: bytes | None, existing: frozenset[str]) -> bytes:
    """Returns the file's bytes after the block; current is None where the path is no mutable file."""
    if current is None:
        _check_new(block, existing)
    if "\0" in "".join(block.lines):
        raise BadAnswer(f"{block.name}: the new text holds a NUL character.")
    if block.search is None:
        return TextFile.of(current or b"").replaced_whole(block.lines)
    empty = not any(line.strip() for line in block.search)
    if current is None:
        if not empty:
            raise BadAnswer(
                f"{block.name}: there is no file of this name. The files that can be changed are "
                "those shown in the prompt; to make a new file, leave SEARCH empty."
            )
        return TextFile.of(b"").replaced_whole(block.lines)
    if empty:
        raise BadAnswer(
            f"{block.name}: SEARCH is empty, which makes a new file, but this file exists. Put the "
            "lines to be replaced into SEARCH, as they stand in the file."
        )
    file = TextFile.of(current)
    if _lines(current) is None:
        raise BadAnswer(f"{block.name}: the file is not UTF-8 text, leave it as it is.")
    return file.replaced(block.search, block.lines, block.name)


def _check_new(block: Block, existing: frozenset[str]) -> None:
    """Raises BadAnswer where a path outside the mutable files could not become a file."""
    path = block.path
    if fault := path_fault(path):
        raise BadAnswer(f"{block.name}: {fault}. A path is relative to the repository, as shown.")
    if path in existing:
        raise BadAnswer(f"{block.name}: this file can't be changed; it is frozen in this run.")
    for other in existing:
        if path.startswith(other + "/"):
            raise BadAnswer(f"{block.name}: {one_line(other, 120)} is a file, not a folder.")
        if other.startswith(path + "/"):
            raise BadAnswer(f"{block.name}: this is a folder, not a file.")
