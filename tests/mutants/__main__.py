"""`python -m tests.mutants [NAME ...]`: take one safeguard out at a time; the suite must go red each time."""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants import MUTANTS
from tests.mutants.overlay import Mutant, Overlay

_PROCESSES = 2


def main() -> int:
    """Print what survives; exit code 1 where anything does."""
    wanted = [m for m in MUTANTS if not sys.argv[1:] or m.name in sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        shares = [wanted[part::_PROCESSES] for part in range(_PROCESSES)]
        with ThreadPoolExecutor(_PROCESSES) as pool:
            found = pool.map(_share, shares, [Path(folder, str(n)) for n in range(_PROCESSES)])
            survivors = [line for lines in found for line in lines]
    print(
        "\n".join([*survivors, f"{len(wanted) - len(survivors)} of {len(wanted)} mutants killed"])
    )
    return 1 if survivors else 0


def _share(mutants: list[Mutant], folder: Path) -> list[str]:
    if not mutants:
        return []
    overlay = Overlay(folder)
    sound = overlay.test(tuple(sorted({test for mutant in mutants for test in mutant.tests})))
    if sound.returncode != 0:
        return [f"the tests fail without a mutant:\n{sound.stdout[-2000:]}"]
    found = []
    for mutant in mutants:
        said = mutant.fault() or overlay.survives(mutant)
        print(f"{'survives' if said else 'killed  '} {mutant.name}", flush=True)
        found += [said] if said else []
    return found


if __name__ == "__main__":
    sys.exit(main())
