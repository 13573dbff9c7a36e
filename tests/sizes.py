"""How much is tried of the families of tests that take long, at each of the three speeds.

`make test`     of each family a `smoke`
`make ci`       of each family a spread, the same each time, so that a red suite is a change's doing
`make nightly`  all of each, by FAULTS=all

FAULTS=8, or another number, thins the sweeps of faults: each takes every 8th point of its spread, and
every fourth by default. Every fourth cheat is played, at one level of the jail; with FAULTS=all, all at each.
"""

from __future__ import annotations

import os

_FAULTS = os.environ.get("FAULTS") or "4"
ALL = _FAULTS == "all"

SPARSER = 1 if ALL else int(_FAULTS)  # the step over the points of a sweep's spread
SEVERAL_FAULTS = 500 if ALL else 20  # runs with two to seven faults each
NIGHTS, STEPS = (500, 40) if ALL else (12, 20)  # of a careless person on a failing machine
SEEDS = 5 if ALL else 1  # trainings of each honest model
SPOILT_ANSWERS = 100_000 if ALL else 10_000  # good answers of a model, spoilt at random
EVERY_MUTANT = 30  # of `make ci`; `python -m tests.mutants` tries all

SMOKE_SPARSER = 25
SMOKE_NIGHTS = 4
SMOKE_SPOILT_ANSWERS = 500
