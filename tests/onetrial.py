"""One trial under a supervisor of its own: a specification on standard input, its outcome printed.

With "stop_after_s" it is stopped as by Ctrl-C. "jail" is bwrap or landlock; "readable" is then what
it may read besides its folder.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from autoresearch.runners.base import TrialSpec
from autoresearch.runners.hygiene import harden
from autoresearch.runners.local import LocalRunner
from autoresearch.sandbox.access import Access
from autoresearch.sandbox.jail import find_bwrap, find_landlock


def main() -> None:
    given = json.loads(sys.stdin.readline())
    harden()
    jail = {"bwrap": find_bwrap, "landlock": find_landlock}.get(given.get("jail"), lambda: None)()
    confinement, cwd = None, Path(given["cwd"])
    if jail:
        access = Access(tuple(map(Path, given["readable"])), (cwd,))
        confinement = jail.confinement(access, cwd)
    spec = TrialSpec(
        tuple(tuple(command) for command in given["commands"]),
        cwd,
        given["env"],
        Path(given["log"]),
        given["timeout_s"],
        confinement=confinement,
    )
    trial = LocalRunner().start(spec)
    began = time.monotonic()
    stop_after_s = given.get("stop_after_s", 1e9)
    outcome = trial.run(lambda: time.monotonic() - began > stop_after_s)
    print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main()
