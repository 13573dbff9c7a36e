"""The lab's own git hooks: pre-commit has its say before a keep, the others never run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CONFIG, Lab, MakeLab, on_branch
from tests.labs import make_lab as made
from tests.labs import scripted, whole

BRANCH = "autoresearch/t"


def hook(lab: Lab, body: str, name: str = "pre-commit", folder: Path | None = None) -> Path:
    file = (folder or lab.root / ".git" / "hooks") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


AS_IT_WAS = "grep -q '^100$' value.txt && exit 0\n"  # a hook that has nothing against the start


def test_a_hook_that_refuses(lab: Lab) -> None:
    on_branch(lab)
    tip = lab.head()
    hook(lab, f"{AS_IT_WAS}echo no such luck >&2; exit 1")
    ran = lab.cli("run", "--max", "1")
    assert "discard" in ran.stdout
    assert "the pre-commit hook refused it: no such luck" in ran.stdout
    assert lab.statuses() == ["keep", "discard"]
    assert lab.rows()[1][1] == "149.000000", "what it measured stays on record"
    assert lab.head(BRANCH) == tip
    assert lab.git("status", "--porcelain") == ""


def test_a_hook_that_passes_sees_what_git_commit_would_show(lab: Lab, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    hook(
        lab,
        f"(git diff --cached --name-only; git rev-parse HEAD; cat value.txt) > {seen}; env >> {seen}",
    )
    lab.cli("run", "--max", "1", env={"ANTHROPIC_API_KEY": "sk-secret"})
    assert lab.statuses() == ["keep", "keep"]
    lines = seen.read_text().splitlines()
    assert lines[:3] == ["value.txt", lab.head("main"), "99"]
    assert "sk-secret" not in seen.read_text()


def test_a_hook_that_changes_files(lab: Lab) -> None:
    hook(lab, f"{AS_IT_WAS}echo 1 > value.txt")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "discard"]
    assert "changed value.txt" in lab.cli("show", "1").stdout
    hook(lab, "echo 1 > value.txt; git add value.txt")
    lab.write("value.txt", "90\n50\n")
    lab.cli("try", "-m", "by hand")
    assert lab.statuses() == ["keep", "discard", "discard"]
    assert "changed what is staged" in lab.cli("show", "2").stdout
    assert lab.first_line(BRANCH) == "100"


def test_only_keeps_are_asked_about(lab: Lab, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    lab.cli("baseline")
    hook(lab, f"echo ran >> {seen}")
    lab.write("value.txt", "110\n50\n")
    lab.cli("try", "-m", "it loses anyway")
    assert not seen.exists()


def test_a_hook_that_is_not_executable(lab: Lab) -> None:
    hook(lab, "exit 1").chmod(0o644)
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]


def test_hooks_path_elsewhere(lab: Lab, tmp_path: Path) -> None:
    hook(lab, "exit 1")
    lab.git("config", "core.hooksPath", str(tmp_path / "hooks"))
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"], "git would not run the other one either"
    hook(lab, "echo from elsewhere; exit 1", folder=tmp_path / "hooks")
    ran = lab.cli("run", "--max", "1")
    assert "from elsewhere" in ran.stdout
    assert lab.statuses() == ["keep", "keep", "discard"]


def test_a_relative_hooks_path_of_untracked_hooks(lab: Lab) -> None:
    """As hook managers install them: in an ignored folder of the checkout, which no worktree has."""
    folder = lab.root / ".hooks" / "_"
    hook(lab, "echo asked; test ! -e refuse", folder=folder)
    (folder / ".gitignore").write_text("*\n")
    lab.git("config", "core.hooksPath", ".hooks/_")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
    hook(lab, "echo asked and refused; exit 1", folder=folder)
    ran = lab.cli("run", "--max", "1")
    assert "asked and refused" in ran.stdout


def test_a_tracked_hook_is_the_checkouts_own(make_lab: MakeLab) -> None:
    """A candidate can't bring the hook that it is asked by."""
    config = CONFIG.replace("code.py", "tools/*")
    lab = make_lab({"autoresearch.toml": config, "tools/pre-commit": "#!/bin/sh\nexit 0\n"}, None)
    (lab.root / "tools" / "pre-commit").chmod(0o755)
    lab.commit("hooks in the tree")
    lab.git("config", "core.hooksPath", "tools")
    lab.cli("init", "t")
    lab.cli("baseline")
    lab.write("tools/pre-commit", "#!/bin/sh\nexit 1\n")
    lab.write("value.txt", "90\n50\n")
    lab.cli("try", "-m", "by hand")
    assert lab.statuses() == ["keep", "discard"]


