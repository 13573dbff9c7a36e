"""`try`: edits of a person's, judged as one experiment by the same ratchet."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import CONFIG, TRIAL, Lab, MakeLab, on_branch

BRANCH = "autoresearch/t"


def edit(lab: Lab, first: int = 100, second: int = 50, rest: str = "spare\n") -> None:
    lab.write("value.txt", f"{first}\n{second}\n{rest}")


def candidate(lab: Lab, number: int, path: str = "value.txt") -> str:
    return lab.git("show", f"refs/autoresearch/t/{number:04d}:{path}")


# -- win and lose -----------------------------------------------------------------------------


@pytest.mark.parametrize("branch", ["main", BRANCH])
def test_a_win(lab: Lab, branch: str) -> None:
    lab.git("checkout", "-q", branch)
    edit(lab, 90)
    ran = lab.cli("try", "-m", "a better start")
    assert "#1 keep val_bpb 140.000000" in ran.stdout
    assert lab.rows()[1][1:] == ["140.000000", "2.0", "keep", "a better start"]
    assert lab.first_line(BRANCH) == "90"
    assert lab.read("value.txt") == "90\n50\nspare\n", "the edit stays where it is"
    assert lab.git("status", "--porcelain") == (" M value.txt" if branch == "main" else "")
    assert lab.git("log", "-1", "--format=%s", BRANCH) == "a better start"


@pytest.mark.parametrize("branch", ["main", BRANCH])
def test_a_loss_stays(lab: Lab, branch: str) -> None:
    lab.git("checkout", "-q", branch)
    edit(lab, 110)
    ran = lab.cli("try", "-m", "a worse start")
    assert "#1 discard val_bpb 160.000000 (worse by 10.000000): a worse start" in ran.stdout
    assert lab.statuses() == ["keep", "discard"]
    assert lab.first_line(BRANCH) == "100"
    assert lab.read("value.txt") == "110\n50\nspare\n"
    assert lab.git("status", "--porcelain") == " M value.txt"
    assert candidate(lab, 1).startswith("110")


@pytest.mark.parametrize("branch", ["main", BRANCH])
def test_a_loss_makes_way(lab: Lab, branch: str) -> None:
    lab.git("checkout", "-q", branch)
    edit(lab, 110)
    lab.write("new/file.txt", "mine\n")
    lab.write("other-untracked.pyc", "")
    (lab.root / "other-untracked.pyc").unlink()
    lab.cli("try", "-m", "a worse start", "--rewind")
    assert lab.read("value.txt") == "100\n50\nspare\n"
    assert not (lab.root / "new" / "file.txt").exists()
    assert lab.git("status", "--porcelain") == ""
    assert candidate(lab, 1).startswith("110") and candidate(lab, 1, "new/file.txt") == "mine"


def test_a_crash_makes_way_too(lab: Lab) -> None:
    lab.write("value.txt", "broken\n")
    ran = lab.cli("try", "-m", "broken", "--rewind")
    assert "#1 crash" in ran.stdout
    assert lab.rows()[1][1:3] == ["0.000000", "0.0"]
    assert lab.read("value.txt") == "100\n50\nspare\n"


def test_a_win_is_not_rewound(lab: Lab) -> None:
    edit(lab, 90)
    lab.cli("try", "-m", "better", "--rewind")
    assert lab.read("value.txt").startswith("90")


def test_rewinding_gives_the_incumbent_and_not_head(lab: Lab) -> None:
    lab.cli("run", "--max", "1")
    edit(lab, 100, 70)
    lab.cli("try", "-m", "worse", "--rewind")
    assert lab.read("value.txt") == "99\n50\nspare\n"
    lab.cli("try", "-m", "nothing", code=1)
    edit(lab, 99, 40)
    lab.cli("try", "-m", "better")
    assert lab.git("show", f"{BRANCH}:value.txt") == "99\n40\nspare"


def test_rewinding_a_deleted_file_and_a_staged_one(lab: Lab) -> None:
    (lab.root / "code.py").unlink()
    lab.write("new/staged.txt", "x\n")
    lab.git("add", "-A")
    edit(lab, 110)
    lab.cli("try", "-m", "worse", "--rewind")
    assert lab.read("code.py") == "x = 1\n"
    assert not (lab.root / "new" / "staged.txt").exists()
    assert candidate(lab, 1, "new/staged.txt") == "x"
    assert lab.cli("check").stdout == "ok: nothing changed\n"


def test_rewinding_a_folder_in_the_place_of_a_file(lab: Lab) -> None:
    edit(lab, 110)
    (lab.root / "code.py").unlink()
    lab.write("code.py/deep/inside.txt", "x\n")
    lab.cli("try", "-m", "worse", "--rewind")
    assert lab.read("code.py") == "x = 1\n"
    assert lab.git("status", "--porcelain") == ""
    assert candidate(lab, 1, "code.py/deep/inside.txt") == "x"


def test_edits_made_while_the_trial_runs_are_not_rewound(make_lab: MakeLab) -> None:
    """A trial takes minutes, and a person goes on: what was not judged does not make way."""
    trial = TRIAL + (
        'if [ "$AUTORESEARCH_EXPERIMENT" = 1 ]; then printf "80\\n50\\nlater\\n" > "$LAB/value.txt"\n'
        'rm "$LAB/new/gone.txt"; echo later > "$LAB/new/file.txt"; fi\n'
    )
    config = CONFIG.replace("timeout_s", 'env_pass = ["LAB"]\ntimeout_s')
    lab = make_lab({"trial.sh": trial, "autoresearch.toml": config})
    edit(lab, 110)
    lab.write("code.py", "x = 2\n")
    lab.write("new/file.txt", "early\n")
    lab.write("new/gone.txt", "early\n")
    ran = lab.cli("try", "-m", "worse", "--rewind", env={"LAB": str(lab.root)})
    assert lab.read("value.txt") == "80\n50\nlater\n"
    assert lab.read("new/file.txt") == "later\n"
    assert lab.read("code.py") == "x = 1\n"
    assert "value.txt was edited" in ran.stderr and "new/file.txt" in ran.stderr
    assert "code.py" not in ran.stderr


def test_json(lab: Lab) -> None:
    edit(lab, 90)
    record = json.loads(lab.cli("try", "-m", "better", "--json").stdout)
    assert (record["number"], record["status"], record["value"]) == (1, "keep", 140)
    assert record["commit"] == lab.head(BRANCH)
    edit(lab, 95)
    ran = lab.cli("try", "-m", "worse", "--json", "--rewind")
    assert json.loads(ran.stdout)["status"] == "discard" and ran.stderr == ""
    lab.write("other.txt", "no\n")
    ran = lab.cli("try", "-m", "refused", "--json", code=1)
    assert ran.stdout == "" and "other.txt" in ran.stderr


def test_an_empty_and_a_long_description(lab: Lab) -> None:
    edit(lab, 90)
    lab.cli("try", "-m", "")
    edit(lab, 80)
    lab.cli("try", "-m", "two\nlines\tand \x1b[31ma colour " + "x" * 500)
    assert lab.rows()[1][4] == "edit value.txt"
    assert lab.rows()[2][4].startswith("two lines and a colour xxx")
    assert len(lab.rows()[2][4]) <= 200


def test_from_a_subfolder(make_lab: MakeLab) -> None:
    lab = make_lab({"new/one.txt": "1\n"})
    edit(lab, 90)
    lab.write("new/two.txt", "2\n")
    lab.cli("try", "-m", "better", cwd=lab.root / "new")
    assert lab.git("show", f"{BRANCH}:new/two.txt") == "2"


# -- what is refused --------------------------------------------------------------------------


def test_edits_in_the_way_of_the_guard(lab: Lab) -> None:
    edit(lab, 90)
    lab.write("other.txt", "no\n")
    lab.write("trial.sh", "echo val_bpb: 1\n")
    lab.write("stray.txt", "no\n")
    before = lab.picture()
    ran = lab.cli("try", "-m", "more than may be", "--rewind", code=1)
    for path in ("other.txt", "trial.sh", "stray.txt"):
        assert f"{path}: not mutable" in ran.stderr
    assert "value.txt" not in ran.stderr
    assert lab.picture() == before
    assert lab.statuses() == [], "refused before any trial"


def test_a_refusal_comes_before_the_baseline(lab: Lab) -> None:
    lab.write("other.txt", "mine")
    ran = lab.cli("try", "-m", "x", code=1)
    assert "other.txt: not mutable" in ran.stderr
    assert lab.rows() == [] and "trial" not in ran.stdout


def test_nothing_to_try(lab: Lab) -> None:
    assert "nothing to try" in lab.cli("try", "-m", "x", code=1).stderr
    assert lab.cli("try", code=2).stderr


@pytest.mark.slow
def test_the_same_bytes_again(lab: Lab) -> None:
    edit(lab, 110)
    lab.cli("try", "-m", "worse")
    ran = lab.cli("try", "-m", "again", code=1)
    assert "experiment 1 (worse: discard, val_bpb 160)" in ran.stderr
    edit(lab, 90)
    lab.cli("try", "-m", "better")
    lab.cli("try", "-m", "again", code=1)
    assert lab.statuses() == ["keep", "discard", "keep"]


def test_comments_alone(lab: Lab) -> None:
    lab.write("code.py", "# why\nx   =   1\n")
    assert "comments and layout" in lab.cli("try", "-m", "x", code=1).stderr


def test_the_executable_bit_alone(lab: Lab) -> None:
    (lab.root / "code.py").chmod(0o755)
    lab.cli("try", "-m", "x", code=1)
    assert lab.statuses() == ["keep"]


# -- ties -------------------------------------------------------------------------------------


def test_a_tie_that_only_deletes_is_kept(lab: Lab) -> None:
    edit(lab, rest="")
    lab.cli("try", "-m", "simpler")
    assert lab.statuses() == ["keep", "keep"]
    assert "equal with less code" in lab.cli("show", "1").stdout


def test_a_file_that_is_deleted_is_less_code(lab: Lab) -> None:
    (lab.root / "code.py").unlink()
    lab.cli("try", "-m", "simpler")
    assert lab.statuses() == ["keep", "keep"]
    assert "code.py" not in lab.git("ls-tree", "--name-only", BRANCH)


def test_a_tie_in_a_file_with_a_strange_name(make_lab: MakeLab) -> None:
    lab = make_lab({"new/line\u2028end": "x\ny\n"})
    lab.write("new/line\u2028end", "x\n")
    lab.cli("try", "-m", "simpler")
    assert lab.statuses() == ["keep", "keep"]


def test_any_other_tie_is_discarded(lab: Lab) -> None:
    edit(lab, 99, 51)
    ran = lab.cli("try", "-m", "as good")
    assert "discard" in ran.stdout and "equal, and not simpler" in ran.stdout


# -- where the incumbent moved on -------------------------------------------------------------


def test_neighbouring_lines_merge(lab: Lab) -> None:
    lab.cli("run", "--max", "1")
    edit(lab, 100, 40)
    lab.cli("try", "-m", "the line below")
    assert lab.git("show", f"{BRANCH}:value.txt") == "99\n40\nspare"
    assert lab.read("value.txt") == "100\n40\nspare\n", "the checkout stays as it was"


def test_the_same_line_conflicts_and_nothing_is_lost(lab: Lab) -> None:
    lab.cli("run", "--max", "1")
    edit(lab, 90)
    before = lab.picture()
    ran = lab.cli("try", "-m", "the same line", "--rewind", code=1)
    assert "value.txt" in ran.stderr and "git diff" in ran.stderr
    assert lab.picture() == before and len(lab.rows()) == 2
    lab.cli("run", "--max", "1")


def test_the_command_that_a_conflict_names(lab: Lab) -> None:
    lab.cli("run", "--max", "1")
    edit(lab, 90)
    ran = lab.cli("try", "-m", "the same line", code=1)
    command = ran.stderr.partition("git ")[2].partition(" shows")[0]
    assert "+99" in lab.git(*command.split())


@pytest.mark.slow
def test_after_a_kept_try(lab: Lab) -> None:
    edit(lab, 90)
    lab.cli("try", "-m", "one")
    edit(lab, 80)
    lab.cli("try", "-m", "two")
    assert lab.first_line(BRANCH) == "80"
    lab.cli("run", "--max", "1")
    edit(lab, 80, 40)
    lab.cli("try", "-m", "three")
    assert lab.git("show", f"{BRANCH}:value.txt") == "79\n40\nspare"
    assert lab.statuses() == ["keep"] * 5


@pytest.mark.slow
def test_after_a_rewound_try(lab: Lab) -> None:
    edit(lab, 110)
    lab.cli("try", "-m", "one", "--rewind")
    edit(lab, 90)
    lab.cli("try", "-m", "two", "--rewind")
    edit(lab, 95)
    lab.cli("try", "-m", "three", "--rewind")
    assert lab.read("value.txt").startswith("90")
    edit(lab, 85)
    lab.cli("try", "-m", "four")
    assert lab.statuses() == ["keep", "discard", "keep", "discard", "keep"]
    assert lab.first_line(BRANCH) == "85"


def test_between_calls_of_run_on_the_branch(lab: Lab) -> None:
    on_branch(lab)
    lab.cli("run", "--max", "1")
    edit(lab, 90)
    lab.cli("try", "-m", "mine")
    lab.cli("run", "--max", "1")
    assert lab.read("value.txt").startswith("89")
    assert lab.git("status", "--porcelain") == ""


def test_in_a_linked_worktree(lab: Lab, tmp_path: Path) -> None:
    linked = Lab(tmp_path / "linked")
    lab.git("worktree", "add", "-q", str(linked.root), "main", "--detach")
    edit(linked, 90)
    linked.cli("try", "-m", "elsewhere")
    assert lab.first_line(BRANCH) == "90"
    edit(lab, 100, 45)
    lab.cli("try", "-m", "here")
    assert lab.git("show", f"{BRANCH}:value.txt") == "90\n45\nspare"


def test_filters_of_the_users_own_are_applied(lab: Lab) -> None:
    lab.git("config", "filter.up.clean", "tr a-z A-Z")
    lab.git("config", "filter.up.smudge", "tr A-Z a-z")
    (lab.root / ".git" / "info" / "attributes").write_text("value.txt filter=up\n")
    edit(lab, 90, rest="words\n")
    lab.cli("try", "-m", "filtered")
    assert lab.git("cat-file", "blob", f"{BRANCH}:value.txt") == "90\n50\nWORDS"


def test_a_checkout_without_file_modes(lab: Lab) -> None:
    lab.git("config", "core.fileMode", "false")
    for name in ("value.txt", "code.py", "other.txt"):
        (lab.root / name).chmod(0o755)
    edit(lab, 90)
    lab.cli("try", "-m", "better")
    assert lab.git("ls-tree", BRANCH, "value.txt").startswith("100644")


def test_the_index_is_left_alone(lab: Lab) -> None:
    edit(lab, 95)
    lab.git("add", "value.txt")
    edit(lab, 90)
    index = (lab.root / ".git" / "index").read_bytes()
    os.utime(lab.root / "other.txt")
    lab.cli("try", "-m", "the working tree counts")
    assert lab.first_line(BRANCH) == "90"
    assert (lab.root / ".git" / "index").read_bytes() == index
