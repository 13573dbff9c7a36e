"""Every cheat of the catalogue: it works where nothing stops it, and is stopped where it should be.

What is not stopped is listed, with the reason, in the cheat's `miss`; a miss more is a failure here,
and so is a miss less. `make ci` plays every fourth one at one level; FAULTS=all, as in `make nightly`, all
at every one, and on a loop without protection.
"""

from __future__ import annotations

import sys
from pathlib import Path
from string import ascii_lowercase

import pytest

pytest.importorskip("torch")
if sys.platform != "linux":
    pytest.skip("jails, /proc and keyrings are Linux's", allow_module_level=True)

from tests.cheats.campaign import Campaign, look
from tests.cheats.catalogue import CHEATS, FAMILIES, NOT_RUN
from tests.cheats.cheat import LEVELS
from tests.cheats.table import markdown
from tests.sizes import ALL


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    folder = tmp_path_factory.mktemp("cheats")
    made = Campaign(folder / "campaign", everything=ALL)
    (folder / "table.md").write_text(markdown(made))
    return made


def test_the_catalogue_is_whole() -> None:
    numbers = [cheat.number for cheat in CHEATS]
    assert len(set(numbers)) == len(numbers) >= 45
    tried = {int(number.rstrip(ascii_lowercase)) for number in numbers}
    assert tried | {int(number) for number in NOT_RUN} == set(range(1, 59))


@pytest.mark.smoke
def test_a_cheat_of_each_family_is_stopped(tmp_path: Path) -> None:
    results = look(tmp_path)
    assert len(results) == len(FAMILIES)
    wrong = [r for r in results if not r.stopped or r.ended not in r.cheat.ends]
    assert [(r.cheat.number, r.ended, r.reason) for r in wrong] == []


@pytest.mark.slow
@pytest.mark.skipif(not ALL, reason="FAULTS=all plays them unprotected too")
def test_every_cheat_works_on_a_loop_without_protection(campaign: Campaign) -> None:
    assert [number for number, lost in campaign.losses.items() if not lost] == []


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_every_cheat_is_stopped_but_those_listed(campaign: Campaign, level: int) -> None:
    if level in campaign.missing:
        pytest.skip(f"level {level} is not to be had: {campaign.missing[level]}")
    results = campaign.results[level]
    missed = {r.cheat.number: (r.ended, r.reason) for r in results if not r.stopped}
    missed.pop("0", None)  # the honest gain, which is kept
    expected = {r.cheat.number for r in results if level in r.cheat.miss}
    assert missed.keys() == expected, missed
    wrong = {
        r.cheat.number: (r.ended, r.reason)
        for r in results
        if r.stopped and r.ended not in r.cheat.ends
    }
    assert not wrong


@pytest.mark.slow
def test_an_honest_gain_is_kept_and_verified(campaign: Campaign) -> None:
    (honest,) = [r for r in campaign.results[campaign.levels[0]] if r.cheat.number == "0"]
    assert (honest.ended, honest.evidence) == ("keep", "verified")
