"""`python -m tests.mutants [NAME ...]`: take one safeguard out at a time; the suite must go red each time."""

from __future__ import annotations

import itertools
import operator
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants import MUTANTS
from tests.mutants.overlay import Mutant, Overlay

_PROCESSES = 2

Sound = tuple[tuple[tuple[str, str], ...], str]  # variables and a test


def survivors(mutants: Sequence[Mutant]) -> list[str]:
    """What is wrong with each of the mutants that no test missed; prints how each fared."""
    sound = sorted({(mutant.env, test) for mutant in mutants for test in mutant.tests})
    parts = range(_PROCESSES)
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        ThreadPoolExecutor(_PROCESSES) as pool,
    ):
        found = pool.map(
            _share,
            [mutants[part::_PROCESSES] for part in parts],
            [sound[part::_PROCESSES] for part in parts],
            [Path(folder, str(part)) for part in parts],
        )
        return [line for lines in found for line in lines]


def _share(mutants: Sequence[Mutant], sound: Sequence[Sound], folder: Path) -> list[str]:
    """Half of the mutants, behind half of the tests without a mutant: the copies are the same."""
    if not mutants:
        return []
    overlay = Overlay(folder)
    for env, group in itertools.groupby(sound, operator.itemgetter(0)):
        done = overlay.test(tuple(test for _, test in group), env)
        if done.returncode != 0:
            return [f"the tests fail without a mutant:\n{done.stdout[-2000:]}{done.stderr}"]
    return list(_surviving(mutants, overlay))


def _surviving(mutants: Sequence[Mutant], overlay: Overlay) -> Iterator[str]:
    for mutant in mutants:
        fault, began = mutant.fault(overlay.folder), time.monotonic()
        verdict, said = ("survives", fault) if fault else overlay.judge(mutant)
        shown = "" if verdict == "survives" else f": {said.strip()}"
        print(f"{verdict:<8} {time.monotonic() - began:4.0f} s  {mutant.name}{shown}", flush=True)
        if verdict == "survives":
            yield f"{mutant.name} survives:\n{said}"


def main() -> int:
    """Exit code 1 where anything survives, 2 for names that none has."""
    wanted = [m for m in MUTANTS if not sys.argv[1:] or m.name in sys.argv[1:]]
    if not wanted:
        print("no mutant has such a name")
        return 2
    found = survivors(wanted)
    print("\n".join([*found, f"{len(found)} of {len(wanted)} mutants survive"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
