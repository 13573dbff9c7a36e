"""What is copied beside a commit's files: links, submodules, LFS files, odd things, and what is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from autoresearch.errors import LabError
from autoresearch.workspace.inputs import holds_tracked, outermost
from autoresearch.workspace.repository import Repository
from autoresearch.workspace.worktree import Worktree


class Scene:
    """A repository, and a worktree laid out beside it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.there = folder / "lab", folder / "state" / "worktree"
        self.outside = folder / "outside"
        for each in (self.root, self.there.parent, self.outside):
            each.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.write("train.py", "1\n")
        self.write(".gitignore", "data/\nmodels/\n*.bin\n")
        self.tree: Worktree | None = None

    def git(self, *arguments: str) -> str:
        settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
        done = subprocess.run(
            ["git", *settings, *arguments],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def write(self, name: str, text: str) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def link(self, name: str, text: str | Path) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(text)

    def lay_out(self, *inputs: str, commit: bool = True, anew: bool = False) -> list[str]:
        """Lays the commit out with these inputs; returns what is said of them."""
        if commit:
            self.git("add", "-A")
            self.git("commit", "-q", "--allow-empty", "-m", "x")
        if self.tree is None:
            self.tree = Worktree(Repository.discover(self.root), self.there, "t", inputs)
        head = self.git("rev-parse", "HEAD")
        tree = self.tree.lay_out(head, anew=anew)
        assert self.tree.tampered(head, tree) is None
        return self.tree.notices()

    def tampered(self) -> str | None:
        assert self.tree is not None
        head = self.git("rev-parse", "HEAD")
        return self.tree.tampered(head, self.tree.repo.tree(head))

    def read(self, name: str) -> str:
        return (self.there / name).read_text()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# -- what git tracks of an input --------------------------------------------------------------


def test_a_folder_with_one_tracked_file_is_copied_beside_it(scene: Scene) -> None:
    scene.write("data/README", "tracked\n")
    scene.write("data/a.bin", "a")
    scene.write("data/deep/er/b.bin", "b")
    scene.write("data/deep/notes", "tracked too\n")
    (scene.root / "data" / "empty").mkdir()
    scene.git("add", "-f", "data/README", "data/deep/notes")
    assert scene.lay_out("data") == []
    assert [scene.read(f"data/{n}") for n in ("README", "a.bin", "deep/notes", "deep/er/b.bin")] == [
        "tracked\n", "a", "tracked too\n", "b",
    ]  # fmt: skip
    assert (scene.there / "data" / "empty").is_dir()
    # as the commit has it, whatever the checkout holds
    scene.write("data/README", "edited\n")
    scene.write("data/a.bin", "new")
    scene.lay_out(commit=False)
    assert scene.read("data/README") == "tracked\n" and scene.read("data/a.bin") == "new"
    (scene.root / "data" / "a.bin").unlink()
    scene.lay_out(commit=False)
    assert not (scene.there / "data" / "a.bin").exists()
    (scene.there / "data" / "deep" / "er" / "b.bin").chmod(0o644)
    scene.write("../state/worktree/data/deep/er/b.bin", "B")
    assert (scene.tampered() or "").startswith("data/deep/er")


def test_a_tracked_file_as_an_input_is_as_the_commit_has_it(scene: Scene) -> None:
    scene.write("words.txt", "one\n")
    for text in ("one\n", "two\n"):
        scene.write("words.txt", text)
        scene.lay_out("words.txt", "train.py")
        scene.lay_out(commit=False)
        assert scene.read("words.txt") == text
    scene.lay_out(commit=False, anew=True)
    assert scene.read("words.txt") == "two\n"


def test_a_tracked_file_that_is_gone_from_the_checkout(scene: Scene) -> None:
    scene.write("words.txt", "one\n")
    scene.lay_out("words.txt")
    (scene.root / "words.txt").unlink()
    scene.lay_out(commit=False)
    assert scene.read("words.txt") == "one\n"


# -- links ------------------------------------------------------------------------------------


def test_links_inside_stay_links(scene: Scene) -> None:
    """As in node_modules/.bin, in a virtual environment, in the cache of a model hub."""
    scene.write("data/pkg/cli.js", "cli")
    scene.link("data/.bin/cli", "../pkg/cli.js")
    scene.write("data/blobs/abc", "weights")
    scene.link("data/snapshots/1/model.bin", "../../blobs/abc")
    scene.link("data/lib64", "lib")
    scene.write("data/lib/x", "x")
    scene.link("data/absolute", scene.root / "data" / "lib")
    scene.link("data/python3", "python")
    scene.link("data/python", shutil.which("env") or "/usr/bin/env")
    scene.link("data/null", "/dev/null")
    scene.link("data/dangling", "nowhere")
    scene.link("data/far", "/no/such/place")
    scene.link("data/loop", "loop")
    scene.link("data/self", ".")
    assert scene.lay_out("data") == []
    there = scene.there / "data"
    links = {
        ".bin/cli": "../pkg/cli.js", "snapshots/1/model.bin": "../../blobs/abc", "lib64": "lib",
        "absolute": "lib", "python3": "python", "null": "/dev/null", "dangling": "nowhere",
        "far": "/no/such/place", "loop": "loop", "self": ".",
    }  # fmt: skip
    assert {name: os.readlink(there / name) for name in links} == links
    assert scene.read("data/snapshots/1/model.bin") == "weights"
    assert scene.read("data/absolute/x") == "x"
    assert os.path.samefile(there / "python3", shutil.which("env") or "/usr/bin/env")


def test_links_that_lead_out_are_never_the_users_own_file(scene: Scene) -> None:
    (scene.outside / "big").mkdir()
    (scene.outside / "big" / "x").write_text("outside")
    (scene.outside / "single").write_text("alone")
    (scene.outside / "run").write_text("#!/bin/sh\n")
    (scene.outside / "run").chmod(0o755)
    scene.link("data/relative", "../../outside/single")
    scene.link("data/absolute", scene.outside / "big")
    scene.link("data/program", scene.outside / "run")
    scene.write("models/m", "not laid out")
    scene.link("data/model", "../models/m")
    scene.write("src/code", "laid out\n")
    scene.link("data/code", "../src/code")
    scene.link("data/all", scene.root.parent)
    said = scene.lay_out("data")
    assert len(said) == 1 and "data/all leads to a folder above it" in said[0]
    there = scene.there / "data"
    assert [scene.read(f"data/{n}") for n in ("relative", "absolute/x", "model", "code")] == [
        "alone", "outside", "not laid out", "laid out\n",
    ]  # fmt: skip
    assert not any((there / n).is_symlink() for n in ("relative", "absolute", "model"))
    assert os.readlink(there / "code") == "../src/code"
    assert (there / "program").is_symlink()
    for name in ("relative", "absolute/x", "model"):
        (there / name).chmod(0o644)
        (there / name).write_text("overwritten")
    assert (scene.outside / "single").read_text() == "alone"
    assert (scene.outside / "big" / "x").read_text() == "outside"
    assert (scene.root / "models" / "m").read_text() == "not laid out"


def test_an_input_that_is_a_link_is_what_it_leads_to(scene: Scene) -> None:
    (scene.outside / "x").write_text("1")
    (scene.outside / "y").symlink_to("x")
    scene.link("models", scene.outside)
    scene.write(".gitignore", "models\n")
    for _ in range(2):
        scene.lay_out("models")
        assert not (scene.there / "models").is_symlink() and scene.read("models/y") == "1"
    assert os.readlink(scene.there / "models" / "y") == "x"
    assert (scene.outside / "x").stat().st_mode & 0o200, "modes of the user's own are left alone"


def test_a_tracked_link_that_leads_out(scene: Scene) -> None:
    (scene.outside / "x").write_text("1")
    scene.link("corpus", scene.outside)
    scene.write("src/code", "2")
    scene.link("alias", "src")
    for _ in range(2):
        scene.lay_out("corpus", "alias")
        assert scene.read("corpus/x") == "1" and not (scene.there / "corpus").is_symlink()
        assert os.readlink(scene.there / "alias") == "src" and scene.read("alias/code") == "2"


def test_links_beside_tracked_files(scene: Scene) -> None:
    scene.write("data/README", "t\n")
    scene.git("add", "-f", "data/README")
    scene.write("data/v1/x", "1")
    scene.link("data/current", "v1")
    (scene.outside / "x").write_text("2")
    scene.link("data/other", scene.outside)
    scene.link("data/gone", "nowhere")
    for _ in range(2):
        scene.lay_out("data")
    assert os.readlink(scene.there / "data" / "current") == "v1"
    assert scene.read("data/other/x") == "2" and not (scene.there / "data" / "other").is_symlink()
    assert os.readlink(scene.there / "data" / "gone") == "nowhere"


# -- odd things in a folder -------------------------------------------------------------------


def test_fifos_and_sockets_are_left_out_aloud(scene: Scene) -> None:
    scene.write("data/x", "1")
    os.mkfifo(scene.root / "data" / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        at = os.getcwd()
        os.chdir(scene.root / "data")
        listening.bind("socket")
        os.chdir(at)
        said = scene.lay_out("data")
    assert len(said) == 2 and all("is no file, folder or link: left out" in text for text in said)
    assert scene.lay_out(commit=False) == [], "once is enough"
    assert sorted(os.listdir(scene.there / "data")) == ["x"]


def test_names_that_are_no_utf8(scene: Scene) -> None:
    name = os.fsencode(scene.root / "data") + b"/caf\xe9"
    (scene.root / "data").mkdir()
    with open(name, "wb") as file:
        file.write(b"1")
    scene.lay_out("data")
    assert os.listdir(os.fsencode(scene.there / "data")) == [b"caf\xe9"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_can_not_be_read_is_named(scene: Scene) -> None:
    scene.write("data/x", "1").chmod(0)
    with pytest.raises(LabError, match=r"inputs: .*data/x can't be copied: Permission denied"):
        scene.lay_out("data")


def test_an_input_in_another_one(scene: Scene) -> None:
    assert outermost(("data/sub", "data", "database", "data/sub/x")) == ("data", "database")
    scene.write("data/sub/x", "1")
    scene.lay_out("data", "data/sub")
    assert scene.read("data/sub/x") == "1"


def test_a_repository_in_an_input_comes_whole(scene: Scene) -> None:
    scene.write("data/clone/x", "1")
    subprocess.run(["git", "init", "-q"], cwd=scene.root / "data" / "clone", check=True)
    scene.lay_out("data")
    assert scene.read("data/clone/x") == "1"
    assert (scene.there / "data" / "clone" / ".git" / "HEAD").is_file()


def test_an_input_that_goes_away_in_the_middle_of_a_run(scene: Scene) -> None:
    scene.write("data/x", "1")
    scene.lay_out("data")
    shutil.rmtree(scene.root / "data")
    (said,) = scene.lay_out(commit=False)
    assert "is gone; trials go on with the copy" in said
    assert scene.read("data/x") == "1" and scene.lay_out(commit=False) == []
    (scene.there / "data" / "x").chmod(0o644)
    (scene.there / "data" / "x").write_text("tampered")
    with pytest.raises(LabError, match="does not exist"):
        scene.lay_out(commit=False)
    scene.write("data/x", "2")
    scene.lay_out(commit=False)
    assert scene.read("data/x") == "2"


def test_an_input_that_is_not_there(scene: Scene) -> None:
    with pytest.raises(LabError, match="does not exist; make it, or take it out"):
        scene.lay_out("data")


def test_what_git_tracks() -> None:
    tree = {"a/b": ("100644", ""), "c": ("100644", "")}
    assert [holds_tracked(name, tree) for name in ("a", "a/b", "c", "b", "a/", "ab")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


# -- submodules -------------------------------------------------------------------------------


@pytest.fixture
def module(scene: Scene) -> Scene:
    other = scene.outside / "lib"
    other.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=other, check=True)
    (other / "code.c").write_text("int x;\n")
    for command in (
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=other, check=True)
    scene.git("submodule", "--quiet", "add", str(other), "third/lib")
    return scene


@pytest.mark.parametrize("name", ["third/lib", "third", "third/lib/code.c"])
def test_a_submodule_is_filled(module: Scene, name: str) -> None:
    for _ in range(2):
        module.lay_out(name)
        assert module.read("third/lib/code.c") == "int x;\n"
    assert not (module.there / "third" / "lib" / ".git").exists()
    module.lay_out(commit=False, anew=True)
    assert module.read("third/lib/code.c") == "int x;\n"


def test_an_empty_submodule_is_refused(module: Scene) -> None:
    module.lay_out()
    module.git("submodule", "deinit", "-f", "third/lib")
    module.tree = None
    with pytest.raises(LabError, match="git submodule update --init third/lib"):
        module.lay_out("third/lib", commit=False)


# -- files that git LFS keeps -----------------------------------------------------------------


def pointer(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


def kept_by_lfs(scene: Scene, name: str, content: bytes) -> None:
    """A commit with a pointer, as git LFS's filter makes one, and the content in the checkout."""
    scene.write(".gitattributes", "*.weights filter=lfs diff=lfs merge=lfs -text\n")
    scene.write(name, pointer(content))
    scene.git("add", "-A")
    scene.git("commit", "-q", "-m", "a pointer")
    (scene.root / name).write_bytes(content)


@pytest.mark.parametrize("name", ["big/w.weights", "big"])
def test_a_file_that_lfs_keeps_is_its_content(scene: Scene, name: str) -> None:
    kept_by_lfs(scene, "big/w.weights", b"weights")
    scene.write("big/notes", "plain\n")
    scene.git("add", "big/notes")
    scene.git("commit", "-q", "-m", "x")
    for _ in range(2):
        scene.lay_out(name, commit=False)
        assert scene.read("big/w.weights") == "weights" and scene.read("big/notes") == "plain\n"
    (scene.there / "big" / "w.weights").chmod(0o644)
    (scene.there / "big" / "w.weights").write_text("weighed")
    assert scene.tampered() == "big/w.weights"


def test_lfs_content_comes_from_its_store_too(scene: Scene) -> None:
    kept_by_lfs(scene, "w.weights", b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (scene.root / "w.weights").write_text(pointer(b"weights"))
    with pytest.raises(
        LabError, match=r"git LFS keeps w.weights, and its content is not here: .*git lfs pull"
    ):
        scene.lay_out("w.weights", commit=False)
    scene.write(f".git/lfs/objects/{digest[:2]}/{digest[2:4]}/{digest}", "weights")
    scene.lay_out(commit=False)
    assert scene.read("w.weights") == "weights"


def test_other_content_of_the_same_size_is_not_taken(scene: Scene) -> None:
    kept_by_lfs(scene, "w.weights", b"weights")
    (scene.root / "w.weights").write_text("WEIGHTS")
    with pytest.raises(LabError, match="its content is not here"):
        scene.lay_out("w.weights", commit=False)


def test_without_a_name_it_is_its_pointer(scene: Scene) -> None:
    kept_by_lfs(scene, "w.weights", b"weights")
    scene.lay_out(commit=False)
    assert scene.read("w.weights") == pointer(b"weights")
