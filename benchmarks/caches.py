"""What it costs to lay out the caches of compilers for a trial, against a whole copy.

    python -m benchmarks.caches [--megabytes 300] [--files 3000] [--folder DIR]

A trial that compiled something of its own adds files and takes the locks of others, as torch's
inductor does; its caches are then put right (`restored`), or removed and copied (`copied`, by
shutil.copytree, and `anew`, which shares blocks where the file system can). They take turns.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from autoresearch.ratchet.compiled import CompiledCaches
from autoresearch.workspace.removal import remove

ROUNDS = 5
ADDED, LOCKS = 60, 20


def fill(folder: Path, files: int, megabytes: int) -> None:
    """Makes caches as they are: many small files and a few large ones, in folders by two letters."""
    large = files // 50
    for n in range(files):
        size = (megabytes << 20) // 2 // large if n < large else (megabytes << 20) // 2 // files
        file = folder / "inductor" / f"{n % 256:02x}" / f"{n}.so"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(4096) * (size // 4096 + 1))
    for n in range(LOCKS):
        lock = folder / "inductor" / "locks" / f"{n}.lock"
        lock.parent.mkdir(exist_ok=True)
        lock.touch()


def trial(live: Path) -> None:
    """Changes caches as a candidate with a block of its own does."""
    for n in range(ADDED):
        file = live / "inductor" / f"{n:02x}" / f"own-{n}.so"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(50_000))
    for n in range(LOCKS):
        (live / "inductor" / "locks" / f"{n}.lock").open("w").close()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Returns the seconds of some work, and its processor time."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    took: dict[str, list[tuple[float, float]]] = {"copied": [], "anew": [], "restored": []}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        live, baseline = Path(name) / "compiled", Path(name) / "compiled.baseline"
        caches = CompiledCaches(live, baseline)
        fill(live, given.files, given.megabytes)
        caches.keep(Path("/nowhere"))

        def copied() -> None:
            remove(live)
            shutil.copytree(baseline, live, symlinks=True)

        caches.lay_out()
        for _ in range(ROUNDS):
            trial(live)
            took["copied"].append(timed(copied))
            trial(live)
            took["anew"].append(timed(lambda: caches.lay_out(anew=True)))
            trial(live)
            took["restored"].append(timed(caches.lay_out))
    print(
        f"{given.megabytes} MB in {given.files} files, {ADDED} added and {LOCKS} written by a trial"
    )
    whole = statistics.median(seconds for seconds, _ in took["copied"])
    for how, each in took.items():
        seconds = statistics.median(seconds for seconds, _ in each)
        cpu_s = statistics.median(cpu for _, cpu in each)
        print(f"{how:9} {seconds:.3f} s, CPU {cpu_s:.3f} s, {seconds / whole:.2f} of the copy")


if __name__ == "__main__":
    main()
