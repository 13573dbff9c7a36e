"""A path of a working tree as an edit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from autoresearch.records import Edit


def edit_of(root: Path, path: str, wanted: bool) -> Edit:
    """Returns a path of a working tree as an edit, with its bytes if wanted; what it is shows in the mode."""
    file = root / path.rstrip("/")
    try:
        info = file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Edit(path, None)
    if stat.S_ISLNK(info.st_mode):
        return Edit(path, os.fsencode(file.readlink()), "120000")
    if stat.S_ISDIR(info.st_mode):
        if not path.endswith("/") and not os.path.lexists(file / ".git"):
            return Edit(path, None)  # a plain folder took the file's place
        return Edit(path.rstrip("/"), b"", "160000")
    if not stat.S_ISREG(info.st_mode):
        return Edit(path, b"", "000000")
    content = file.read_bytes() if wanted else b""
    return Edit(path, content, "100755" if info.st_mode & 0o100 else "100644")
