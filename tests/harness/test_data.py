"""Preparing data: exact bytes, and folders that are whole or not there."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
pytest.importorskip("rustbpe")
import pyarrow.parquet as pq  # noqa: E402

import autoresearch  # noqa: E402
from autoresearch.harness import cache as store  # noqa: E402
from autoresearch.harness import names  # noqa: E402
from autoresearch.harness.__main__ import main  # noqa: E402
from autoresearch.harness.cache import HarnessError, RequestError  # noqa: E402
from autoresearch.harness.data import tokenizer as tokenizer_module  # noqa: E402
from autoresearch.harness.data.corpus import TRAIN, VAL, VAULT, LocalFiles, local  # noqa: E402
from autoresearch.harness.data.formats import PIECE_CHARS, documents  # noqa: E402
from autoresearch.harness.data.library import stdlib  # noqa: E402
from autoresearch.harness.data.prepare import prepare  # noqa: E402
from autoresearch.harness.data.tokenizer import Tokenizer  # noqa: E402
from autoresearch.harness.names import SOURCES  # noqa: E402


def quiet(line: str) -> None:
    """Say nothing."""


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


def manifest_of(folder: Path) -> store.Manifest:
    manifest = store.read_manifest(folder)
    assert manifest is not None
    return manifest


def rows_of(folder: Path, name: str) -> np.ndarray:
    return np.fromfile(folder / name, "<u2").reshape(-1, manifest_of(folder).seq_len + 1)


def parts_of(files: LocalFiles, held_bytes: int = 10**9) -> dict[str, list[str]]:
    corpus = files.corpus(held_bytes, quiet)
    return {part: list(corpus.texts(part)) for part in (TRAIN, VAL, VAULT)}


# -- tokenizer --------------------------------------------------------------------------------


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
    tokenizer = Tokenizer.train(["a stored tokenizer is text, never a pickle " * 9], 280, "a text")
    (tmp_path / "t.json").write_text(tokenizer.dumps())
    again = Tokenizer.load(tmp_path / "t.json")
    text = ["stored ☕ text <|bos|>"]
    assert again.encode(text).tolist() == tokenizer.encode(text).tolist()
    assert again.trained_on == "a text" and again.dumps() == tokenizer.dumps()


def test_of_a_text_only_the_beginning_trains_the_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_module, "DOCUMENT_CHARS", 12)
    monkeypatch.setattr(tokenizer_module, "TRAINING_CHARS", 24)
    tokenizer = Tokenizer.train(["abab abab ab" + "xyxy" * 99, "abab abab ab", "qwqw" * 99], 400)
    assert b"ab" in tokenizer.ranks and not {b"xy", b"qw"} & set(tokenizer.ranks)


def test_no_texts_make_an_empty_stream() -> None:
    tokenizer = Tokenizer.train(["some text"], 257)
    assert tokenizer.encode([]).tolist() == []
    assert tokenizer.encode(["", "a"]).tolist() == [256, 256, 97]


# -- what is prepared -------------------------------------------------------------------------


def test_every_byte_of_the_training_text_is_a_target_once(tmp_path: Path) -> None:
    source = str(write_texts(tmp_path / "texts"))
    parts = parts_of(local(source, SOURCES))
    folder = prepare(source, tmp_path / "cache", vocab_size=300, say=quiet)
    manifest = manifest_of(folder)
    train, tokenizer = rows_of(folder, names.TRAIN), Tokenizer.load(folder / names.TOKENIZER)
    assert train.shape == (manifest.train_rows, 65) and (train[:, 0] == tokenizer.bos).all()
    lengths = np.load(folder / names.TOKEN_BYTES)
    assert lengths[train[:, 1:]].sum() == sum(len(text.encode()) for text in parts[TRAIN])
    # As a multiset of bytes too: rows hold pieces in another order than the files.
    decoded = tokenizer.decode_bytes(train.ravel())
    assert sorted(decoded) == sorted("".join(parts[TRAIN]).encode())


def test_the_held_out_rows_are_frozen_counted_and_of_other_documents(tmp_path: Path) -> None:
    source = str(write_texts(tmp_path / "texts", 200))
    folder = prepare(source, tmp_path / "cache", vocab_size=300, val_tokens=2100, say=quiet)
    manifest, lengths = manifest_of(folder), np.load(folder / names.TOKEN_BYTES)
    assert (manifest.val_rows, manifest.vault_rows) == (32, 32)
    for name, size in ((names.VAL, manifest.val_bytes), (names.VAULT, manifest.vault_bytes)):
        rows = rows_of(folder, name)
        assert rows.shape == (32, 65) and (rows[:, 0] == manifest.bos).all()
        assert lengths[rows[:, 1:]].sum() == size
    parts = parts_of(local(source, SOURCES))
    assert not set(parts[VAL]) & set(parts[VAULT]) and parts[VAULT]
    assert not set(parts[VAL] + parts[VAULT]) & set(parts[TRAIN])
    sizes = np.array([sum(len(text.encode()) for text in parts[part]) for part in parts])
    assert sizes / sizes.sum() == pytest.approx([14 / 16, 1 / 16, 1 / 16], abs=0.01)


def test_what_is_held_out_is_bounded_by_what_the_frozen_rows_need(tmp_path: Path) -> None:
    parts = parts_of(local(str(write_texts(tmp_path / "texts", 200)), SOURCES), held_bytes=8000)
    sizes = {part: sum(len(text.encode()) for text in texts) for part, texts in parts.items()}
    assert 8000 <= sizes[VAL] < 13_000 and 8000 <= sizes[VAULT] < 13_000


def test_prepare_again_leaves_everything_alone(tmp_path: Path) -> None:
    source, cache = str(write_texts(tmp_path / "texts")), tmp_path / "cache"
    first: list[str] = []
    folder = prepare(source, cache, vocab_size=300, say=first.append)
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    again: list[str] = []
    assert prepare(source, cache, vocab_size=300, say=again.append) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    assert again[-1].startswith("already prepared") and not first[-1].startswith("already")
    assert manifest_of(folder).vocab_size == 300


def test_the_same_text_gives_the_same_data_elsewhere(tmp_path: Path) -> None:
    source = str(write_texts(tmp_path / "texts"))
    one, two = (prepare(source, tmp_path / name, vocab_size=400, say=quiet) for name in "ab")
    assert manifest_of(one) == manifest_of(two) and one.name == two.name
    other = prepare(source, tmp_path / "a", vocab_size=400, seq_len=32, say=quiet)
    assert manifest_of(other).fingerprint != manifest_of(one).fingerprint


@pytest.mark.parametrize(
    "name",
    [names.TRAIN, names.VAL, names.VAULT, names.TOKENIZER, names.TOKEN_BYTES, names.MANIFEST],
)
def test_damage_is_named_and_mended_by_prepare(tmp_path: Path, name: str) -> None:
    source, cache = str(write_texts(tmp_path / "texts")), tmp_path / "cache"
    folder = prepare(source, cache, vocab_size=300, say=quiet)
    before = manifest_of(folder)
    content = (folder / name).read_bytes()
    for damage in (content[:-2], content[:-20] + bytes([content[-20] ^ 1]) + content[-19:], None):
        if damage is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(damage)
        said: list[str] = []
        prepare(source, cache, vocab_size=300, say=said.append)
        assert any(str(folder / name) in line and "damaged" in line for line in said)
        assert manifest_of(folder) == before and (folder / name).read_bytes() == content


def test_a_changed_figure_in_the_manifest_is_damage(tmp_path: Path) -> None:
    source = str(write_texts(tmp_path / "texts"))
    folder = prepare(source, tmp_path / "cache", vocab_size=300, say=quiet)
    content = json.loads((folder / names.MANIFEST).read_text())
    content["val_bytes"] += 1
    (folder / names.MANIFEST).write_text(json.dumps(content))
    assert store.read_manifest(folder) is None


def test_a_second_source_lies_beside_the_first_and_becomes_the_current_one(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    one = prepare(str(write_texts(tmp_path / "a")), cache, vocab_size=300, say=quiet)
    two = prepare(str(write_texts(tmp_path / "b", 50)), cache, vocab_size=300, say=quiet)
    assert one != two and one.is_dir()
    assert store.data_folder(cache) == two


def test_what_current_names_is_a_folder_of_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prepare(str(write_texts(tmp_path / "texts")), cache, vocab_size=300, say=quiet)
    folder = store.data_folder(cache)
    for name in (f"../{cache.name}/{folder.name}", str(folder), "..", ".", ""):
        (cache / names.CURRENT).write_text(name + "\n")
        with pytest.raises(HarnessError, match="current names no data folder"):
            store.data_folder(cache)


def test_a_manifest_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "data" / names.MANIFEST).mkdir(parents=True)
    (tmp_path / names.CURRENT).write_text("data\n")
    assert store.read_manifest(tmp_path / "data") is None
    (tmp_path / names.CURRENT).write_text("x" * 5000)
    with pytest.raises(HarnessError, match="no readable manifest"):
        store.current_fingerprint(tmp_path)


def test_leftovers_and_damage_of_any_kind_give_way(tmp_path: Path) -> None:
    source, cache = str(write_texts(tmp_path / "texts")), tmp_path / "cache"
    folder = prepare(source, cache, vocab_size=300, say=quiet)
    (cache / ".partial-file").write_text("stray")
    (cache / ".partial-link").symlink_to(tmp_path / "texts")
    folder.rename(tmp_path / "elsewhere")
    folder.write_text("a file in its place")
    assert prepare(source, cache, vocab_size=300, say=quiet) == folder
    assert manifest_of(folder) and not list(cache.glob(".partial-*"))
    assert len(list((tmp_path / "texts").iterdir())) == 40


def test_a_write_that_is_refused_is_told_from_a_disk_that_is_full(tmp_path: Path) -> None:
    source, cache = str(write_texts(tmp_path / "texts")), tmp_path / "cache"
    (cache / names.CURRENT).mkdir(parents=True)
    with pytest.raises(HarnessError, match=r"cannot write .*current: Is a directory; make it"):
        prepare(source, cache, vocab_size=300, say=quiet)


# -- the command ------------------------------------------------------------------------------


def run(*arguments: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(autoresearch.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "autoresearch.harness", *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=before,
    )  # fmt: skip


def test_the_fingerprint_is_told_fast_and_without_numpy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    assert main(["fingerprint", "--cache", str(cache)]) == 1
    assert capsys.readouterr().err == (
        f"fingerprint: no prepared data in {cache}; run: autoresearch prepare\n"
    )
    folder = prepare(str(write_texts(tmp_path / "texts")), cache, vocab_size=300, say=quiet)
    assert main(["fingerprint", "--cache", str(cache)]) == 0
    assert capsys.readouterr().out.strip() == manifest_of(folder).fingerprint
    (folder / names.MANIFEST).write_text("{}")
    assert main(["fingerprint", "--cache", str(cache)]) == 1
    assert str(folder) in capsys.readouterr().err
    script = (
        "import sys; from autoresearch.harness.__main__ import main; "
        f"main(['fingerprint', '--cache', {str(cache)!r}]); "
        "sys.exit(bool({'numpy', 'torch', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def test_a_prepare_that_is_killed_half_way_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    source, cache = str(write_texts(tmp_path / "texts", 800)), tmp_path / "cache"
    command = ("prepare", "--source", source, "--cache", str(cache))
    process = run(*command)
    deadline = time.monotonic() + 60
    while not list(cache.glob(".partial-*/*/*")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stdout and process.stdout.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(cache.glob(".partial-*")), "killed too late for the test to say anything"
    with pytest.raises(HarnessError, match="no prepared data"):
        store.data_folder(cache)

    process = run(*command)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert manifest_of(store.data_folder(cache)).val_bytes > 0
    assert not list(cache.glob(".partial-*"))


def test_a_limit_on_file_sizes_leaves_nothing_half_made_and_names_the_file(tmp_path: Path) -> None:
    source, cache = str(write_texts(tmp_path / "texts", 800)), tmp_path / "cache"
    earlier = prepare(str(write_texts(tmp_path / "other")), cache, say=quiet)
    limit = 400_000  # more than the held-out rows need, less than the training rows
    process = run(
        "prepare", "--source", source, "--cache", str(cache),
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    out, _ = process.communicate(timeout=60)
    error = out.splitlines()[-1]
    assert process.returncode == 1 and f"{names.TRAIN}: File too large" in error, out
    assert sorted(path.name for path in cache.iterdir()) == [".lock", names.CURRENT, earlier.name]
    assert store.data_folder(cache) == earlier


def test_a_disk_too_small_is_said_before_the_rows_are_written(tmp_path: Path) -> None:
    """On a real small file system, mounted in a name space of our own."""
    source, cache = str(write_texts(tmp_path / "texts", 800)), tmp_path / "cache"
    cache.mkdir()
    mount = ["unshare", "-rm", "sh", "-c"]
    works = subprocess.run([*mount, f"mount -t tmpfs x {cache}"], capture_output=True)
    if works.returncode != 0:
        pytest.skip("no mounts of our own here")
    command = f'"$0" -m autoresearch.harness prepare --source {source} --cache {cache}'
    done = subprocess.run(
        [*mount, f"mount -t tmpfs -o size=1m x {cache} && {command}; ls {cache}", sys.executable],
        env={**os.environ, "PYTHONPATH": str(Path(autoresearch.__file__).parents[1])},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "the rows of train.u16 need" in done.stderr and "free space" in done.stderr
    assert done.stderr.count("\n") == 1 and not done.stdout.endswith("current\n")


def test_what_the_user_can_mend_is_one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.txt").write_text("hello world\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for source, cache, words in [
        ("tiny.txt", "cache", "too small"),
        ("nowhere", "cache", "neither one of stdlib, climbmix"),
        ("empty", "cache", "holds no text"),
        ("tiny.txt", "file", "cannot write"),
    ]:
        assert (
            main(["prepare", "--source", str(tmp_path / source), "--cache", str(tmp_path / cache)])
            == 1
        )
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
        assert not list(tmp_path.glob("cache/.partial-*"))


def test_a_home_of_nobody_is_no_source() -> None:
    with pytest.raises(HarnessError, match="no source '~nosuchuser/x'"):
        local("~nosuchuser/x", SOURCES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shards", "3"], "stdlib' does not come in shards"),
        (["--source", "tinystories", "--shards", "1"], "does not come in shards"),
        (["--source", "climbmix", "--shards", "0"], "1 to 6541"),
        (["--source", "fineweb-edu", "--shards", "1822"], "1 to 1821"),
        (["--source", ""], "no source is named: one of stdlib"),
        (["--vocab-size", "256"], "257"),
        (["--vocab-size", "65537"], "65536"),
        (["--seq-len", "7"], "8 to 65536"),
        (["--val-tokens", "1023"], "at least 1024"),
    ],
)
def test_a_request_out_of_range_is_one_line_and_exit_2(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", *arguments, "--cache", str(tmp_path / "cache")]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
    with pytest.raises(RequestError):
        prepare(str(tmp_path), tmp_path / "cache", shards=3, say=quiet)


def test_a_second_prepare_waits_for_the_first(tmp_path: Path) -> None:
    source, cache = str(write_texts(tmp_path / "texts")), tmp_path / "cache"
    cache.mkdir()
    with store.locked(cache, quiet):
        process = run("prepare", "--source", source, "--cache", str(cache))
        assert process.stdout is not None
        assert process.stdout.readline().startswith("waiting for another prepare")
        assert process.poll() is None and not (cache / names.CURRENT).exists()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "prepared" in out


# -- sources on this machine ------------------------------------------------------------------


def texts_of(files: LocalFiles) -> list[str]:
    return [text for texts in parts_of(files).values() for text in texts]


def test_a_local_file_is_cut_into_documents_and_copies_are_dropped(tmp_path: Path) -> None:
    text = "".join(f"line {number} of a long file\n" for number in range(2000))
    (tmp_path / "one.txt").write_text(text)
    (tmp_path / "copy.md").write_text(text)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    files = local(str(tmp_path), SOURCES)
    texts = texts_of(files)
    assert all(len(text) <= PIECE_CHARS for text in texts)
    assert sum(map(len, texts)) == len(text) and files.left_out == 1
    assert texts_of(local(str(tmp_path), SOURCES)) == texts


def test_the_pieces_of_a_file_stay_on_one_side(tmp_path: Path) -> None:
    for number in range(40):
        lines = [f"file {number}, line {line}, and some more text\n" for line in range(1500)]
        (tmp_path / f"{number}.txt").write_text("".join(lines))
    for held_bytes in (10**9, 1000):  # the second is less than any file
        parts = parts_of(local(str(tmp_path), SOURCES), held_bytes)
        files = {part: {text.partition(",")[0] for text in parts[part]} for part in parts}
        assert len(parts[TRAIN]) > 2 * len(files[TRAIN]) and files[VAL] and files[VAULT]
        assert sum(map(len, files.values())) == 40


def test_only_a_file_larger_than_the_share_is_split(tmp_path: Path) -> None:
    for number in range(40):
        lines = [f"file {number}, line {line}, and some more text\n" for line in range(1000)]
        (tmp_path / f"{number}.txt").write_text("".join(lines) * (20 if number == 7 else 1))
    parts = parts_of(local(str(tmp_path), SOURCES))
    files = {part: {text.partition(",")[0] for text in parts[part]} for part in parts}
    for number in range(40):
        sides = sum(f"file {number}" in names for names in files.values())
        assert sides == 1 or number == 7
    (tmp_path / "one").mkdir()
    (tmp_path / "7.txt").rename(tmp_path / "one" / "7.txt")
    assert all(parts_of(local(str(tmp_path / "one"), SOURCES)).values())


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_document_larger_than_what_is_held_out_is_for_training(tmp_path: Path, name: str) -> None:
    texts = [f"{number} small " * 20 for number in range(200)]
    large = [f"large {number} " * 1000 for number in range(40)]
    if name == "a.jsonl":
        lines = [json.dumps({"text": text}) + "\n" for text in texts + large]
        (tmp_path / name).write_text("".join(lines))
    else:
        pq.write_table(pa.table({"text": texts + large}), tmp_path / name)
    parts = parts_of(local(str(tmp_path), SOURCES), held_bytes=3000)
    for part in (VAL, VAULT):
        assert 3000 <= sum(map(len, parts[part])) < 3400
    assert set(large) <= set(parts[TRAIN])


def test_documents_that_are_all_larger_than_the_share_are_an_error(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"{number} " * 1000}) + "\n" for number in range(9)]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    with pytest.raises(HarnessError, match="no document that could be held out"):
        parts_of(local(str(tmp_path), SOURCES))


def test_a_pipe_in_a_folder_is_passed_over(tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts")
    os.mkfifo(source / "a.txt")
    process = run("prepare", "--source", str(source), "--cache", str(tmp_path / "cache"))
    try:
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, out


def test_a_folder_may_mix_text_jsonl_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("from text\n")
    (tmp_path / "b.jsonl").write_text('{"text": "from jsonl é"}\n\n{"text": "", "n": 1}\n')
    table = pa.table({"n": [1, 2, 3], "text": ["from parquet", None, "from jsonl é"]})
    pq.write_table(table, tmp_path / "c.parquet")
    (tmp_path / "ignored.bin").write_text("ignored")
    assert sorted(texts_of(local(str(tmp_path), SOURCES))) == [
        "from jsonl é", "from parquet", "from text\n",
    ]  # fmt: skip
    for name, text in [("b.jsonl", "from jsonl é"), ("a.txt", "from text\n")]:
        found = [document.text for document in documents(name, tmp_path / name)]
        assert [text for text in found if text] == [text]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", b'\n\n{"content": "a"}\n', r"a\.jsonl, line 3: .*'text'"),
        ("a.jsonl", b'["text"]\n', r"a\.jsonl, line 1: .*'text'"),
        ("a.jsonl", b'{"text": 5}\n', r"a\.jsonl, line 1: .*'text'"),
        ("a.jsonl", b'{"text": "\xff"}\n', r"a\.jsonl, line 1: not JSON"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a\.jsonl: a text that is not Unicode"),
        ("a.parquet", b"PAR1 and no more", r"a\.parquet is no readable parquet file"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_with_its_place(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HarnessError, match=words):
        local(str(tmp_path), SOURCES)


def test_a_parquet_file_without_texts_names_its_columns(tmp_path: Path) -> None:
    for table, words in [
        (pa.table({"content": ["a"]}), r"it has content \(string\)"),
        (pa.table({"text": [1]}), r"it has text \(int64\)"),
    ]:
        pq.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(HarnessError, match=rf"a\.parquet has no column 'text'.*{words}"):
            local(str(tmp_path), SOURCES)
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(twice, tmp_path / "a.parquet")
    with pytest.raises(HarnessError, match=r"a\.parquet has several columns 'text'"):
        local(str(tmp_path), SOURCES)


def test_a_damaged_page_of_a_parquet_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{number * 7919 % 1000} some text" * 20 for number in range(2000)]
    pq.write_table(pa.table({"text": texts}), path, write_page_checksum=False)
    content = bytearray(path.read_bytes())
    content[100 : len(content) // 2] = bytes(len(content) // 2 - 100)
    path.write_bytes(content)
    with pytest.raises(HarnessError, match=r"a\.parquet is damaged"):
        local(str(path), SOURCES)


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    source = write_texts(tmp_path / "texts")
    for change in (
        lambda p: p.write_text(p.read_text().replace("cat", "dog")),
        lambda p: p.write_text("shorter"),
        lambda p: p.unlink(),
    ):
        corpus = local(str(source), SOURCES).corpus(1000, quiet)
        change(sorted(source.iterdir())[0])
        with pytest.raises(HarnessError, match=r"text\d+\.txt changed while it was read"):
            [list(corpus.texts(part)) for part in (TRAIN, VAL, VAULT)]


def test_the_standard_library_is_a_source_without_what_is_bundled_with_it() -> None:
    texts = texts_of(stdlib())
    assert len(texts) > 300 and any("class ArgumentParser" in text for text in texts)
    assert not any("class PipError" in text for text in texts)  # pip, of site-packages
