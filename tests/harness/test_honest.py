"""Forty odd models that are fair, put through the whole verification: none may be taken for a cheat.

On a CPU they deviate by nothing at all, but for experts: 5e-9 nats, since the products of an expert
have another shape with other tokens.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
nn = torch.nn
pytest.importorskip("pyarrow")
pytest.importorskip("rustbpe")

from autoresearch.harness import names  # noqa: E402
from autoresearch.harness.data.prepare import prepare  # noqa: E402
from autoresearch.harness.exam import scorer  # noqa: E402
from autoresearch.harness.exam.plan import ExamData  # noqa: E402
from autoresearch.rules import probes  # noqa: E402
from tests.honest import HONEST, fresh, trained  # noqa: E402
from tests.honest.exam import examine  # noqa: E402
from tests.honest.models import Bigram  # noqa: E402
from tests.sizes import SEEDS  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

FULL_BYTES = scorer.FULL_BYTES
PROBES = ("replay", "rows", "twin")
ROWS = 12  # of a batch; of 50 rows the last batch has two, and is filled up
WORDS = (
    *("the", "cat", "sat", "on", "a", "mat", "and", "saw", "été", "☕", "日本"),
    *("while", "two", "dogs", "ran", "far", "off"),
)
SAMPLE = (
    *("gqa", "alibi", "sparse top 4", "gru", "selective scan", "experts, best two", "dropout"),
    *("mixture of softmaxes", "bf16 autocast", "counts in a buffer"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ExamData:
    """Rows of 32 tokens of a little text with something to learn in it."""
    folder = tmp_path_factory.mktemp("honest")
    (folder / "texts").mkdir()
    draw = np.random.default_rng(0)
    for number in range(40):
        text = " ".join(draw.choice(WORDS) for _ in range(700))
        (folder / "texts" / f"{number}.txt").write_text(text, encoding="utf-8")
    cache = folder / "cache"
    prepare(
        str(folder / "texts"),
        cache,
        vocab_size=300,
        seq_len=32,
        val_tokens=1600,
        say=lambda _: None,
    )
    return ExamData.open(cache)


@pytest.fixture(scope="module")
def control(data: ExamData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The losses on the vault of a baseline that is another model than all that are verified."""
    folder = tmp_path_factory.mktemp("baseline")
    torch.manual_seed(11)
    baseline = Bigram(data.manifest.vocab_size, data.manifest.seq_len)
    verified(baseline, (copy.deepcopy(baseline), copy.deepcopy(baseline)), data, folder)
    return folder / names.CONTROL


def verified(
    model: nn.Module,
    workers: tuple[nn.Module, nn.Module],
    data: ExamData,
    folder: Path,
    control: Path | None = None,
) -> tuple[dict[str, float], str | None]:
    """(deviations, fault) of a trained model and two that load its weights, as before a keep."""
    score = examine("score", model, data, folder, ROWS)
    found = {"bpb": score["bpb"]}
    for role, worker in zip(("foreign", "true"), workers, strict=True):
        found |= examine(role, worker, data, folder, ROWS, control)
    calibration = dict.fromkeys(PROBES, 0.0) | {"gap": found["gap"], "bpb": score["bpb"]}
    return found, probes.failed_probe(found, score["bpb"], calibration)


def deviations(
    name: str, seed: int, data: ExamData, folder: Path, control: Path
) -> dict[str, float]:
    """Of one of the forty, which must hold every probe."""
    vocab, length = data.manifest.vocab_size, data.manifest.seq_len
    rows = torch.from_numpy(np.asarray(data.train).astype(np.int64))
    workers = tuple(fresh(name, vocab, length, seed + number) for number in (1, 2))
    found, fault = verified(trained(name, vocab, rows, seed), workers, data, folder, control)
    assert fault is None, (name, seed, fault)
    return found


def test_there_are_forty() -> None:
    assert len(HONEST) == 40 and set(SAMPLE) <= set(HONEST)


@pytest.mark.parametrize(
    "name", [SAMPLE[0], *(pytest.param(name, marks=pytest.mark.slow) for name in SAMPLE[1:])]
)
def test_a_fair_model_passes(name: str, data: ExamData, tmp_path: Path, control: Path) -> None:
    found = deviations(name, 1, data, tmp_path, control)
    assert found["blind_error"] > 0.01
    assert all(found[probe] <= 1e-5 for probe in PROBES), found


class Unfair(Bigram):
    """The same model with one way to know more than it should."""

    def __init__(self, way: str, vocab: int, length: int) -> None:
        super().__init__(vocab, length)
        self.way, self.calls = way, 0

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits, self.calls = super().forward(tokens), self.calls + 1
        if (
            self.way == "twin"
        ):  # the next token, at one place in four: 50 cuts by chance miss 1 in 16
            ahead = torch.roll(tokens, -1, dims=1)
            peeks = (torch.arange(tokens.size(1)) % 4 == 3).unsqueeze(1)
            logits = logits + 9 * peeks * torch.nn.functional.one_hot(ahead, logits.size(-1))
        elif self.way == "rows":
            logits = logits + 0.1 * (logits.mean(dim=(0, 1)) - logits.mean(dim=1, keepdim=True))
        elif self.way == "replay":  # a state that no checkpoint holds
            logits = logits * (1 + 0.05 * self.calls)
        return logits


@pytest.mark.parametrize("way", PROBES)
def test_the_same_way_finds_a_model_that_is_not_fair(
    way: str, data: ExamData, tmp_path: Path
) -> None:
    models = []
    for seed in range(3):
        torch.manual_seed(seed)
        models.append(Unfair(way, data.manifest.vocab_size, data.manifest.seq_len))
    _, fault = verified(models[0], (models[1], models[2]), data, tmp_path)
    assert fault.startswith(f"probe {way}")


# torch's compiler itself looks at what torch warns of.
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.slow
def test_no_false_alarm(
    data: ExamData, tmp_path: Path, control: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One seed each, with FAULTS=all five: 200 verifications. `pytest -s` shows their deviations.

    A fifth goes by commit and audit, as where all logits would be too many.
    """
    worst = dict.fromkeys(HONEST, dict.fromkeys(PROBES, 0.0))
    for seed in range(SEEDS):
        for number, name in enumerate(HONEST):
            audited = (seed + number) % 5 == 0
            monkeypatch.setattr(scorer, "FULL_BYTES", 0 if audited else FULL_BYTES)
            found = deviations(name, seed, data, tmp_path, control)
            worst[name] = {probe: max(worst[name][probe], found[probe]) for probe in PROBES}
    for name, most in worst.items():
        print(f"{name:32}" + "".join(f" {probe} {most[probe]:.1e}" for probe in PROBES))
    assert all(value <= 1e-5 for most in worst.values() for value in most.values()), worst
