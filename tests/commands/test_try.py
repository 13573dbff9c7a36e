"""`try`: edits of a person's, judged as one experiment by the same ratchet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoresearch.ledger import journal
from tests.conftest import CONFIG, TRIAL, Lab, MakeLab, on_branch

BRANCH = "autoresearch/t"


def edit(lab: Lab, first: int = 100, second: int = 50, rest: str = "spare\n") -> None:
    lab.write("value.txt", f"{first}\n{second}\n{rest}")


def candidate(lab: Lab, number: int, path: str = "value.txt") -> str:
    return lab.git("show", f"refs/autoresearch/t/{number:04d}:{path}")


def under_trial(lab: Lab, number: int) -> bool:
    """Whether the trial of an experiment was started."""
    records = journal.read(lab.state() / "journal")
    return any(record["kind"] == "trial" and record["n"] == number for record in records)


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


@pytest.mark.slow
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
    assert json.loads(ran.stdout)["paths"] == ["other.txt"] and "other.txt" in ran.stderr


def test_json_of_a_verdict_is_whole(lab: Lab) -> None:
    edit(lab, 90)
    record = json.loads(lab.cli("try", "-m", "better", "--json").stdout)
    here = {"number": 1, "commit": lab.head(BRANCH), "value": 140.0}
    assert record["incumbent"] == record["best"] == here
    assert record["reason"] == "better by 10.000000" and record["flags"] == []
    assert "val_bpb: 140" in record["log_tail"]
    lab.write("value.txt", "broken\n")
    record = json.loads(lab.cli("try", "-m", "broken", "--json").stdout)
    assert (record["status"], record["value"], record["best"]) == ("crash", None, here)


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("try", "--json"), 2, "Missing option"),
        (("try", "-m", "x", "--json", "--none"), 2, "--none"),
        (("try", "-m", "x", "--json", "--tag", "other"), 1, "no run 'other'"),
        (("try", "-m", "x", "--json"), 1, "nothing to try"),
        (("show", "7", "--json"), 1, "no experiment 7"),
        (("check", "nowhere", "--json"), 1, "no such commit"),
    ],
)
def test_json_of_an_error(lab: Lab, arguments: tuple[str, ...], code: int, reason: str) -> None:
    ran = lab.cli(*arguments, code=code)
    told = json.loads(ran.stdout)
    assert (told["status"], told["paths"]) == ("error", []) and reason in told["reason"]
    assert "Traceback" not in ran.stderr


def test_json_where_there_is_no_lab_and_a_wrong_configuration(make_lab: MakeLab) -> None:
    lab = make_lab({"autoresearch.toml": CONFIG.replace("timeout_s", "timeouts")}, tag=None)
    told = json.loads(lab.cli("check", "--json", code=2).stdout)
    assert told["status"] == "error" and "timeouts: unknown key" in told["reason"]


def test_json_of_status_show_and_check(lab: Lab) -> None:
    empty = json.loads(lab.cli("status", "--json").stdout)
    assert empty["incumbent"] is None and empty["experiments"] == 0
    edit(lab, 90)
    assert json.loads(lab.cli("check", "--json").stdout)["paths"] == ["value.txt"]
    lab.cli("try", "-m", "better")
    status = json.loads(lab.cli("status", "--json").stdout)
    assert status["incumbent"] == {"number": 1, "commit": lab.head(BRANCH), "value": 140.0}
    assert (status["experiments"], status["keep"], status["driven"]) == (1, 1, False)
    shown = json.loads(lab.cli("show", "1", "--json").stdout)
    assert shown["metrics"] == {"peak_vram_mb": 2048.0, "val_bpb": 140.0}
    assert "+90" in shown["diff"] and "val_bpb: 140" in shown["log_tail"]
    lab.write("other.txt", "x\n")
    told = json.loads(lab.cli("check", "--json", code=1).stdout)
    assert told == {"status": "refused", "reason": "other.txt: not mutable", "paths": ["other.txt"]}


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
    ran = lab.cli("try", "-m", "more than may be", code=1)
    for path in ("other.txt", "trial.sh", "stray.txt"):
        assert f"{path}: not mutable" in ran.stderr
    assert "value.txt" not in ran.stderr
    assert "untracked: stray.txt (--ignore" in ran.stderr
    assert lab.picture() == before
    assert lab.statuses() == [], "refused before any trial"


@pytest.mark.slow
@pytest.mark.parametrize("branch", ["main", BRANCH])
def test_refused_edits_make_way(lab: Lab, branch: str) -> None:
    lab.git("checkout", "-q", branch)
    edit(lab, 90)
    lab.write("new/file.txt", "mine\n")
    lab.write("other.txt", "not mine\n")
    lab.write("stray.txt", "a person's\n")
    (lab.root / "trial.sh").unlink()
    ran = lab.cli("try", "-m", "too much", "--rewind", "--json", code=1)
    told = json.loads(ran.stdout)
    assert told["status"] == "refused"
    assert told["paths"] == ["other.txt", "stray.txt", "trial.sh"]
    assert lab.git("status", "--porcelain") == "?? stray.txt", "it may be anything of a person's"
    [ref] = lab.git("for-each-ref", "--format=%(refname)", "refs/autoresearch/t/").splitlines()
    assert ref in told["reason"] and "left there: stray.txt" in told["reason"]
    for path, content in (("value.txt", "90\n50\nspare"), ("other.txt", "not mine")):
        assert lab.git("show", f"{ref}:{path}") == content
    assert lab.git("show", f"{ref}:new/file.txt") == "mine"
    assert "trial.sh" not in lab.git("ls-tree", "--name-only", ref)
    edit(lab, 80)
    lab.cli("try", "-m", "better", "--ignore", "stray.*")
    assert lab.first_line(BRANCH) == "80"


def test_comments_alone_make_way_too(lab: Lab) -> None:
    lab.cli("run", "--max", "1")
    lab.write("code.py", "# why\nx = 1\n")
    told = json.loads(lab.cli("try", "-m", "x", "--rewind", "--json", code=1).stdout)
    assert (told["status"], told["paths"]) == ("refused", ["code.py"])
    assert lab.read("code.py") == "x = 1\n"


def test_stray_files_are_passed_over_aloud(lab: Lab) -> None:
    edit(lab, 90)
    lab.write("out/big.bin", "x")
    lab.write("notes.md", "x")
    lab.write(".claude/settings.local.json", "{}")
    ran = lab.cli("try", "-m", "x", "--ignore", "out/", "--ignore", "*.md", "--json")
    told = json.loads(ran.stdout)
    assert told["ignored"] == [".claude/settings.local.json", "notes.md", "out/big.bin"]
    assert "notice: notes.md: untracked" in ran.stderr
    assert lab.git("diff", "--name-only", "HEAD", BRANCH) == "value.txt"
    edit(lab, 80)
    lab.write("other.txt", "x")
    lab.cli("try", "-m", "x", "--ignore", "other.txt", code=1)  # it is tracked, and no stray


def test_a_refusal_comes_before_the_baseline(lab: Lab) -> None:
    lab.write("other.txt", "mine")
    ran = lab.cli("try", "-m", "x", code=1)
    assert "other.txt: not mutable" in ran.stderr
    assert lab.rows() == [] and "trial" not in ran.stdout


def test_nothing_to_try(lab: Lab) -> None:
    assert "nothing to try" in lab.cli("try", "-m", "x", code=1).stderr
    assert lab.cli("try", code=2).stderr


@pytest.mark.slow
def test_the_same_edits_again_are_answered_with_their_verdict(lab: Lab) -> None:
    edit(lab, 110)
    lab.cli("try", "-m", "worse")
    ran = lab.cli("try", "-m", "again")
    assert "tried before, as experiment 1 (worse): discard, worse by" in ran.stdout
    edit(lab, 90)
    lab.cli("try", "-m", "better")
    told = json.loads(lab.cli("try", "-m", "again", "--json").stdout)
    assert (told["number"], told["status"], told["value"]) == (2, "keep", 140.0)
    assert "tried before, as experiment 2" in told["notices"][0]
    edit(lab, 110)
    told = json.loads(lab.cli("try", "-m", "again", "--json", "--rewind").stdout)
    assert (told["number"], told["status"]) == (1, "discard")
    assert lab.read("value.txt").startswith("90"), "they make way as they would have then"
    assert lab.statuses() == ["keep", "discard", "keep"]


@pytest.mark.slow
def test_json_of_an_interrupted_try(make_lab: MakeLab) -> None:
    lab = make_lab({"trial.sh": TRIAL + '[ "$AUTORESEARCH_EXPERIMENT" = 0 ] || sleep 60\n'})
    edit(lab, 90)
    command = [sys.executable, "-m", "autoresearch", "try", "-m", "x", "--json"]
    stopped = subprocess.Popen(command, cwd=lab.root, stdout=subprocess.PIPE)
    end = time.monotonic() + 100
    while not under_trial(lab, 1):
        assert time.monotonic() < end
        time.sleep(0.05)
    stopped.terminate()
    told = json.loads(stopped.communicate()[0])
    assert stopped.returncode == 130
    assert (told["status"], told["paths"]) == ("error", []) and "interrupted" in told["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("value", [90, 110])
def test_a_killed_try_is_finished_and_told(make_lab: MakeLab, tmp_path: Path, value: int) -> None:
    trial = (
        TRIAL + 'if [ "$AUTORESEARCH_EXPERIMENT" = 1 ] && [ -e "$LAB/slow" ]; then sleep 60; fi\n'
    )
    config = CONFIG.replace("timeout_s", 'env_pass = ["LAB"]\ntimeout_s')
    lab = make_lab({"trial.sh": trial, "autoresearch.toml": config})
    slow, env = tmp_path / "slow", {"LAB": str(tmp_path)}
    slow.touch()
    edit(lab, value)
    command = [sys.executable, "-m", "autoresearch", "try", "-m", "first"]
    killed = subprocess.Popen(command, cwd=lab.root, env={**os.environ, **env})
    end = time.monotonic() + 100
    while not under_trial(lab, 1):
        assert time.monotonic() < end
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    slow.unlink()
    told = json.loads(lab.cli("try", "-m", "again", "--json", env=env).stdout)
    assert "experiment 1 (first)" in told["notices"][0] and "finished" in told["notices"][0]
    assert told["number"] == 1 and len(lab.rows()) == 2


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
    ran = lab.cli("try", "-m", "the same line", "--rewind", "--json", code=1)
    assert json.loads(ran.stdout)["paths"] == ["value.txt"]
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


@pytest.mark.slow
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
