"""What the ratchet costs per experiment, with a trial and a model that take no time.

    python -m benchmarks.overhead [--experiments 124]

The real command line asks the provider's real SDK, which talks to a server on loopback; the trial
is a script that prints its metric and ends. From each verdict to the next, taken from the journal's
own clock, less a bare run of the same script, measured in the same minute.
"""

from __future__ import annotations

import argparse
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
from pathlib import Path

from tests.labs import make_lab, swap
from tests.loopback import Loopback, Text

TRAIN = (
    "VALUE = 0\n" + "# a line of a longer script\n" * 600 + 'print("val_bpb:", 2 - VALUE / 1e6)\n'
)


def answers() -> Iterator[Text]:
    """One change in five is better, as on a good night."""
    best = 0
    for n in itertools.count(1):
        new = n if n % 5 == 0 else -n
        yield Text(swap(f"experiment {n}", f"VALUE = {best}", f"VALUE = {new}"))
        best = max(best, new)


def timed(work: Callable[[], object], times: int) -> float:
    """The mean seconds of some work."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=124)
    count = parser.parse_args().experiments
    with tempfile.TemporaryDirectory() as name, Loopback(answers()) as server:
        folder = Path(name)
        lab = make_lab(folder / "night", TRAIN, researcher='kind = "anthropic"')
        env = {"ANTHROPIC_API_KEY": "sk-test-0123456789", "ANTHROPIC_BASE_URL": server.url}
        lab.cli("baseline")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        lab.cli("run", "--max", str(count), timeout_s=3600, **env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        ends = [record["at"] for record in lab.records("result")]
        asked = lab.records("ask")[0]["at"]
        seconds = [b - a for a, b in itertools.pairwise([asked, *ends[1:]])]
        assert len(seconds) == count

        script, probe = lab.root / "train.py", folder / "probe"

        def bare() -> None:
            with probe.open("w") as log:
                subprocess.run([sys.executable, script], stdout=log, check=True)

        def synced() -> None:
            with probe.open("w") as file:
                file.write("x")
                file.flush()
                os.fsync(file.fileno())

        trial_s = timed(bare, count)
        git_s = timed(lambda: lab.git("rev-parse", "HEAD"), 50)
        fsync_s = timed(synced, 50)
    over = [each - trial_s for each in seconds]
    tenth = max(1, count // 10)
    first, last = statistics.mean(over[:tenth]), statistics.mean(over[-tenth:])
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{count} experiments: {statistics.mean(over):.3f} s of overhead each", end="")
    print(f" (median {statistics.median(over):.3f}, worst {max(over):.3f})")
    print(f"first tenth {first:.3f} s, last tenth {last:.3f} s, ratio {last / first:.2f}")
    print(f"CPU of the whole run {cpu_s:.1f} s, {cpu_s / count:.3f} s each, trials included")
    print(f"a bare trial {trial_s:.3f} s, one git command {git_s * 1e3:.1f} ms", end="")
    print(f", one fsync {fsync_s * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
