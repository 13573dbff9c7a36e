"""All cheats, the order in which they are tried, and those of the catalogue that are not run here."""

from __future__ import annotations

from tests.cheats import answers, budgets, leaks, memories, models, scores, system
from tests.cheats.cheat import KEPT, NONE, Cheat

# What is really better is still kept, after all that was tried before it.
BETTER = Cheat("0", "an honest gain", "", (KEPT,), swap=(("RATE = 200.0", "RATE = 230.0"),))

FAMILIES: tuple[tuple[Cheat, ...], ...] = tuple(
    tuple(family.CHEATS) for family in (answers, scores, models, leaks, memories, system, budgets)
)
CHEATS: tuple[Cheat, ...] = tuple(cheat for family in FAMILIES for cheat in family)

NOT_RUN = {
    "28": "seed hunting: a matter of chance; the tool sets the seed, and no rule weighs a gain against noise",
    "29": "fitting hundreds of runs to one validation text: takes hundreds of runs",
    "34": "other GPUs: needs several",
    "38": "a GPU left in a bad state: needs one",
}

# By what they gain, the smallest first: where one is kept, the next one is measured by it.
BY_GAIN = (
    "23r", "0", "53", "20d", "5b", "5c", "17c", "30b", "26", "17b", "25b", "31", "23f", "39b",
)  # fmt: skip
# What these leave behind, where nothing stops them, every trial after them is blamed for.
LASTING = ("pth", "hook", "fsmonitor")


def tried_at(
    level: int, levels: list[int], everything: bool
) -> tuple[tuple[Cheat, ...], tuple[Cheat, ...]]:
    """The cheats of a level: those of one run, and those that need a session each.

    levels: those that this machine has. everything: a cheat that the jail has a part in is tried at
    each; else every fourth cheat at one of them, and none where nothing stops it. Cheats that no jail
    has a part in are spread over those with one: without, each trial compiles all that it imports.
    """
    jailed = [each for each in levels if each != NONE] or levels
    mine = []
    for n, cheat in enumerate(CHEATS):
        open_to = [each for each in levels if each not in cheat.miss] if cheat.jail else jailed
        one = (open_to or jailed)[n % len(open_to or jailed)]
        if (level == one and (everything or n // 2 % 4 == 0)) or (cheat.jail and everything):
            mine.append(cheat)
    mine += [BETTER] if level == levels[0] else []
    alone = [c for c in mine if level in c.miss and c.harm in LASTING]
    together = [c for c in mine if c not in alone]
    return tuple(sorted(together, key=_place)), tuple(alone)


def _place(cheat: Cheat) -> int:
    return BY_GAIN.index(cheat.number) if cheat.number in BY_GAIN else -1
