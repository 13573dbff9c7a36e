"""Every call that changes the disk, and every start of git, hit by every fault; and runs with several.

A four-experiment run (keep, discard, a refused proposal, crash, keep with a new file), its branch
checked out, is cut off at call N and taken up again; rows, refs, branch, checkout, files and what the
journal comes to must be those of a run that nothing happened to.

cuts    what a SIGKILL, a power cut and a torn write leave on the disk at call N: taken down call by
        call from one run, put back, gone on from. The same bytes are tried once.
kill    a real SIGKILL of the living processes, launcher and trial among them; the bytes that it leaves
        are those of `cuts`
full    the disk is full from call N on; enospc, edquot: for four calls
eio     call N fails with EIO; eio4: it and the next three
mixed   2 to 7 of them in one run, and results.tsv deleted

Each takes a spread of the calls, and the smoke a look at every mode: tests/sizes.py. FAULTS=all takes
every call in every mode, and goes on to the run's end behind each.
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

from tests.faults import HERE, preloaded
from tests.sizes import ALL, SEVERAL_FAULTS, SMOKE_SPARSER, SPARSER

SHARES = 2  # processes for each sweep
# Of each sweep, the first point and every how manieth; those of a kind fill each other's gaps.
SWEEPS = {
    "cuts": (0, 3),
    "kill": (0, 16),
    "full": (0, 12),
    "enospc": (6, 12),
    "edquot": (1, 24),
    "eio": (0, 16),
    "eio4": (8, 16),
    "mixed": (0, 1),
}


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder in memory where there is one: a sweep writes the same small files ten thousand times."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults-", dir=place) as folder:
        yield Path(folder)


needs_a_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler (cc) to build the fault injector"
)


def sweep(work: Path, mode: str, first: int, step: int) -> tuple[int, int]:
    """Returns how many points a sweep has, and how many of them were tried."""
    (counts,) = sweeps(work, [(mode, first, step)])
    return counts


def sweeps(
    work: Path, wanted: list[tuple[str, int, int]], gates: bool = False
) -> list[tuple[int, int]]:
    """Returns `sweep` of each (mode, first, step): several share one lab and its first run.

    gates: in a lab with judges of its own, of one row more.
    """
    orders = [f"{mode}:{first}:{step}:{SEVERAL_FAULTS}" for mode, first, step in wanted]
    done = subprocess.run(
        [sys.executable, HERE / "driver.py", work, *orders, *(["--gates"] if gates else [])],
        env=preloaded(work), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    starts = [number for number, report in enumerate(reports) if "points" in report]
    assert len(starts) == len(wanted) and all(
        reports[start]["rows"] == 5 + gates for start in starts
    )
    bad = [report for report in reports if report.get("bad")]
    assert not bad, f"{len(bad)} of {len(reports) - len(starts)}: {json.dumps(bad[:3], indent=2)}"
    ends = [*starts[1:], len(reports)]
    return [
        (reports[start]["points"], end - start - 1) for start, end in zip(starts, ends, strict=True)
    ]


@pytest.mark.slow
@needs_a_compiler
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("mode", SWEEPS)
def test_a_run_survives(work: Path, mode: str, share: int) -> None:
    offset, step = (0, 1) if ALL else SWEEPS[mode]
    first, stride = offset + share * step * SPARSER, SHARES * step * SPARSER
    points, tried = sweep(work, mode, first, stride)
    assert tried == len(range(first, points, stride))
    assert tried or (share and SPARSER > 1)  # of a few points all may be the first share's


@pytest.mark.smoke
@needs_a_compiler
def test_a_run_survives_a_look_at_every_mode(work: Path) -> None:
    wanted = [(mode, first, step * SMOKE_SPARSER) for mode, (first, step) in SWEEPS.items()]
    assert all(tried for _, tried in sweeps(work, wanted))


@pytest.mark.slow
@needs_a_compiler
def test_a_disk_that_is_full_three_times_is_not_the_candidates_crash(work: Path) -> None:
    sweep(work, "thrice", 0, 1)


@pytest.mark.slow
@needs_a_compiler
@pytest.mark.parametrize("mode", ["cuts", "kill", "eio"])
def test_a_run_with_judges_of_its_own_survives(work: Path, mode: str) -> None:
    """Between the trial, `evaluate`, the checks and the verdict, too."""
    step = {"cuts": 16, "kill": 64, "eio": 64}[mode] * (1 if ALL else SPARSER)
    ((points, tried),) = sweeps(work, [(mode, 3, step)], gates=True)
    assert tried == len(range(3, points, step))


@pytest.mark.slow
@needs_a_compiler
def test_an_acceptance_survives(work: Path) -> None:
    ((points, tried),) = sweeps(work, [("accept", 0, 1)], gates=True)
    assert points == tried > 10
