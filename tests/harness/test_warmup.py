"""A warm-up leaves no trace, and its operations are those computed by hand."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from autoresearch.harness.cache import HarnessError  # noqa: E402
from autoresearch.harness.clock import Clock  # noqa: E402
from autoresearch.harness.loader import Batches  # noqa: E402
from tests.handmade import small_data  # noqa: E402

CPU = torch.device("cpu")
VOCAB, T, B, WIDTH, HEADS = 32, 8, 4, 16, 2
DATA = small_data(np.random.default_rng(0).integers(0, VOCAB, (64, T + 1)), [1] * VOCAB, bos=31)


pytestmark = pytest.mark.usefixtures("one_thread", "limits")


class Small(nn.Module):
    """Attention between two projections, with everything that a warm-up could leave a trace in."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.mix = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.register_buffer("last", None)

    def forward(self, tokens: Tensor) -> Tensor:
        rows, length = tokens.shape
        self.seen += 1  # in place
        self.last = tokens[:, -1].float()  # another tensor in its place
        qkv = self.mix(self.embed(tokens)).view(rows, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*qkv, is_causal=True).transpose(1, 2).flatten(2)
        mixed = self.norm(mixed.flatten(0, 1)).view(rows, length, WIDTH)
        scale = 1 + 0.1 * random.random() + 0.1 * np.random.rand()
        return self.head(F.dropout(mixed, 0.1)) * scale


def made(seed: int = 0) -> tuple[Small, list[torch.optim.Optimizer], Clock, Batches]:
    torch.manual_seed(seed)
    model = Small()
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW([model.embed.weight, model.head.weight], lr=torch.tensor(0.01)),
        torch.optim.SGD([model.mix.weight], lr=0.1, momentum=0.9),
    ]
    clock = Clock(CPU)
    return model, optimisers, clock, Batches(DATA, B, CPU, 1, clock)


def train_step(run: nn.Module, optimisers: list[torch.optim.Optimizer], batches: Batches) -> float:
    x, y = batches.next()
    loss = F.cross_entropy(run(x).flatten(0, 1), y.flatten())
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()
    for optimiser in optimisers:
        optimiser.zero_grad()
    return float(loss.detach())


def test_a_warm_up_leaves_no_trace(limits: Callable[..., None]) -> None:
    limits("1000steps")
    ends = []
    for warm_ups in (1, 2):
        model, optimisers, clock, batches = made()
        places = [param.data_ptr() for param in model.parameters()]
        rate, seen = optimisers[0].param_groups[0]["lr"], model.seen
        random.seed(3)
        np.random.seed(4)
        for _ in range(warm_ups):
            with clock.warm_up(model, optimisers):
                for _ in range(3):
                    train_step(model, optimisers, batches)
                    clock.step()
                    rate.mul_(0.5)
                    optimisers[1].param_groups[0]["extra"] = 1
                train_step(model, [], batches)  # leaves gradients
        assert places == [param.data_ptr() for param in model.parameters()]
        assert model.seen is seen and float(seen) == 0 and model.last is None
        assert float(model.norm.num_batches_tracked) == 0
        assert all(param.grad is None for param in model.parameters())
        assert not any(optimiser.state for optimiser in optimisers)
        assert optimisers[0].param_groups[0]["lr"] is rate and float(rate) == pytest.approx(0.01)
        assert "extra" not in optimisers[1].param_groups[0]
        assert (clock.steps, clock.tokens, clock.progress()) == (0, 0, 0.0)
        losses = [train_step(model, optimisers, batches) for _ in range(3)]
        ends.append((losses, [param.clone() for param in model.parameters()]))
    # The same again without any warm-up.
    limits("1000steps")
    model, optimisers, clock, batches = made()
    random.seed(3)
    np.random.seed(4)
    losses = [train_step(model, optimisers, batches) for _ in range(3)]
    for theirs, params in ends:
        assert theirs == losses
        assert all(map(torch.equal, params, model.parameters()))


def test_a_warm_up_puts_back_the_state_of_an_optimiser_that_has_some() -> None:
    model, optimisers, clock, batches = made()
    other = Batches(DATA, B, CPU, 5, Clock(CPU))
    train_step(model, optimisers, other)
    state = {key: value.clone() for key, value in optimisers[0].state[model.head.weight].items()}
    with clock.warm_up(model, optimisers):
        train_step(model, optimisers, batches)
    now = optimisers[0].state[model.head.weight]
    assert now.keys() == state.keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert all(torch.equal(now[key], state[key]) for key in state)


def test_a_warm_up_that_fails_leaves_no_trace_either(limits: Callable[..., None]) -> None:
    limits("1000steps")
    model, optimisers, clock, batches = made()
    before = [param.clone() for param in model.parameters()]

    def too_large() -> None:
        with clock.warm_up(model, optimisers):
            train_step(model, optimisers, batches)
            raise torch.OutOfMemoryError("too large")

    with pytest.raises(torch.OutOfMemoryError):
        too_large()
    assert all(map(torch.equal, before, model.parameters()))
    assert not clock.warming_up


def test_a_warm_up_comes_before_training_and_with_real_optimisers() -> None:
    model, optimisers, clock, batches = made()
    with (
        pytest.raises(HarnessError, match=r"derive it from torch\.optim\.Optimizer"),
        clock.warm_up(model, [object()]),  # type: ignore[list-item]
    ):
        pass
    batches.next()
    with (
        pytest.raises(HarnessError, match="after the first training batch"),
        clock.warm_up(model, optimisers),
    ):
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")  # torch's own
def test_what_is_compiled_in_a_warm_up_stays_valid(
    limits: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits("1000steps")
    torch.compiler.reset()
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        graphs.append(1)
        return graph.forward

    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(VOCAB, WIDTH), nn.Linear(WIDTH, VOCAB, bias=False))
    run = torch.compile(model, backend=backend)
    optimisers: list[torch.optim.Optimizer] = [torch.optim.SGD(model.parameters(), lr=0.1)]
    monkeypatch.setattr(optimisers[0], "step", torch.compile(optimisers[0].step, backend=backend))
    clock = Clock(CPU)
    batches = Batches(DATA, B, CPU, 1, clock)
    with clock.warm_up(model, optimisers):
        train_step(run, optimisers, batches)
        train_step(run, optimisers, batches)
        assert len(graphs) == 2
    train_step(run, optimisers, batches)
    assert len(graphs) == 2  # what was compiled is still valid
    clock.step()
