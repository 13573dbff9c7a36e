"""Text on this machine: documents of files, and which of them are held out.

`stdlib` is the library of the Python that runs: real text on every machine, without a download.
Other sources are files and folders of text, JSONL and parquet; what is downloaded as a single file
is read by the same code.
"""

from __future__ import annotations

import hashlib
import json
import os
import sysconfig
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow
import pyarrow.parquet as pq

from .cache import HarnessError
from .progress import Say

PROSE = (".txt", ".md", ".rst", ".org", ".tex", ".html")
CODE = (".py", ".c", ".h", ".cc", ".cpp", ".hpp", ".rs", ".go", ".java", ".js", ".ts", ".sh")
TEXT_SUFFIXES = PROSE + CODE
JSONL, PARQUET = (".jsonl", ".ndjson"), (".parquet",)
SUFFIXES = TEXT_SUFFIXES + JSONL + PARQUET
# Installed beside the standard library but no part of it, or bundled, or machine-specific.
SKIPPED_FOLDERS = {"site-packages", "dist-packages", "ensurepip", "__pycache__", "lib-dynload"}
PIECE_CHARS = 16_384  # a longer local text is several documents
HELD_OUT_SHARE = 1 / 16  # of the text's bytes; once for validation and once for the vault
TRAIN, VAL, VAULT = "train", "val", "vault"
PARTS = (TRAIN, VAL, VAULT)
_LEFT_OUT = len(PARTS)  # blank, or a copy


class Corpus(Protocol):
    """Text in three parts, of which no two have a document in common."""

    trained_on: str  # names the text that the tokenizer is trained on, with a digest

    def size_bytes(self, part: str) -> int:
        """UTF-8 bytes of a part, or a good guess."""

    def texts(self, part: str) -> Iterator[str]:
        """The documents of a part, always in the same order."""

    def tokenizer_texts(self) -> Iterator[str]:
        """The documents that the tokenizer is trained on."""


@dataclass(frozen=True)
class Document:
    """One text; `name` is its file's place below the source, with `#` and its number in there."""

    name: str
    text: str


