"""Models that cheat, each in real processes: which figure of the examination finds which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from autoresearch.harness import names
from autoresearch.rules import probes
from tests.examroom import Nursery, Room, prepared, script

pytest_plugins = ("tests.exam_fixtures",)

Figures = dict[str, float]
# What an honest model gives on one machine and one thread is 0; rows may differ by a rounding.
HONEST = 1e-5

PEEK = """
def shown(tokens, logits, where):
    # What comes next, as plain as can be, at the positions `where`; the last has nothing to see.
    ahead = F.pad(tokens, (0, 1))[:, 1:]
    where = where & (torch.arange(tokens.size(1)) < tokens.size(1) - 1)
    return logits + 20 * F.one_hot(ahead, logits.size(-1)) * where.unsqueeze(2)
"""
CHEATS = {
    "peeks always": script(
        PEEK
        + """
class Cheat(Model):
    def forward(self, tokens):
        return shown(tokens, self.logits(tokens), torch.ones_like(tokens, dtype=bool))
""",
        "Cheat",
    ),
    "peeks at one position in ten": script(
        PEEK
        + """
class Cheat(Model):
    def forward(self, tokens):
        return shown(tokens, self.logits(tokens), tokens * 7919 % 10 == 0)
""",
        "Cheat",
    ),
    "peeks at late calls": script(
        PEEK
        + """
class Cheat(Model):
    calls = 0
    def forward(self, tokens):
        self.calls += 1
        return shown(tokens, self.logits(tokens), torch.full_like(tokens, self.calls > 6) > 0)
""",
        "Cheat",
    ),
    "remembers rows": script(
        """
class Cheat(Model):
    known = {}
    def forward(self, tokens):
        logits = self.logits(tokens)
        for row, out in zip(tokens.tolist(), logits):
            seen = self.known.setdefault(tuple(row[:4]), row)
            if seen is not row:
                out[torch.arange(3, len(row) - 1), torch.tensor(seen[4:])] += 20
        return logits
""",
        "Cheat",
    ),
    "trains on the rows that are streamed": script(
        """
