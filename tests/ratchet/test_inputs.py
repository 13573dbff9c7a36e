"""Inputs in real trials, with and without a sandbox, and what `init` says and refuses of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.jailed import jail_of
from tests.labs import Lab, make_lab, scripted, whole
from tests.workspace.test_inputs import pointer

READS = """\
import os
for name in ("data/README", "data/deep/x", "data/.bin/tool", "big.weights", "lib/code"):
    print("READ", name, open(name).read().strip(), os.access(name, os.W_OK) and os.getuid() != 0)
print("LINK", os.readlink("data/.bin/tool"))
print("val_bpb: 1.000000")
"""
WRITES = """\
import contextlib, os
for name in ("data/deep/x", "data/.bin/tool", "data/out"):
    with contextlib.suppress(OSError):
        os.chmod(name, 0o644)
        open(name, "w").write("overwritten")
print("val_bpb: 0.500000")
"""
INPUTS = 'inputs = ["data", "big.weights", "lib"]'


def make(folder: Path, sandbox: str, answers: list[str]) -> Lab:
    """A lab with a mixed folder, a link out of it, an LFS file and a submodule as inputs."""
    outside = folder / "outside"
    (outside / "lib").mkdir(parents=True)
    (outside / "lib" / "code").write_text("code")
    (outside / "x").write_text("outside")
    for command in (
        ["init", "-q", "-b", "main"], ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):  # fmt: skip
        subprocess.run(["git", *command], cwd=outside / "lib", check=True)
    lab = make_lab(
        folder, READS, INPUTS, scripted(folder, answers), f'[runner]\nsandbox = "{sandbox}"\n',
        {".gitignore": "data/deep/\ndata/out\ndata/.bin/\n", "data/README": "tracked\n"},
    )  # fmt: skip
    lab.git("branch", "-D", "autoresearch/t")
    add = ("submodule", "--quiet", "add", str(outside / "lib"), "lib")
    lab.git("-c", "protocol.file.allow=always", *add)
    lab.commit(
        **{".gitattributes": "*.weights filter=lfs -text\n", "big.weights": pointer(b"weights")}
    )
    (lab.root / "big.weights").write_text("weights")
    (lab.root / "data" / "deep").mkdir()
    (lab.root / "data" / "deep" / "x").write_text("deep")
    (lab.root / "data" / "out").symlink_to(outside / "x")
    (lab.root / "data" / ".bin").mkdir()
    (lab.root / "data" / ".bin" / "tool").symlink_to("../deep/x")
    lab.tag = "two"
    return lab


@pytest.mark.slow
@pytest.mark.parametrize("sandbox", ["none", "bwrap"])
def test_every_kind_of_input_in_a_trial(tmp_path: Path, sandbox: str) -> None:
    jail_of(sandbox)
    writes = whole("writes", WRITES, old=READS)
    # In a jail nothing is written, and it is a gain.
    incumbent = READS if sandbox == "none" else WRITES
    again = whole("reads again", READS + "x = 1\n", old=incumbent)
    lab = make(tmp_path, sandbox, [writes, again])
    lab.cli("init", "two")
    lab.cli("run", "--max", "2")
    for number in (0, 2):
        log = lab.file(number, "trial.log")
        for line in (
            "READ data/README tracked False", "READ data/deep/x deep False",
            "READ data/.bin/tool deep False", "READ big.weights weights False",
            "READ lib/code code False", "LINK ../deep/x",
        ):  # fmt: skip
            assert line in log, log
    assert lab.record(1)["failure"] == ("tampered" if sandbox == "none" else None)
    assert (lab.root / "data" / "deep" / "x").read_text() == "deep"
    assert (tmp_path / "outside" / "x").read_text() == "outside"
    assert os.readlink(lab.root / "data" / ".bin" / "tool") == "../deep/x"


@pytest.mark.slow
def test_an_input_is_no_edit_of_a_persons(tmp_path: Path) -> None:
    """Untracked and not ignored, or another than the commit has: `try` and `check` see edits alone."""
    lab = make(tmp_path, "none", [])
    lab.commit(**{".gitignore": ""})
    lab.git("rm", "-q", "-r", "--cached", "data/deep", "data/out", "data/.bin")
    lab.git("commit", "-q", "-m", "untracked again")
    lab.cli("init", "two")
    (lab.root / "lib" / "code").write_text("other code")
    assert lab.cli("check").stdout == "ok: nothing changed\n"
    (lab.root / "train.py").write_text(READS.replace("1.0", "0.5"))
    lab.cli("try", "-m", "by hand")
    assert lab.statuses() == ["keep", "keep"] and "READ lib/code other code" in lab.file(
        1, "trial.log"
    )
    (lab.root / "data" / "README").write_text("edited")
    assert "data/README" in lab.cli("check", code=1).stdout


# -- what init says and refuses ---------------------------------------------------------------


def lab_with(folder: Path, task: str, files: dict[str, str] | None = None) -> Lab:
    """A lab whose first run was made away, for another init."""
    lab = make_lab(folder, READS, "", "", "", {"words.txt": "one\n", **(files or {})})
    lab.git("branch", "-D", "autoresearch/t")
    toml = (lab.root / "autoresearch.toml").read_text()
    lab.commit(autoresearch__toml=toml.replace("[researcher]", f"{task}\n[researcher]"))
    return lab


def test_init_says_what_trials_will_not_find(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, 'inputs = ["words.txt", "soon"]')
    said = lab.cli("init", "two").stdout
    assert "inputs: git tracks all of words.txt and lays it out as committed" in said
    assert "inputs: soon is not there yet; make it before autoresearch run" in said


def test_init_refuses_a_mutable_input(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, 'inputs = ["train.py"]')
    refused = lab.cli("init", "two", code=1)
    assert refused.stderr.startswith("error: inputs: train.py is mutable too")
    assert refused.stderr.count("\n") == 1
    assert lab.git("branch", "--list", "autoresearch/two") == ""


def test_init_refuses_an_empty_submodule_and_absent_lfs_content(tmp_path: Path) -> None:
    lab = make(tmp_path, "none", [])
    lab.git("submodule", "--quiet", "deinit", "-f", "lib")
    assert "git submodule update --init lib" in lab.cli("init", "two", code=1).stderr
    lab.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "lib")
    (lab.root / "big.weights").write_text(pointer(b"weights"))
    refused = lab.cli("init", "two", code=1).stderr
    assert "git LFS keeps big.weights, and its content is not here" in refused


def test_init_names_submodules_and_lfs_files_that_are_no_inputs(tmp_path: Path) -> None:
    lab = make(tmp_path, "none", [])
    toml = (lab.root / "autoresearch.toml").read_text()
    (lab.root / "big.weights").write_text(pointer(b"weights"))
    lab.commit(autoresearch__toml=toml.replace(INPUTS, 'inputs = ["data"]'))
    said = lab.cli("init", "two").stdout
    assert 'submodules are laid out empty; if trials read them: inputs = ["lib"]' in said
    assert 'laid out as pointers; if trials read them: inputs = ["big.weights"]' in said


# -- git-lfs itself ---------------------------------------------------------------------------


def without_lfs(folder: Path) -> str:
    """A PATH with the programs of this one, but for git-lfs."""
    place = folder / "programs"
    place.mkdir()
    for each in os.environ["PATH"].split(os.pathsep):
        for program in Path(each).glob("*") if Path(each).is_dir() else ():
            if program.name != "git-lfs" and not (place / program.name).exists():
                (place / program.name).symlink_to(program)
    return str(place)


@pytest.mark.slow
def test_git_lfs_that_is_missing_is_one_line(tmp_path: Path) -> None:
    lab = make(tmp_path, "none", [])
    lab.env["PATH"] = without_lfs(tmp_path)
    line = "this repository keeps files with git LFS, and git-lfs is not installed: apt install git-lfs"
    assert line in lab.cli("init", "two").stdout
    assert line in lab.cli("baseline").stdout
    assert line in lab.cli("run", "--max", "1", code=None).stdout
    found = [row for row in lab.cli("doctor").stdout.splitlines() if row.startswith("git-lfs")]
    assert len(found) == 1 and "missing" in found[0]
    # with the filter set up, git itself can't read the checkout
    for key in ("clean", "smudge", "process"):
        lab.git("config", f"filter.lfs.{key}", f"git-lfs {key} -- %f")
    lab.git("config", "filter.lfs.required", "true")
    for command in (["init", "three"], ["run", "--max", "1"], ["baseline"]):
        stopped = lab.cli(*command, code=1)
        assert line in stopped.stderr and stopped.stderr.count("\n") == 1
    program = tmp_path / "programs" / "git-lfs"
    program.write_text("#!/bin/sh\ncat\n")
    program.chmod(0o755)
    assert "git-lfs" not in lab.cli("baseline").stdout
    assert "git-lfs    ok" in lab.cli("doctor").stdout


@pytest.mark.slow
def test_a_repository_without_lfs_hears_nothing_of_it(tmp_path: Path) -> None:
    lab = lab_with(tmp_path, "")
    lab.env["PATH"] = without_lfs(tmp_path)
    assert "LFS" not in lab.cli("init", "two").stdout
    assert "git-lfs" not in lab.cli("doctor").stdout
