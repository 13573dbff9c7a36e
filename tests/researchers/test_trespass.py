"""A program that changes the user's own instead of its worktree: caught, told with the paths, let be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from autoresearch.workspace.repository import Repository
from autoresearch.workspace.trespass import Watch
from tests.conftest import CONFIG, Lab, MakeLab

PROPOSE = """\
cat > /dev/null
{strays}
{edits}
echo "description: a try"
"""
LOWER = "read -r n < value.txt; echo $((n - 1)) > value.txt; echo 50 >> value.txt"


def told(lab: Lab, said: str) -> str:
    """What was said, with every run of blanks as one."""
    return " ".join(said.split())


def program(make_lab: MakeLab, strays: str, edits: str = LOWER) -> tuple[Lab, str]:
    """A lab whose program does that, and what one experiment prints."""
    config = f"{CONFIG}[budget]\nconsecutive_failures = 2\n"
    propose = PROPOSE.format(strays=strays, edits=edits)
    lab = make_lab({"propose.sh": propose, "autoresearch.toml": config})
    lab.git("tag", "before")
    ran = lab.cli("run", "--max", "1", code=None, env={"CHECKOUT": str(lab.root)})
    return lab, told(lab, ran.stdout + ran.stderr)


@pytest.mark.parametrize(
    ("strays", "named"),
    [
        ('echo mine >> "$CHECKOUT/other.txt"', "other.txt"),
        ('rm "$CHECKOUT/code.py"', "code.py"),
        ('chmod +x "$CHECKOUT/trial.sh"', "trial.sh"),
        ('mkdir -p "$CHECKOUT/new"; echo x > "$CHECKOUT/new/file.txt"', "new/file.txt"),
        ("git branch left", "the branch left"),
        ("git checkout -q -b left", "the branch left"),
        ("git tag left", "the tag left"),
        ("git tag -d before", "the tag before"),
        ('git -C "$CHECKOUT" checkout -q --detach', "HEAD"),
        ('cd "$CHECKOUT"; echo y > other.txt; git stash -q; cd -', "the stash"),
    ],
)
def test_what_changed_is_named_and_the_proposal_goes_on(
    make_lab: MakeLab, strays: str, named: str
) -> None:
    lab, said = program(make_lab, strays)
    assert "in your checkout changed: " in said
    assert named in said.split("in your checkout changed: ")[1].split(". By it")[0].split(", ")
    assert lab.statuses() == ["keep", "keep"]


def test_nothing_is_put_back(make_lab: MakeLab) -> None:
    lab, _ = program(make_lab, 'echo mine >> "$CHECKOUT/other.txt"; git branch left')
    assert lab.read("other.txt").endswith("mine\n") and lab.git("branch", "--list", "left")


def test_a_program_that_changed_nothing_else_is_told_where_it_went_astray(
    make_lab: MakeLab,
) -> None:
    strays = 'date +%s%N > "$CHECKOUT/other.txt"'
    lab, said = program(make_lab, strays, edits="")
    assert "changed no file" in said and "other.txt changed in the user's checkout" in said
    assert lab.statuses() == ["keep"]
    prompt = (lab.state() / "experiments" / "0001" / "prompt.txt").read_text()
    assert "other.txt changed in the user's checkout" in prompt, "the next one is told"


def test_a_program_that_failed_is_seen_too(make_lab: MakeLab) -> None:
    _, said = program(make_lab, 'echo mine >> "$CHECKOUT/other.txt"; exit 3')
    assert "exited with 3" in said and "in your checkout changed: other.txt" in said


def test_an_input_that_git_ignores_is_looked_at(make_lab: MakeLab) -> None:
    files = {
        ".gitignore": "data/\n",
        "propose.sh": PROPOSE.format(strays='echo 1 > "$CHECKOUT/data/labels"', edits=LOWER),
    }
    lab = make_lab({**files, "autoresearch.toml": CONFIG.replace(
        "timeout_s", 'inputs = ["data"]\ntimeout_s')}, tag=None, name="inputs")  # fmt: skip
    lab.write("data/labels", "0\n")
    lab.cli("init", "t")
    ran = lab.cli("run", "--max", "1", env={"CHECKOUT": str(lab.root)})
    assert "in your checkout changed: data/labels" in told(lab, ran.stdout)


def test_what_a_program_may_do_is_not_told(make_lab: MakeLab) -> None:
    """Commits in its worktree, ignored files, and a file that is written as it was."""
    may = (
        'git commit -q --allow-empty -m x; touch "$CHECKOUT/other.txt"; echo x > "$CHECKOUT/a.log"'
    )
    lab = make_lab({".gitignore": "*.log\n", "propose.sh": PROPOSE.format(strays=may, edits=LOWER)})
    ran = lab.cli("run", "--max", "2", env={"CHECKOUT": str(lab.root)})
    assert "in your checkout" not in told(lab, ran.stdout) and lab.statuses() == ["keep"] * 3


def test_the_shells_names_for_places_do_not_reach_a_program(make_lab: MakeLab) -> None:
    """git itself sets GIT_DIR and GIT_PREFIX for an alias that starts the tool."""
    lab = make_lab({"propose.sh": PROPOSE.format(
        strays='env > "$CHECKOUT/seen.log"; git rev-parse --show-toplevel >> "$CHECKOUT/seen.log"',
        edits=LOWER), ".gitignore": "*.log\n"})  # fmt: skip
    lab.cli("run", "--max", "1", env={
        "CHECKOUT": str(lab.root), "PWD": str(lab.root), "OLDPWD": str(lab.root),
        "INIT_CWD": str(lab.root), "GIT_DIR": str(lab.root / ".git"), "GIT_WORK_TREE": str(lab.root),
        "GIT_PREFIX": "", "GIT_INDEX_FILE": str(lab.root / ".git/index"),
    })  # fmt: skip
    *variables, top = lab.read("seen.log").splitlines()
    seen = {line.partition("=")[0] for line in variables}
    assert top == str(lab.worktree())
    assert not seen & {"GIT_DIR", "GIT_WORK_TREE", "GIT_PREFIX", "GIT_INDEX_FILE", "INIT_CWD"}
    assert f"OLDPWD={lab.root}" not in variables


def test_a_picture_is_of_the_whole_checkout_and_of_odd_files(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)

    git("init", "-q")
    (tmp_path / "below").mkdir()
    (tmp_path / "latin-\udce9").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    watch = Watch(Repository(tmp_path / "below", tmp_path / ".git"))
    empty = watch.picture()  # there is no commit yet
    git("add", "-A", ".", ":!fifo")
    git("commit", "-q", "-m", "first")
    first = watch.picture()
    assert empty.changed(first) == ("HEAD",) or empty.changed(first) == ("the branch main",)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "latin-\udce9").write_text("y")
    assert set(first.changed(watch.picture())) == {"link", "latin-\udce9"}
