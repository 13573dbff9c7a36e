"""What a script may carry is bounded over the whole run: a table that grows with each keep is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.lab.lab import Lab as OpenLab
from autoresearch.lab.run import Run
from autoresearch.ratchet.ratchet import Ratchet
from autoresearch.ratchet.run_sandbox import sandbox_of
from autoresearch.records import Answer, Edit, Proposal
from autoresearch.researchers.base import Brief, Turn
from autoresearch.runners.local import LocalRunner
from tests.labs import make_lab

TRAIN = "LR = {rate}\n{table}print(f'val_bpb: {{1 + LR:.6f}}')\n"


class Grows:
    """A researcher whose every proposal is better, and brings 1,500 bytes more of a table along."""

    kind = "scripted"
    attempts = 1

    def __init__(self) -> None:
        self.kept = 0

    def warm_up(self) -> None:
        """There is nothing to prepare."""

    def prompt(self, brief: Brief) -> str:
        return "lower it"

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        self.kept += 1
        return Answer(str(self.kept))

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        count = int(answer.text)
        table = "".join(f"w{n} = '{n:048d}'\n" for n in range(30 * count))
        content = TRAIN.format(rate=0.5 - count / 100, table=table)
        return Proposal(f"grow to {count}", (Edit("train.py", content.encode()),))


@pytest.mark.slow
def test_a_table_grows_over_several_keeps_and_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab(tmp_path, TRAIN.format(rate=0.5, table=""))
    lab.cli("baseline")
    monkeypatch.chdir(lab.root)
    for name, value in lab.env.items():
        monkeypatch.setenv(name, value)
    here = OpenLab.here()
    run = Run(here, lab.tag, here.config(lab.tag))
    run.rules = replace(run.rules, code_only=True)  # as with an exam
    environment = dict(os.environ)
    ratchet = Ratchet(run, LocalRunner(), environment, sandbox_of(run, environment))
    run.recover(ratchet.runner)
    run.begin("scripted", "none")
    researcher = Grows()
    for _ in range(2):
        candidate = ratchet.ask(researcher)
        assert candidate is not None
        assert ratchet.tell(candidate, ratchet.try_out(candidate)).status == "keep"
    assert ratchet.ask(researcher) is None
    assert (
        "the guard refused the change: over the baseline's the mutable files together have 4501 bytes of "
        in (run.state.refusals[-1])
    )
