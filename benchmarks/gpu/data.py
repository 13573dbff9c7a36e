"""Rows to train on, without a network: text of the installed Python, through the harness's prepare."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from pathlib import Path

from autoresearch.harness.cache import data_folder, read_manifest
from autoresearch.harness.data.prepare import prepare
from autoresearch.harness.names import cache_folder

from .setup import Setup, say

# About 21 million tokens for training, 80 steps of the largest profile, and 1.5 million held out.
TEXT_BYTES, SMALL_BYTES = 96_000_000, 400_000
SUFFIXES = (".py", ".h", ".hpp", ".md", ".rst", ".txt")


def data(setup: Setup) -> None:
    """Standard library and installed packages, as many files as make up TEXT_BYTES."""
    folder = setup.work / "text"
    folder.mkdir()
    left = SMALL_BYTES if setup.small else TEXT_BYTES
    for number, path in enumerate(_files(setup.small)):
        left -= path.stat().st_size
        (folder / f"{number:06d}{path.suffix}").symlink_to(path)
        if left <= 0:
            break
    prepare(
        str(folder),
        cache_folder(),
        vocab_size=setup.vocab_size,
        seq_len=setup.length,
        val_tokens=setup.val_tokens,
        say=lambda _: None,
    )
    made = read_manifest(data_folder(cache_folder()))
    assert made is not None
    say(
        f"Text of the installed Python: {made.train_rows} training rows and {made.val_rows} for the "
        f"exam, of {made.seq_len} tokens, vocabulary {made.vocab_size}, "
        f"{made.val_bytes / made.val_rows / made.seq_len:.2f} bytes per token"
    )


def _files(few: bool) -> list[Path]:
    """All there are, in an order that mixes the packages and that does not depend on the disk."""
    found = []
    for root in {sysconfig.get_paths()[key] for key in ("stdlib", "purelib")}:
        for folder, names, files in os.walk(root):
            # Of the two folders one may be in the other.
            names[:] = (
                [] if few else [n for n in names if n not in ("site-packages", "__pycache__")]
            )
            found += [Path(folder, name) for name in files if name.endswith(SUFFIXES)]
    return sorted(
        (path for path in found if path.is_file()),
        key=lambda path: (hashlib.sha256(os.fsencode("/".join(path.parts[-3:]))).digest(), path),
    )