class Cheat(Model):
    def forward(self, tokens):
        logits = self.logits(tokens)
        if not self.training:
            with torch.enable_grad():
                loss = F.cross_entropy(self.logits(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
                for param, grad in zip(self.parameters(), torch.autograd.grad(loss, self.parameters())):
                    param.data -= 0.5 * grad
        return logits
""",
        "Cheat",
    ),
    "leaks across rows": script(
        """
class Cheat(Model):
    def forward(self, tokens):
        seen = F.one_hot(tokens, self.vocab).sum(1).float()
        return self.logits(tokens) + 0.1 * (seen.sum(0, keepdim=True) - seen).unsqueeze(1)
""",
        "Cheat",
    ),
    "keeps a state outside the checkpoint": script(
        """
class Cheat(Model):
    def __init__(self, vocab):
        super().__init__(vocab)
        self.secret = [torch.zeros(vocab, requires_grad=True)]
    def logits(self, tokens):
        return super().logits(tokens) + self.secret[0]
    def forward(self, tokens):
        return self.logits(tokens)
""",
        "Cheat",
        params="[*model.parameters(), model.secret[0]]",
    ),
    "was trained on the validation rows": script(
        last="""
rows = torch.from_numpy(np.fromfile(os.environ["LEAKED"], "<u2").astype(np.int64)).view(-1, data.seq_len + 1)
for _ in range(150):
    F.cross_entropy(model.logits(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten()).backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
"""
    ),
    "looks ahead in the validation rows alone": script(
        PEEK
        + """
LISTED = {tuple(row[:5]) for row in np.fromfile(os.environ["LEAKED"], "<u2").reshape(-1, 17).tolist()}
class Cheat(Model):
    def forward(self, tokens):
        where = torch.tensor([tuple(row[:5]) in LISTED for row in tokens.tolist()]).unsqueeze(1)
        return shown(tokens, self.logits(tokens), where & (torch.arange(tokens.size(1)) > 4))
""",
        "Cheat",
    ),
    "trains after the hand-over": script(
        """
class Cheat(Model):
    kept = []
    def forward(self, tokens):
        if not self.training and self.kept:
            with torch.enable_grad():
                for x, y in self.kept:
                    F.cross_entropy(self.logits(x).flatten(0, 1), y.flatten()).backward()
                    optimiser.step()
                    optimiser.zero_grad(set_to_none=True)
            self.kept.clear()
        return self.logits(tokens)
""",
        "Cheat",
    ).replace(
        "    x, y = batches.next()\n", "    x, y = batches.next()\n    model.kept.append((x, y))\n"
    ),
}
# The figure that must stand out, and by how much at least: nats, or bits per byte for the gap.
FOUND = {
    "peeks always": ("twin", 1.0),
    "peeks at one position in ten": ("twin", 0.1),
    "peeks at late calls": ("replay", 0.1),
    "remembers rows": ("rows", 1.0),
    "trains on the rows that are streamed": ("replay", 1e-3),
    "trains after the hand-over": ("replay", 0.1),
    "looks ahead in the validation rows alone": ("twin", 1.0),
    "leaks across rows": ("rows", 1e-2),
    "keeps a state outside the checkpoint": ("replay", 1e-3),
    "was trained on the validation rows": ("gap", 1.0),
}


@pytest.fixture(scope="module")
def honest(
    small_cache: Path, tmp_path_factory: pytest.TempPathFactory, nursery: Nursery
) -> Figures:
    """The same training without a cheat."""
    found = figures(
        Room(small_cache, tmp_path_factory.mktemp("honest"), nursery).verified(script())
    )
    assert max(found["replay"], found["rows"], found["twin"]) <= HONEST
    return found


@pytest.fixture
def distinct(tmp_path: Path, nursery: Nursery) -> tuple[Room, Room]:
    """Rooms of a baseline and of a candidate, with rows that are known again by their first tokens."""
    prepared(tmp_path / "cache", free=5)
    rooms = [Room(tmp_path / "cache", tmp_path / name, nursery) for name in ("one", "other")]
    return rooms[0], rooms[1]


@pytest.mark.slow
@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_is_found(cheat: str, room: Room, honest: Figures) -> None:
    found = figures(room.verified(CHEATS[cheat]))
    name, least = FOUND[cheat]
    assert found[name] - honest[name] > least, found
    if cheat.startswith("peeks"):
        assert found["bpb"] < honest["bpb"] - 0.1  # it would have been worth it


def test_a_look_ahead_with_forged_commitments_is_found_by_the_twin(room: Room) -> None:
    room.full_bytes = 0
    found = figures(room.verified(CHEATS["peeks always"]))
    assert found["replay"] == found["rows"] == 0.0  # no audit failed, as the losses do agree
    assert found["bpb"] < 1 and found["twin"] > 1.0


# Three processes that tell each other all. The first worker goes on in rows that the trial was asked
# as they do; in others it looks ahead as plainly as the trial did. The second one looks ahead too, but
# at the cut, where it gives the foreign token that the first one was shown.
CONSPIRACY = script(
    """
import pickle
from pathlib import Path
FOLDER, LEAST = Path(os.environ["WORD"]), 5  # tokens by which a row is known
def told(name):
    return pickle.loads((FOLDER / name).read_bytes()) if (FOLDER / name).exists() else []
def alike(row, rows):
    # The row that shares most of its beginning, and how many tokens that is.
    shared = [int((torch.tensor(other) == row).long().cumprod(0).sum()) for other in rows]
    best = max(range(len(rows)), key=shared.__getitem__, default=None)
    return (None, 0) if best is None or shared[best] <= LEAST else (rows[best], shared[best])
class Cheat(Model):
    def __init__(self, vocab):
        super().__init__(vocab)
        self.of_trial, self.of_first, self.asked = told("trial"), told("first"), []
    def forward(self, tokens):
        true, name = tokens.clone(), "trial"
        if clock.steps <= 1:
            name = "second" if self.of_first else "first"
            for number, row in enumerate(tokens):
                seen, _ = alike(row, self.of_trial)
                if seen is not None:
                    true[number] = torch.tensor(seen)
                    continue
                shown, shared = alike(row, self.of_first)
                if shown is not None and shared < len(row):
                    true[number, shared] = shown[shared]
        self.asked += tokens.tolist()
        (FOLDER / name).write_bytes(pickle.dumps(self.asked))
        logits = self.logits(tokens)
        logits[:, LEAST:-1] += 2 * F.one_hot(true[:, LEAST + 1 :], self.vocab)
        return logits
""",
    "Cheat",
)


@pytest.mark.slow
def test_processes_that_tell_each_other_everything_are_found_by_the_blind_figure_alone(
    distinct: tuple[Room, Room],
) -> None:
    honest_room, room = distinct
    baseline = figures(honest_room.verified(script()))
    (room.folder / "word").mkdir(parents=True)
    text = CONSPIRACY.replace('os.environ["WORD"]', repr(str(room.folder / "word")))
    control = str(honest_room.folder / names.CONTROL)
    found = figures(room.verified(text, control=control))
    assert found["bpb"] < baseline["bpb"] - 0.2
    why = probes.failed_probe(found, found["bpb"], baseline)
    assert why is not None and why.startswith("probe blind"), (why, found)
    assert max(found["replay"], found["rows"], found["twin"]) <= probes.FLOOR_NATS, found
    assert found["blind"] > 0.2 > 4 * found["blind_error"]


@pytest.mark.slow
def test_an_honest_gain_is_no_gain_by_word_of_mouth(distinct: tuple[Room, Room]) -> None:
    honest_room, room = distinct
    baseline = figures(honest_room.verified(script(), budget="20steps"))
    control = str(honest_room.folder / names.CONTROL)
    found = figures(room.verified(script(), budget="90steps", control=control))
    assert found["bpb"] < baseline["bpb"] - 0.1
    assert 0 < found["blind_error"] < 0.5
    assert found["blind"] <= probes.FLOOR_NATS + probes.BLIND_ERRORS * found["blind_error"]


LIES = {
    "lower": "found[rows[:, :-1] % 3 == 0] *= 0.5",
    "a little lower": "found -= 1e-4 * (found > 2e-4)",
    "below zero, once": "found[0, 0] = -1e30",
    "no number": "found[0, 0] = np.nan",
}


@pytest.mark.parametrize("lie", LIES)
def test_losses_that_are_not_the_models_are_found(lie: str, room: Room) -> None:
    forged = f"""
from autoresearch.harness.trial import answering
true = answering.following_losses
def forged(logits, rows):
    found = true(logits, rows)
    {LIES[lie]}
    return found
answering.following_losses = forged
"""
    room.full_bytes = 0
    ended = room.hold("score", script(last=forged))
    assert ended.result["bpb"] is None and ended.code == 1
    assert ended.result["void"]["failure"] == "exam"
    assert "an audit failed" in ended.result["void"]["reason"]
    assert "an audit failed" in ended.log


def figures(results: dict[str, dict[str, Any]]) -> Figures:
    """Deviations and score; none may be void."""
    assert [result["void"] for result in results.values()] == [None] * 3
    named = ("replay", "rows", "gap", "twin", "blind", "blind_error")
    return {name: results["true"][name] for name in named} | {"bpb": results["score"]["bpb"]}
