"""How long each test takes, and which of them must be marked `slow`.

Who else uses the machine makes every test's wall time longer, so a test is charged with what it took
itself: the CPU seconds of this process and of the children that it waited for or, where that is more,
the wall time less the time in which something on the machine waited for a core or for the disk, as
Linux counts it (/proc/pressure). That is what a test that sleeps takes on a quiet machine. Where nothing
counts it, the CPU seconds are all.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import warm

MARK_S = 5.0  # what takes longer is marked `slow`
LIMIT_S = 15.0  # what takes longer and isn't marked fails
EXEMPT = ("slow", "smoke")
_PRESSURE = Path("/proc/pressure")
_ALONE = "TEST_TRIED_ALONE"  # set in the second try of a test, which looks for no third


@dataclass(frozen=True)
class Reading:
    """The clocks at one moment, in seconds.

    cpu_s: of this process, the children that it has waited for and the commands that were run warm.
    contended_s: while something on this machine waited for a core or the disk; None where the kernel
    doesn't say.
    """

    wall_s: float
    cpu_s: float
    contended_s: float | None

    @classmethod
    def now(cls) -> Reading:
        """Returns the clocks as they stand."""
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu_s = sum(each.ru_utime + each.ru_stime for each in used) + warm.cpu_s
        return cls(time.monotonic(), cpu_s, _contended_s())

    def since(self, earlier: Reading) -> float:
        """Returns the seconds that what ran from the earlier reading on took itself."""
        cpu_s = self.cpu_s - earlier.cpu_s
        if self.contended_s is None or earlier.contended_s is None:
            return cpu_s
        wall_s = self.wall_s - earlier.wall_s
        return max(cpu_s, wall_s - (self.contended_s - earlier.contended_s))


def _contended_s() -> float | None:
    """Returns how long something has waited for a core or for the disk since the machine started."""
    try:
        told = [(_PRESSURE / name).read_text() for name in ("cpu", "io")]
    except OSError:  # not Linux, or a kernel built or started without it
        return None
    found = [re.search(r"^some .*\btotal=(\d+)", text, re.MULTILINE) for text in told]
    return sum(int(each[1]) for each in found if each) / 1e6


class Speeds:
    """A plugin of pytest's that fails a run with a test of more than limit_s which isn't marked.

    Such a test is tried once more at the run's end, alone, and the second try decides: on a machine
    of others a single pause of twenty seconds is nothing that a test can help. At the end of a run
    the unmarked tests of more than mark_s are named too. It works in pytest-xdist's workers and in
    their controller: a worker hands over a test's seconds in its report.
    """

    def __init__(self, mark_s: float = MARK_S, limit_s: float = LIMIT_S) -> None:
        self._mark_s, self._limit_s = mark_s, limit_s
        self._began = Reading.now()
        self._failed: set[str] = set()
        self._took_s: dict[str, float] = {}
        self._too_long: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        self._began = Reading.now()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "teardown" and not any(map(item.get_closest_marker, EXEMPT)):
            report.user_properties.append(("took_s", Reading.now().since(self._began)))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        took: dict[str, Any] = dict(report.user_properties)
        if report.failed:
            self._failed.add(report.nodeid)
        elif "took_s" in took and report.nodeid not in self._failed:
            self._took_s[report.nodeid] = took["took_s"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workerinput") or _ALONE in os.environ:
            return
        for name, first_s in self._took_s.items():
            if first_s > self._limit_s:
                again_s = _alone(session.config, name)
                if again_s > self._limit_s:
                    self._too_long[name] = min(first_s, again_s)
        if self._too_long and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        unmarked = {name: took for name, took in self._took_s.items() if took > self._mark_s}
        if unmarked:
            terminalreporter.section(f"more than {self._mark_s:g} s, and not marked slow")
            for name, took_s in sorted(unmarked.items()):
                terminalreporter.line(f"{took_s:5.1f} s  {name}")
        for name, took_s in sorted(self._too_long.items()):
            terminalreporter.line(
                f"TOO LONG {name} took {took_s:.0f} s by itself, twice, and only a test that is marked"
                f" may take more than {self._limit_s:g}: make it quicker, or mark it with"
                " @pytest.mark.slow, which keeps it out of `make test`",
                red=True,
            )


def _alone(config: pytest.Config, name: str) -> float:
    """Returns the seconds that the test takes in a pytest of its own, with nothing beside it."""
    began = Reading.now()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider",
         *(["-c", str(config.inipath)] if config.inipath else ["-c", os.devnull]),
         "--rootdir", str(config.rootpath), name],
        cwd=config.rootpath, env={**os.environ, _ALONE: "1"}, stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return Reading.now().since(began)
