"""`autoresearch prepare`: the harness's own command, with the lab's settings where there is a lab."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from autoresearch.config import Config
from autoresearch.errors import AutoresearchError, Interrupted, LabError
from autoresearch.harness.names import current_name
from autoresearch.lab.data import data_name
from autoresearch.lab.lab import Lab
from autoresearch.lab.python import chosen_python
from autoresearch.paths import CONFIG, cache_dir
from autoresearch.runners.environment import python_of


def prepare(
    source: str | None,
    shards: int | None,
    vocab_size: int | None,
    seq_len: int | None,
    val_tokens: int | None,
    notice: Callable[[str], None],
) -> int:
    """Makes data and tokenizer, and returns the harness's exit code.

    What is None comes from the [harness] table of the lab that this is called in; without one the
    harness has defaults of its own.
    """
    found = _lab(notice)
    python, folder = sys.executable, None
    if found is not None:
        root, config, python = found
        settings = config.harness
        if source is None:
            folder = root  # a path in the table is meant from there
            shards = (settings.shards or None) if shards is None else shards
        source = settings.source if source is None else source
        vocab_size = settings.vocab_size if vocab_size is None else vocab_size
        seq_len = settings.seq_len if seq_len is None else seq_len
        val_tokens = settings.val_tokens if val_tokens is None else val_tokens
    command = [python, "-m", "autoresearch.harness", "prepare", "--cache", str(cache_dir())]
    for flag, value in (
        ("--source", source),
        ("--shards", shards),
        ("--vocab-size", vocab_size),
        ("--seq-len", seq_len),
        ("--val-tokens", val_tokens),
    ):
        command += [] if value is None else [flag, str(value)]
    # In a session of its own, so that a Ctrl-C comes to it once: from here.
    there = {**os.environ, **({"PWD": str(folder)} if folder else {})}
    with subprocess.Popen(command, cwd=folder, env=there, start_new_session=True) as process:
        try:
            code = process.wait()
        except Interrupted:
            process.terminate()  # it says what to do next, and leaves what the next call goes on with
            process.wait()
            raise
    if found is not None and code == 0:
        name = data_name(config.harness, root)
        if name != current_name(cache_dir()):
            notice(
                "notice: trials of this lab take the data that its [harness] table asks for, and "
                f"not this: {name or 'which is not prepared yet; autoresearch prepare makes it'}"
            )
    if code == 1 and python != sys.executable:
        notice(f"notice: that was {python}, which trials run with; autoresearch doctor looks at it")
    return code


def _lab(notice: Callable[[str], None]) -> tuple[Path, Config, str] | None:
    """Returns the lab's root, settings and Python; None outside of a lab.

    None too, and said aloud, where they are not valid.
    """
    try:
        lab = Lab.here()
        if not (lab.repo.root / CONFIG).is_file():
            return None
    except LabError:
        return None
    tag = None
    with contextlib.suppress(LabError):
        tag = lab.tag(None)
    try:
        config = lab.config(tag)
        chosen = chosen_python(lab, tag, config, os.environ)
        python = chosen.program if chosen else python_of(config.task.command, lab.repo.root)
        return lab.repo.root, config, python or sys.executable
    except AutoresearchError as fault:
        notice(f"notice: {fault}; without it the harness's own defaults are used")
        return None