class Files:
    """The documents of files, read twice: to divide them, and to give them out.

    They are ordered by a digest of their names, which depends on nothing else: the first are for
    validation, the next for the vault, the rest for training. The pieces of a file stay together,
    at the place of the first one, unless the file is larger than the share. Memory holds a file of
    text, or a batch of a parquet file, and some bytes for each document.
    """

    def __init__(self, source: str, paths: Iterable[tuple[str, Path]], whole: bool = False) -> None:
        """paths: names and files. whole: a file of text is one document, however long.

        Raises HarnessError for a file that cannot be read, and where there is no text.
        """
        self._source = source
        self._paths = sorted(paths)
        self._whole = whole
        self._ends: list[int] = []  # of each file's documents, by number
        self.left_out = 0  # files that are empty, not UTF-8 or not readable
        keys, sizes, marks = array("Q"), array("Q"), array("Q")
        seen: set[int] = set()
        digest = hashlib.sha256()
        for name, path in self._paths:
            for document in documents(name, path, whole):
                text = hashlib.sha256(_utf8(document.text, path))
                mark = int.from_bytes(text.digest()[:8], "big")
                # A copy of a training text among the validation texts would be a leak.
                blank = mark in seen or not document.text.strip()
                seen.add(mark)
                marks.append(mark)
                keys.append(_key(document.name))
                sizes.append(0 if blank else len(document.text.encode()))
                if not blank:
                    digest.update(_name(document.name) + text.digest())
            self.left_out += len(keys) == (self._ends[-1] if self._ends else 0)
            self._ends.append(len(keys))
        self._keys, self._sizes = np.array(keys, np.uint64), np.array(sizes, np.int64)
        self._marks = marks  # to know the documents again
        if not self._sizes.any():
            raise HarnessError(
                f"source {source!r} holds no text; give a UTF-8 text file, or a folder with some "
                "of " + " ".join(SUFFIXES)
            )
        self.digest = digest.hexdigest()
        self.trained_on = f"training part of {self.digest}"
        self.count = int((self._sizes > 0).sum())
        self._part_of = np.zeros(0, np.int8)

    def corpus(self, held_bytes: int, say: Say) -> Corpus:
        """Hold out documents until `held_bytes`, or their share of the text, is reached; twice.

        Raises HarnessError where every document is larger than the share.
        """
        share = round(HELD_OUT_SHARE * int(self._sizes.sum()))
        most = min(held_bytes, share)
        unit_of = np.arange(len(self._sizes))  # what stays together has the number of its first
        split = np.zeros(len(self._sizes), bool)
        for (_, path), first, end in zip(self._paths, [0, *self._ends], self._ends, strict=False):
            if not self._whole and path.suffix not in JSONL + PARQUET:
                if self._sizes[first:end].sum() <= share:
                    unit_of[first:end] = first
                else:
                    split[first:end] = True
        sizes = np.bincount(unit_of, self._sizes, len(unit_of)).astype(np.int64)
        # A single document shall not be all that is held out, unless there is too little else.
        fits = split | (sizes <= most)
        if sizes[fits].sum() < 2 * most:
            fits = split | (sizes <= share)
        most = min(most, int(sizes[fits].sum()) // 2)
        if not most:
            raise HarnessError(
                f"source {self._source!r} has no document that could be held out: each is larger "
                f"than {share} bytes, a sixteenth of the text; give more, or shorter, documents"
            )
        order = np.argsort(self._keys, kind="stable")
        order = order[(sizes > 0)[order] & fits[order]]
        ends = np.cumsum(sizes[order])
        val = int(np.searchsorted(ends, most)) + 1
        vault = int(np.searchsorted(ends, ends[val - 1] + most)) + 1
        part_of = np.full(len(sizes), PARTS.index(TRAIN), np.int8)
        part_of[order[:val]] = PARTS.index(VAL)
        part_of[order[val:vault]] = PARTS.index(VAULT)
        self._part_of = np.where(self._sizes > 0, part_of[unit_of], _LEFT_OUT)
        say(f"{self.count} documents, {self._sizes.sum() / 1e6:.1f} MB")
        if self.left_out:
            say(f"left out: {self.left_out} files that are empty or no UTF-8 text")
        return self

    def size_bytes(self, part: str) -> int:
        """UTF-8 bytes of a part."""
        return int(self._sizes[self._part_of == PARTS.index(part)].sum())

    def texts(self, part: str) -> Iterator[str]:
        """The documents of a part, in the order of the files.

        Raises HarnessError where a file is no longer what it was when it was divided.
        """
        wanted = self._part_of == PARTS.index(part)
        first = 0
        for (name, path), end in zip(self._paths, self._ends, strict=True):
            if wanted[first:end].any():
                number = first
                for document in documents(name, path, self._whole):
                    if number < end and wanted[number]:
                        text = hashlib.sha256(_utf8(document.text, path))
                        if int.from_bytes(text.digest()[:8], "big") != self._marks[number]:
                            break
                        yield document.text
                    number += 1
                if number != end:
                    raise HarnessError(f"{path} changed while it was read; prepare again")
            first = end

    def tokenizer_texts(self) -> Iterator[str]:
        """The training part."""
        return self.texts(TRAIN)


def stdlib() -> Files:
    """The .py files of the Python that runs."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [
        (path.relative_to(root).as_posix(), path)
        for path in _files(root, (".py",))
        # _sysconfigdata records how this one interpreter was built.
        if not path.name.startswith("_sysconfigdata")
    ]
    return Files("stdlib", paths, whole=True)


def local(source: str, known: tuple[str, ...]) -> Files:
    """A file, or a folder and what is below it; known: sources by name, for the error."""
    try:
        root = Path(source).expanduser()
    except RuntimeError as error:
        raise HarnessError(f"no source {source!r}: {error}") from error
    if not os.path.exists(root):
        raise HarnessError(
            f"no source {source!r}: neither one of {', '.join(known)} nor the path of a file or "
            "folder"
        )
    if os.path.isfile(root):
        return Files(source, [(root.name, root)])
    return Files(source, [(p.relative_to(root).as_posix(), p) for p in _files(root, SUFFIXES)])


def documents(name: str, path: Path, whole: bool = False) -> Iterator[Document]:
    """The documents of a file by its suffix. Raises HarnessError naming the file, and the line."""
    if path.suffix == ".parquet":
        texts = parquet_texts(path)
    elif path.suffix in JSONL:
        texts = _jsonl_texts(path)
    elif whole:
        yield from (Document(name, text) for text in (_text(path),) if text is not None)
        return
    else:
        texts = _pieces(_text(path) or "")
    for number, text in enumerate(texts):
        yield Document(f"{name}#{number}", text)


def check_parquet(path: Path) -> int:
    """Bytes of the `text` column, by the file's own metadata.

    Raises HarnessError where the metadata cannot be read, or there is no such column of strings.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (pyarrow.ArrowException, OSError) as error:
        raise HarnessError(f"{path} is no readable parquet file: {error}") from error
    found = ", ".join(f"{field.name} ({field.type})" for field in schema)
    if schema.names.count("text") > 1:
        raise HarnessError(f"{path} has several columns 'text'; it has {found}")
    if "text" not in schema.names or schema.field("text").type not in (
        pyarrow.string(),
        pyarrow.large_string(),
    ):
        raise HarnessError(f"{path} has no column 'text' of strings; it has {found}")
    size = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            if column.path_in_schema == "text":
                size += column.total_uncompressed_size
    return size


def parquet_texts(path: Path) -> Iterator[str]:
    """Column `text`, a batch of rows at a time; a null is an empty text."""
    check_parquet(path)
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024, columns=["text"]):
                for text in batch.column(0).to_pylist():
                    yield text or ""
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        raise HarnessError(f"{path} is damaged: {error}") from error


def _jsonl_texts(path: Path) -> Iterator[str]:
    """Field `text` of the object in each line; blank lines are passed over."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _json_text(line, f"{path}, line {number}")
    except OSError as error:
        raise HarnessError(f"cannot read {path}: {error.strerror}") from error


def _json_text(line: bytes, where: str) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise HarnessError(f"{where}: not JSON ({error})") from error
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise HarnessError(f"{where}: not an object with a string under 'text'")
    text: str = record["text"]
    return text


def _utf8(text: str, path: Path) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # JSON can write one half of a pair of surrogates
        raise HarnessError(f"{path}: a text that is not Unicode ({error.reason})") from error


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(_name(name)).digest()[:8], "big")


def _name(name: str) -> bytes:
    """A path as the bytes that the file system has for it, ended so that none begins another."""
    return os.fsencode(name) + b"\0"


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
    """Regular files below `root` by suffix; no hidden, skipped or symlinked folder is entered."""
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if n not in SKIPPED_FOLDERS and not n.startswith(".")]
        for file in files:
            path = os.path.join(folder, file)
            # Reading a pipe would wait for ever.
            if file.endswith(suffixes) and not file.startswith(".") and os.path.isfile(path):
                yield Path(path)


def _text(path: Path) -> str | None:
    """The file as it is, without newline translation; None where it is not UTF-8 or unreadable."""
    try:
        return path.read_bytes().decode("utf-8")
    except (UnicodeDecodeError, OSError):
        return None
