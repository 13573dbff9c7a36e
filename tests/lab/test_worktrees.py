"""Where private worktrees lie: outside of the repository, moved with the key, refused aloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Lab, MakeLab

BELOW_GIT = ".git/autoresearch/t/worktree"


def listed(lab: Lab) -> list[Path]:
    """The worktrees that git knows, the checkout apart."""
    lines = lab.git("worktree", "list", "--porcelain").splitlines()
    found = [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]
    return found[1:]


def settings(lab: Lab, *lines: str) -> None:
    """Add lines to [runner], which stands last."""
    lab.write("autoresearch.toml", "\n".join([lab.read("autoresearch.toml"), *lines, ""]))


def test_by_default_they_lie_in_the_users_state_folder(lab: Lab, guard: Path) -> None:
    lab.cli("run", "--max", "1")
    (there,) = listed(lab)
    assert there == lab.worktree()
    assert there.is_relative_to(guard / "state" / "autoresearch") and there.parts[-2:] == ("t", "0")
    assert (there / "value.txt").exists() and not (lab.root / BELOW_GIT).exists()


def test_without_xdg_they_lie_in_the_home_and_a_relative_one_counts_for_nothing(
    make_lab: MakeLab, guard: Path
) -> None:
    for name, value in (("a", None), ("b", "state")):
        lab = make_lab(name=name, tag=None)
        lab.cli("init", "t")
        lab.cli("baseline", env={"XDG_STATE_HOME": value})
        (there,) = listed(lab)
        assert there.is_relative_to(guard / ".local" / "state" / "autoresearch")


def test_the_key_names_another_place_and_the_worktree_moves_there(lab: Lab, tmp_path: Path) -> None:
    lab.cli("run", "--max", "1")
    (first,) = listed(lab)
    settings(lab, f'worktrees = "{tmp_path}/elsewhere"')
    said = lab.cli("run", "--max", "1").stdout
    (second,) = listed(lab)
    assert second.is_relative_to(tmp_path / "elsewhere") and second.is_dir()
    assert not first.exists() and f"from {first} to {second}" in " ".join(said.split())
    assert lab.statuses() == ["keep", "keep", "keep"]


def test_a_worktree_of_a_run_from_before_leaves_the_git_directory(lab: Lab) -> None:
    """As releases up to 2026-11-27 had it: below .git, with its admin folder's paths."""
    lab.cli("run", "--max", "1")
    (now,) = listed(lab)
    old, admin = lab.root / BELOW_GIT, lab.root / ".git/worktrees/autoresearch-t"
    shutil.move(now, old)
    (admin / "gitdir").write_text(f"{old}/.git\n")
    assert listed(lab) == [old]
    (old / "left").write_text("by a trial")
    lab.cli("run", "--max", "1")
    assert listed(lab) == [now] and not old.exists() and not (now / "left").exists()
    assert lab.statuses() == ["keep", "keep", "keep"]


@pytest.mark.slow
def test_a_copy_of_the_repository_leaves_the_first_ones_worktree_alone(
    lab: Lab, tmp_path: Path
) -> None:
    lab.cli("run", "--max", "1")
    (first,) = listed(lab)
    copy = Lab(tmp_path / "copy")
    shutil.copytree(lab.root, copy.root, symlinks=True)
    copy.cli("run", "--max", "1")
    (second,) = listed(copy)
    assert second != first and (first / "value.txt").exists() and (second / "value.txt").exists()
    lab.cli("run", "--max", "1")
    assert listed(lab) == [first]


def test_a_repository_that_moved_takes_its_worktree_along(lab: Lab, tmp_path: Path) -> None:
    lab.cli("run", "--max", "1")
    (first,) = listed(lab)
    moved = Lab(tmp_path / "moved")
    lab.root.rename(moved.root)
    moved.cli("run", "--max", "1")
    (second,) = listed(moved)
    assert second != first and not first.exists()
    moved.root.rename(lab.root)  # for the look at the end


@pytest.mark.parametrize(
    "place",
    ["relative", ".git/relative", "{repository}/below", "{bare}/below", "{submodule}/below"],
)
def test_inside_of_a_repository_is_refused(lab: Lab, tmp_path: Path, place: str) -> None:
    places = {name: tmp_path / name for name in ("repository", "bare", "submodule")}
    for name, options in (("repository", []), ("bare", ["--bare"])):
        subprocess.run(["git", "init", "-q", *options, str(places[name])], check=True)
    places["submodule"].mkdir()
    (places["submodule"] / ".git").write_text("gitdir: elsewhere\n")
    settings(lab, f'worktrees = "{place.format(**places)}"')
    before = {path for folder in places.values() for path in folder.rglob("*")}
    said = lab.cli("run", "--max", "1", code=1).stderr
    assert "runner.worktrees" in said and "inside the repository" in said
    assert before == {path for folder in places.values() for path in folder.rglob("*")}


