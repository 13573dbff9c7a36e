"""A command that is run warm does what a cold one does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests import warm
from tests.conftest import Lab

RESULTS = (
    "commit\tval_bpb\tmemory_gb\tstatus\tdescription\nabc1234\t1.5\t1.0\tkeep\tthe bäseline"
    + " of many words" * 5
    + "\n"
)


def both(
    *arguments: str, cwd: Path, env: dict[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    cold, hot = (
        warm.run(arguments, cwd=cwd, env=env, stdin=stdin, cold=cold) for cold in (True, False)
    )
    assert (cold.returncode, cold.stdout, cold.stderr) == (hot.returncode, hot.stdout, hot.stderr)
    return hot


@pytest.mark.slow
def test_words_exit_codes_folders_and_variables_are_the_same(lab: Lab, tmp_path: Path) -> None:
    env = dict(os.environ)
    for _ in range(3):  # from then on there is a server
        assert warm.run(["--version"], cwd=tmp_path, env=env).returncode == 0
    assert warm.cpu_s > 0
    assert both("--version", cwd=tmp_path, env=env).stdout
    assert both("status", cwd=lab.root, env=env).returncode == 0
    assert both("status", cwd=tmp_path, env=env).returncode == 1
    assert both("--nonsense", cwd=lab.root, env=env).returncode == 2
    (tmp_path / "results.tsv").write_text(RESULTS)
    report = both("report", "--file", "results.tsv", cwd=tmp_path, env=env).stdout
    assert "the bäseline".encode() in report
    wide, narrow = (both("--help", cwd=tmp_path, env={**env, "COLUMNS": n}) for n in ("200", "40"))
    assert wide.stdout != narrow.stdout
    assert both("status", cwd=lab.root, env=env).returncode == 0, "no variable stays"
    assert (
        both("report", cwd=lab.root, env={**env, "LC_ALL": "C", "PYTHONUTF8": "0"}).returncode == 0
    )


@pytest.mark.slow
def test_what_takes_too_long_is_killed(lab: Lab) -> None:
    lab.write("propose.sh", "sleep 600\n")
    lab.commit()
    env = dict(os.environ)
    for _ in range(3):
        warm.run(["--version"], cwd=lab.root, env=env)
    with pytest.raises(subprocess.TimeoutExpired):
        warm.run(["run", "--allow-unsandboxed"], cwd=lab.root, env=env, timeout_s=3)
    lab.write("propose.sh", "exit 1\n")
    lab.cli("status")
