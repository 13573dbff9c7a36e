"""All cheats at all levels of the jail that this machine has, and on a loop without protection."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from tests.cheats.catalogue import BETTER, CHEATS, FAMILIES, tried_at
from tests.cheats.cheat import LEVELS
from tests.cheats.play import RUNNERS, Loop, Result, cheated, compete
from tests.cheats.stage import Props, ToolLab, staged
from tests.labs import make_lab


class Campaign:
    """Everything played once, two at a time.

    results: by level, of the levels that this machine has. missing: why it does not have the others.
    losses: by the cheat's number, what a loop without protection lost ("gain", "harm"); empty where
    it was not played. everything: also that loop, and the cheats that nothing stops without a jail.
    only: patterns of the numbers that are played, with those that they need; all where there is none.
    """

    def __init__(self, folder: Path, everything: bool = True, only: Sequence[str] = ()) -> None:
        self._folder, self._everything = folder, everything
        named = [c for c in CHEATS if not only or any(fnmatch(c.number, each) for each in only)]
        self._numbers = {each for c in named for each in (c.number, c.needs)} | {BETTER.number}
        self._props = Props(folder / "props")
        self.missing = {level: _lack(folder, self._props, level) for level in LEVELS}
        self.missing = {level: lack for level, lack in self.missing.items() if lack}
        self.levels = [level for level in LEVELS if level not in self.missing]
        with ThreadPoolExecutor(2) as pool:
            tasks = {level: pool.submit(self._level, level) for level in self.levels}
            losses = pool.submit(self._losses) if everything else None
            self.results: dict[int, list[Result]] = {n: task.result() for n, task in tasks.items()}
            self.losses = losses.result() if losses else {}

    def _level(self, level: int) -> list[Result]:
        runner = RUNNERS[level]
        with staged(self._folder / f"level{level}", self._props, runner, "bpb") as stage:
            together, alone = (
                tuple(cheat for cheat in each if cheat.number in self._numbers)
                for each in tried_at(level, self.levels, self._everything)
            )
            return compete(stage, together, alone, level)

    def _losses(self) -> dict[str, str]:
        with staged(self._folder / "loop", self._props) as stage:
            loop = Loop(stage)
            try:
                honest = loop.run(None).value
                assert honest is not None
                play = partial(cheated, loop, honest=honest)
                by_number = {cheat.number: cheat for cheat in CHEATS}
                found = {}
                for cheat in CHEATS:
                    if not cheat.unproved and cheat.number in self._numbers:
                        if cheat.needs:
                            play(by_number[cheat.needs])
                        found[cheat.number] = play(cheat)
                return found
            finally:
                loop.close()


def look(folder: Path) -> list[Result]:
    """Plays one cheat of each family at the highest level of the jail that this machine has."""
    props = Props(folder / "props")
    level = next(level for level in LEVELS if not _lack(folder, props, level))
    cheats = [next(each for each in family if level not in each.miss) for family in FAMILIES]
    with staged(folder / "look", props, RUNNERS[level], "bpb") as stage:
        return compete(stage, cheats, (), level)


def _lack(folder: Path, props: Props, level: int) -> str:
    """Returns why a level is not to be had here; "" where it is."""
    rest = f'[runner]\nsandbox = "{RUNNERS[level]}"'
    made = make_lab(folder / f"try{level}", rest=rest)
    lab = ToolLab(made.root, made.env, python=str(props.python))
    tried = lab.cli("baseline", code=None)
    return tried.stderr.strip() if tried.returncode else ""
