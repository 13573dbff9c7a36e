"""The tool's own helpers: programs that are run aside to their end, and leave nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoresearch.records import Outcome
from autoresearch.runners import launcher, process
from autoresearch.runners.base import Identity
from autoresearch.runners.local import LocalRunner
from autoresearch.runners.log import last_line
from tests.labs import eventually, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def run(folder: Path, script: str, timeout_s: float = 30, **given: object) -> Outcome:
    """A Python script, run aside in a folder, with a log beside it."""
    return process.run(
        [sys.executable, "-c", script],
        cwd=folder, env={"PATH": os.environ["PATH"], "MINE": "yes"}, log=folder / "log",
        timeout_s=timeout_s, stopping=given.pop("stopping", lambda: False), **given,
    )  # type: ignore[arg-type]  # fmt: skip


def test_it_runs_where_it_is_told_with_what_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of an earlier one\n")
    (tmp_path / "input").write_text("a prompt")
    read, write = os.pipe()
    script = (
        f"import os, sys; os.write({write}, b'through'); print(os.getcwd(), sys.stdin.read());"
        "print(sorted(n for n in os.environ if n != 'LC_CTYPE')); sys.exit(3)"
    )
    outcome = run(tmp_path, script, stdin=tmp_path / "input", descriptors=(write,))
    os.close(write)
    assert outcome.exit_code == 3 and outcome.survivors == 0
    assert (tmp_path / "log").read_text() == f"{tmp_path} a prompt\n['MINE', 'PATH', 'PWD']\n"
    assert os.read(read, 64) == b"through"
    os.close(read)


def test_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) is None
    log.write_bytes(b"")
    assert last_line(log) is None
    log.write_bytes(b"first\nbar 1\rbar 2 \x1b[31mred\x1b[0m\n\n  \n")
    assert last_line(log) == "bar 2 red"
    assert last_line(log, 3) == "red"


DAEMON = """\
import os, time
if not os.fork():
    os.setsid()
    time.sleep(600)
print("begun", flush=True)
time.sleep(SECONDS)
"""


@pytest.mark.parametrize("how", ["deadline", "stopped", "ended"])
def test_it_is_killed_with_all_that_it_started(tmp_path: Path, how: str) -> None:
    mark = f"helper-{how}-{time.monotonic_ns()}"
    script = f"# {mark}\n{DAEMON.replace('SECONDS', '0' if how == 'ended' else '600')}"
    began = time.monotonic()
    outcome = run(
        tmp_path, script, timeout_s=1 if how == "deadline" else 60,
        stopping=lambda: how == "stopped" and time.monotonic() - began > 0.5,
    )  # fmt: skip
    assert (outcome.timed_out, outcome.interrupted) == (how == "deadline", how == "stopped")
    assert running(mark) == [] and outcome.survivors == 0


def test_who_is_told_of_it_before_it_begins_can_find_it_again(tmp_path: Path) -> None:
    mark = f"helper-told-{time.monotonic_ns()}"
    told: list[Identity] = []

    class Broken(Exception):
        pass

    def started(identity: Identity) -> None:
        # Its command line is not there yet when it has just been started.
        assert eventually(lambda: running(mark) == [identity["pid"]]), "its launcher alone"
        told.append(identity)
        raise Broken

    with pytest.raises(Broken):
        run(tmp_path, f"# {mark}", started=started)
    assert len(told) == 1 and not (tmp_path / "log").exists()
    assert eventually(lambda: not running(mark)), "what breaks before the start leaves nothing"
    LocalRunner().clean_up(told[0])


def test_a_program_that_is_not_there_is_an_exit_code(tmp_path: Path) -> None:
    outcome = process.run(
        ["no-such-program"], cwd=tmp_path, env={}, log=tmp_path / "log", timeout_s=5,
        stopping=lambda: False,
    )  # fmt: skip
    assert outcome.exit_code == 127
    assert last_line(tmp_path / "log") == "no-such-program: No such file or directory"


def test_what_runs_beside_a_helper_lives_on(tmp_path: Path) -> None:
    """Where a launcher was killed the supervisor sweeps below itself, and spares its own children."""
    mark = f"beside-{time.monotonic_ns()}"
    beside = subprocess.Popen(["sh", "-c", "sleep 600 & wait"], env={**os.environ, "MARK": mark})
    try:
        eventually(lambda: len(running(mark)) == 2)
        outcome = run(tmp_path, "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")
        assert outcome.launcher_killed and outcome.survivors == 0
        assert len(running(mark)) == 2
    finally:
        launcher.send(running(mark), signal.SIGKILL)
        beside.wait()
