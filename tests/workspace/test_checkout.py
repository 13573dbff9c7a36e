"""The user's checkout is theirs: what a run does to it, and what they may do to the run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import BASELINE, CONFIG, PROPOSE, TRIAL, Lab, MakeLab, on_branch

BRANCH = "autoresearch/t"


def grown(lab: Lab, count: int = 1) -> Lab:
    """The lab after some kept experiments."""
    lab.cli("run", "--max", str(count))
    return lab


# -- on another branch ------------------------------------------------------------------------


def test_checkout_on_main_is_never_touched(lab: Lab) -> None:
    lab.write("other.txt", "staged\n")
    lab.git("add", "other.txt")
    lab.write("other.txt", "and edited\n")
    lab.write("value.txt", "7\n7\nmine\n")
    lab.write("untracked.txt", "mine\n")
    lab.write("new/untracked.txt", "mine\n")
    before = lab.picture()
    lab.cli("run", "--max", "2")
    assert lab.picture() == before
    assert lab.first_line(BRANCH) == "98"
    assert lab.statuses() == ["keep", "keep", "keep"]


def test_detached_checkout_is_never_touched(lab: Lab) -> None:
    lab.git("checkout", "-q", "--detach", BRANCH)
    before = lab.picture()
    grown(lab)
    assert lab.picture() == before


# -- on the run's branch ----------------------------------------------------------------------


def test_checkout_on_the_branch_is_fast_forwarded(lab: Lab) -> None:
    on_branch(lab)
    lab.cli("run", "--max", "2")
    assert lab.read("value.txt").startswith("98\n")
    assert lab.git("status", "--porcelain") == ""
    assert lab.git("symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"
    assert len(lab.git("log", "--format=%h", BRANCH).splitlines()) == 3


def test_local_edits_elsewhere_are_kept(lab: Lab) -> None:
    on_branch(lab)
    lab.write("other.txt", "staged\n")
    lab.git("add", "other.txt")
    lab.write("other.txt", "and edited\n")
    lab.write("code.py", "x = 2\n")
    lab.write("untracked.txt", "mine\n")
    lab.write("staged.txt", "new\n")
    lab.git("add", "staged.txt")
    status = lab.git("status", "--porcelain")
    grown(lab)
    assert lab.git("status", "--porcelain") == status
    assert lab.read("other.txt") == "and edited\n"
    assert lab.git("show", ":other.txt") == "staged"
    assert lab.read("value.txt").startswith("99\n")


def test_an_edit_in_the_way_detaches_aloud(lab: Lab) -> None:
    on_branch(lab)
    start = lab.head()
    lab.write("value.txt", "100\n50\nspare\nmine\n")
    lab.write("other.txt", "staged\n")
    lab.git("add", "other.txt")
    ran = lab.cli("run", "--max", "1")
    assert "detached at" in ran.stdout and f"git checkout --merge {BRANCH}" in ran.stdout
    assert (lab.root / ".git" / "HEAD").read_text().strip() == start
    assert lab.read("value.txt") == "100\n50\nspare\nmine\n"
    assert lab.git("status", "--porcelain") == "M  other.txt\n M value.txt"
    assert lab.first_line(BRANCH) == "99"
    lab.git("commit", "-q", "-a", "-m", "mine")
    assert lab.first_line(BRANCH) == "99", "a later commit undoes no keep"
    before = lab.picture()
    grown(lab)
    assert lab.picture() == before


def test_a_staged_edit_in_the_way(lab: Lab) -> None:
    on_branch(lab)
    start = lab.head()
    lab.write("value.txt", "100\n50\nmine\n")
    lab.git("add", "value.txt")
    assert "detached at" in lab.cli("run", "--max", "1").stdout
    assert lab.git("show", ":value.txt") == "100\n50\nmine"
    assert lab.read("value.txt") == "100\n50\nmine\n"
    assert lab.head() == start


def test_the_way_out_that_is_named_works(lab: Lab) -> None:
    on_branch(lab)
    lab.write("value.txt", "100\n50\nspare\nmore\nlines\nmine\n")
    ran = lab.cli("run", "--max", "1")
    command = ran.stdout.partition("take the keep with: git ")[2].splitlines()[0]
    lab.git(*command.split())
    assert lab.git("symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"
    assert "99\n" in lab.read("value.txt") and "mine\n" in lab.read("value.txt")


NEW = (
    'cat > /dev/null; mkdir -p new; echo x > "new/$NAME"; { read -r f; r=$(cat); } < value.txt\n'
    + ("printf '%s\\n%s\\n' $((f - 1)) \"$r\" > value.txt\necho 'description: a new file'\n")
)


def test_an_untracked_file_in_the_way(make_lab: MakeLab) -> None:
    lab = on_branch(make_lab({"propose.sh": NEW}))
    lab.write("new/mine", "precious\n")
    ran = lab.cli("run", "--max", "1", env={"NAME": "mine"})
    assert "detached at" in ran.stdout
    assert lab.read("new/mine") == "precious\n"
    assert lab.git("show", f"{BRANCH}:new/mine") == "x"


def test_an_ignored_file_in_the_way_of_an_answer(make_lab: MakeLab) -> None:
    config = CONFIG.replace('kind = "command"', 'kind = "scripted"\nmodel = "answers.txt"')
    answers = (
        "description: new file\n\nnew/mine\n<<<<<<< SEARCH\n=======\ntext\n>>>>>>> REPLACE\n\n"
        "value.txt\n<<<<<<< SEARCH\n100\n=======\n9\n>>>>>>> REPLACE\n"
    )
    lab = make_lab(
        {"autoresearch.toml": config, "answers.txt": answers, ".gitignore": "/new/mine\n"}
    )
    on_branch(lab)
    lab.write("new/mine", "precious\n")
    ran = lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
    assert lab.read("new/mine") == "precious\n"
    assert "detached at" in ran.stdout


def test_an_untracked_file_that_is_the_same_is_taken(make_lab: MakeLab) -> None:
    lab = on_branch(make_lab({"propose.sh": NEW}))
    lab.write("new/mine", "x\n")
    ran = lab.cli("run", "--max", "1", env={"NAME": "mine"})
    assert "detached" not in ran.stdout
    assert lab.git("status", "--porcelain") == ""


def test_linked_worktrees(lab: Lab, tmp_path: Path) -> None:
    linked, dirty = Lab(tmp_path / "linked"), Lab(tmp_path / "dirty")
    lab.git("worktree", "add", "-q", str(linked.root), BRANCH)
    lab.git("worktree", "add", "-q", "--force", str(dirty.root), BRANCH)
    dirty.write("value.txt", "mine\n")
    before = lab.picture()
    ran = lab.cli("run", "--max", "1")
    assert lab.picture() == before
    assert linked.read("value.txt").startswith("99\n")
    assert linked.git("status", "--porcelain") == ""
    assert linked.head() == lab.head(BRANCH)
    assert str(dirty.root) in ran.stdout and "detached" in ran.stdout
    assert dirty.read("value.txt") == "mine\n"
    assert dirty.git("rev-parse", "--abbrev-ref", "HEAD") == "HEAD"


def test_a_linked_worktree_that_was_deleted(lab: Lab, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    lab.git("worktree", "add", "-q", str(linked), BRANCH)
    lab.git("worktree", "lock", str(linked))
    for path in sorted(linked.rglob("*"), reverse=True):
        path.unlink()
    (linked / ".git").unlink(missing_ok=True)
    linked.rmdir()
    grown(lab)
    assert lab.first_line(BRANCH) == "99"


@pytest.mark.slow
def test_line_ends_of_the_checkout(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.git("config", "core.autocrlf", "true")
    lab.git("rm", "-q", "--cached", "-r", ".")
    lab.git("reset", "-q", "--hard")
    on_branch(lab)
    assert b"\r\n" in (lab.root / "value.txt").read_bytes()
    ran = lab.cli("run", "--max", "2")
    assert "detached" not in ran.stdout
    assert (lab.root / "value.txt").read_bytes() == b"98\r\n50\r\nspare\r\n"
    assert lab.git("cat-file", "blob", f"{BRANCH}:value.txt") == "98\n50\nspare"
    assert lab.git("status", "--porcelain") == ""
    lab.cli("check")
    lab.write("value.txt", b"98\r\n40\r\nspare\r\n")
    lab.cli("try", "-m", "by hand")
    assert lab.git("show", f"{BRANCH}:value.txt") == "98\n40\nspare"
    assert (lab.root / "value.txt").read_bytes() == b"98\r\n40\r\nspare\r\n"
    assert lab.git("status", "--porcelain") == ""


# -- a person's commits -----------------------------------------------------------------------


def test_commits_before_the_first_experiment_are_the_baseline(lab: Lab) -> None:
    on_branch(lab)
    mine = lab.commit("mine", value__txt="80\n50\n")
    grown(lab)
    assert lab.rows()[0][:2] == [mine[:7], "130.000000"]
    assert lab.first_line(BRANCH) == "79"


@pytest.mark.slow
def test_later_commits_stop_the_run_with_two_ways_out(lab: Lab) -> None:
    grown(on_branch(lab))
    mine = lab.commit("my own idea", value__txt="60\n50\n")
    ran = lab.cli("run", "--max", "1", code=1)
    assert len(ran.stderr.splitlines()) == 1
    assert "autoresearch init TAG" in ran.stderr and "autoresearch baseline" in ran.stderr
    assert lab.head(BRANCH) == mine
    lab.cli("try", "-m", "x", code=1)
    ran = lab.cli("baseline")
    assert "my own idea" in ran.stdout
    assert lab.statuses() == ["keep", "keep", "keep"]
    assert lab.rows()[2][:2] == [mine[:7], "110.000000"]
    grown(lab)
    assert lab.first_line(BRANCH) == "59"
    assert lab.read("value.txt").startswith("59\n")


@pytest.mark.slow
def test_a_commit_during_a_winning_trial_is_no_keep(make_lab: MakeLab) -> None:
    # The trial commits on the run's branch as a person would, after the baseline.
    by_hand = """\
    if [ "$AUTORESEARCH_EXPERIMENT" = 1 ]; then
        cd "$(git rev-parse --git-common-dir)/.." && git -c user.name=a -c user.email=a@b commit \
            -q --allow-empty -m "by hand"
    fi
    """
    lab = on_branch(
        make_lab({"trial.sh": by_hand + TRIAL.replace("< value.txt", '< "$W/value.txt"')})
    )
    trial = f"W=$PWD\n{lab.read('trial.sh')}"
    lab.commit("the trial", trial__sh=trial)
    ran = lab.cli("run", "--max", "1", code=1)
    assert "moved by hand" in ran.stderr
    assert lab.statuses() == ["keep", "discard"]
    assert "moved by hand meanwhile" in lab.cli("show", "1").stdout
    lab.cli("baseline")
    assert lab.statuses() == ["keep", "discard", "keep"]


@pytest.mark.slow
def test_the_other_way_out(lab: Lab) -> None:
    grown(on_branch(lab))
    mine = lab.commit("my own idea", value__txt="60\n50\n")
    lab.cli("run", "--max", "1", code=1)
    lab.cli("init", "u", "--from", BRANCH)
    assert lab.head("autoresearch/u") == mine
    lab.cli("run", "--max", "1", "--tag", "u")
    assert lab.first_line("autoresearch/u") == "59"


def test_a_second_baseline_where_nothing_moved(lab: Lab) -> None:
    grown(lab)
    assert "measured already" in lab.cli("baseline").stdout
    assert len(lab.rows()) == 2


@pytest.mark.slow
def test_a_commit_while_a_trial_runs(make_lab: MakeLab) -> None:
    trial = TRIAL + (
        'if [ "$AUTORESEARCH_EXPERIMENT" = 1 ]; then cd "$LAB" && echo mine > other.txt &&\n'
        "GIT_CONFIG_GLOBAL=$CONFIG git commit -q -a -m mine; fi\n"
    )
    config = CONFIG.replace("timeout_s", 'env_pass = ["LAB", "CONFIG"]\ntimeout_s')
    lab = on_branch(make_lab({"trial.sh": trial, "autoresearch.toml": config}))
    where: dict[str, str] = {"LAB": str(lab.root), "CONFIG": os.environ["GIT_CONFIG_GLOBAL"]}
    ran = lab.cli("run", "--max", "1", env=where, code=1)
    assert "moved by hand" in ran.stderr
    mine = lab.head(BRANCH)
    assert lab.git("log", "-1", "--format=%s", BRANCH) == "mine"
    assert lab.git("status", "--porcelain") == ""
    lab.cli("baseline", env={**where, "AUTORESEARCH_EXPERIMENT": "9"})
    assert lab.head(BRANCH) == mine and lab.rows()[-1][0] == mine[:7]


@pytest.mark.slow
def test_a_deleted_branch_comes_back(lab: Lab) -> None:
    grown(lab)
    tip = lab.head(BRANCH)
    lab.git("branch", "-q", "-D", BRANCH)
    lab.cli("status")
    grown(lab)
    assert lab.head(f"{BRANCH}~1") == tip
    assert lab.first_line(BRANCH) == "98"


def test_a_deleted_branch_before_the_baseline(lab: Lab) -> None:
    lab.git("branch", "-q", "-D", BRANCH)
    grown(lab)
    assert lab.first_line(BRANCH) == "99"


@pytest.mark.slow
def test_a_branch_reset_to_an_older_keep_is_moved_forward(lab: Lab) -> None:
    grown(on_branch(lab), 2)
    tip = lab.head(BRANCH)
    lab.git("reset", "-q", "--hard", "HEAD~1")
    grown(lab)
    assert lab.head(f"{BRANCH}~1") == tip
    assert lab.read("value.txt").startswith("97\n")
    assert lab.git("status", "--porcelain") == ""


def test_candidate_refs_that_were_deleted_come_back(lab: Lab) -> None:
    grown(lab)
    refs = lab.git("for-each-ref", "refs/autoresearch")
    for name in ("0000", "0001"):
        lab.git("update-ref", "-d", f"refs/autoresearch/t/{name}")
    lab.cli("baseline")
    assert lab.git("for-each-ref", "refs/autoresearch") == refs


# -- the run's files --------------------------------------------------------------------------


def test_deleted_tables_come_back(lab: Lab) -> None:
    grown(lab)
    table, musings = lab.read("results.tsv"), lab.read("musings.md")
    (lab.root / "results.tsv").unlink()
    (lab.root / "musings.md").unlink()
    lab.cli("baseline")
    assert lab.read("results.tsv") == table
    assert lab.read("musings.md") == musings


@pytest.mark.slow
def test_tables_edited_by_hand_are_renamed(lab: Lab) -> None:
    grown(lab)
    mine = lab.read("results.tsv").replace("the", "THE") + "a note of mine\n"
    lab.write("results.tsv", mine)
    lab.write("musings.md", "my thoughts\n")
    ran = lab.cli("run", "--max", "1")
    assert "renamed to results.1.tsv" in ran.stdout
    assert lab.read("results.1.tsv") == mine
    assert lab.read("musings.1.md") == "my thoughts\n"
    assert len(lab.rows()) == 3
    lab.cli("check")


@pytest.mark.slow
def test_what_people_do_in_mid_run_loses_nothing(lab: Lab) -> None:
    grown(on_branch(lab))
    for command in (
        "clean -fdx", "reset -q --hard", "stash -q -u", "stash -q -a", "worktree prune",
        "gc -q --prune=now", "pack-refs --all", "checkout -q -b side", "checkout -q main",
    ):  # fmt: skip
        tip, table = lab.head(BRANCH), lab.read("results.tsv")
        lab.write("untracked.txt", "x\n")
        lab.git(*command.split())
        lab.cli("run", "--max", "1")
        assert lab.read("results.tsv").startswith(table), command
        assert lab.head(f"{BRANCH}~1") == tip, command
    assert lab.statuses() == ["keep"] * 11
    assert lab.first_line(BRANCH) == "90"


@pytest.mark.slow
def test_removing_the_private_worktree_loses_nothing(lab: Lab) -> None:
    grown(lab)
    shutil.rmtree(lab.worktree())
    lab.git("worktree", "prune")
    grown(lab)
    assert lab.first_line(BRANCH) == "98"


@pytest.mark.slow
def test_what_is_measured_stays(lab: Lab) -> None:
    lab.cli("baseline")
    for old, new, key in (
        ('"trial.sh"]', '"trial.sh", "x"]', "task.command"),
        ("timeout_s", 'setup = ["true"]\ntimeout_s', "task.setup"),
        ("[researcher]", '[task.metric]\ndirection = "maximize"\n[researcher]', "task.metric"),
    ):
        lab.write("autoresearch.toml", CONFIG.replace(old, new))
        ran = lab.cli("run", "--max", "1", code=1)
        assert f"{key} changed" in ran.stderr and "autoresearch init TAG" in ran.stderr
    assert lab.statuses() == ["keep"]
    lab.write("autoresearch.toml", CONFIG.replace("timeout_s = 20", "timeout_s = 30"))
    grown(lab)


@pytest.mark.slow
def test_two_runs_in_one_lab(lab: Lab) -> None:
    lab.cli("init", "u")
    grown(lab)
    assert lab.first_line("autoresearch/u") == "99" and lab.first_line(BRANCH) == "100"
    lab.cli("run", "--tag", "t", "--max", "2")
    assert len(lab.rows()) == 3
    assert lab.first_line(BRANCH) == "98"
    lab.cli("run", "--max", "1")
    assert lab.first_line(BRANCH) == "97", "without a tag it is the run that ran last"
    on_branch(lab, "u")
    lab.cli("run", "--max", "1")
    assert lab.first_line("autoresearch/u") == "98", "or the one that is checked out"
    assert len(lab.rows()) == 3
    assert not list(lab.root.glob("results.*.tsv"))


# -- strange repositories ---------------------------------------------------------------------


@pytest.mark.slow
def test_nothing_that_is_planted_fires(lab: Lab, tmp_path: Path) -> None:
    marker = tmp_path / "fired"
    grown(lab)
    program = tmp_path / "program.sh"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {marker}\ncat\nexit 0\n')
    program.chmod(0o755)
    for key in (
        "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "core.fsmonitor",
        "diff.external", "diff.evil.command", "diff.evil.textconv", "core.pager", "core.editor",
        "merge.evil.driver", "gpg.program", "core.askPass", "core.sshCommand", "credential.helper",
        "core.alternateRefsCommand",
    ):  # fmt: skip
        lab.git("config", key, str(program))
    for key in ("filter.evil.required", "commit.gpgSign", "tag.gpgSign", "log.showSignature"):
        lab.git("config", key, "true")
    attributes = "* filter=evil diff=evil merge=evil\n"
    (lab.root / ".git" / "info" / "attributes").write_text(attributes)
    lab.write(".gitattributes", attributes)
    (lab.root / ".git" / "hooks").mkdir(exist_ok=True)
    for hook in (
        "post-checkout", "post-commit", "post-index-change", "reference-transaction", "pre-auto-gc",
        "post-merge", "post-rewrite", "prepare-commit-msg", "commit-msg", "fsmonitor-watchman",
    ):  # fmt: skip
        (lab.root / ".git" / "hooks" / hook).symlink_to(program)
    shutil.rmtree(lab.worktree())
    marker.unlink(missing_ok=True)
    grown(lab)
    lab.cli("status")
    lab.cli("show", "1")
    lab.cli("report")
    assert not marker.exists(), marker.read_text()
    assert lab.first_line(BRANCH) == "98"


def test_attributes_in_the_commit_change_no_bytes(make_lab: MakeLab) -> None:
    lab = make_lab({".gitattributes": "*.txt text eol=crlf ident\n", "code.py": "x = '$Id$'\n"})
    grown(lab)
    assert lab.git("cat-file", "blob", f"{BRANCH}:value.txt") == "99\n50\nspare"
    assert (lab.worktree() / "value.txt").read_bytes() == b"99\n50\nspare\n"


@pytest.mark.slow
def test_submodules_and_symlinks(make_lab: MakeLab) -> None:
    library = make_lab(tag=None, name="library")
    lab = make_lab(tag=None)
    lab.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.root), "sub"
    )
    (lab.root / "link.txt").symlink_to("other.txt")
    (lab.root / "folder").symlink_to("new")
    (lab.root / "nowhere").symlink_to("/does/not/exist")
    lab.commit("with a submodule")
    lab.cli("init", "t")
    on_branch(lab)
    grown(lab)
    assert lab.git("status", "--porcelain") == ""
    assert (lab.worktree() / "link.txt").is_symlink()
    assert (lab.root / "sub" / "value.txt").exists(), "the checkout's submodule is left alone"
    lab.write("sub/built.o", "what a build left in there\n")
    lab.cli("check")
    lab.write("value.txt", "90\n50\nspare\n")
    lab.cli("try", "-m", "by hand")
    assert lab.statuses() == ["keep"] * 3


STRANGE = [
    "with space", "quo'te", 'dou"ble', "Übung-ночь", "-dash", "--all", ":colon", ":(top)x", "star*",
    "br[a]cket", "#hash", "$HOME", "back`tick`", "a;b", "%s", "~", "emoji-🎉", "q?", "line\u2028end",
]  # fmt: skip


@pytest.mark.slow
def test_strange_file_names(make_lab: MakeLab, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("\n".join(STRANGE) + "\n")
    propose = (
        "cat > /dev/null\nmkdir -p new\nwhile IFS= read -r name; do\n"
        '  date +%s%N > "./new/$name"; done < ' + f"'{names}'\n" + PROPOSE.partition("\n")[2]
    )
    everywhere = CONFIG.replace('"new/**"', '"new/**", "root/**"')
    lab = make_lab({"propose.sh": propose, "autoresearch.toml": everywhere})
    on_branch(lab)
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep", "keep", "keep"]
    assert sorted(p.name for p in (lab.root / "new").iterdir()) == sorted(STRANGE)
    assert lab.git("status", "--porcelain") == ""
    for name in STRANGE:
        lab.write(f"new/{name}", "by hand\n")
    lab.write("value.txt", "90\n50\nspare\n")
    lab.cli("try", "-m", "by hand")
    assert lab.git("status", "--porcelain") == ""
    for name in STRANGE:
        (lab.root / "new" / name).write_text("it loses\n")
    lab.write("value.txt", "95\n50\nspare\n")
    lab.cli("try", "-m", "loses", "--rewind")
    assert lab.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_strange_names_that_no_candidate_touches(make_lab: MakeLab) -> None:
    odd = {
        "tab\there": "x\n",
        "new\nline": "x\n",
        "back\\slash": "x\n",
        "-x": "x\n",
        "a b/:c": "x\n",
    }
    lab = make_lab(odd)
    raw = os.path.join(os.fsencode(lab.root), b"latin-\xe9")
    with open(raw, "wb") as file:
        file.write(b"x\n")
    lab.commit("a name in Latin-1")
    lab.git("branch", "-q", "-f", BRANCH, "main")
    grown(on_branch(lab))
    assert lab.git("status", "--porcelain") == ""
    assert b"latin-\xe9" in os.listdir(os.fsencode(lab.worktree()))
    lab.write("new\nline", "edited\n")
    assert "new\\nline" in lab.cli("check", code=1).stdout
    assert "new\\nline" in lab.cli("try", "-m", "x", code=1).stderr


@pytest.mark.slow
def test_executable_bit(make_lab: MakeLab) -> None:
    run = CONFIG.replace('["sh", "trial.sh"]', '["./trial.sh"]').replace("code.py", "tool.sh")
    lab = make_lab(
        {"trial.sh": "#!/bin/sh\n" + TRIAL, "tool.sh": "x\n", "autoresearch.toml": run}, None
    )
    (lab.root / "trial.sh").chmod(0o755)
    (lab.root / "tool.sh").chmod(0o755)
    lab.commit("executable")
    lab.cli("init", "t")
    grown(on_branch(lab))
    lab.write("tool.sh", "y\n")
    lab.write("value.txt", "90\n50\n")
    lab.cli("try", "-m", "by hand")
    assert lab.git("ls-tree", BRANCH, "tool.sh").startswith("100755")
    assert lab.git("status", "--porcelain") == ""
    assert os.access(lab.root / "tool.sh", os.X_OK)


@pytest.mark.slow
def test_sha256_repository(make_lab: MakeLab) -> None:
    lab = make_lab(init=("--object-format=sha256",))
    on_branch(lab)
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep", "keep", "keep"]
    assert all(len(row[0]) == 7 for row in lab.rows())
    assert len(lab.head(BRANCH)) == 64 and lab.git("status", "--porcelain") == ""
    (lab.root / "code.py").unlink()
    lab.write("value.txt", "90\n50\n")
    lab.cli("try", "-m", "deletes a file")
    assert lab.statuses()[-1] == "keep"
    assert "code.py" not in lab.git("ls-tree", "--name-only", BRANCH)


def test_refs_in_a_pack_and_a_shallow_clone(lab: Lab, tmp_path: Path) -> None:
    clone = Lab(tmp_path / "clone")
    lab.git("clone", "-q", "--depth=1", f"file://{lab.root}", str(clone.root))
    clone.cli("init", "t")
    grown(clone)
    assert clone.rows()[0][1] == f"{BASELINE:.6f}"
    assert clone.git("config", "remote.origin.url") and clone.first_line(BRANCH) == "99"
    assert lab.first_line(BRANCH) == "100", "nothing is pushed"
