"""What `autoresearch --help` costs in CPU, beside an interpreter that does nothing.

python -m benchmarks.startup
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

TIMES = 10


def cpu_s(*command: str, times: int = TIMES) -> float:
    """Returns the median CPU seconds of a command."""
    spent = []
    for _ in range(times + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(spent[1:])  # the first one compiles and warms the disk's cache


def main() -> None:
    ours = cpu_s(sys.executable, "-m", "autoresearch", "--help")
    bare = cpu_s(sys.executable, "-c", "pass")
    print(f"autoresearch --help {ours:.3f} s of CPU, python -c pass {bare:.3f} s", end="")
    print(f", ratio {ours / bare:.1f} (median of {TIMES})")


if __name__ == "__main__":
    main()
