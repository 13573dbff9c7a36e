"""Preparing data: exact bytes, and folders that are whole or not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import autoresearch  # noqa: E402
from autoresearch.harness import cache as store  # noqa: E402
from autoresearch.harness.__main__ import main  # noqa: E402
from autoresearch.harness.cache import HarnessError, UsageError  # noqa: E402
from autoresearch.harness.data import PIECE_CHARS, read_source  # noqa: E402
from autoresearch.harness.loader import open_data  # noqa: E402
from autoresearch.harness.prepare import prepare, rows_of  # noqa: E402
from autoresearch.harness.tokenizer import Tokenizer  # noqa: E402


def write_texts(folder: Path, count: int = 40) -> Path:
    """A small folder of text in which there is something to learn, some of it not ASCII."""
    folder.mkdir(parents=True)
    for number in range(count):
        lines = [
            f"{number}.{line}: the cat sat on mat {(number * line) % 7}, été ☕ über 日本\n"
            for line in range(60)
        ]
        (folder / f"text{number}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def test_token_bytes_add_up_to_the_utf8_size_even_where_tokens_split_characters() -> None:
    text = "naïve café ☕ 日本語 𝒳 und Größe\n" * 3
    tokenizer = Tokenizer.train(["plain ascii text to learn from " * 20], 300)
    tokens = tokenizer.encode([text, "second"])
    lengths = tokenizer.token_bytes()
    assert tokenizer.decode_bytes(tokens) == (text + "second").encode()
    assert int(lengths[tokens].sum()) == len((text + "second").encode())
    assert (tokens == tokenizer.bos).sum() == 2 and lengths[tokenizer.bos] == 0
    # A byte that is no character by itself is one byte, not the three of U+FFFD.
    lone = [rank for rank, piece in enumerate(tokenizer.ranks) if piece == b"\xe2"]
    assert lengths[lone[0]] == 1


def test_a_tokenizer_is_the_same_after_storage(tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(["a stored tokenizer is text, never a pickle " * 9], 280)
    (tmp_path / "t.json").write_text(tokenizer.dumps())
    again = Tokenizer.load(tmp_path / "t.json")
    text = ["stored ☕ text <|bos|>"]
    assert again.encode(text).tolist() == tokenizer.encode(text).tolist()


def test_every_token_but_the_first_is_a_target_once() -> None:
    rows = rows_of(np.arange(14, dtype=np.uint16), 4)
    assert rows.tolist() == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8], [8, 9, 10, 11, 12]]
    assert rows_of(np.arange(4, dtype=np.uint16), 4).shape == (0, 5)


def test_prepare_again_leaves_everything_alone(tmp_path: Path) -> None:
    source, cache = str(write_texts(tmp_path / "texts")), tmp_path / "cache"
    first: list[str] = []
    folder = prepare(source, cache, vocab_size=300, say=first.append)
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again: list[str] = []
    assert prepare(source, cache, vocab_size=300, say=again.append) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    assert again[-1].startswith("already prepared") and not first[-1].startswith("already")
    data = open_data(cache)
    assert data.vocab_size == 300 and data.train.dtype == np.uint16
    assert data.val.shape[1] == data.seq_len + 1


def test_damage_is_noticed_by_a_trial_and_mended_by_prepare(tmp_path: Path) -> None:
    source, cache = str(write_texts(tmp_path / "texts")), tmp_path / "cache"
    folder = prepare(source, cache, vocab_size=300, say=lambda line: None)
    before = open_data(cache).fingerprint
    (folder / store.VAL).write_bytes((folder / store.VAL).read_bytes()[:-2])
    with pytest.raises(HarnessError, match="autoresearch prepare"):
        open_data(cache)
    prepare(source, cache, vocab_size=300, say=lambda line: None)
    assert open_data(cache).fingerprint == before


def test_a_second_source_lies_beside_the_first_and_becomes_the_current_one(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    one = prepare(str(write_texts(tmp_path / "a")), cache, vocab_size=300, say=lambda line: None)
    two = prepare(str(write_texts(tmp_path / "b", 50)), cache, vocab_size=300, say=lambda x: None)
    assert one != two and one.is_dir()
    assert open_data(cache).folder == two


def run_prepare(source: str, cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(autoresearch.__file__).parents[1])}
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "autoresearch.harness", "prepare"),
            *("--source", source, "--cache", str(cache)),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_prepare_that_is_killed_half_way_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    source, cache = str(write_texts(tmp_path / "texts", 800)), tmp_path / "cache"
    process = run_prepare(source, cache)
    deadline = time.monotonic() + 60
    while not list(cache.glob(".partial-*/*/*")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stdout and process.stdout.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(cache.glob(".partial-*")), "killed too late for the test to say anything"
    with pytest.raises(HarnessError, match="no prepared data"):
        open_data(cache)

    process = run_prepare(source, cache)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert open_data(cache).val_bytes > 0
    assert not list(cache.glob(".partial-*"))


@pytest.mark.parametrize("source", ["climbmix", "fineweb-edu", "tinystories", "some.parquet"])
def test_sources_to_come_are_refused_by_name(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "--source", source, "--cache", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert source in error and "not yet" in error and error.count("\n") == 1


def test_what_the_user_can_mend_is_one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.txt").write_text("hello world\n")
    (tmp_path / "empty").mkdir()
    for source, words in [
        ("tiny.txt", "too small"),
        ("nowhere", "no source"),
        ("empty", "holds no text"),
    ]:
        cache = tmp_path / "cache"
        assert main(["prepare", "--source", str(tmp_path / source), "--cache", str(cache)]) == 1
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
        assert not list(cache.glob(".partial-*"))
    with pytest.raises(UsageError, match="shards"):
        prepare(str(tmp_path), tmp_path / "cache", shards=3)


def test_a_local_file_is_cut_into_documents_and_copies_are_dropped(tmp_path: Path) -> None:
    text = "".join(f"line {number} of a long file\n" for number in range(2000))
    (tmp_path / "one.txt").write_text(text)
    (tmp_path / "copy.md").write_text(text)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    documents = read_source(str(tmp_path))
    assert all(len(document.text) <= PIECE_CHARS for document in documents)
    assert sum(len(document.text) for document in documents) == len(text)
    assert [d.name for d in documents] == [d.name for d in read_source(str(tmp_path))]


def test_the_standard_library_is_a_source_without_what_is_bundled_with_it() -> None:
    names = [document.name for document in read_source("stdlib")]
    assert len(names) > 300 and "argparse.py" in names
    folders = {part for name in names for part in name.split("/")[:-1]}
    assert "json" in folders and not folders & {"site-packages", "ensurepip", "__pycache__"}
