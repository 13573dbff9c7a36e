"""The results of a campaign as a table for people."""

from __future__ import annotations

from string import ascii_lowercase

from tests.cheats.campaign import Campaign
from tests.cheats.catalogue import CHEATS, NOT_RUN
from tests.cheats.cheat import Cheat
from tests.cheats.play import RUNNERS


def markdown(campaign: Campaign) -> str:
    """A row for each cheat that was played; a dot where no jail has a part in it and another level had it."""
    levels = campaign.levels
    heads = [f"level {level} ({RUNNERS[level]})" for level in levels]
    lines = [
        "| # | cheat | without protection | " + " | ".join(heads) + " |",
        "|---|---|---|" + "---|" * len(levels),
    ]
    by_number = {
        (level, result.cheat.number): result
        for level, results in campaign.results.items()
        for result in results
    }
    played = {number for _, number in by_number} | campaign.losses.keys()
    for cheat in sorted((each for each in CHEATS if each.number in played), key=_order):
        cells = []
        for level in levels:
            result = by_number.get((level, cheat.number))
            if result is None:
                cells.append("·")
            elif result.stopped:
                cells.append(result.words)
            else:
                cells.append("**miss**" + (", seen" if result.ended == "crash:tampered" else ""))
        lost = campaign.losses.get(cheat.number, "not tried") or "nothing"
        lines.append(f"| {cheat.number} | {cheat.name} | {lost} | " + " | ".join(cells) + " |")
    lines += ["", "Misses:", ""]
    for cheat in sorted(CHEATS, key=_order):
        for reason in dict.fromkeys(cheat.miss.values()):
            where = ", ".join(str(n) for n, why in cheat.miss.items() if why == reason)
            lines.append(f"- {cheat.number}, at level {where}: {reason}.")
    lines += ["", "Not run:", ""]
    lines += [f"- {number}: {reason}." for number, reason in NOT_RUN.items()]
    return "\n".join(lines) + "\n"


def _order(cheat: Cheat) -> tuple[int, str]:
    digits = cheat.number.rstrip(ascii_lowercase)
    return int(digits), cheat.number[len(digits) :]
