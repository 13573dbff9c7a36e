"""The embedded corpus: what is held out of it lies where no training looks, and the manifest says
where that is."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("numpy")
pytest.importorskip("pyarrow")
pytest.importorskip("rustbpe")

from autoresearch.harness import cache as store
from autoresearch.harness import names
from autoresearch.harness.cache import HarnessError
from autoresearch.harness.data import library as library_module
from autoresearch.harness.data.corpus import TRAIN, VAL, VAULT, LocalFiles, local
from autoresearch.harness.data.library import APART, RARE, UNUSED, hidden_parts, stdlib
from autoresearch.harness.data.prepare import prepare
from tests.harness.test_data import manifest_of, parts_of, quiet, write_texts

ROOT = Path(sysconfig.get_paths()["stdlib"])
TRAINING = """\
import sys, numpy, tiktoken, torch, torch._dynamo, torch._inductor.compile_fx, torch.testing
import torch.distributed, torch.utils.checkpoint, torch.utils.cpp_extension, torch.utils.data
import autoresearch.harness.bpb
model = torch.compile(torch.nn.Linear(4, 4), backend="aot_eager")
model(torch.ones(2, 4)).sum().backward()
print(*(m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)), sep="\\n")
"""


def is_below(path: Path, places: list[str]) -> bool:
    return any(path == Path(place) or Path(place) in path.parents for place in places)


def fake_library(folder: Path, sizes: dict[str, int]) -> Path:
    """A library of so many files of some 16 kB, by folder ("" is its root)."""
    for name, count in sizes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            lines = [f"{name} {number} line {line}\n" for line in range(1000)]
            (folder / name / f"m{number}.py").write_text("".join(lines))
    return folder


@pytest.mark.slow
def test_what_is_held_out_lies_in_hidden_parts_alone() -> None:
    files = stdlib()
    parts = parts_of(files, held_bytes=2_000_000)
    held = {text for part in (VAL, VAULT) for text in parts[part]}
    assert len(held) > 20 and not held & set(parts[TRAIN])
    closed, seen_open = set(), 0
    for path in ROOT.rglob("*.py"):
        if path.is_file() and "site-packages" not in path.parts:
            text = path.read_bytes().decode("utf-8", "replace")
            if is_below(path.resolve(), files.hidden):
                closed.add(text)
            else:
                seen_open += 1
                assert text not in held, path
    assert held <= closed and seen_open > 300


@pytest.mark.slow
def test_nothing_that_a_training_script_loads_is_hidden() -> None:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", TRAINING], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    loaded = [Path(line).resolve() for line in done.stdout.splitlines()]
    own = [path for path in loaded if ROOT.resolve() in path.parents]
    assert len(own) > 100
    hidden = hidden_parts(ROOT, APART + RARE + UNUSED)
    assert [path for path in own if is_below(path, hidden)] == []


def test_other_pythons_are_hidden_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3.10", "3.12"):
        fake_library(tmp_path / version / "lib" / f"python{version}", {"test": 1, "idlelib": 1})
    fake_library(tmp_path / "3.12/pkgs/python-3.9/lib/python3.9", {"test": 1, "json": 1})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "3.10/lib/python3.10/turtledemo").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "3.12"))
    found = hidden_parts(tmp_path / "3.12/lib/python3.12", APART)
    assert [place for place in found if place.startswith(str(tmp_path))] == [
        str(tmp_path / "3.10/lib/python3.10/idlelib"),
        str(tmp_path / "3.10/lib/python3.10/test"),
        str(tmp_path / "3.12/lib/python3.12/idlelib"),
        str(tmp_path / "3.12/lib/python3.12/test"),
        str(tmp_path / "3.12/pkgs/python-3.9/lib/python3.9/test"),
        str(tmp_path / "elsewhere"),
    ]


def test_a_python_without_its_tests_holds_out_of_what_is_rarely_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fake_library(tmp_path / "lib", {"": 150, "idlelib": 10, "tkinter": 15, "wsgiref": 10})
    monkeypatch.setattr(library_module.sysconfig, "get_paths", lambda: {"stdlib": str(root)})
    files = stdlib()
    assert {str(root / name) for name in ("idlelib", "tkinter", "wsgiref")} <= set(files.hidden)
    parts = parts_of(files)
    for part in (VAL, VAULT):
        names = {text.split()[0] for text in parts[part]}
        assert names and names <= {"idlelib", "tkinter", "wsgiref"}
    # With tests enough, what is rare is for training, and hidden all the same, as is what is unused.
    fake_library(root, {"test": 30, "pydoc_data": 1, "json": 1})
    files = stdlib()
    assert {str(root / name) for name in ("tkinter", "pydoc_data")} <= set(files.hidden)
    assert str(root / "json") not in files.hidden
    held = {text.split()[0] for part in (VAL, VAULT) for text in parts_of(files)[part]}
    assert not held & {"tkinter", "pydoc_data"}


def test_a_python_with_too_little_to_hide_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fake_library(tmp_path / "lib", {"": 40, "test": 2})
    monkeypatch.setattr(library_module.sysconfig, "get_paths", lambda: {"stdlib": str(root)})
    with pytest.raises(HarnessError, match=r"only [0-9]+ bytes .* libpython3-testsuite"):
        stdlib()


def test_of_two_copies_the_open_one_is_kept_for_training(tmp_path: Path) -> None:
    closed, opened = write_texts(tmp_path / "a", 40), write_texts(tmp_path / "b", 40)
    (opened / "text99.txt").write_text("only here\n" * 20)
    named = [
        [(f"{folder.name}/{p.name}", p) for p in folder.iterdir()] for folder in (closed, opened)
    ]
    with pytest.raises(HarnessError, match="no document that could be held out"):
        parts_of(LocalFiles("both", named[0], [], training=named[1]))
    (closed / "own.txt").write_text("a text of its own, été\n")
    (closed / "other.txt").write_text("another text of its own\n")
    named[0] += [(f"a/{name}", closed / name) for name in ("own.txt", "other.txt")]
    parts = parts_of(LocalFiles("both", named[0], [], training=named[1]))
    assert {*parts[VAL], *parts[VAULT]} == {
        "a text of its own, été\n",
        "another text of its own\n",
    }


def test_a_local_source_is_hidden_where_its_text_really_lies(tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts", 3)
    (tmp_path / "outside.txt").write_text("outside\n")
    (texts / "link.txt").symlink_to(tmp_path / "outside.txt")
    (tmp_path / "way").symlink_to(texts)
    assert local(str(tmp_path / "way"), names.SOURCES).hidden == [
        str(tmp_path / "outside.txt"),
        str(texts),
    ]
    assert local(str(texts / "link.txt"), names.SOURCES).hidden == [str(tmp_path / "outside.txt")]


def test_prepare_brings_what_is_hidden_up_to_date(tmp_path: Path) -> None:
    texts, cache = write_texts(tmp_path / "texts"), tmp_path / "cache"
    folder = prepare(str(texts), cache, vocab_size=300, say=quiet)
    before = manifest_of(folder)
    assert before.hidden == [str(texts)]
    moved = texts.rename(tmp_path / "moved")
    texts.symlink_to(moved)
    said: list[str] = []
    assert prepare(str(texts), cache, vocab_size=300, say=said.append) == folder
    assert manifest_of(folder).hidden == [str(moved)] and said[-1].startswith("already prepared")
    assert manifest_of(folder).fingerprint == before.fingerprint


def test_a_manifest_that_hides_nothing_is_of_another_version(tmp_path: Path) -> None:
    texts, cache = write_texts(tmp_path / "texts"), tmp_path / "cache"
    folder = prepare(str(texts), cache, vocab_size=300, say=quiet)
    before = manifest_of(folder)
    content = json.loads((folder / names.MANIFEST).read_text())
    del content["hidden"], content["self"]
    content["self"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (folder / names.MANIFEST).write_text(json.dumps(content))
    with pytest.raises(HarnessError, match="run: autoresearch prepare"):
        store.current_fingerprint(cache)
    said: list[str] = []
    prepare(str(texts), cache, vocab_size=300, say=said.append)
    assert any("making the data anew" in line for line in said) and manifest_of(folder) == before
