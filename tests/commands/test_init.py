"""`init`: a lab out of an empty folder, a run out of a lab, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoresearch.paths import DECOY
from tests.conftest import CONFIG, Lab, MakeLab, run_cli

TEMPLATE = {"train.py", "program.md", "autoresearch.toml", ".gitignore"}


def folder(tmp_path: Path, name: str = "new") -> Lab:
    """An empty folder."""
    made = tmp_path / name
    made.mkdir()
    return Lab(made)


def names(lab: Lab) -> set[str]:
    return {path.name for path in lab.root.iterdir()} - {".git", "results.tsv", "musings.md"}


# -- a lab out of an empty folder -------------------------------------------------------------


def test_empty_folder_becomes_a_lab_with_a_run(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    ran = lab.cli("init", "first", "--template", "gpt")
    assert names(lab) == TEMPLATE
    assert lab.git("status", "--porcelain") == ""
    assert lab.head() == lab.head("autoresearch/first")
    assert lab.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert lab.read("results.tsv") == "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
    assert "run first: branch autoresearch/first" in ran.stdout
    assert "next: autoresearch prepare" in ran.stdout
    assert len(ran.stdout.splitlines()) <= 8 and not ran.stderr


def test_template_is_the_default(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    lab.cli("init")
    assert names(lab) == TEMPLATE


def test_default_tag_is_today(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    before = time.localtime()
    lab.cli("init")
    days = {f"{time.strftime('%b', t).lower()}{t.tm_mday}" for t in (before, time.localtime())}
    [tag] = lab.git(
        "for-each-ref", "--format=%(refname:lstrip=3)", "refs/heads/autoresearch"
    ).split()
    assert tag in days
    assert re.fullmatch(r"[a-z]{3}([1-9]|[12]\d|3[01])", tag)


def test_empty_folder_inside_a_repository_gets_its_own(make_lab: MakeLab) -> None:
    outer = make_lab(tag=None)
    inner = Lab(outer.root / "inner")
    inner.root.mkdir()
    before, refs = outer.picture(), outer.git("for-each-ref")
    ran = inner.cli("init", "t")
    assert f"inside the repository {outer.root}" in ran.stdout
    assert names(inner) == TEMPLATE and (inner.root / ".git").is_dir()
    after = {path: b for path, b in outer.picture().items() if "/inner/" not in path}
    assert after == before
    assert outer.git("for-each-ref") == refs
    assert not (outer.root / ".git" / "autoresearch").exists()


def test_empty_folder_of_an_unborn_repository(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    lab.git("init", "-q", "-b", "trunk")
    lab.cli("init", "t")
    assert names(lab) == TEMPLATE
    assert lab.git("symbolic-ref", "HEAD") == "refs/heads/trunk"


def test_template_none_end_to_end(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    lab.cli("init", "t", "--template", "none")
    assert names(lab) == {"autoresearch.toml", "program.md"}
    assert "[task]" in lab.read("autoresearch.toml")
    assert lab.head("autoresearch/t")


def test_unknown_template_and_revision_in_an_empty_folder(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    assert "gpt and none" in lab.cli("init", "--template", "vision", code=2).stderr
    assert "--from" in lab.cli("init", "--from", "HEAD~1", code=2).stderr
    assert names(lab) == set() and not (lab.root / ".git").exists()


def test_a_bad_name_leaves_an_empty_folder_empty(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    lab.cli("init", "a b", code=2)
    assert list(lab.root.iterdir()) == []


def test_folder_with_files_and_no_repository(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    lab.write("notes.txt", "mine\n")
    ran = lab.cli("init", code=1)
    assert "git init" in ran.stderr and len(ran.stderr.splitlines()) == 1
    assert names(lab) == {"notes.txt"} and not (lab.root / ".git").exists()


def test_an_empty_file_of_the_users_is_a_file(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    lab.write("notes.txt", "")
    lab.cli("init", code=1)
    assert names(lab) == {"notes.txt"}


def test_a_symlink_is_not_written_through(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    outside = tmp_path / "outside.md"
    outside.write_text("")
    (lab.root / "program.md").symlink_to(outside)
    lab.cli("init", code=1)
    assert outside.read_text() == "" and names(lab) == {"program.md"}


@pytest.mark.parametrize("left", ["no .git", "half a .git", ".git", "staged"])
def test_killed_half_way_then_again(tmp_path: Path, left: str) -> None:
    whole = folder(tmp_path, "whole")
    whole.cli("init", "t")
    lab = folder(tmp_path)
    if left == "half a .git":
        (lab.root / ".git").mkdir()
    elif left != "no .git":
        lab.git("init", "-q")
    lab.write("program.md", whole.read("program.md"))
    lab.write("train.py", whole.read("train.py")[:1000])
    if left == "staged":
        lab.git("add", "-A")
    lab.cli("init", "t")
    for name in TEMPLATE:
        assert lab.read(name) == whole.read(name)
    assert lab.git("status", "--porcelain") == ""
    assert lab.head("autoresearch/t") == lab.head()


# -- a run out of a lab -----------------------------------------------------------------------


def test_existing_lab(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    before = lab.picture()
    ran = lab.cli("init", "mar5")
    assert lab.picture() == before, "the checkout is the user's"
    assert lab.head("autoresearch/mar5") == lab.head("main")
    for words in ("the checkout stays on main", "sh trial.sh", "lower is better", "value.txt"):
        assert words in ran.stdout
    assert ran.stdout.splitlines()[-1] == "next: autoresearch run"
    assert len(ran.stdout.splitlines()) <= 7
    excluded = (lab.root / ".git" / "info" / "exclude").read_text().splitlines()
    assert {"/results.tsv", "/musings.md", f"/{DECOY}*"} <= set(excluded)
    assert lab.git("status", "--porcelain") == ""


def test_exclude_is_written_once_and_keeps_what_is_there(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    file = lab.root / ".git" / "info" / "exclude"
    file.parent.mkdir(exist_ok=True)
    file.write_text("*.log")
    lab.cli("init", "a")
    lab.cli("init", "b")
    lines = file.read_text().splitlines()
    assert lines[0] == "*.log"
    assert len(lines) == len(set(lines))


def test_inside_a_subfolder(make_lab: MakeLab) -> None:
    lab = make_lab({"sub/deep/file.txt": "x\n"}, tag=None)
    lab.cli("init", "t", cwd=lab.root / "sub" / "deep")
    assert (lab.root / "results.tsv").exists()
    assert sorted(p.name for p in (lab.root / "sub" / "deep").iterdir()) == ["file.txt"]


def test_repository_without_configuration(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.git("rm", "-q", "autoresearch.toml")
    lab.commit("no lab yet")
    ran = lab.cli("init", "t", code=1)
    assert "no autoresearch.toml" in ran.stderr and "--template none" in ran.stderr
    assert "autoresearch.toml" in lab.cli("init", "t", "--template", "none").stdout
    assert lab.git("status", "--porcelain") == "?? autoresearch.toml"
    ran = lab.cli("init", "t", code=1)
    assert "is not committed" in ran.stderr and "git add" in ran.stderr
    lab.commit("a lab", autoresearch__toml=CONFIG)
    lab.cli("init", "t")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.parametrize("file", ["value.txt", "autoresearch.toml", "new/file.txt"])
def test_uncommitted_edits_are_refused(make_lab: MakeLab, file: str) -> None:
    lab = make_lab(tag=None)
    there = lab.read(file) if (lab.root / file).exists() else ""
    lab.write(file, there + "# edited\n")
    ran = lab.cli("init", "t", code=1)
    assert file in ran.stderr and "git commit" in ran.stderr and "git stash" in ran.stderr
    assert lab.read(file) == there + "# edited\n"
    assert lab.git("for-each-ref", "refs/heads/autoresearch") == ""


def test_staged_edits_are_refused_too(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.write("value.txt", "1\n1\n")
    lab.git("add", "-A")
    assert "value.txt" in lab.cli("init", "t", code=1).stderr


def test_other_edits_are_kept(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.write("other.txt", "edited\n")
    lab.write("untracked.txt", "mine\n")
    lab.write("program.md", "edited charter\n")
    lab.git("add", "program.md")
    before, status = lab.picture(), lab.git("status", "--porcelain")
    lab.cli("init", "t")
    assert lab.picture() == before
    assert lab.git("status", "--porcelain") == status


def test_detached_head(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.git("checkout", "-q", "--detach")
    ran = lab.cli("init", "t")
    assert f"detached at {lab.head()[:7]}" in ran.stdout
    assert lab.head("autoresearch/t") == lab.head()
    assert (lab.root / ".git" / "HEAD").read_text().strip() == lab.head()


def test_from_a_revision(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    first = lab.head()
    lab.commit("second", value__txt="90\n50\n")
    lab.cli("init", "t", "--from", "HEAD~1")
    assert lab.head("autoresearch/t") == first
    lab.git("tag", "-a", "v1", "-m", "annotated", first)
    lab.cli("init", "u", "--from", "v1")
    assert lab.head("autoresearch/u") == first
    ran = lab.cli("init", "w", "--from", "nowhere", code=1)
    assert "nowhere" in ran.stderr and "git log" in ran.stderr


def test_from_a_revision_without_configuration(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.git("rm", "-q", "--cached", "autoresearch.toml")
    lab.git("commit", "-q", "-m", "none")
    bare = lab.head()
    lab.commit("back")
    ran = lab.cli("init", "t", "--from", bare, code=1)
    assert bare in ran.stderr and "is not committed" not in ran.stderr


def test_tag_that_is_taken(lab: Lab) -> None:
    ran = lab.cli("init", "t", code=1)
    assert "exists already" in ran.stderr and "autoresearch run --tag t" in ran.stderr
    lab.git("branch", "autoresearch/by-hand")
    assert "exists already" in lab.cli("init", "by-hand", code=1).stderr


def test_tag_of_a_run_whose_branch_was_deleted(lab: Lab) -> None:
    lab.cli("baseline")
    lab.git("branch", "-q", "-D", "autoresearch/t")
    assert "exists already" in lab.cli("init", "t", code=1).stderr
    assert lab.statuses() == ["keep"]


@pytest.mark.parametrize(
    "tag",
    [
        "two words",
        "a..b",
        "x.lock",
        "-x",
        "a/b",
        "",
        ".hidden",
        "a~1",
        "a:b",
        "new\nline",
        "@{",
        b"\xff".decode("utf-8", "surrogateescape"),
    ],
)
def test_tag_that_is_no_branch_name(make_lab: MakeLab, tag: str) -> None:
    lab = make_lab(tag=None)
    ran = lab.cli("init", "--", tag, code=2)
    assert "no name for a branch" in ran.stderr and len(ran.stderr.splitlines()) == 1
    assert lab.git("for-each-ref", "refs/heads/autoresearch") == ""


def test_tag_that_looks_like_an_option(make_lab: MakeLab) -> None:
    assert "-x" in make_lab(tag=None).cli("init", "-x", code=2).stderr


def test_tag_as_long_as_no_file_name(make_lab: MakeLab) -> None:
    ran = make_lab(tag=None).cli("init", "x" * 300, code=None)
    assert ran.code in (1, 2) and len(ran.stderr.splitlines()) == 1


def test_a_branch_in_the_way_of_all_runs(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.git("branch", "autoresearch")
    ran = lab.cli("init", "t", code=1)
    assert "git branch -m autoresearch" in ran.stderr
    lab.git("branch", "-m", "autoresearch", "elsewhere")
    lab.cli("init", "t")
    lab.cli("baseline")


def test_twice_with_other_tags(lab: Lab) -> None:
    lab.cli("baseline")
    ran = lab.cli("init", "u")
    assert "renamed" not in ran.stdout, "the table of another run of the lab is no stranger's"
    assert lab.rows() == []
    lab.cli("baseline")
    lab.cli("baseline", "--tag", "t")
    assert lab.statuses() == ["keep"]
    assert not (lab.root / "results.1.tsv").exists()


def test_what_comes_next_on_the_branch_of_another_run(lab: Lab) -> None:
    """Without a tag, `run` means the run that is checked out: the next command names the new one."""
    lab.git("checkout", "-q", "autoresearch/t")
    last = lab.cli("init", "u").stdout.splitlines()[-1]
    assert last == "next: autoresearch run --tag u"


def test_several_tasks(make_lab: MakeLab) -> None:
    second = '[tasks.two]\ncommand = ["sh", "trial.sh"]\nmutable = ["code.py"]\n'
    lab = make_lab(
        {"autoresearch.toml": CONFIG.replace("[task]", "[tasks.one]") + second}, tag=None
    )
    ran = lab.cli("init", "a", code=2)
    assert "--task" in ran.stderr and "one, two" in ran.stderr
    assert "three" in lab.cli("init", "a", "--task", "three", code=2).stderr
    lab.cli("init", "a", "--task", "one")
    lab.cli("init", "b", "--task", "two")
    assert lab.read("results-one.tsv") == lab.read("results-two.tsv")
    assert not (lab.root / "results.tsv").exists()
    lab.cli("run", "--tag", "a", "--max", "1")
    assert [row[3] for row in lab.rows("results-one.tsv")] == ["keep", "keep"]
    assert lab.rows("results-two.tsv") == []
    assert lab.git("status", "--porcelain") == ""


def test_task_of_a_lab_with_one(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    assert "--task x" in lab.cli("init", "t", "--task", "x", code=2).stderr


def test_a_strangers_results_are_renamed_and_never_lost(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.write("results.tsv", "an older tool's\n")
    lab.write("musings.md", "# thoughts of mine\n")
    ran = lab.cli("init", "a")
    assert "renamed to results.1.tsv" in ran.stdout
    assert "renamed to musings.1.md" in ran.stdout
    lab.write("results.tsv", "again another\n")
    lab.cli("init", "b")
    assert lab.read("results.1.tsv") == "an older tool's\n"
    assert lab.read("results.2.tsv") == "again another\n"
    assert lab.read("musings.1.md") == "# thoughts of mine\n"
    assert lab.rows() == []
    assert lab.git("status", "--porcelain") == "", "and they are no edits of the lab"
    lab.cli("check")


def test_results_that_are_a_folder_or_a_symlink(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.write("results.tsv/inside.txt", "kept\n")
    target = lab.write("elsewhere.txt", "kept too\n")
    (lab.root / "musings.md").symlink_to("elsewhere.txt")
    lab.cli("init", "a")
    assert lab.read("results.1.tsv/inside.txt") == "kept\n"
    assert target.read_text() == "kept too\n"
    assert not (lab.root / "musings.md").is_symlink()


# -- where it runs ----------------------------------------------------------------------------


def test_no_identity(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    home = folder(tmp_path, "nobody").root
    bare: dict[str, str | None] = {
        "HOME": str(home), "XDG_CONFIG_HOME": str(home), "GIT_CONFIG_GLOBAL": None, "EMAIL": None,
    }  # fmt: skip
    (home / ".gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    ran = lab.cli("init", "t", env=bare)
    assert "git config user.name" in ran.stdout
    assert lab.git("log", "-1", "--format=%an") == "autoresearch"
    assert (home / ".gitconfig").read_text() == "[user]\nuseConfigOnly = true\n"


def test_no_identity_in_an_existing_lab(make_lab: MakeLab, tmp_path: Path) -> None:
    lab = make_lab(tag=None)
    empty = tmp_path / "empty"
    empty.write_text("")
    nobody: dict[str, str | None] = {"GIT_CONFIG_GLOBAL": str(empty), "EMAIL": None}
    assert "git knows no name" in lab.cli("init", "t", env=nobody).stdout
    lab.cli("run", "--max", "1", env=nobody)
    assert lab.git("log", "-1", "--format=%an", "autoresearch/t") == "autoresearch"


def test_own_identity_is_kept(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    assert "git knows no name" not in lab.cli("init", "t").stdout
    lab.cli("run", "--max", "1")
    assert lab.git("log", "-1", "--format=%an", "autoresearch/t") == "A Person"


def test_bare_repository(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    bare = lab.root.parent / "bare.git"
    lab.git("clone", "-q", "--bare", str(lab.root), str(bare))
    before = sorted(p.name for p in bare.iterdir())
    assert "bare repository" in run_cli("init", "t", cwd=bare, code=1).stderr
    assert sorted(p.name for p in bare.iterdir()) == before
    run_cli("init", "t", cwd=bare / "refs" / "tags", code=1)
    assert list((bare / "refs" / "tags").iterdir()) == []


def test_inside_a_git_folder(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    ran = lab.cli("init", "t", cwd=lab.root / ".git" / "refs" / "tags", code=1)
    assert "inside a git directory" in ran.stderr


def test_unborn_repository_with_files(tmp_path: Path) -> None:
    lab = folder(tmp_path)
    lab.git("init", "-q")
    lab.write("train.py", "print('mine')\n")
    ran = lab.cli("init", "t", code=1)
    assert "no commit yet" in ran.stderr and "git add" in ran.stderr
    assert lab.read("train.py") == "print('mine')\n" and names(lab) == {"train.py"}


def test_without_a_terminal_in_a_plain_locale(tmp_path: Path) -> None:
    lab = folder(tmp_path, "Übung 1 – ночь")
    plain: dict[str, str | None] = {"LANG": "C", "LC_ALL": "C", "TERM": None}
    with open(os.devnull) as nothing:
        done = subprocess.run(
            [sys.executable, "-m", "autoresearch", "init", "t"],
            cwd=lab.root, stdin=nothing, capture_output=True,
            env={k: v for k, v in {**os.environ, **plain}.items() if v is not None},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    assert lab.head("autoresearch/t") == lab.head()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_repository_of_another_user(make_lab: MakeLab) -> None:
    lab = make_lab({"sub/file.txt": "x\n"}, tag=None)
    for path in [lab.root, *lab.root.rglob("*")]:
        os.chown(path, 65534, 65534)
    ran = lab.cli("init", "t", cwd=lab.root / "sub", code=1)
    assert "belongs to another user" in ran.stderr
    command = ran.stderr.partition("safe.directory ")[2].strip()
    assert command == str(lab.root), "the folder that git means, not the one below it"
    lab.git("config", "--global", "--add", "safe.directory", command, cwd=lab.root.parent)
    lab.cli("init", "t")


def test_linked_worktree(make_lab: MakeLab, tmp_path: Path) -> None:
    lab = make_lab(tag=None)
    linked = Lab(tmp_path / "linked")
    lab.git("worktree", "add", "-q", str(linked.root), "-b", "side")
    linked.cli("init", "t")
    linked.cli("run", "--max", "1")
    assert linked.statuses() == ["keep", "keep"]
    assert not (lab.root / "results.tsv").exists()
    assert lab.head("autoresearch/t") != lab.head()
    assert linked.git("status", "--porcelain") == ""


def test_a_wrong_task_makes_no_lab(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    ran = run_cli("init", "--task", "x", cwd=folder, code=2)
    assert "--task x" in ran.stderr and list(folder.iterdir()) == []
