"""Two candidates open in two slots: told in either order, and taken up again after a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoresearch.lab.lab import Lab as OpenLab
from autoresearch.lab.run import Run
from autoresearch.ledger import journal
from autoresearch.ledger.state import State
from autoresearch.ratchet.ratchet import Ratchet
from autoresearch.ratchet.run_sandbox import sandbox_of
from autoresearch.records import Answer, Candidate, Edit, Event, Proposal
from autoresearch.researchers.base import Brief, Turn
from autoresearch.runners.local import LocalRunner
from tests.conftest import BASELINE, Lab

FIRST, SECOND = 90, 80  # what the two candidates make of the 100 in value.txt


class Proposes:
    """A researcher that lowers the first line of value.txt to one given number after the other."""

    kind = "scripted"
    attempts = 1

    def __init__(self, *values: int) -> None:
        self.values = list(values)

    def warm_up(self) -> None:
        """There is nothing to prepare."""

    def prompt(self, brief: Brief) -> str:
        return "lower it"

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        return Answer(str(self.values.pop(0)))

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        content = f"{answer.text}\n50\nspare\n".encode()
        return Proposal(f"lower to {answer.text}", (Edit("value.txt", content),))


def opened(lab: Lab, slots: int, events: list[Event] | None = None) -> Ratchet:
    """The run with so many slots, as a process that has just started has it."""
    os.chdir(lab.root)
    here = OpenLab.here()
    config = here.config("t")
    runner = config.runner.model_copy(update={"slots": slots})
    config = config.model_copy(update={"runner": runner})
    run = Run(here, "t", config, [].append if events is None else events.append)
    environment = dict(os.environ)
    sandbox = sandbox_of(run, environment)
    ratchet = Ratchet(run, LocalRunner(), environment, sandbox)
    run.recover(ratchet.runner)
    return ratchet


@pytest.fixture(autouse=True)
def back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def two_open(lab: Lab) -> tuple[Ratchet, Candidate, Candidate]:
    lab.cli("baseline")
    ratchet, researcher = opened(lab, 2), Proposes(FIRST, SECOND)
    ratchet.run.begin("scripted", "none")
    first, second = ratchet.ask(researcher, slot=0), ratchet.ask(researcher, slot=1)
    assert first is not None and second is not None
    assert list(ratchet.run.state.open) == [1, 2]
    assert ratchet.ask(researcher, slot=0) == first and ratchet.ask(researcher, slot=1) == second
    return ratchet, first, second


def values(lab: Lab) -> list[tuple[float, str]]:
    return [(float(row[1]), row[3]) for row in lab.rows()]


@pytest.mark.parametrize("second_first", [False, True])
def test_told_in_either_order(lab: Lab, second_first: bool) -> None:
    ratchet, first, second = two_open(lab)
    ended = [(c, ratchet.try_out(c)) for c in (first, second)]
    logs = {each.log for _, each in ended}
    assert len(logs) == 2 and all(log.exists() for log in logs), "each slot has a log of its own"
    for candidate, each in reversed(ended) if second_first else ended:
        ratchet.tell(candidate, each)
    if second_first:
        assert values(lab) == [(BASELINE, "keep"), (130, "keep"), (140, "discard")]
        assert [e.number for e in ratchet.run.state.experiments] == [0, 2, 1]
    else:
        # The second is better still, but it isn't made from the first, which is the tip now.
        assert values(lab) == [(BASELINE, "keep"), (140, "keep"), (130, "discard")]
        assert "earlier incumbent than #1" in ratchet.run.state.experiments[-1].reason
    kept = second if second_first else first
    assert lab.head("autoresearch/t") == kept.commit
    for candidate in (first, second):
        assert lab.head(f"refs/autoresearch/t/{candidate.number:04d}") == candidate.commit
    assert ratchet.run.state.open == {}
    again = State.of(journal.read(lab.state() / "journal"))
    assert again == ratchet.run.state


@pytest.mark.parametrize("slots", [2, 1])
@pytest.mark.parametrize("tried", [0, 1, 2])
def test_taken_up_again_with_as_many_slots_and_with_fewer(lab: Lab, slots: int, tried: int) -> None:
    """Nothing of what is open is lost with the process, whatever number of slots comes after it."""
    ratchet, first, second = two_open(lab)
    for candidate in (first, second)[:tried]:
        ratchet.try_out(candidate)  # it ended, and nobody was told
    ratchet.run.journal.close()

    again, nobody = opened(lab, slots), Proposes()
    again.run.begin("scripted", "none")
    found = []
    for slot in (0, slots - 1):
        candidate = again.ask(nobody, slot)
        assert candidate is not None
        found.append(candidate)
        again.tell(candidate, again.try_out(candidate))
    assert found == [first, second]
    assert values(lab) == [(BASELINE, "keep"), (140, "keep"), (130, "discard")]
    assert again.run.state.open == {}


def test_the_command_line_finishes_what_two_slots_began(lab: Lab) -> None:
    ratchet, _, _ = two_open(lab)
    ratchet.run.journal.close()
    lab.cli("run", "--max", "3")
    assert [row[3] for row in lab.rows()] == ["keep", "keep", "discard", "keep"]
    assert "lower to 80" in lab.cli("show", "2").stdout


def test_a_new_baseline_overtakes_both(lab: Lab) -> None:
    ratchet, first, second = two_open(lab)
    ratchet.run.journal.close()
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit("a step of a person's", value__txt="95\n50\nspare\n")
    lab.cli("baseline")
    assert values(lab) == [(BASELINE, "keep"), (145, "keep")]
    for candidate in (first, second):
        ref = f"refs/autoresearch/t/{candidate.number:04d}-{candidate.commit[:7]}"
        assert lab.head(ref) == candidate.commit
    state = State.of(journal.read(lab.state() / "journal"))
    assert state.open == {} and state.experiments[-1].is_baseline
