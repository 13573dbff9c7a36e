"""A log that a program writes while we look on."""

from __future__ import annotations

from pathlib import Path

from autoresearch.rules import metrics


def size(log: Path) -> int:
    """Returns the bytes of a log; 0 where there is none."""
    try:
        return log.lstat().st_size
    except OSError:
        return 0


def last_line(log: Path, most: int = 200) -> str | None:
    """Returns the last line with anything on it, printable, its last `most` characters.

    None where the log is no plain file, or is empty.
    """
    if log.is_symlink() or not log.is_file():
        return None
    return metrics.tail(metrics.lines(log), 1, most).strip() or None
