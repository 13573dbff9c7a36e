"""The probes at the end of an evaluation: broken models are found, honest odd ones pass."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from autoresearch.harness.bpb import EvaluationError, evaluate  # noqa: E402
from autoresearch.harness.trial.probes import FP32_TOLERANCE, probe  # noqa: E402
from tests.handmade import small_data  # noqa: E402

CPU = torch.device("cpu")
VOCAB, T, WIDTH, HEADS = 64, 32, 32, 4
# Text-like: tokens are far from equally frequent.
RANKS = np.random.default_rng(0).zipf(1.4, size=(40, T + 1)) % VOCAB
DATA = small_data(RANKS, [1] * VOCAB, bos=VOCAB - 1)


pytestmark = pytest.mark.usefixtures("one_thread")


class Causal(nn.Module):
    """Embedding, two layers of causal attention and MLP, head. The others differ in one thing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.qkv = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(2))
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, WIDTH)) for _ in range(2)
        )
        self.head = nn.Linear(WIDTH, VOCAB)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.enter(tokens)
        for qkv, mlp in zip(self.qkv, self.mlp, strict=True):
            q, k, v = qkv(x).view(*tokens.shape, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
            x = x + self.attend(q, k, v).transpose(1, 2).reshape(x.shape)
            x = self.leave(x + mlp(x))
        return self.head(x)

    def enter(self, tokens: Tensor) -> Tensor:
        return self.embed(tokens)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def leave(self, x: Tensor) -> Tensor:
        return x


def distances() -> Tensor:
    places = torch.arange(T)
    return places[:, None] - places


class Windowed(Causal):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen = (distances() >= 0) & (distances() < 5)
        return F.scaled_dot_product_attention(q, k, v, seen)


class Alibi(Causal):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        slopes = 2.0 ** -torch.arange(1, HEADS + 1)
        bias = -slopes[:, None, None] * distances()
        return F.scaled_dot_product_attention(q, k, v, bias.masked_fill(distances() < 0, -1e9))


class Experts(Causal):
    """Each token goes through the one of eight experts that it scores highest, in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(WIDTH, 8)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(8))

    def leave(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)
        gates, chosen = self.router(flat).softmax(1).max(1)
        out = torch.zeros_like(flat)
        for index, expert in enumerate(self.experts):
            mine = (chosen == index).nonzero().squeeze(1)
            out[mine] = (expert(flat[mine]) * gates[mine, None]).to(out.dtype)
        return x + out.view_as(x)


class Dropped(Causal):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.2)

    def leave(self, x: Tensor) -> Tensor:
        return self.drop(x)


class Ahead(Causal):
    """The next token's embedding, one in a hundred parts."""

    def enter(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        return torch.cat([0.99 * x[:, :-1] + 0.01 * x[:, 1:], x[:, -1:]], dim=1)


class OffByOne(Causal):
    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, distances() >= -1)


class Blocks(Causal):
    """Attention within blocks of eight, and to all of the block."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        blocks = torch.arange(T) // 8
        return F.scaled_dot_product_attention(q, k, v, blocks[:, None] >= blocks)


class ExpertsChoice(Experts):
    """Each expert takes the tokens of the whole batch that score highest for it."""

    def leave(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)
        out = torch.zeros_like(flat)
        for scores, expert in zip(self.router(flat).T, self.experts, strict=True):
            mine = scores.topk(len(flat) // 8).indices
            out[mine] += expert(flat[mine])
        return x + out.view_as(x)


class Normed(Causal):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(WIDTH, track_running_stats=False)

    def leave(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(0, 1)).view_as(x)


class RowMixed(Causal):
    """Each row sees a little of the row before it."""

    def leave(self, x: Tensor) -> Tensor:
        return x + 0.01 * x.roll(1, dims=0)


class Counting(Causal):
    calls = 0

    def leave(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * (1 + 0.001 * self.calls)


class Remembering(Causal):
    """A cache that outlives the call."""

    before: Tensor | None = None

    def enter(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        mixed = x if self.before is None else x + 0.1 * self.before.mean()
        self.before = x
        return mixed


@pytest.mark.parametrize("kind", [Causal, Windowed, Alibi, Experts, Dropped])
@pytest.mark.parametrize("rows", [2, 16])
def test_honest_models_pass(kind: type[Causal], rows: int) -> None:
    score = evaluate(kind().eval(), DATA, CPU, rows)
    assert score.rows == 40 and 5 < score.bpb < 9


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Ahead, "causality"),
        (OffByOne, "causality"),
        (Blocks, "causality"),
        (ExpertsChoice, "rows"),
        (Normed, "rows"),
        (RowMixed, "rows"),
        (Counting, "repeatability"),
        (Remembering, "repeatability"),
    ],
)
@pytest.mark.parametrize("rows", [4, 16])
def test_broken_models_are_named(kind: type[Causal], name: str, rows: int) -> None:
    with pytest.raises(EvaluationError, match=rf"probe {name}: .*Row \d+, position \d+ moved by"):
        evaluate(kind(), DATA, CPU, rows)


def test_dropout_that_was_left_on_is_found() -> None:
    with pytest.raises(EvaluationError, match=r"probe repeatability: .*dropout in training mode"):
        evaluate(Dropped().train(), DATA, CPU)


def test_a_single_row_that_looks_ahead_by_statistics_is_found() -> None:
    with pytest.raises(EvaluationError, match="probe causality"):
        evaluate(Normed(), DATA, CPU, 1)
    assert evaluate(Causal(), DATA, CPU, 1).rows == 40


def test_the_place_and_the_size_of_a_fault_are_told() -> None:
    """Logits that are the next token's, one-hot: wrong just before the cut, by all of the scale."""
    tokens = RANKS[:8, :-1].astype(np.int64)

    def ask(asked: np.ndarray) -> Tensor:
        ahead = torch.from_numpy(asked).roll(-1, dims=1)
        return F.one_hot(ahead, VOCAB).float()

    with pytest.raises(EvaluationError, match=r"moved by 1 of the largest logit .*; 8 of \d+ pos"):
        probe(ask, tokens, VOCAB, FP32_TOLERANCE)


def test_a_choice_that_flips_here_and_there_is_no_fault() -> None:
    """As a router of experts does that nearly ties: one position in 30 jumps with each call."""
    tokens = np.tile(np.arange(T), (32, 1))
    rng = np.random.default_rng(0)

    def ask(asked: np.ndarray) -> Tensor:
        logits = F.one_hot(torch.from_numpy(asked), VOCAB).float()
        logits[torch.from_numpy(rng.random(asked.shape) < share)] += 0.5
        return logits

    share = 1 / 30
    probe(ask, tokens, VOCAB, FP32_TOLERANCE)
    share = 1 / 3
    with pytest.raises(EvaluationError, match="probe repeatability"):
        probe(ask, tokens, VOCAB, FP32_TOLERANCE)


def test_logits_that_become_nan_beside_other_rows_are_a_fault() -> None:
    def ask(asked: np.ndarray) -> Tensor:
        logits = F.one_hot(torch.from_numpy(asked), VOCAB).float()
        return logits / float((asked[0] == asked[0, 0]).all() == 0)

    tokens = np.tile(np.arange(T), (4, 1))
    with pytest.raises(EvaluationError, match="moved by nan"):
        probe(ask, tokens, VOCAB, FP32_TOLERANCE)
