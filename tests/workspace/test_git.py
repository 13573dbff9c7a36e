"""How git is started, and what of it is read in this process: the same as git itself says."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.errors import InfrastructureError, LabError
from autoresearch.records import Edit
from autoresearch.workspace.git import GitError, entries, git, text
from autoresearch.workspace.objects import Difference, Recent
from autoresearch.workspace.refs import OnlyGitKnows, Refs
from autoresearch.workspace.repository import Repository
from autoresearch.workspace.worktree import Worktree
from tests.conftest import CONFIG, Lab, MakeLab, run_cli


def at(lab: Lab) -> Repository:
    """What a process that has just begun sees."""
    return Repository.discover(lab.root)


def in_place_of_git(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a script before the git on PATH."""
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


# -- how it is started ------------------------------------------------------------------------


def test_no_variable_of_the_users_reaches_git_but_those_that_are_meant(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = make_lab()
    meant = {"GIT_AUTHOR_NAME": "B", "GIT_CEILING_DIRECTORIES": "/nowhere"}
    others = {
        "GIT_DIR": "/nowhere", "GIT_OBJECT_DIRECTORY": "/nowhere", "GIT_WORK_TREE": "/nowhere",
        "GIT_INDEX_FILE": "/nowhere", "GIT_PYTHON_TRACE": "full", "GIT_PYTHON_REFRESH": "0",
        "GIT_PYTHON_GIT_EXECUTABLE": "/bin/false", "GIT_COMMON_DIR": "/nowhere",
    }  # fmt: skip
    for name, value in (meant | others).items():
        monkeypatch.setenv(name, value)
    assert at(lab).resolve("refs/heads/autoresearch/t") == text(lab.root, "rev-parse", "HEAD")
    assert {name: os.environ[name] for name in others} == others, "and they are ours again"
    in_place_of_git(tmp_path / "bin", "env", monkeypatch)
    seen = dict(line.split("=", 1) for line in text(lab.root, "x").splitlines() if "=" in line)
    assert {name: seen.get(name) for name in meant} == meant
    assert not others.keys() & seen.keys()
    assert seen["LC_ALL"] == "C.UTF-8" and seen["GIT_NO_REPLACE_OBJECTS"] == "1"


def test_the_settings_win_over_the_repositorys(lab: Lab) -> None:
    for key in ("core.fsync", "core.hooksPath", "core.fsmonitor"):
        lab.git("config", key, "none")
    assert text(lab.root, "config", "core.fsync") == "all"
    assert text(lab.root, "config", "core.hooksPath") == os.devnull
    assert text(lab.root, "config", "core.fsmonitor") == "false"
    assert git(lab.root, "config", "core.hooksPath", hooks=True) == b"none\n"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says the session")
def test_a_session_of_its_own(
    make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = make_lab()
    in_place_of_git(tmp_path / "bin", "echo $$; cut -d' ' -f6 < /proc/self/stat", monkeypatch)
    pid, session = text(lab.root, "x").split()
    assert pid == session != str(os.getsid(0))


def test_input_larger_than_a_pipe_holds(lab: Lab) -> None:
    content = bytes(range(256)) * 4096
    blob = at(lab).write_blob(content)
    assert at(lab).blobs([blob]) == {blob: content}
    assert git(lab.root, "hash-object", "--stdin") == git(lab.root, "hash-object", "/dev/null")


def test_output_is_as_git_wrote_it(lab: Lab) -> None:
    blob = at(lab).write_blob(b"\xff\r\n\n\n")
    assert git(lab.root, "cat-file", "blob", blob) == b"\xff\r\n\n\n"


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("kill -9 $$", InfrastructureError, "killed by signal 9"),
        ("echo 'fatal: write error: No space left on device' >&2; exit 128", InfrastructureError,
         "No space left"),
        ("echo 'warning: unable to write file x' >&2", InfrastructureError, "unable to write"),
        (r"printf 'fatal: \377 is bad\n' >&2; exit 7", GitError, r"git x failed (7): fatal: � is bad"),
    ],
)  # fmt: skip
def test_how_git_fails(
    make_lab: MakeLab,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    script: str,
    error: type[Exception],
    words: str,
) -> None:
    lab = make_lab()
    in_place_of_git(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(error) as failed:
        git(lab.root, "x")
    assert words in str(failed.value)


def test_no_git_at_all(lab: Lab, tmp_path: Path) -> None:
    """Also in a process that has to import GitPython first, which wants to start git for that."""
    ran = lab.cli("status", code=1, env={"PATH": str(tmp_path)})
    assert ran.stderr == "error: git was not found; install git 2.36 or newer\n"


def test_a_folder_that_is_gone_is_never_replaced_by_ours(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitPython stays in the process's own folder, without a word, where it can't enter another."""
    monkeypatch.chdir(lab.root)
    gone = lab.root.parent / "gone"
    with pytest.raises(LabError, match="gone does not exist"):
        git(gone, "rev-parse", "HEAD")
    git(lab.root, "commit", "-q", "--allow-empty", "-m", "still here")


def test_a_folder_with_a_dollar(make_lab: MakeLab) -> None:
    """GitPython would put the variable's value there."""
    lab = make_lab(name="$HOME", tag=None)
    assert at(lab).root == lab.root and at(lab).head_branch() == "refs/heads/main"


def test_how_often_an_experiment_starts_git(
    make_lab: MakeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each start costs what five small files cost; a start more is one that somebody meant."""
    answers = "--- answer ---\n".join(
        f"description: {n}\n\nvalue.txt\n<<<<<<< SEARCH\n100\n=======\n{n}\n>>>>>>> REPLACE\n"
        for n in (101, 102, 103)
    )
    config = CONFIG.replace('kind = "command"', 'kind = "scripted"\nmodel = "answers.txt"')
    lab = make_lab({"autoresearch.toml": config, "answers.txt": answers})
    log, real = tmp_path / "calls", shutil.which("git")
    script = f'echo "$*" | tr "\\n" " " >> {log}; echo >> {log}; exec {real} "$@"'
    in_place_of_git(tmp_path / "bin", script, monkeypatch)
    lab.cli("run", "--max", "3")
    assert lab.statuses() == ["keep", "discard", "discard", "discard"]
    calls = log.read_text().splitlines()
    commits = [at for at, call in enumerate(calls) if " commit-tree " in call]
    one = calls[commits[1] : commits[2]]
    assert len(one) <= 10, "\n".join(one)


# -- refs -------------------------------------------------------------------------------------


def refs_of(lab: Lab) -> Refs:
    return Refs(lab.root, lab.root / ".git")


REF = "refs/heads/autoresearch/t"


def test_refs_are_read_without_git(
    make_lab: MakeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab()
    repo, head = at(lab), lab.head()
    in_place_of_git(tmp_path / "bin", "exit 9", monkeypatch)
    assert refs_of(lab).target(REF) == head
    assert refs_of(lab).target("refs/heads/nowhere") is None
    assert repo.head_branch() == "refs/heads/main"
    assert repo.resolve("refs/heads/nowhere") is None


def test_refs_wherever_they_lie(make_lab: MakeLab, tmp_path: Path) -> None:
    lab = make_lab()
    first = lab.head()
    lab.git("pack-refs", "--all")
    assert refs_of(lab).target(REF) == first, "packed"
    second = lab.commit("more", value__txt="1\n")
    lab.git("update-ref", REF, second)
    assert refs_of(lab).target(REF) == second, "a loose one before the packed"
    lab.git("symbolic-ref", "refs/heads/other", REF)
    assert refs_of(lab).target("refs/heads/other") == second
    lab.git("update-ref", "-d", REF)
    assert refs_of(lab).target(REF) is None
    linked = tmp_path / "linked"
    lab.git("config", "extensions.worktreeConfig", "true")
    lab.git("worktree", "add", "-q", str(linked), "-b", "side", first)
    repo = Repository.discover(linked)
    assert repo.head_branch() == "refs/heads/side"
    assert repo.resolve("refs/heads/side") == repo.resolve("HEAD") == first
    assert repo.resolve("refs/heads/main") == second
    lab.git("checkout", "-q", "--detach", cwd=linked)
    assert repo.head_branch() is None


@pytest.mark.parametrize("content", ["", "nonsense\n", "ref: refs/heads/nowhere\n", "0" * 64])
def test_a_ref_that_is_none_is_left_to_git(lab: Lab, content: str) -> None:
    lab.write(f".git/{REF}", content)
    with pytest.raises(OnlyGitKnows):
        refs_of(lab).target(REF)
    assert at(lab).resolve(REF) is None
    (lab.root / ".git" / REF).unlink()


@pytest.mark.parametrize("line", [b"# pack-refs with: sorted\n", b"1" * 40 + b" refs/heads/\xff\n"])
def test_packed_refs_that_gitpython_does_not_read(lab: Lab, line: bytes) -> None:
    lab.git("pack-refs", "--all")
    file = lab.root / ".git" / "packed-refs"
    whole = file.read_bytes()
    start = b"" if line.startswith(b"#") else b"# pack-refs with: peeled fully-peeled sorted \n"
    file.write_bytes(start + line + b"".join(whole.splitlines(keepends=True)[1:]))
    with pytest.raises(OnlyGitKnows):
        refs_of(lab).target("refs/heads/zzz")
    file.write_bytes(whole)


def test_a_branch_whose_commit_is_missing_names_none(lab: Lab) -> None:
    lab.write(f".git/{REF}", "1" * 40 + "\n")
    assert at(lab).resolve(REF) is None
    lab.write(f".git/{REF}", lab.head() + "\n")


def test_a_repository_of_sha_256(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None, init=("--object-format=sha256",))
    with pytest.raises(OnlyGitKnows):
        refs_of(lab).target("refs/heads/main")
    assert at(lab).resolve("refs/heads/main") == lab.head()
    assert at(lab).head_branch() == "refs/heads/main"


def test_refs_in_another_format_are_left_to_git(lab: Lab) -> None:
    lab.git("config", "extensions.refStorage", "reftable")
    with pytest.raises(OnlyGitKnows):
        refs_of(lab).target(REF)
    lab.git("config", "--remove-section", "extensions")


# -- objects ----------------------------------------------------------------------------------

EDITS = (
    Edit("value.txt", b"1\n"),
    Edit(":odd\n\tname\xe9\udcff", b"\0\1\2"),
    Edit("code.py", None),
    Edit("trial.sh", b"new mode\n", "100755"),
    Edit("other.txt/inside", b"a folder takes a file's place\n"),
    Edit("new/deep/er", b""),
    Edit("new.d", b"sorted before new/\n"),
)


@pytest.mark.parametrize("format_", ["sha1", "sha256"])
def test_what_is_known_of_a_commit_is_what_git_says(make_lab: MakeLab, format_: str) -> None:
    lab = make_lab(tag=None, init=(f"--object-format={format_}",))
    repo = at(lab)
    parent = repo.resolve("HEAD")
    assert parent is not None
    commit, tree = repo.commit(parent, EDITS, "odd", 1.7e9, lab.root / ".git" / "scratch")
    fresh = at(lab)
    assert repo.tree_id(commit) == tree
    assert list(repo.tree(commit).items()) == list(fresh.tree(commit).items())
    assert repo.patch(parent, commit) == git(
        lab.root, "diff-tree", "-p", "--full-index", "--binary", parent, commit
    )
    names = entries(git(lab.root, "diff-tree", "-r", "-z", "--name-only", parent, commit))
    assert [change[0] for change in repo.changed(parent, commit)] == names
    for path, (_, blob) in repo.tree(commit).items():
        content = repo.blobs([blob])[blob]
        assert content == git(lab.root, "cat-file", "blob", blob), path
    assert not repo.only_deletes(parent, commit)
    assert repo.patch(commit, commit) == b"" and not repo.only_deletes(commit, commit)


def test_replaced_objects_are_not(lab: Lab) -> None:
    head = lab.head()
    lab.commit("another", value__txt="1\n")
    lab.git("replace", head, lab.head())
    repo = at(lab)
    blob = repo.tree(head)["value.txt"][1]
    assert repo.blobs([blob])[blob] == b"100\n50\nspare\n"
    lab.git("replace", "-d", head)


def test_a_difference_of_nothing() -> None:
    assert Difference.read(b"") == Difference((), (), b"")


def test_what_was_not_asked_for_longest_is_forgotten() -> None:
    recent: Recent[str, bytes] = Recent(10, len)
    recent.put("a", b"1234")
    recent.put("b", b"1234")
    assert recent.get("a") == b"1234"
    recent.put("c", b"1234")
    assert recent.get("b") is None and recent.get("a") and recent.get("c")
    recent.put("large", b"12345678901")
    assert recent.get("large") is None and recent.get("a")


@pytest.mark.slow
def test_a_missing_blob_is_named(lab: Lab) -> None:
    with pytest.raises(LabError, match="1111 is missing from the repository; see: git fsck"):
        at(lab).blobs(["1" * 40])


# -- short ids --------------------------------------------------------------------------------


def ambiguous(lab: Lab) -> tuple[str, str]:
    """Makes a commit on main and a blob whose ids begin with the same seven digits; returns both.

    Of 60,000 commits that differ in a word and 60,000 blobs some two do.
    """
    raw = git(lab.root, "cat-file", "commit", "HEAD")
    commits, blobs = {}, {}
    for n in range(60_000):
        body = raw + b"%d\n" % n
        commits[hashlib.sha1(b"commit %d\0" % len(body) + body).hexdigest()[:7]] = body
        body = b"%d" % n
        blobs[hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()[:7]] = body
    same = min(commits.keys() & blobs.keys())
    made = git(lab.root, "hash-object", "-t", "commit", "-w", "--stdin", stdin=commits[same])
    blob = git(lab.root, "hash-object", "-w", "--stdin", stdin=blobs[same])
    lab.git("update-ref", "refs/heads/main", made.decode().strip())
    return made.decode().strip(), blob.decode().strip()


@pytest.mark.slow
def test_a_commit_is_lengthened_where_seven_digits_are_ambiguous(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    plain = lab.head()
    assert at(lab).short(plain) == plain[:7]
    commit, blob = ambiguous(lab)
    assert commit[:7] == blob[:7]
    lab.cli("init", "t")
    printed = lab.cli("run", "--max", "1").stdout
    (long, *_), (short, *_) = lab.rows()
    assert len(long) > 7 and commit.startswith(long) and not blob.startswith(long)
    assert short == lab.head("autoresearch/t")[:7]
    assert at(lab).resolve(long) == commit
    for command in (("show", "0"), ("show", "1"), ("report",)):
        assert long in lab.cli(*command).stdout, command
    assert short in lab.cli("status").stdout and printed
    table = lab.read("results.tsv")
    report = lab.root.parent / "copy.tsv"
    report.write_text(table)
    assert long in run_cli("report", "--file", str(report), cwd=lab.root.parent).stdout
    # A row is written once: where the other object is gone, it stays as it was.
    (lab.root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    assert at(lab).short(commit) == commit[:7]
    (lab.root / "results.tsv").unlink()
    lab.cli("run", "--max", "1")
    assert lab.read("results.tsv").startswith(table)


# -- files that are removed before a trial ----------------------------------------------------


def deep(folder: Path, levels: int) -> None:
    """Makes folders in one another, and a file in the last."""
    here = os.getcwd()
    os.chdir(folder)
    for _ in range(levels):
        os.mkdir("d")
        os.chdir("d")
    Path("deep.ckpt").touch()
    os.chdir(here)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("levels", "left"),
    [
        (2, ["all", "in", "in/kept", "kept", "d", "d/d"]),
        (1500, None),  # deeper than Python recurses
        (3000, []),  # deeper than a path may be long: nobody could look into it
    ],
)
def test_fresh_files_are_found_however_deep_they_lie(
    lab: Lab, levels: int, left: list[str] | None
) -> None:
    repo = at(lab)
    commit = repo.resolve(REF)
    assert commit is not None
    tree = Worktree(
        repo, lab.worktree(), "autoresearch-t",
        caches=("warm",), fresh=("warm/**/*.ckpt", "w*/all/**", "value.txt"),
    )  # fmt: skip
    tree.lay_out(commit)
    warm = tree.path / "warm"
    for name in ("a.ckpt", "kept", "in/b.ckpt", "in/kept", "all/c", "all/in/d"):
        (warm / name).parent.mkdir(parents=True, exist_ok=True)
        (warm / name).touch()
    deep(warm, levels)
    (warm / "in").chmod(0)
    tree.lay_out(commit)
    assert not (tree.path / "value.txt").exists()
    if left is not None:
        assert sorted(str(path.relative_to(warm)) for path in warm.rglob("*")) == sorted(left)
    else:
        found = warm
        for _ in range(levels):
            found = found / "d"
        assert found.is_dir() and not (found / "deep.ckpt").exists()
    tree.clear()


# -- nothing is left behind -------------------------------------------------------------------


def held() -> tuple[int, set[str]]:
    """This process's descriptors, and its children."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return len(os.listdir("/proc/self/fd")), set(children)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what is held")
def test_no_handle_and_no_process_is_left_behind(lab: Lab) -> None:
    """What an experiment does with git, 200 times in one process."""
    repo = at(lab)
    tree = Worktree(repo, lab.worktree(), "autoresearch-t")
    lab.git("checkout", "-q", "autoresearch/t")
    tip = repo.resolve(REF)
    assert tip is not None
    before: tuple[int, set[str]] | None = None
    gc.disable()  # what only a collection closes is left behind
    try:
        for n in range(200):
            edit = Edit("value.txt", b"%d\n" % n)
            commit, _ = repo.commit(tip, [edit], f"{n}", 1.7e9 + n, lab.state() / "scratch")
            assert repo.set_ref(f"refs/autoresearch/t/{n:04d}", commit)
            assert tree.tampered(commit, tree.lay_out(commit)) is None
            assert repo.patch(tip, commit) and not repo.only_deletes(tip, commit)
            assert repo.short(commit) == commit[: len(repo.short(commit))]
            assert repo.set_ref(REF, commit, tip) and repo.head_branch() == REF
            assert repo.resolve("refs/heads/nowhere") is None
            with pytest.raises(GitError):
                git(lab.root, "cat-file", "-e", "1" * 40)
            tip = commit
            before = before or held()
        assert held() == before
    finally:
        gc.enable()
    lab.git("reset", "-q", "--hard")
    found = subprocess.run(["ps", "-e", "-o", "args"], capture_output=True, text=True).stdout
    assert not [line for line in found.splitlines() if "cat-file" in line and str(lab.root) in line]
