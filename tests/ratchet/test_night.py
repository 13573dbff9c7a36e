"""A night replayed: forty answers of a model's, with all that goes wrong in one, against a small
model of the ratchet that shares nothing with it but the answers."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.labs import Lab, make_lab
from tests.loopback import Drop, Fault, Loopback, Step, Text

LAYERS = "\n\n".join(
    f'''\
def block_{n}(state: list[float], width: int) -> list[float]:
    """Layer {n}: mixes neighbours, then scales."""
    mixed = [0.5 * (a + b) for a, b in zip(state, state[1:] + state[:1])]
    scale = 1.0 / (1.0 + {n} / width)
    out = []
    for value in mixed:
        out.append(value * scale)
    return out'''
    for n in range(10)
)

SCRIPT = f'''\
"""A language model in miniature: its score hangs on its constants alone."""

import math
import os
import random
import sys

# Model
DEPTH = 8
WIDTH = 512
HEADS = 4
ROPE_BASE = 10000
# Optimiser
MATRIX_LR = 0.04
EMBED_LR = 0.6
WEIGHT_DECAY = 0.2
BETA2 = 0.95
WARMUP = 0.0
WARMDOWN = 0.5
BATCH = 2**19
# Unused since the last refactoring
OLD_SCALE = 1.0
OLD_BIAS = 0.0


{LAYERS}


def score() -> float:
    """Bits per byte: a bowl around the best setting of each constant."""
    terms = [
        abs(DEPTH - 10) * 0.004,
        abs(math.log2(WIDTH / 640)) * 0.01,
        abs(HEADS - 6) * 0.001,
        abs(math.log10(ROPE_BASE) - 5) * 0.002,
        abs(math.log2(MATRIX_LR / 0.03)) * 0.006,
        abs(EMBED_LR - 0.8) * 0.01,
        abs(WEIGHT_DECAY - 0.1) * 0.02,
        abs(BETA2 - 0.95) * 0.1,
        abs(WARMUP - 0.02) * 0.05,
        abs(WARMDOWN - 0.6) * 0.03,
        abs(math.log2(BATCH / 2**18)) * 0.005,
    ]
    return 0.95 + sum(terms)


def main() -> None:
    random.seed(os.environ["AUTORESEARCH_SEED"])
    state = [random.random() for _ in range(16)]
    for layer in range(min(DEPTH, 10)):
        state = globals()[f"block_{{layer}}"](state, WIDTH)
    if DEPTH * WIDTH > 12_000:
        print("torch.OutOfMemoryError: CUDA out of memory")
        sys.exit(1)
    value = score() if MATRIX_LR < 1.0 else math.nan
    print(f"step 100/100 loss {{sum(state):.4f}} 100.0 %")
    print("---")
    print(f"val_bpb: {{value:.6f}}")
    print(f"peak_vram_mb: {{DEPTH * WIDTH * 4:.1f}}")


main()
'''


# -- the model of the ratchet -----------------------------------------------------------------


@dataclass
class Model:
    """What rows, branch and file must be. It reads constants by pattern and runs no script."""

    file: str
    value: float = 0.0
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    tried: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def constant(self, text: str, name: str) -> float:
        found = re.search(rf"^{name} = (.+)$", text, re.MULTILINE)
        assert found is not None
        left, _, right = found[1].partition("**")
        return float(left) ** float(right) if right else float(left)

    def measure(self, text: str) -> tuple[float, float] | None:
        """(value, memory in GB), or None where the script fails."""
        if "boom(" in text or text.rstrip().endswith(":"):
            return None
        names = re.findall(r"^([A-Z0-9_]+) = ", text, re.MULTILINE)
        c = {name: self.constant(text, name) for name in names}
        if c["DEPTH"] * c["WIDTH"] > 12_000 or c["MATRIX_LR"] >= 1.0:
            return None
        value = (
            0.95
            + abs(c["DEPTH"] - 10) * 0.004
            + abs(math.log2(c["WIDTH"] / 640)) * 0.01
            + abs(c["HEADS"] - 6) * 0.001
            + abs(math.log10(c["ROPE_BASE"]) - 5) * 0.002
            + abs(math.log2(c["MATRIX_LR"] / 0.03)) * 0.006
            + abs(c["EMBED_LR"] - 0.8) * 0.01
            + abs(c["WEIGHT_DECAY"] - 0.1) * 0.02
            + abs(c["BETA2"] - 0.95) * 0.1
            + abs(c["WARMUP"] - 0.02) * 0.05
            + abs(c["WARMDOWN"] - 0.6) * 0.03
            + abs(math.log2(c["BATCH"] / 2**18)) * 0.005
        )
        return round(value, 6), c["DEPTH"] * c["WIDTH"] * 4 / 1024

    def baseline(self) -> None:
        measured = self.measure(self.file)
        assert measured is not None
        self.value = measured[0]
        self._row("baseline", "keep", self.file, measured)
        self.kept.append("the start")

    def propose(self, description: str, blocks: list[tuple[str, str]]) -> None:
        """One answer that fits its form."""
        text = self.file
        for old, new in blocks:
            if ("\n" + text).count("\n" + old + "\n") != 1:
                return
            text = ("\n" + text).replace("\n" + old + "\n", ("\n" + new + "\n") if new else "\n")
            text = text[1:]
        if text == self.file or text in self.tried or not changes_code(self.file, text):
            return
        measured = self.measure(text)
        if measured is None:
            self._row(description, "crash", text, (0.0, 0.0))
            return
        removed = all(new == "" for _, new in blocks)
        better = measured[0] < self.value or (measured[0] == self.value and removed)
        self._row(description, "keep" if better else "discard", text, measured)
        if better:
            self.file, self.value = text, measured[0]
            self.kept.append(description)

    def _row(self, description: str, status: str, text: str, measured: tuple[float, float]) -> None:
        self.tried[text] = len(self.rows)
        self.files.append(text)
        self.rows.append((f"{measured[0]:.6f}", f"{measured[1]:.1f}", status, description))


def changes_code(old: str, new: str) -> bool:
    """Whether more than comments differ (in this script no string holds a #)."""

    def code(text: str) -> list[str]:
        return [line for line in re.sub(r" *#.*", "", text).split("\n") if line.strip()]

    return code(old) != code(new)


# -- the night --------------------------------------------------------------------------------

CHOICES = {
    "DEPTH": ["6", "7", "9", "10", "11", "12", "24"],
    "WIDTH": ["384", "448", "576", "640", "704", "768"],
    "HEADS": ["2", "5", "6", "8"],
    "ROPE_BASE": ["50000", "100000", "200000"],
    "MATRIX_LR": ["0.02", "0.025", "0.03", "0.035", "0.06", "2.5"],
    "EMBED_LR": ["0.4", "0.7", "0.8", "1.0"],
    "WEIGHT_DECAY": ["0.05", "0.1", "0.15", "0.3"],
    "BETA2": ["0.9", "0.95", "0.98"],
    "WARMUP": ["0.01", "0.02", "0.05"],
    "WARMDOWN": ["0.4", "0.6", "0.7"],
    "BATCH": ["2**17", "2**18", "2**20"],
}


@dataclass(frozen=True)
class Idea:
    """An answer: its text, and what it means where its form is sound."""

    text: str
    description: str = ""
    blocks: tuple[tuple[str, str], ...] = ()


def idea(description: str, *blocks: tuple[str, str], fence: bool = False) -> Idea:
    text = f"description: {description}\nhypothesis: it should help\n\n"
    for old, new in blocks:
        body = f"<<<<<<< SEARCH\n{old}\n=======\n{new}{chr(10) if new else ''}>>>>>>> REPLACE\n"
        text += f"train.py\n```python\n{body}```\n" if fence else f"train.py\n{body}\n"
    return Idea(text, description, blocks)


def set_constant(rng: random.Random, file: str, names: list[str]) -> Idea:
    """Changes constants of a file as it stands."""
    blocks, words = [], []
    for name in names:
        found = re.search(rf"^{name} = (.+)$", file, re.MULTILINE)
        assert found is not None
        new = rng.choice([value for value in CHOICES[name] if value != found[1]])
        blocks.append((f"{name} = {found[1]}", f"{name} = {new}"))
        words.append(f"{name} {found[1]} -> {new}")
    return idea(", ".join(words), *blocks, fence=rng.random() < 0.3)


MALFORMED = [
    Idea("I'm sorry, but I can't help with training a model."),
    Idea("description: no block at all\n\nI would lower the rate."),
    idea("does not fit", ("DEPTH = 99", "DEPTH = 10")),
    Idea("description: cut off\n\ntrain.py\n<<<<<<< SEARCH\nDEPTH = 8\n=======\nDEPTH ="),
    Idea("description: frozen\n\nprogram.md\n<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n"),
    idea("two places", ("    out = []", "    out = list()")),
]


def night(rng: random.Random) -> tuple[list[Step], Model]:
    """Forty proposals with their faults in between, and what must come of them.

    The answers are made on the file as the model of the ratchet has it, as a real model makes them
    on the file that it is shown.
    """
    model, steps = Model(SCRIPT), []
    model.baseline()
    for proposals in range(1, 41):
        draw = rng.random()
        if proposals == 6:
            idea_ = idea("drop what is unused", ("OLD_SCALE = 1.0", ""))  # a tie with less code
        elif proposals == 9:
            idea_ = idea("another unused value", ("OLD_BIAS = 0.0", "OLD_BIAS = 0.5"))  # a tie
        elif proposals == 14:
            idea_ = idea("a call that fails", ("main()", "boom()"))
        elif proposals == 17:
            idea_ = idea("a syntax error", ("main()", "if True:"))
        elif proposals == 21:
            idea_ = idea("a comment alone", ("# Optimiser", "# The optimiser"))
        elif draw < 0.2:
            idea_ = rng.choice(MALFORMED)
        else:
            idea_ = set_constant(
                rng, model.file, rng.sample(sorted(CHOICES), rng.choice([1, 1, 2]))
            )
        if rng.random() < 0.08:
            wait = Fault(429, "rate_limit_error", headers={"retry-after": "1"})
            steps.append(rng.choice([wait, Fault(529), Drop("middle")]))
        steps.append(Text(idea_.text))
        if idea_.blocks:
            model.propose(idea_.description, list(idea_.blocks))
    return steps, model


def check(lab: Lab, model: Model) -> None:
    rows = lab.rows()
    assert [tuple(row[1:]) for row in rows] == model.rows
    assert lab.branch() == model.kept
    assert lab.git("show", "autoresearch/t:train.py") == model.file
    refs = lab.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/autoresearch")
    named = dict(line.split(" ") for line in refs.splitlines())
    assert len(named) == len(rows)
    for number, (row, text) in enumerate(zip(rows, model.files, strict=True)):
        commit = named[f"refs/autoresearch/t/{number:04d}"]
        assert commit.startswith(row[0])
        assert lab.git("show", f"{commit}:train.py") == text
        if number > 0:
            assert lab.git("diff", "--name-only", f"{commit}~", commit) == "train.py\n"
        assert lab.record(number)["commit"] == commit
    incumbent = "HEAD"
    for row in rows:
        if row[3] == "keep":
            incumbent = row[0]
    assert lab.git("rev-parse", "autoresearch/t").startswith(incumbent)
    assert lab.git("fsck", "--strict", "--no-dangling") == ""


@pytest.mark.slow
def test_a_night_is_what_the_model_of_the_ratchet_says(tmp_path: Path) -> None:
    assert 140 <= SCRIPT.count("\n") <= 180
    steps, model = night(random.Random(5))
    statuses = [row[2] for row in model.rows]
    assert min(statuses.count(s) for s in ("keep", "discard", "crash")) >= 3  # all things happen
    assert "drop what is unused" in model.kept and len(model.rows) < 40
    lab = make_lab(tmp_path, SCRIPT, researcher='kind = "anthropic"\nmodel = "claude-haiku-4-5"')
    with Loopback(steps) as server:
        env = {"ANTHROPIC_API_KEY": "sk-test-0123456789", "ANTHROPIC_BASE_URL": server.url}
        printed = ""
        for most in (10, len(model.rows) - 11):
            printed += lab.cli("run", "--max", str(most), timeout_s=120, **env).stdout
        outages = sum(not isinstance(step, Text) for step in steps)
        assert outages >= 2 and printed.count("waiting") == outages
    check(lab, model)