def test_a_hook_that_prints_nothing_and_refuses(lab: Lab) -> None:
    hook(lab, f"{AS_IT_WAS}exit 3")
    assert "the pre-commit hook refused it" in lab.cli("run", "--max", "1").stdout
    assert lab.statuses() == ["keep", "discard"]


@pytest.mark.slow
def test_other_hooks_never_run(lab: Lab, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    for name in (
        "post-checkout", "reference-transaction", "post-commit", "commit-msg", "prepare-commit-msg",
        "post-index-change", "post-merge", "pre-push", "post-update", "update",
    ):  # fmt: skip
        hook(lab, f"echo {name} >> {seen}; exit 1", name)
    lab.git("-c", "core.hooksPath=/dev/null", "checkout", "-q", BRANCH)
    hook(lab, "exit 0")
    lab.cli("init", "u")
    lab.cli("run", "--tag", "t", "--max", "1")
    lab.write("value.txt", "90\n50\n")
    lab.cli("try", "--tag", "t", "-m", "by hand")
    lab.write("value.txt", "95\n50\n")
    lab.cli("try", "--tag", "t", "-m", "by hand", "--rewind")
    lab.cli("check")
    assert not seen.exists(), seen.read_text()
    assert lab.statuses() == ["keep", "keep", "keep", "discard"]


# -- a hook that can't run in the worktree ----------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("exec lint-everything --staged", "lint-everything: not found"),
        ("node_modules/.bin/lint-staged\necho husky - pre-commit failed >&2; exit 1",
         "node_modules/.bin/lint-staged: not found"),
        ("echo 1 > value.txt", "the pre-commit hook changed value.txt"),
        ("exit 3", "exit code 3"),
    ],
)  # fmt: skip
def test_it_is_tried_before_the_baseline(lab: Lab, body: str, words: str) -> None:
    hook(lab, body)
    (lab.root / "node_modules").mkdir()
    (lab.root / ".git" / "info" / "exclude").write_text("node_modules\n")
    for command in (["run", "--max", "1"], ["baseline"]):
        stopped = lab.cli(*command, code=1).stderr
        assert words in stopped and "every gain would be a discard" in stopped
        assert (
            'which has no node_modules: where it needs that, in [task] inputs = ["node_modules"]'
            in stopped
        )
        assert "git config core.hooksPath /dev/null" in stopped and stopped.count("\n") == 1
    assert not (lab.root / "results.tsv").exists() or lab.statuses() == []
    lab.git("config", "core.hooksPath", "/dev/null")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]


def test_the_tip_is_shown_as_its_own_commit_would_have_been(lab: Lab, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    lab.git("branch", "-D", BRANCH)
    lab.commit(code__py="y = 2\n")
    lab.cli("init", "u")
    hook(lab, f"git diff --cached --name-only > {seen}; git rev-parse HEAD >> {seen}")
    lab.cli("baseline", "--tag", "u")
    assert seen.read_text().splitlines() == ["code.py", lab.head("main~1")]


@pytest.mark.slow
def test_refusals_are_failures_with_their_reason(tmp_path: Path) -> None:
    train = 'print("val_bpb: {}")\n'
    start = train.format(1.0)
    answers = [whole(f"step {n}", train.format(1 - n / 10), old=start) for n in range(1, 6)]
    rest = "[budget]\nconsecutive_failures = 3\n"
    night = made(tmp_path, start, "", scripted(tmp_path, answers), rest)
    file = night.root / ".git" / "hooks" / "pre-commit"
    file.parent.mkdir(exist_ok=True)
    file.write_text("#!/bin/sh\ngrep -q 1.0 train.py && exit 0\necho my reason >&2; exit 1\n")
    file.chmod(0o755)
    stopped = night.cli("run", code=1)
    assert night.statuses() == ["keep", "discard", "discard", "discard"]
    assert [night.record(n)["failure"] for n in range(4)] == [None, "hook", "hook", "hook"]
    rows = [line for line in stopped.stdout.splitlines() if " discard " in line]
    assert len(rows) == 3 and all("refused it: my reason" in line[:80] for line in rows)
    assert "3 failures in a row" in stopped.stderr
    assert "3 x the pre-commit hook refused it: my reason" in stopped.stderr
    assert json.loads(night.cli("report", "--json").stdout)["crashes"] == {}
