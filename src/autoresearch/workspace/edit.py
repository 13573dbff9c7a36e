"""A path of a working tree as an edit, and an entry of a tree as a file."""

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


def write_entry(file: Path, mode: str, content: bytes) -> None:
    """Writes a file, a link or a submodule's folder as a tree has it, where nothing is yet."""
    if mode == "160000":
        file.mkdir(parents=True, exist_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if mode == "120000":
        file.symlink_to(os.fsdecode(content))
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(file, flags, 0o755 if mode == "100755" else 0o644)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
