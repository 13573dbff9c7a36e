"""The lab of the state machine, and a model of what a run must make of it.

The model knows the answers and the rule, and nothing of how a run works.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

CONFIG = """\
[task]
command = ["sh", "trial.sh"]
mutable = ["value.txt"]
timeout_s = 20
[researcher]
kind = "scripted"
model = "{answers}"
[runner]
sandbox = "none"
"""
TRIAL = 'read -r value < value.txt\nprintf "val_bpb: %s\\n" "$value"\n'


STAYS = "two lines\nthat stay\n"  # at least half of a file returns where it is given whole


def script() -> list[tuple[str, str]]:
    """(value, text) of 120 answers; "refused" is one that the guard refuses, "broken" one that crashes."""
    dice, value, answers = random.Random(1), 100.0, []
    for n in range(120):
        step = dice.choice(["better", "better", "worse", "same", "broken", "refused"])
        if step == "refused" and (not answers or answers[-1][0] == "refused"):
            step = "better"
        value -= step == "better"
        shown = {"worse": f"{value + 50:.6f}"}.get(step, f"{value:.6f}")
        if step in ("broken", "refused"):
            shown = step
        file = "other.txt" if step == "refused" else "value.txt"
        text = f"{shown}\nidea {n}\n{STAYS}"
        answers.append((shown, f"description: idea {n}\n\n{file}\n```\n{text}```\n"))
    return answers


ANSWERS = script()


@dataclass
class Row:
    number: int
    status: str
    value: float | None
    description: str


@dataclass
class Model:
    """What must be there. It knows the answers and the rule, and nothing of how a run works."""

    rows: list[Row] = field(default_factory=list)
    best: float = 200.0  # what the lab measures as it is
    next_answer: int = 0
    user_commits: list[str] = field(default_factory=list)
    user_tip: str = ""  # a commit of the user's on the run's branch, behind which the run stops
    edits: dict[str, str] = field(default_factory=dict)  # path -> content, uncommitted
    edited: int = 0
    dirty: bool = False  # the last command did not run to its end
    half: bool = False  # files of a keep that was cut off may lie in the checkout as if edited

    def baseline(self) -> None:
        """The next row is a baseline."""
        text = "by hand" if self.rows else ""
        name = f"baseline: {text}" if text else "baseline"
        self.rows.append(Row(len(self.rows), "keep", self.best, name))

    def experiment(self) -> None:
        """The next row, by the next answer that the guard lets through."""
        while ANSWERS[self.next_answer][0] == "refused":
            self.next_answer += 1
        shown = ANSWERS[self.next_answer][0]
        description = f"idea {self.next_answer}"
        self.next_answer += 1
        if shown == "broken":
            self.rows.append(Row(len(self.rows), "crash", None, description))
            return
        kept = float(shown) < self.best
        self.best = min(self.best, float(shown))
        status = "keep" if kept else "discard"
        self.rows.append(Row(len(self.rows), status, float(shown), description))

    @property
    def kept(self) -> list[int]:
        return [row.number for row in self.rows if row.status == "keep"]
