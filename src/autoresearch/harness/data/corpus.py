"""Text on this machine: documents of files, and which of them are held out.

LocalFiles and folders of text, JSONL and parquet; what is downloaded as a single file, and the library of
the Python that runs (library.py), are read by the same code.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from ..cache import HarnessError
from .formats import JSONL, PARQUET, SUFFIXES, documents
from .progress import Say

# Installed beside the standard library but no part of it, or bundled, or machine-specific.
SKIPPED_FOLDERS = {"site-packages", "dist-packages", "ensurepip", "__pycache__", "lib-dynload"}
HELD_OUT_SHARE = 1 / 16  # of the text's bytes; once for validation and once for the vault
TRAIN, VAL, VAULT = "train", "val", "vault"
PARTS = (TRAIN, VAL, VAULT)
_LEFT_OUT = len(PARTS)  # blank, or a copy


class Corpus(Protocol):
    """Text in three parts, of which no two have a document in common."""

    trained_on: str  # names the text that the tokenizer is trained on, with a digest

    def size_bytes(self, part: str) -> int:
        """Returns the UTF-8 bytes of a part, or a good guess."""

    def texts(self, part: str) -> Iterator[str]:
        """Yields the documents of a part, always in the same order."""

    def tokenizer_texts(self) -> Iterator[str]:
        """Yields the documents that the tokenizer is trained on."""


class LocalFiles:
    """Reads the documents of files twice: to divide them, and to give them out.

    They are ordered by a digest of their names, which depends on nothing else: the first are for
    validation, the next for the vault, the rest for training. The pieces of a file stay together,
    at the place of the first one, unless the file is larger than the share. Memory holds a file of
    text, or a batch of a parquet file, and some bytes for each document.
    """

    def __init__(
        self,
        source: str,
        paths: Iterable[tuple[str, Path]],
        hidden: list[str],
        whole: bool = False,
        training: Iterable[tuple[str, Path]] = (),
    ) -> None:
        """paths: names and files. hidden: absolute paths that hold all of them, for the manifest.

        whole: a file of text is one document, however long. training: more files, of which none is
        held out. Raises HarnessError for a file that cannot be read, and where there is no text.
        """
        self._source = source
        self.hidden = hidden
        # Those for training first: of two copies the first is kept, so none of them is held out.
        self._paths = sorted(training)
        self._open_files = len(self._paths)
        self._paths += sorted(paths)
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
        """Holds out documents until `held_bytes`, or their share of the text, is reached; twice.

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
        closed = unit_of >= ([0, *self._ends][self._open_files])
        # A single document shall not be all that is held out, unless there is too little else.
        fits = closed & (split | (sizes <= most))
        if sizes[fits].sum() < 2 * most:
            fits = closed & (split | (sizes <= share))
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
        """Returns the UTF-8 bytes of a part."""
        return int(self._sizes[self._part_of == PARTS.index(part)].sum())

    def texts(self, part: str) -> Iterator[str]:
        """Yields the documents of a part, in the order of the files.

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
        """Yields the training part."""
        return self.texts(TRAIN)


def local(source: str, known: tuple[str, ...]) -> LocalFiles:
    """Returns a file, or a folder and what is below it. known: sources by name, for the error."""
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
        return LocalFiles(source, [(root.name, root)], [str(root.resolve())])
    paths = list(files_below(root, SUFFIXES))
    linked = {str(path.resolve()) for path in paths if path.is_symlink()}
    hidden = sorted({str(root.resolve())} | linked)
    return LocalFiles(source, [(path.relative_to(root).as_posix(), path) for path in paths], hidden)


def _utf8(text: str, path: Path) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # JSON can write one half of a pair of surrogates
        raise HarnessError(f"{path}: a text that is not Unicode ({error.reason})") from error


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(_name(name)).digest()[:8], "big")


def _name(name: str) -> bytes:
    """Returns a path as the bytes that the file system has for it, ended so that none begins another."""
    return os.fsencode(name) + b"\0"


def files_below(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yields regular files below `root` by suffix; no hidden, skipped or symlinked folder is entered."""
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if n not in SKIPPED_FOLDERS and not n.startswith(".")]
        for file in files:
            path = os.path.join(folder, file)
            # Reading a pipe would wait for ever.
            if file.endswith(suffixes) and not file.startswith(".") and os.path.isfile(path):
                yield Path(path)
