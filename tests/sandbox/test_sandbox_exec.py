"""macOS's jail, without a Mac: its rules read as Apple's, and a program that takes sandbox-exec's place.

Whether the kernel of a Mac enforces them is for the self-test to say: see docs/security.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from autoresearch.commands.doctor import machine
from autoresearch.config import RunnerConfig
from autoresearch.errors import LabError
from autoresearch.sandbox import jail, selftest
from autoresearch.sandbox.access import Access
from autoresearch.sandbox.jail import Jail
from autoresearch.sandbox.policy import Policy
from tests.jailed import Trial, python_places

RULE = re.compile(r'\((allow|deny) ([^()]+?)(?: \((subpath|literal) "((?:[^"\\]|\\.)*)"\))?\)')
CONFINES_NOTHING = '#!/bin/sh\n[ "$1" = -p ] || exit 64\nshift 2\nexec "$@"\n'


def allows(profile: str, operation: str, path: str) -> bool:
    """What the last rule that matches says; without one, the default."""
    said = "(allow default)" in profile
    for action, operations, kind, quoted in RULE.findall(profile):
        name = re.sub(r"\\(.)", r"\1", quoted)
        if kind == "subpath" and not f"{path}/".startswith(f"{name}/"):
            continue
        if kind == "literal" and path != name:
            continue
        for pattern in operations.split():
            if operation == pattern or (
                pattern.endswith("*") and operation.startswith(pattern[:-1])
            ):
                said = action == "allow"
    return said


@pytest.fixture
def player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jail:
    """A Mac's sandbox-exec, as far as its command line goes."""
    program = tmp_path / "bin" / "sandbox-exec"
    program.parent.mkdir()
    program.write_text(CONFINES_NOTHING)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "platform", "darwin")
    found = jail.find_sandbox_exec()
    assert found is not None and found.program == str(program)
    return found


@pytest.fixture
def policy(tmp_path: Path, guard: Path) -> Policy:
    root = tmp_path / "lab"
    (root / ".git").mkdir(parents=True)
    state = root / ".git" / "autoresearch" / "t"
    cache = guard / ".cache" / "autoresearch"
    return Policy(
        root, root / ".git", state / "worktree", state / "compiled", cache, guard, python_places()
    )


def test_its_rules_say_what_the_access_says(tmp_path: Path) -> None:
    home = tmp_path / 'ho"me\\'
    worktree, python, scratch = home / "lab/worktree", home / ".pyenv", tmp_path / "t" / "scratch"
    for folder in (worktree / "data", python, scratch, home / "lab/.git"):
        folder.mkdir(parents=True)
    access = Access((python, worktree / "data"), (worktree, scratch), (home, scratch.parent))
    words = Jail("sandbox-exec", "sandbox-exec").confinement(access, worktree).prefix
    assert words[:2] == ("sandbox-exec", "-p") and words[-1] == "--" and "{status}" in words
    profile = words[2]
    for path, may_read, may_write in (
        (home / "secret", False, False),
        (home / "lab/.git/config", False, False),
        (home / "lab/worktree/train.py", True, True),
        (home / "lab/worktree/data/x", True, False),
        (home / "lab/worktree-of-another", False, False),
        (python / "lib/os.py", True, False),
        (scratch / "x", True, True),
        (scratch.parent / "other", False, False),
        (Path("/usr/lib/libc.dylib"), True, False),
        (Path("/dev/null"), True, True),
    ):
        assert allows(profile, "file-read-data", str(path)) == may_read, path
        assert allows(profile, "file-read-xattr", str(path)) == may_read, path
        assert allows(profile, "file-write-create", str(path)) == may_write, path
        assert allows(profile, "file-read-metadata", str(path)), "names must resolve"
    assert not allows(profile, "network-outbound", "") and not allows(profile, "job-creation", "")
    assert "(deny signal process-info*)" in profile and "(target same-sandbox)" in profile
    assert profile.count("(") == profile.count(")")


def test_a_trial_starts_in_it_and_tells_that_it_did(player: Jail, tmp_path: Path) -> None:
    class InIt(Trial):
        def jail(self) -> Jail:
            return player

    outcome, said = InIt(tmp_path / "trial", "sandbox-exec").python("print(6 * 7)")
    assert (outcome.exit_code, said) == (0, "42\n")


def test_one_that_refuses_nothing_is_seen_through(player: Jail, policy: Policy) -> None:
    """The kill is Linux's here, and holds: a Mac's would not, and the level would be 0."""
    found = selftest.self_test(player, policy)
    assert {"read home", "write .git", "write the environment"} <= set(found.failed)
    assert found.text == "1 (sandbox-exec, which does not hold)"
    assert "see other processes" not in found.failed, (
        "an attempt of Linux's proves nothing on a Mac"
    )


def test_one_that_does_not_start_is_not_taken(player: Jail, policy: Policy) -> None:
    Path(player.program).write_text("#!/bin/sh\necho no such profile >&2\nexit 65\n")
    chosen, found = selftest.choose("auto", policy)
    assert chosen is None and found.jail == "none" and found.level == 0
    assert "no such profile" in " ".join(found.said)


def test_one_that_holds_is_taken_and_is_level_0_by_its_kill(
    player: Jail, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel refuses what it must, all but the kill of a process that left its session."""
    monkeypatch.setattr(
        selftest, "_went_well", lambda attempt, _: attempt.name != "outlive the kill"
    )
    chosen, found = selftest.choose("auto", policy)
    assert (
        chosen == player and found.failed == ("outlive the kill",) and "read home" in found.refused
    )
    assert found.line == (
        "sandbox 0 (sandbox-exec, never tested by us); not covered: what a trial leaves running, "
        "services of the system, names of files and processes"
    )
    monkeypatch.setattr(machine, "choose", lambda *_: (chosen, found))
    check, _ = machine.sandbox(RunnerConfig(), [sys.executable, "train.py"], policy.root)
    assert check.state == "degraded" and "run on Linux" in check.mend


def test_what_is_linux_own_is_refused_by_name(player: Jail, policy: Policy) -> None:
    with pytest.raises(
        LabError, match=r"\(bwrap is for Linux\). macOS goes no higher: run on Linux"
    ):
        selftest.choose("bwrap", policy)
