"""A kill kills in each kind of jail: daemons, forks without end, a supervisor that is killed itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.jailed import KINDS, jail_of, python_places
from tests.labs import eventually, kill, running
from tests.ratchet.test_trial import HITS_THE_LAUNCHER, HUNDRED, NASTY, One

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bwrap and Landlock are Linux's")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    jail_of(request.param)
    return str(request.param)


def jailed(folder: Path, kind: str, script: str, *arguments: str, **given: Any) -> One:
    readable = [str(place) for place in python_places()]
    return One(folder, script, *arguments, jail=kind, readable=readable, **given)


@pytest.mark.slow
def test_a_trial_that_ignores_term_and_hops_pids_leaves_nothing(tmp_path: Path, kind: str) -> None:
    hops = ("0", "0.001", "0.001")
    trials = [jailed(tmp_path / f"{n}", kind, NASTY, hop_s, "stay") for n, hop_s in enumerate(hops)]
    for trial in trials:
        outcome = trial.outcome()
        assert outcome["timed_out"], trial.log.read_text()


def test_daemons_are_gone_when_a_trial_ends_by_itself(tmp_path: Path, kind: str) -> None:
    hopping = jailed(tmp_path / "hopping", kind, NASTY, "0.001", "leave", timeout_s=60)
    many = jailed(tmp_path / "many", kind, HUNDRED, "closed", timeout_s=60)
    for trial in (hopping, many):
        outcome = trial.outcome()
        assert outcome["exit_code"] == 0 and not outcome["timed_out"], trial.log.read_text()


def test_a_trial_dies_with_its_supervisor(tmp_path: Path, kind: str) -> None:
    trials = [
        jailed(tmp_path / f"{n}", kind, NASTY, "0.001", "stay", timeout_s=600) for n in range(3)
    ]
    for trial in trials:
        eventually(lambda trial=trial: trial.log.exists() and trial.log.stat().st_size, 30)
        kill(trial.process)
    for trial in trials:
        eventually(lambda trial=trial: not running(trial.mark))


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_whenever_it_comes(tmp_path: Path, kind: str) -> None:
    """Also while the jail is being made, when a TERM of ours could meet its own processes."""
    script = "import time\ntime.sleep(600)\n"
    trials = [
        jailed(tmp_path / f"{n}", kind, script, timeout_s=600, stop_after_s=stop_after_s)
        for n, stop_after_s in enumerate((0.0, 0.02, 0.05, 0.1, 0.5))
    ]
    for trial in trials:
        outcome = trial.outcome()
        assert outcome["interrupted"] and outcome["exit_code"] is None


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGSTOP"])
def test_a_jailed_trial_can_not_harm_its_launcher(tmp_path: Path, kind: str, signal: str) -> None:
    script = HITS_THE_LAUNCHER.replace(
        "os.kill(launcher, getattr(signal, sys.argv[1]))",
        "try: os.kill(launcher, getattr(signal, sys.argv[1]))\n"
        "except PermissionError: print('refused')",
    )
    one = jailed(tmp_path / "one", kind, script, signal, "0", timeout_s=60)
    outcome = one.outcome()
    assert not outcome["launcher_killed"] and outcome["exit_code"] == 0
    # in bwrap's jail its parent is the first process of its own small world, deaf to it
    assert ("refused" in one.log.read_text()) == (kind == "landlock")
