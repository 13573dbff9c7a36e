"""A baseline that fails says what would mend it: by the kind of the failure, and only what fits it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.jailed import jail_of
from tests.labs import Lab, make_lab

GOOD = 'print("val_bpb: 1.000000")\n'


def failed(lab: Lab) -> str:
    """What a failing baseline says in its first line."""
    return lab.cli("baseline", code=1).stderr.splitlines()[0]


def configured(lab: Lab, table: str, line: str) -> None:
    """Writes a line of advice into the configuration, as a person would."""
    file = lab.root / "autoresearch.toml"
    text = file.read_text()
    text = text.replace(f"[{table}]\n", f"[{table}]\n{line}\n", 1) if f"[{table}]" in text else (
        f"{text}\n[{table}]\n{line}\n"
    )  # fmt: skip
    file.write_text(text)


def advised(text: str, key: str) -> str:
    """The line of configuration in a sentence."""
    start = text.index(f"{key} = ")
    ends = {"'": "' would", "[": "]"}
    end = ends[text[start + len(key) + 3]]
    return text[start : text.index(end, start)] + end[0]


@pytest.mark.slow
def test_a_line_that_is_not_the_metrics(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, 'print("best val_bpb: 0.997900")\n')
    said = failed(lab)
    assert (
        "the log has no line with val_bpb" in said
        and "The log has 'best val_bpb: 0.997900'" in said
    )
    assert "sandbox" not in said.lower()
    configured(lab, "task.metric", advised(said, "pattern"))
    assert "val_bpb 0.9979 " in lab.cli("baseline").stdout


@pytest.mark.slow
def test_several_lines(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, 'print("val_bpb: 2")\nprint("val_bpb: 1.5")\n')
    assert 'take = "last" would read 1.5' in failed(lab)
    configured(lab, "task.metric", 'take = "last"')
    assert "val_bpb 1.5 " in lab.cli("baseline").stdout


@pytest.mark.slow
def test_an_ignored_file_that_is_missing(tmp_path: Path) -> None:
    train = f'print(len(open("data/raw/train.txt").read()))\n{GOOD}'
    lab = make_lab(tmp_path, train, files={".gitignore": "data/\n"})
    (lab.root / "data" / "raw").mkdir(parents=True)
    (lab.root / "data" / "raw" / "train.txt").write_text("text")
    said = failed(lab)
    assert "data is in your checkout and not in the commit" in said
    configured(lab, "task", advised(said, "inputs"))
    assert 'inputs = ["data"]' in (lab.root / "autoresearch.toml").read_text()
    lab.cli("baseline")


def test_an_untracked_file_beside_tracked_ones(tmp_path: Path) -> None:
    train = f'print(len(open("data/b.bin").read()))\n{GOOD}'
    lab = make_lab(tmp_path, train, files={".gitignore": "*.bin\n", "data/a.txt": "a"})
    (lab.root / "data" / "b.bin").write_text("text")
    assert 'inputs = ["data/b.bin"]' in failed(lab)


def test_a_module_that_git_does_not_have(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, f"import helper\n{GOOD}", files={".gitignore": "helper.py\n"})
    (lab.root / "helper.py").write_text("x = 1\n")
    assert "helper.py is in your checkout and not in the commit" in failed(lab)


@pytest.mark.slow
def test_a_module_of_another_python(tmp_path: Path) -> None:
    lab = make_lab(
        tmp_path, f"import no_such_module.deep\n{GOOD}", files={".gitignore": ".venv/\n"}
    )
    said = failed(lab)
    assert f"{sys.executable} -m pip install no_such_module" in said
    own = lab.root / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    said = failed(lab)
    assert (
        f'the environment of this project would be: in [task] command = ["{own}", "train.py"]'
        in said
    )
    assert "sandbox" not in said.lower()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "words"),
    [
        ('raise MemoryError("CUDA out of memory")\n', "Make the batch or the model smaller"),
        ('print("val_bpb: nan")\n', "The code diverges as it stands"),
        ("import time\ntime.sleep(60)\n", "task.timeout_s = 1 ends setup, start-up, training"),
        ('import sys\nprint("val_bpb: 0,93")\n', "decimal comma"),
        ("pass\n", "The log is empty"),
    ],
)  # fmt: skip
def test_other_kinds(tmp_path: Path, train: str, words: str) -> None:
    said = failed(make_lab(tmp_path, train, timeout_s=1 if "sleep" in train else 20))
    assert words in said and "sandbox" not in said.lower()


def test_out_of_memory_with_a_profile(tmp_path: Path) -> None:
    lab = make_lab(
        tmp_path, 'raise MemoryError("out of memory")\n', rest='[harness]\nbudget = "10s"\n'
    )
    assert "autoresearch doctor --fit --profile NAME" in lab.cli("baseline", code=1).stderr


REFUSED = {
    'open("/etc/hostname-of-ours", "w")\n': "and writes its worktree and TMPDIR",
    'import socket\nsocket.create_connection(("example.org", 80), 2)\n': "a trial has no network",
    'print(open("{outside}/secret").read())\n': 'in [runner] readable = ["{outside}/secret"]',
    'raise RuntimeError("no data in the cache")\n': "",
    'open("/no/such/file")\n': "",
}


@pytest.mark.parametrize("train", REFUSED)
def test_the_sandbox_is_named_only_where_it_refused(tmp_path: Path, train: str) -> None:
    jail_of("bwrap")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    words = REFUSED[train].replace("{outside}", str(outside))
    lab = make_lab(
        tmp_path / "lab", train.replace("{outside}", str(outside)) + GOOD,
        rest='[runner]\nsandbox = "bwrap"\n',
    )  # fmt: skip
    said = failed(lab)
    assert ("In the sandbox" in said) is bool(words) and words in said
