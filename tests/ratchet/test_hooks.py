"""The lab's own git hooks: pre-commit has its say before a keep, the others never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import CONFIG, Lab, MakeLab, on_branch

BRANCH = "autoresearch/t"


def hook(lab: Lab, body: str, name: str = "pre-commit", folder: Path | None = None) -> Path:
    file = (folder or lab.root / ".git" / "hooks") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


def test_a_hook_that_refuses(lab: Lab) -> None:
    on_branch(lab)
    tip = lab.head()
    hook(lab, "echo no such luck >&2; exit 1")
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
    hook(lab, "echo 1 > value.txt")
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
    lab.write("tools/pre-commit", "#!/bin/sh\nexit 1\n")
    lab.write("value.txt", "90\n50\n")
    lab.cli("try", "-m", "by hand")
    assert lab.statuses() == ["keep", "discard"]


def test_a_hook_that_prints_nothing_and_refuses(lab: Lab) -> None:
    hook(lab, "exit 3")
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
