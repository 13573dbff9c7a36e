"""The sandbox of a run, through the command line: shown, the same throughout, needed where nobody watches."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.harness import names
from autoresearch.paths import DECOY
from autoresearch.sandbox import sandbox
from tests.conftest import CONFIG, TRIAL, Lab, MakeLab, Ran, on_branch

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap (bwrap)")


def unflagged(lab: Lab, *arguments: str) -> Ran:
    """A command without a terminal, and without the flag that the other tests give."""
    done = subprocess.run(
        [sys.executable, "-m", "autoresearch", *arguments],
        cwd=lab.root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_a_run_that_nobody_watches_needs_a_sandbox_or_a_word(lab: Lab) -> None:
    refused = unflagged(lab, "run", "--max", "1")
    assert refused.code == 1 and "#0" not in refused.stdout
    (line,) = refused.stderr.splitlines()
    assert "sandbox 1 (no jail)" in line and "--allow-unsandboxed" in line
    assert 'runner.sandbox = "auto"' in line, "how to get higher"
    assert not (lab.root / "results.tsv").read_text().splitlines()[1:]
    assert unflagged(lab, "baseline").code == 0, "a person's own commands need no word"
    assert unflagged(lab, "run", "--max", "1", "--allow-unsandboxed").code == 0


@pytest.mark.slow
def test_the_level_stands_wherever_a_run_is_shown(lab: Lab) -> None:
    said = lab.cli("run", "--max", "1").stdout
    assert said.splitlines()[0].startswith("sandbox 1 (no jail); not covered: files, the network")
    assert "sandbox 1 (no jail)" in lab.cli("status").stdout
    assert "sandbox       1 (no jail)" in lab.cli("report").stdout
    assert json.loads(lab.cli("report", "--json").stdout)["sandbox"] == "1 (no jail)"
    assert "sandbox 1 (no jail)" in lab.cli("show", "1").stdout
    checks = json.loads(lab.cli("doctor", "--json").stdout)
    assert any(c["name"] == "sandbox" and c["state"] == "degraded" for c in checks)
    for number in (0, 1):
        file = lab.state() / "experiments" / f"{number:04d}" / "record.json"
        assert json.loads(file.read_text())["sandbox"] == "1 (no jail)"


def test_the_self_test_of_another_run_is_not_held_against_a_trial(make_lab: MakeLab) -> None:
    """Where a jail does not hold, what tries to write this tool does so, for the blink of an eye."""
    decoy = Path(sandbox.__file__).parent / f"{DECOY}{os.getpid()}-4"
    lab = make_lab({"trial.sh": f"echo theirs > '{decoy}'\n{TRIAL}"})
    try:
        lab.cli("run", "--max", "1")
        assert decoy.exists()
    finally:
        decoy.unlink(missing_ok=True)
    assert lab.statuses()[0] == "keep"


def test_both_sides_of_the_wall_have_one_set_of_names() -> None:
    """A name that changed on one side alone would lie open, or lie about: so each stands once."""
    here = Path(names.__file__)
    given = set(
        re.findall(
            r'"(AUTORESEARCH_\w+|[a-z_]+\.(?:u16|npy|npz|bin)|tokenizer\.json)"', here.read_text()
        )
    )
    assert {
        "AUTORESEARCH_CACHE",
        "AUTORESEARCH_DATA",
        "vault.u16",
        "tokenizer.json",
        "twin.npy",
    } <= given
    again = {
        (path.name, name)
        for path in here.parents[1].rglob("*.py")
        if path != here and "template" not in path.parts
        for name in given
        if re.search(rf"[\"']{re.escape(name)}[\"']", path.read_text())
    }
    assert again == set()


@pytest.mark.slow
@needs_bwrap
def test_another_level_than_the_baselines_stops_the_run(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.cli("run", "--max", "1")
    lab.write("autoresearch.toml", CONFIG.replace('sandbox = "none"', 'sandbox = "bwrap"'))
    stopped = unflagged(lab, "run", "--max", "1")
    assert stopped.code == 1 and len(lab.rows()) == 2
    assert "level 1 (none), and now it is 4 (bwrap, seccomp)" in stopped.stderr
    assert "autoresearch init TAG" in stopped.stderr
    lab.write("autoresearch.toml", CONFIG)
    lab.cli("run", "--max", "1")
    assert len(lab.rows()) == 3, "put back, it goes on"


@needs_bwrap
def test_a_jailed_run(make_lab: MakeLab) -> None:
    """Outside of its worktree and scratch a trial finds nothing, and writes nothing."""
    trial = TRIAL + (
        'cat "$HERE/other.txt" 2>/dev/null && echo LEAK\n'
        'echo x > "$HERE/other.txt"\n'  # what is there may be the jail's own /tmp
        "ls .git/ 2>/dev/null && echo LEAK; cat .git >/dev/null && echo pointer\n"
        "test $(ls /proc | grep -c '^[0-9]') -lt 9 || echo LEAK\n"
        "touch mine $HOME/mine && echo written\n"
    )
    lab = make_lab({
        "trial.sh": trial,
        "autoresearch.toml": CONFIG.replace('sandbox = "none"', 'sandbox = "bwrap"').replace(
            "timeout_s = 20", 'timeout_s = 20\nenv_pass = ["HERE"]'
        ),
    })  # fmt: skip
    on_branch(lab)
    done = lab.cli("run", "--max", "2", env={"HERE": str(lab.root)})
    assert done.stdout.startswith("sandbox 4 (bwrap, seccomp)")
    assert lab.statuses() == ["keep"] * 3
    log = (lab.state() / "experiments" / "0001" / "trial.log").read_text()
    assert "LEAK" not in log and "written" in log and "pointer" in log
    assert lab.read("other.txt") == "other\n" and not (lab.root / "mine").exists()


def test_without_a_jail_what_a_trial_did_to_git_is_seen(make_lab: MakeLab) -> None:
    trial = TRIAL + 'test "$AUTORESEARCH_EXPERIMENT" = 0 || echo >> "$HERE/.git/hooks/pre-push"\n'
    config = CONFIG.replace("timeout_s = 20", 'timeout_s = 20\nenv_pass = ["HERE"]')
    lab = make_lab({"trial.sh": trial, "autoresearch.toml": config})
    (lab.root / ".git" / "hooks").mkdir(exist_ok=True)
    stopped = lab.cli("run", "--max", "3", env={"HERE": str(lab.root)}, code=1)
    assert lab.statuses() == ["keep", "crash"], "what comes after is not blamed for it"
    assert "a trial changed" in stopped.stderr and "hooks/pre-push" in stopped.stderr
    shown = lab.cli("show", "1").stdout
    assert "(tampered)" in shown and "hooks/pre-push" in shown


def test_an_exam_is_fixed_by_the_baseline(lab: Lab) -> None:
    lab.cli("run", "--max", "1")
    lab.write("autoresearch.toml", CONFIG.replace("timeout_s = 20", 'timeout_s = 20\nexam = "bpb"'))
    stopped = lab.cli("run", "--max", "1", code=1)
    assert "task.exam changed since the baseline" in stopped.stderr
    assert len(lab.rows()) == 2
