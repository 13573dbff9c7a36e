"""Every call that changes the disk, and every start of git, hit once by SIGKILL and once by a full disk.

A four-experiment run (keep, discard, a refused proposal, crash, keep with a new file), its branch
checked out, is cut off at call N and resumed; the rows, refs, branch, checkout and files must be those
of a run that nothing happened to. All N, in two processes for each fault; FAULTS=N takes every Nth.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import FULL, KILL, SIZE

HERE = Path(__file__).parent / "faults"
STEP = int(os.environ.get("FAULTS", "1"))
PROCESSES = 2


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder in memory where there is one: a sweep writes the same small files ten thousand times."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults-", dir=place) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler (cc) to build the fault injector"
)
@pytest.mark.parametrize("share", range(PROCESSES))
@pytest.mark.parametrize("mode", [KILL, FULL], ids=["kill", "disk-full"])
def test_a_run_survives_a_fault_at_every_call(work: Path, mode: int, share: int) -> None:
    library = work / "shim.so"
    subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-o", library, HERE / "shim.c", "-ldl"], check=True
    )
    (work / "state").write_bytes(bytes(SIZE))
    env = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAULT_STATE": str(work / "state"),
        "TMPDIR": str(work),
    }
    done = subprocess.run(
        [
            sys.executable,
            HERE / "driver.py",
            work / "labs",
            str(mode),
            str(share * STEP),
            str(PROCESSES * STEP),
        ],
        env=env,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, *hit = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["rows"].count("\n") == 6
    assert len(hit) == len(range(share * STEP, first["points"], PROCESSES * STEP)) > 0
    bad = [report for report in hit if report["bad"]]
    assert not bad, json.dumps(bad[:3], indent=2)
