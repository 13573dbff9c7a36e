"""What the ratchet costs per experiment, with a trial and a model that take no time.

    python -m benchmarks.overhead [--experiments 62] [--rounds 2] [--sandbox none bwrap]
        [--imports argparse,dataclasses,json,statistics]

The real command line asks the provider's real SDK, which talks to a server on loopback; the trial is
a script that imports what it is told to, prints its metric and ends. Each sandbox has a lab of its
own, and they take turns. What a call of `run` costs beyond its experiments is measured by a call of
one experiment, and taken off. Seconds go from each verdict to the next, by the journal's own clock,
less a bare run of the same script; processor time is that of the whole call, trials included.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.labs import Lab, make_lab, swap
from tests.loopback import Loopback, Text

TRAIN = (
    "VALUE = 0\n" + "# a line of a longer script\n" * 600 + 'print("val_bpb:", 2 - VALUE / 1e6)\n'
)


def answers() -> Iterator[Text]:
    """Yields changes of which one in five is better, as on a good night."""
    best = 0
    for n in itertools.count(1):
        new = n if n % 5 == 0 else -n
        yield Text(swap(f"experiment {n}", f"VALUE = {best}", f"VALUE = {new}"))
        best = max(best, new)


def timed(work: Callable[[], object], times: int) -> float:
    """Returns the mean seconds of some work."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


@dataclass
class Night:
    """A run in one sandbox, and what its experiments took so far."""

    sandbox: str
    lab: Lab
    server: Loopback
    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)  # per experiment, one number per round

    def run(self, count: int) -> float:
        """Tries `count` proposals; returns the processor time of the call."""
        env = {"ANTHROPIC_API_KEY": "sk-test-0123456789", "ANTHROPIC_BASE_URL": self.server.url}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.lab.cli("run", "--max", str(count), timeout_s=3600, **env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def round(self, count: int) -> None:
        one = self.run(1)
        self.cpu_s.append((self.run(1 + count) - one) / count)
        ends = [record["at"] for record in self.lab.records("result")][-count - 1 :]
        self.seconds += [b - a for a, b in itertools.pairwise(ends)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=62)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--sandbox", nargs="+", default=["none", "bwrap"])
    parser.add_argument("--imports", default="sys")
    given = parser.parse_args()
    count = given.experiments
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        nights = []
        for sandbox in given.sandbox:
            rest = f'[runner]\nsandbox = "{sandbox}"'
            train = f"import {given.imports}\n{TRAIN}"
            lab = make_lab(folder / sandbox, train, "", 'kind = "anthropic"', rest)
            lab.cli("baseline")
            nights.append(Night(sandbox, lab, stack.enter_context(Loopback(answers()))))
        for _ in range(given.rounds):
            for night in nights:
                night.round(count)
        script, probe = nights[0].lab.root / "train.py", folder / "probe"

        def bare() -> None:
            with probe.open("w") as log:
                subprocess.run([sys.executable, script], stdout=log, check=True)

        def synced() -> None:
            with probe.open("w") as file:
                file.write("x")
                file.flush()
                os.fsync(file.fileno())

        trial_s = timed(bare, 50)
        git_s = timed(lambda: nights[0].lab.git("rev-parse", "HEAD"), 50)
        fsync_s = timed(synced, 50)
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"a bare trial {trial_s:.3f} s, one git command {git_s * 1e3:.1f} ms", end="")
    print(f", one fsync {fsync_s * 1e3:.2f} ms")
    tenth = max(1, count // 10)
    for night in nights:
        over = [each - trial_s for each in night.seconds]
        grown = statistics.mean(over[-tenth:]) / statistics.mean(over[:tenth])
        print(
            f"{night.sandbox}: {len(over)} experiments, {statistics.mean(over):.3f} s each", end=""
        )
        print(
            f" (median {statistics.median(over):.3f}, worst {max(over):.3f}; the last tenth", end=""
        )
        print(
            f" {grown:.2f} x the first), CPU {statistics.mean(night.cpu_s):.3f} s each, rounds ",
            end="",
        )
        print(" ".join(f"{each:.3f}" for each in night.cpu_s))
    first, *others = nights
    for night in others:
        ratio = statistics.mean(first.cpu_s) / statistics.mean(night.cpu_s)
        print(f"CPU {first.sandbox} / {night.sandbox}: {ratio:.2f}")


if __name__ == "__main__":
    main()
