"""Every safeguard that tests/mutants takes out is there to be taken out, and missed where it is."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from tests.mutants import MUTANTS
from tests.mutants.__main__ import survivors
from tests.mutants.overlay import ROOT
from tests.sizes import EVERY_MUTANT


def test_every_mutant_is_one_of_the_sources_as_they_are() -> None:
    assert [fault for mutant in MUTANTS if (fault := mutant.fault())] == []
    assert [mutant.name for mutant in MUTANTS if mutant.old == mutant.new] == []
    assert len(MUTANTS) >= 30
    assert max(Counter(mutant.name for mutant in MUTANTS).values()) == 1
    named = {test.partition("::")[0] for mutant in MUTANTS for test in mutant.tests}
    assert [file for file in sorted(named) if not (ROOT / file).is_file()] == []


needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="jails, kills and faults are tried on Linux"
)


@pytest.mark.slow
@needs_linux
def test_without_a_safeguard_the_suite_is_red() -> None:
    assert survivors(MUTANTS[::EVERY_MUTANT]) == []


@pytest.mark.smoke
@needs_linux
def test_without_the_first_safeguard_the_suite_is_red() -> None:
    assert survivors(MUTANTS[:1]) == []
