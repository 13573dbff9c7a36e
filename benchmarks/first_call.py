"""What `autoresearch run` takes of CPU until it asks its model, beside the import of that model's SDK.

    python -m benchmarks.first_call [--times 5]

The real command line asks the provider's real SDK, which talks to a server on loopback. The CPU
seconds are those of the process and of all that it has started, the baseline's trial included, when
the first request comes in; then it is stopped.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.startup import cpu_s
from tests.labs import make_lab
from tests.loopback import Loopback, Stall

TRAIN = 'print("val_bpb: 2.0")\n'


def spent_s(pid: int) -> float:
    """Returns the CPU seconds of a process, of the children that it has waited for, and of the living."""
    ticks = 0
    for stat in _stats(pid):
        ticks += sum(int(field) for field in stat[11:15])  # user, system, and both of the children
    return ticks / os.sysconf("SC_CLK_TCK")


def _stats(pid: int) -> Iterator[list[str]]:
    """Yields the fields behind the name in /proc/PID/stat, of a process and of all below it."""
    parents: dict[int, list[tuple[int, list[str]]]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append((int(file.parent.name), fields))
        if int(file.parent.name) == pid:
            yield fields
    below = parents.get(pid, [])
    while below:
        each, fields = below.pop()
        yield fields
        below += parents.get(each, [])


def first_call_s(folder: Path, kind: str) -> float:
    """Returns the CPU seconds from `run`, in a new lab, to the first request for an answer."""
    lab = make_lab(folder, TRAIN, researcher=f'kind = "{kind}"')
    with Loopback([Stall(60)]) as server:
        url = server.url + ("/v1" if kind == "openai" else "")
        key = {f"{kind.upper()}_API_KEY": "sk-test-0123456789", f"{kind.upper()}_BASE_URL": url}
        process = lab.spawn("run", **key)
        while not server.requests and process.poll() is None:
            time.sleep(0.005)
        if process.poll() is not None:
            raise SystemExit(lab.printed.read_text())
        spent = spent_s(process.pid)
        process.kill()
        process.wait()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    for kind in ("anthropic", "openai"):
        load_s = cpu_s(sys.executable, "-c", f"import {kind}", times=times)
        with tempfile.TemporaryDirectory() as name:
            ours_s = [first_call_s(Path(name) / str(n), kind) for n in range(times + 1)]
        whole_s = statistics.median(ours_s[1:])
        print(
            f"{kind}: {whole_s:.2f} s of CPU to the first call, import of the SDK {load_s:.2f} s",
            end="",
        )
        print(f", ratio {whole_s / load_s:.2f} (median of {times})", flush=True)


if __name__ == "__main__":
    main()
