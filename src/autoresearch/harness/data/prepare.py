"""`prepare`: text to tokenizer to packed rows of token ids, once and before any trial.

A folder that `current` names is whole (written beside, synced, moved into place), and a second
preparation of the same text by the same code leaves it alone and makes it current.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .. import cache as store
from .. import names
from ..cache import HarnessError, Manifest, RequestError
from ..fingerprint import MAKING, code_digest, fingerprint
from .build import FILES, MIN_VAL_ROWS, build
from .progress import Say
from .sources import Source, open_source

VOCAB_SIZE = 1024
SEQ_LEN = 64  # T, tokens per row: what a CPU can learn from in seconds
VAL_TOKENS = 131_072  # 2,048 rows; scored in about a second on two cores


def prepare(
    source: str,
    cache: Path,
    *,
    shards: int | None = None,
    vocab_size: int = VOCAB_SIZE,
    seq_len: int = SEQ_LEN,
    val_tokens: int = VAL_TOKENS,
    say: Say = print,
) -> Path:
    """Makes `source` the current data of `cache`, and returns its folder.

    shards: for training, of a source in shards. val_tokens: targets of the frozen validation rows;
    the vault has as many. Raises HarnessError for what the user can mend (no text, too little, a
    download that fails, a folder not writable), RequestError for a request out of range.
    """
    _check(vocab_size, seq_len, val_tokens)
    sizes = (vocab_size, seq_len, val_tokens)
    try:
        with store.writing(cache):
            cache.mkdir(parents=True, exist_ok=True)
        with store.locked(cache, say):
            for leftover in cache.glob(".partial-*"):  # of a preparation that was killed
                _remove(leftover)
            say(f"source {source}")
            opened = open_source(source, cache, shards, say)
            asked = dict(zip(names.DATA_SETTINGS, (source, shards, *sizes), strict=True))
            settings = names.data_settings(asked, Path.cwd())
            recipe = _digest(opened.digest, settings["source"], *sizes, code_digest(MAKING))
            folder = cache / f"{_short_name(source)}-{recipe[:12]}"
            if not _renew(folder, recipe, settings, opened.hidden, say):
                with store.writing(cache):
                    beside = tempfile.TemporaryDirectory(
                        prefix=".partial-", dir=cache, ignore_cleanup_errors=True
                    )
                with beside as partial:
                    whole = Path(partial, folder.name)
                    with store.writing(whole):
                        whole.mkdir()
                    manifest = _make(source, opened, whole, recipe, settings, say)
                    _remove(folder)  # damaged, where there is one
                    with store.writing(folder):
                        whole.rename(folder)
                        store.sync(cache)
                say(f"prepared {folder} (fingerprint {manifest.fingerprint})")
            os.utime(folder)  # of several that a lab could take, this is the last one prepared
            store.write_atomic(cache / names.CURRENT, folder.name + "\n")
    except OSError as fault:  # of a read: writes have an error of their own
        raise HarnessError(
            f"cannot read {fault.filename or cache}: {fault.strerror or fault}; see what is "
            "there and that you may read it"
        ) from fault
    return folder


def _remove(path: Path) -> None:
    """Removes a file, a folder or a link (and not what it leads to), if it is there."""
    with store.writing(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _check(vocab_size: int, seq_len: int, val_tokens: int) -> None:
    if not 257 <= vocab_size <= 65_536:
        raise RequestError(
            f"vocab_size {vocab_size}: 257 (a token for every byte, and BOS) to 65536 (ids are "
            "stored in 16 bits)"
        )
    if not 8 <= seq_len <= 65_536:
        raise RequestError(f"seq_len {seq_len}: 8 to 65536 tokens in a row")
    if val_tokens < MIN_VAL_ROWS * seq_len:
        raise RequestError(
            f"val_tokens {val_tokens}: at least {MIN_VAL_ROWS * seq_len}, which is {MIN_VAL_ROWS} "
            f"rows of {seq_len}"
        )


def _digest(*parts: str | int) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _short_name(source: str) -> str:
    """Returns the last part of a path, in characters that suit a folder's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", Path(source).name).lstrip(".")[:64] or "text"


def _renew(
    folder: Path, recipe: str, settings: dict[str, Any], hidden: list[str], say: Say
) -> bool:
    """Returns whether the folder holds this recipe whole, and brings its manifest up to date."""
    if not folder.exists():
        return False
    manifest = store.read_manifest(folder)
    if manifest is None or manifest.recipe != recipe:
        say(f"{folder / names.MANIFEST} is missing or damaged; making the data anew")
        return False
    for name, digest in manifest.digests.items():
        path = folder / name
        if not path.is_file() or store.file_digest(path) != digest:
            say(f"{path} is missing or damaged; making the data anew")
            return False
    mark = fingerprint(manifest.digests)
    renewed = dataclasses.replace(manifest, settings=settings, hidden=hidden, fingerprint=mark)
    if renewed != manifest:
        store.write_manifest(folder, renewed)
    if manifest.fingerprint != mark:
        say(f"the harness has changed since: fingerprint {manifest.fingerprint} is now {mark}")
    say(f"already prepared: {folder} (fingerprint {mark})")
    return True


def _make(
    source: str, opened: Source, folder: Path, recipe: str, settings: dict[str, Any], say: Say
) -> Manifest:
    """Fills an empty folder; its manifest is written last."""
    sizes = (settings["vocab_size"], settings["seq_len"], settings["val_tokens"])
    built = build(source, opened, folder, *sizes, say)
    digests = {name: store.file_digest(folder / name) for name in FILES}
    manifest = Manifest(
        source=source,
        settings=settings,
        recipe=recipe,
        vocab_size=built.vocab_size,
        seq_len=settings["seq_len"],
        bos=built.bos,
        train_rows=built.train_rows,
        val_rows=built.held_rows,
        vault_rows=built.held_rows,
        val_bytes=built.val_bytes,
        vault_bytes=built.vault_bytes,
        hidden=opened.hidden,
        digests=digests,
        fingerprint=fingerprint(digests),
    )
    store.write_manifest(folder, manifest)
    return manifest
