"""Documents out of a file: text, JSONL and parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet as pq

from ..cache import HarnessError

PROSE = (".txt", ".md", ".rst", ".org", ".tex", ".html")
CODE = (".py", ".c", ".h", ".cc", ".cpp", ".hpp", ".rs", ".go", ".java", ".js", ".ts", ".sh")
TEXT_SUFFIXES = PROSE + CODE
JSONL, PARQUET = (".jsonl", ".ndjson"), (".parquet",)
SUFFIXES = TEXT_SUFFIXES + JSONL + PARQUET
PIECE_CHARS = 16_384  # a longer local text is several documents


@dataclass(frozen=True)
class Document:
    """One text; `name` is its file's place below the source, with `#` and its number in there."""

    name: str
    text: str


def documents(name: str, path: Path, whole: bool = False) -> Iterator[Document]:
    """Yields the documents of a file by its suffix. Raises HarnessError naming the file and the line."""
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
    """Returns the bytes of the `text` column, by the file's own metadata.

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
    """Yields column `text`, a batch of rows at a time; a null is an empty text."""
    check_parquet(path)
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024, columns=["text"]):
                for text in batch.column(0).to_pylist():
                    yield text or ""
    except (pyarrow.ArrowException, UnicodeDecodeError, OSError) as error:
        raise HarnessError(f"{path} is damaged: {error}") from error


def _jsonl_texts(path: Path) -> Iterator[str]:
    """Yields field `text` of the object in each line; blank lines are passed over."""
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


def _pieces(text: str) -> Iterator[str]:
    """Yields pieces, cut at line ends where possible; joined they are the text."""
    start = 0
    while start < len(text):
        end = start + PIECE_CHARS
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or end
        yield text[start:end]
        start = end


def _text(path: Path) -> str | None:
    """Returns the file as it is, without newline translation; None where it is no UTF-8 or unreadable."""
    try:
        return path.read_bytes().decode("utf-8")
    except (UnicodeDecodeError, OSError):
        return None
