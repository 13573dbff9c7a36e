"""`python -m tests.mutants [NAME ...]`: take one safeguard out at a time; the suite must go red each time."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants import MUTANTS
from tests.mutants.overlay import Mutant, Overlay

_PROCESSES = 2


def survivors(mutants: Sequence[Mutant]) -> list[str]:
    """What is wrong with each of the mutants that no test missed; prints how each fared."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        shares = [mutants[part::_PROCESSES] for part in range(_PROCESSES)]
        with ThreadPoolExecutor(_PROCESSES) as pool:
            found = pool.map(_share, shares, [Path(folder, str(n)) for n in range(_PROCESSES)])
            return [line for lines in found for line in lines]


def _share(mutants: Sequence[Mutant], folder: Path) -> list[str]:
    if not mutants:
        return []
    overlay = Overlay(folder)
    for env, group in itertools.groupby(sorted(mutants, key=_env), _env):
        sound = overlay.test(tuple(sorted({test for each in group for test in each.tests})), env)
        if sound.returncode != 0:
            return [f"the tests fail without a mutant:\n{sound.stdout[-2000:]}{sound.stderr}"]
    return list(_surviving(mutants, overlay))


def _env(mutant: Mutant) -> tuple[tuple[str, str], ...]:
    return mutant.env


def _surviving(mutants: Sequence[Mutant], overlay: Overlay) -> Iterator[str]:
    for mutant in mutants:
        fault, began = mutant.fault(), time.monotonic()
        verdict, said = ("survives", fault) if fault else overlay.judge(mutant)
        shown = "" if verdict == "survives" else f": {said.strip()}"
        print(f"{verdict:<8} {time.monotonic() - began:4.0f} s  {mutant.name}{shown}", flush=True)
        if verdict == "survives":
            yield f"{mutant.name} survives:\n{said}"


def main() -> int:
    """Exit code 1 where anything survives."""
    wanted = [m for m in MUTANTS if not sys.argv[1:] or m.name in sys.argv[1:]]
    found = survivors(wanted)
    print("\n".join([*found, f"{len(found)} of {len(wanted)} mutants survive"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
