"""Sources of text: where documents come from, and which of them are held out for validation.

Sources of this version: `stdlib` (the .py files of the Python that runs: real text on every
machine, without a download) and a local file or folder of text.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .cache import HarnessError, UsageError

PLANNED = ("climbmix", "fineweb-edu", "tinystories")
PLANNED_SUFFIXES = (".parquet", ".jsonl")
PROSE = (".txt", ".md", ".rst", ".org", ".tex", ".html")
CODE = (".py", ".c", ".h", ".cc", ".cpp", ".hpp", ".rs", ".go", ".java", ".js", ".ts", ".sh")
TEXT_SUFFIXES = PROSE + CODE
# Installed beside the standard library but no part of it, or bundled, or machine-specific.
SKIPPED_FOLDERS = {"site-packages", "dist-packages", "ensurepip", "__pycache__", "lib-dynload"}
PIECE_CHARS = 16_384  # a longer local text is several documents, so that one file can be split


@dataclass(frozen=True)
class Document:
    """One text; `name` is its path below the source, and decides where it falls in the split."""

    name: str
    text: str


def read_source(source: str) -> list[Document]:
    """Every readable, non-empty, distinct document of a source, in the order of name digests.

    That order depends on names alone, so it is the same on every machine with the same files.
    Raises UsageError for a source this version does not serve, HarnessError for an empty one.
    """
    if source in PLANNED or source.endswith(PLANNED_SUFFIXES):
        raise UsageError(
            f"source {source!r}: not yet; use stdlib, or the path of a text file or folder"
        )
    documents = list(_stdlib() if source == "stdlib" else _local(Path(source).expanduser()))
    seen: set[str] = set()
    distinct = []
    for document in sorted(documents, key=lambda document: document.name):
        # A copy of a training text among the validation texts would be a leak.
        if document.text.strip() and document.text not in seen:
            seen.add(document.text)
            distinct.append(document)
    if not distinct:
        raise HarnessError(
            f"source {source!r} holds no text; give a UTF-8 text file, or a folder with some of "
            + " ".join(TEXT_SUFFIXES)
        )
    return sorted(distinct, key=lambda d: hashlib.sha256(d.name.encode()).digest())


def hold_out(documents: list[Document], val_bytes: int) -> tuple[list[Document], list[Document]]:
    """(training, validation): the first documents that make `val_bytes` are for validation."""
    size = 0
    for count, document in enumerate(documents):
        if size >= val_bytes:
            return documents[count:], documents[:count]
        size += len(document.text.encode())
    return [], documents


def source_digest(documents: list[Document]) -> str:
    """SHA-256 over names and texts."""
    digest = hashlib.sha256()
    for document in documents:
        text = document.text.encode()
        digest.update(f"{document.name}\0{len(text)}\0".encode())
        digest.update(text)
    return digest.hexdigest()


def _stdlib() -> Iterator[Document]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in _files(root, (".py",)):
        # _sysconfigdata records how this one interpreter was built.
        if not path.name.startswith("_sysconfigdata") and (text := _text(path)) is not None:
            yield Document(path.relative_to(root).as_posix(), text)


def _local(root: Path) -> Iterator[Document]:
    if not root.exists():
        raise HarnessError(
            f"no source {str(root)!r}: neither stdlib nor the path of a text file or folder"
        )
    paths = [root] if root.is_file() else list(_files(root, TEXT_SUFFIXES))
    if not paths and any(_files(root, PLANNED_SUFFIXES)):
        raise UsageError(f"source {str(root)!r}: parquet and jsonl: not yet; use text files")
    for path in paths:
        name = path.name if path == root else path.relative_to(root).as_posix()
        for number, piece in enumerate(_pieces(_text(path) or "")):
            yield Document(f"{name}#{number}", piece)


def _pieces(text: str) -> Iterator[str]:
    """Cut at line ends where possible; the pieces joined are the text."""
    start = 0
    while start < len(text):
        end = start + PIECE_CHARS
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or end
        yield text[start:end]
        start = end


def _files(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Files below `root` by suffix; hidden, skipped and symlinked folders are not entered."""
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if n not in SKIPPED_FOLDERS and not n.startswith(".")]
        for file in files:
            if file.endswith(suffixes) and not file.startswith("."):
                yield Path(folder, file)


def _text(path: Path) -> str | None:
    """The file as it is, without newline translation; None where it is not UTF-8 or unreadable."""
    try:
        return path.read_bytes().decode("utf-8")
    except (UnicodeDecodeError, OSError):
        return None