def test_a_home_that_is_a_repository_is_refused_by_name(lab: Lab, guard: Path) -> None:
    subprocess.run(["git", "init", "-q", str(guard)], check=True)
    assert "runner.worktrees" in lab.cli("baseline", code=1).stderr


def test_where_nothing_can_be_made_the_key_is_named(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for place in ("file/below", "proc"):
        folder = "/proc/below" if place == "proc" else str(tmp_path / place)
        said = lab.cli("baseline", code=1, env={"XDG_STATE_HOME": folder}).stderr
        assert "runner.worktrees" in said and len(said.strip().splitlines()) == 1, said


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_folder_that_is_closed_is_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    settings(lab, f'worktrees = "{tmp_path}/closed"')
    assert "runner.worktrees" in lab.cli("baseline", code=1).stderr


TELL = """\
import os, sys
with open(sys.argv[1], "a") as log:
    print(sys.argv[2], os.environ.get("PWD"), os.getcwd(), file=log)
"""


def test_every_command_of_a_trial_and_the_program_are_told_where_they_stand(
    make_lab: MakeLab, tmp_path: Path
) -> None:
    """Of the shell's own PWD nothing is left: some programs believe it more than the kernel.

    No shell stands between: it would set the variable itself.
    """
    log, script = tmp_path / "log", tmp_path / "tell.py"
    script.write_text(TELL)
    told = [sys.executable, str(script), str(log)]
    config = f"""\
[task]
command = {json.dumps([sys.executable, "trial.py", "trial"])}
setup = {json.dumps([*told, "setup"])}
mutable = ["value.txt"]
[researcher]
kind = "command"
command = {json.dumps([sys.executable, "propose.py", "program"])}
[runner]
sandbox = "none"
"""
    tell = f"import sys\nsys.argv.insert(1, {str(log)!r})\n{TELL}"
    lab = make_lab({
        "autoresearch.toml": config,
        "trial.py": f"{tell}print('val_bpb:', open('value.txt').read())\n",
        "propose.py": f"{tell}open('value.txt', 'w').write('1')\nprint('lower')\n",
        "value.txt": "2\n",
    })  # fmt: skip
    hook = lab.write(
        ".git/hooks/pre-commit", f"#!{sys.executable}\nimport sys\nsys.argv.append('hook')\n{tell}"
    )
    hook.chmod(0o755)
    lab.cli("run", "--max", "1", env={"PWD": str(lab.root)})
    lines = [line.split() for line in log.read_text().splitlines()]
    assert {name for name, *_ in lines} == {"setup", "trial", "program", "hook"}
    assert all(pwd == cwd == str(lab.worktree()) for _, pwd, cwd in lines)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap (bwrap)")
@pytest.mark.parametrize("kind", ["bwrap", "landlock"])
@pytest.mark.parametrize("place", ["", "{tmp}/wide/worktrees"])
def test_around_it_the_home_and_other_worktrees_stay_hidden(
    make_lab: MakeLab, guard: Path, tmp_path: Path, kind: str, place: str
) -> None:
    """Also where the folder around them is readable by the user's own word."""
    (guard / "secret").write_text("s")
    wide = tmp_path / "wide"
    (wide / "worktrees").mkdir(parents=True)
    (wide / "model").write_text("m")
    trial = f"""\
cat {guard}/secret && exit 3
for file in $(dirname $(dirname "$PWD"))/*/0/value.txt; do
    case "$file" in "$PWD"/*) ;; *) cat "$file" && exit 4 ;; esac
done
cat {wide}/model > /dev/null || exit 5
echo x > written || exit 6
echo val_bpb: 1
"""
    config = f"""\
[task]
command = ["sh", "trial.sh"]
mutable = ["value.txt"]
[runner]
sandbox = "{kind}"
readable = ["{wide}"]
worktrees = "{place.format(tmp=tmp_path)}"
"""
    lab = make_lab({"autoresearch.toml": config, "trial.sh": trial}, tag="first")
    lab.cli("baseline")
    lab.cli("init", "second")
    lab.cli("baseline", "--tag", "second")
    assert len(listed(lab)) == 2
