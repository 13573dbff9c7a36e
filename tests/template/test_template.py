"""The training template's parts: attention, rotary, loss, optimisers, schedule, against plain torch."""

from __future__ import annotations

import ast
import importlib.util
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

import autoresearch  # noqa: E402

TEMPLATE = Path(autoresearch.__file__).parent / "template"
CPU = torch.device("cpu")


@pytest.fixture
def train() -> ModuleType:
    """train.py as a module of its own: its parts, without a run."""
    spec = importlib.util.spec_from_file_location("template_train", TEMPLATE / "train.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    return module


def small(
    train: ModuleType, depth: int = 3, length: int = 16, vocab_size: int = 50
) -> torch.nn.Module:
    """A model of which every part does something: as initialised, its blocks do nothing yet."""
    train.DEPTH, train.DIM, train.SHORT_WINDOW = depth, 32, 4
    attention = train.choose_attention(2, length)
    model = train.GPT(vocab_size, length, attention)
    for param in model.parameters():
        torch.nn.init.normal_(param, std=0.2)
    return model


# -- attention ------------------------------------------------------------------------------------


def spelled_out(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, window: int) -> torch.Tensor:
    """Token i sees tokens i - window + 1 to i; q, k, v are (B, T, H, D)."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    T = q.size(2)
    scores = q @ k.mT / q.size(3) ** 0.5
    for i in range(T):
        for j in range(T):
            if not i - window < j <= i:
                scores[..., i, j] = float("-inf")
    return (scores.softmax(-1) @ v).transpose(1, 2)


WINDOWS = [
    (32, 2),
    (32, 4),
    (32, 8),
    (24, 6),
    (32, 16),
    (30, 7),
    (32, 1),
    (16, 15),
    (16, 16),
    (16, 99),
]


@pytest.mark.parametrize(("length", "window"), WINDOWS)
@pytest.mark.parametrize("kernel", ["dense", "blockwise"])
def test_a_window_means_the_same_everywhere(
    train: ModuleType, kernel: str, length: int, window: int
) -> None:
    inputs = [torch.randn(2, length, 3, 8, dtype=torch.float64) for _ in range(3)]
    ours = [t.clone().requires_grad_() for t in inputs]
    theirs = [t.clone().requires_grad_() for t in inputs]
    out, reference = getattr(train, kernel)(*ours, window), spelled_out(*theirs, window)
    torch.testing.assert_close(out, reference)
    weight = torch.randn_like(out)
    (out * weight).sum().backward()
    (reference * weight).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("window", [256, 2048])
def test_kernels_of_a_gpu_that_launch_equal_the_dense_mask(train: ModuleType, window: int) -> None:
    ran, wrong = [], []
    for name in ("flash", "flash_attn_2", "cudnn", "blockwise"):
        try:
            train.measured_ms(getattr(train, name), (4, 2048, 2, 128), window)
            ran.append(name)
        except train.FAULTS as fault:
            wrong += [name] if "differs" in str(fault) else []
    assert not wrong
    assert "blockwise" in ran


def test_without_a_gpu_every_window_has_the_exact_kernel_of_stock_torch(train: ModuleType) -> None:
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    train.DEPTH, train.WINDOW, train.SHORT_WINDOW = 5, "SSL", 8
    assert train.windows(64) == [8, 8, 64, 8, 64]
    assert train.choose_attention(4, 64) == {8: train.blockwise, 64: train.blockwise}
    assert train.windows(4) == [4] * 5


# -- the model ------------------------------------------------------------------------------------


def test_rotary_turns_each_pair_by_its_positions_angle(train: ModuleType) -> None:
    train.ROPE_BASE = 100.0
    cos, sin = train.rotary_tables(8, 4)  # frequencies 1 and 100 ** -0.5 = 0.1
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 8, 1, 4)
    turned = train.rotate(x, cos, sin)
    for position in range(8):
        a, b = position * 1.0, position * 0.1
        expected = [
            1 * math.cos(a) + 3 * math.sin(a), 2 * math.cos(b) + 4 * math.sin(b),
            3 * math.cos(a) - 1 * math.sin(a), 4 * math.cos(b) - 2 * math.sin(b),
        ]  # fmt: skip
        torch.testing.assert_close(turned[0, position, 0], torch.tensor(expected))
    # Only the distance of two positions shows in their product.
    products = turned[0, :, 0] @ turned[0, :, 0].T
    torch.testing.assert_close(products.diagonal(2), products[2, 0].expand(6))


def test_no_logit_depends_on_a_later_token_or_another_row(train: ModuleType) -> None:
    model = small(train)
    tokens = torch.randint(0, 50, (3, 16))
    changed = tokens.clone()
    changed[0, 9:] = (changed[0, 9:] + 1) % 50
    a, b = model(tokens), model(changed)
    torch.testing.assert_close(a[0, :9], b[0, :9])
    torch.testing.assert_close(a[1:], b[1:])
    assert not torch.allclose(a[0, 9:], b[0, 9:])


def test_the_loss_is_the_cross_entropy_of_the_softcapped_logits(train: ModuleType) -> None:
    model = small(train)
    x, y = torch.randint(0, 50, (3, 16)), torch.randint(0, 50, (3, 16))
    logits = model(x)
    assert logits.abs().max() < train.SOFTCAP and logits.dtype == torch.float32
    raw = torch.nn.functional.linear(model.stream(x), model.head.weight)
    torch.testing.assert_close(logits, train.SOFTCAP * torch.tanh(raw / train.SOFTCAP))
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
    torch.testing.assert_close(model.loss(x, y), expected)


@pytest.mark.parametrize("chunk", [1, 7, 16, 100])
def test_the_loss_in_chunks_has_the_gradients_of_the_whole(train: ModuleType, chunk: int) -> None:
    train.DEVICE_CHUNK = chunk
    x, head = torch.randn(16, 8), torch.randn(20, 8)
    targets = torch.randint(0, 20, (16,))
    ours, theirs = ([t.clone().requires_grad_() for t in (x, head)] for _ in range(2))
    loss = train.ChunkedLoss.apply(*ours, targets)
    plain = train.summed_loss(*theirs, targets) / 16
    torch.testing.assert_close(loss, plain)
    (3 * loss).backward()
    (3 * plain).backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_operations_per_token_are_those_that_torch_counts(train: ModuleType) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = small(train, depth=1)
    x = torch.randint(0, 50, (2, 16))
    with FlopCounterMode(display=False) as counter:
        model.loss(x, x).backward()
    # torch does not count attention on a CPU; what is left is 6 per weight. The value gate sees
    # the whole width here.
    width, keys = 32, (16 + 1) / 2
    assert model.flops_per_token() == pytest.approx(
        counter.get_total_flops() / 32 + 12 * width * keys
    )


def graphs(train: ModuleType, depth: int) -> int:
    """How many graphs were compiled so far, after training and exam of a model of this depth."""
    from torch._dynamo.utils import counters

    model = small(train, depth, length=64)
    model.compile_blocks("eager")
    x = torch.randint(0, 50, (2, 64))
    model.loss(x, x).backward()
    trained = counters["stats"]["unique_graphs"]
    with torch.no_grad():
        assert not model(x).requires_grad
    assert counters["stats"]["unique_graphs"] == trained  # the exam needs none of its own
    return trained


@pytest.fixture
def dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


@pytest.mark.slow
@pytest.mark.usefixtures("dynamo")
# torch's own, of a look at a stream that is no leaf
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_blocks_of_one_kind_share_a_graph_whatever_the_depth(train: ModuleType) -> None:
    train.WINDOW = "SL"
    assert graphs(train, 4) == 2  # S without value embeddings, L with them
    assert graphs(train, 6) == 2
    assert graphs(train, 5) == 4  # S with them, and L without


@pytest.mark.slow
@pytest.mark.usefixtures("dynamo")
def test_new_shapes_of_matrices_do_not_run_into_the_recompile_limit(train: ModuleType) -> None:
    from torch._dynamo.utils import counters

    update = torch.compile(train.muon_update, backend="eager", dynamic=True)
    number = torch.tensor(0.1)
    for rows, columns in [(8 * a, 8 * b) for a in range(2, 6) for b in range(2, 6)]:
        for count in (2, 3):
            stack = torch.randn(count, rows, columns)
            power = torch.zeros((count, rows, 1) if rows >= columns else (count, 1, columns))
            update(stack, stack, stack, power, number, number, number)
    assert counters["stats"]["unique_graphs"] <= 4  # wide, tall and square


# -- optimisers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 16, 16), (1, 64, 16), (1, 16, 64)])
def test_orthogonalised_matrices_have_singular_values_about_one(
    train: ModuleType, shape: tuple[int, ...]
) -> None:
    values = torch.linalg.svdvals(train.orthogonalise(torch.randn(shape)))
    assert values.min() > 0.7 and values.max() < 1.3


@pytest.mark.parametrize("shape", [(16, 16), (24, 8), (8, 24)])
def test_muon_takes_the_steps_of_its_definition(train: ModuleType, shape: tuple[int, int]) -> None:
    weights = [torch.nn.Parameter(torch.randn(shape)) for _ in range(3)]
    muon = train.Muon(weights, lr=0.1, momentum=0.9, decay=0.5)
    expected = [w.detach().clone() for w in weights]
    velocity = [torch.zeros(shape) for _ in range(3)]
    axis = 1 if shape[0] >= shape[1] else 0  # over the longer side of each neuron
    power = [torch.zeros(shape).mean(axis, keepdim=True) for _ in range(3)]
    for _ in range(3):
        grads = [torch.randn(shape) for _ in range(3)]
        for i, (weight, grad) in enumerate(zip(weights, grads, strict=True)):
            weight.grad = grad.clone()
            velocity[i] = 0.9 * velocity[i] + 0.1 * grad
            ahead = 0.1 * grad + 0.9 * velocity[i]
            update = train.orthogonalise(ahead[None])[0]
            power[i] = 0.95 * power[i] + 0.05 * (update**2).mean(axis, keepdim=True)
            evened = update / (power[i] + 1e-10).sqrt()
            update = evened * update.norm() / evened.norm()
            rate = 0.1 * max(1, shape[0] / shape[1]) ** 0.5
            shrink = torch.where(update * expected[i] >= 0, 0.5 * expected[i], torch.zeros(()))
            expected[i] = expected[i] - rate * (update + shrink)
        muon.step()
    for weight, wanted in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach(), wanted, rtol=1e-4, atol=1e-5)


def test_a_matrix_without_a_gradient_yet_stays_finite(train: ModuleType) -> None:
    # The first step of a block whose output matrix is zero; it made every weight nan once.
    weight = torch.nn.Parameter(torch.randn(8, 8))
    before = weight.detach().clone()
    weight.grad = torch.zeros(8, 8)
    train.Muon([weight], lr=0.1, momentum=0.9, decay=0.0).step()
    torch.testing.assert_close(weight.detach(), before)


def test_every_parameter_is_in_one_optimiser_at_its_rate(train: ModuleType) -> None:
    train.EMBED_LR, train.HEAD_LR, train.EMBED_DECAY, train.VALUE_EMBED_DECAY = 0.5, 0.1, 0.01, 0.02
    model = small(train)
    adam, muon = train.make_optimisers(model)
    held = [p for o in (adam, muon) for group in o.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(model.parameters()))
    found = {
        id(p): (group["lr"], group["weight_decay"])
        for group in adam.param_groups
        for p in group["params"]
    }
    scale = math.sqrt(768 / 32)
    assert found[id(model.embed.weight)] == (pytest.approx(0.5 * scale), 0.01)
    assert found[id(model.blocks[-1].value_embed.weight)] == (pytest.approx(0.5 * scale), 0.02)
    assert found[id(model.head.weight)] == (pytest.approx(0.1 * scale), train.HEAD_DECAY)
    assert found[id(model.stream_mix)][0] == pytest.approx(train.SCALAR_LR / 100)
    assert all(p.ndim == 2 for group in muon.param_groups for p in group["params"])


def test_the_schedule_follows_the_share_of_the_budget(train: ModuleType) -> None:
    train.WARMDOWN, train.FINAL_LR, train.MOMENTUM_STEPS = 0.5, 0.1, 100
    assert [train.lr_share(p) for p in (0, 0.5, 0.75, 1)] == [1, 1, pytest.approx(0.55), 0.1]
    adam, muon = optimisers = train.make_optimisers(small(train))
    train.set_rates(optimisers, 0.75, 50)
    assert muon.param_groups[0]["lr"] == pytest.approx(train.MATRIX_LR * 0.55)
    assert adam.param_groups[0]["lr"] == pytest.approx(adam.param_groups[0]["peak_lr"] * 0.55)
    assert muon.param_groups[0]["momentum"] == pytest.approx((0.85 + train.MUON_MOMENTUM) / 2)
    assert muon.param_groups[0]["decay"] == pytest.approx(train.WEIGHT_DECAY / 4)
    train.WARMDOWN = 0.0
    assert train.lr_share(1.0) == 1.0


# -- the batch ------------------------------------------------------------------------------------


def test_batch_sizes_that_do_not_divide_are_refused_with_those_that_would(
    train: ModuleType,
) -> None:
    train.DEVICE_BATCH, train.TOTAL_BATCH = 32, 2**18
    assert train.passes_per_step(2048) == 4
    train.DEVICE_BATCH = 96
    with pytest.raises(SystemExit) as refusal:
        train.passes_per_step(2048)
    said = str(refusal.value)
    assert "96 x 2048 = 196608" in said
    suggested = [int(n) for n in re.findall(r"DEVICE_BATCH = (\d+), or", said)]
    totals = [int(n) for n in re.findall(r"TOTAL_BATCH = (\d+) or (\d+)", said)[0]]
    assert suggested == [64] and totals == [196608, 393216]
    for name, value in [("DEVICE_BATCH", 64), *(("TOTAL_BATCH", total) for total in totals)]:
        train.DEVICE_BATCH, train.TOTAL_BATCH = 96, 2**18
        setattr(train, name, value)
        assert train.passes_per_step(2048) >= 1


def test_a_step_in_several_passes_has_the_gradients_of_one(train: ModuleType) -> None:
    x, y = torch.randint(0, 50, (6, 16)), torch.randint(0, 50, (6, 16))
    model = small(train)

    def gradient(passes: int) -> tuple[float, torch.Tensor]:
        parts = iter(zip(x.chunk(passes), y.chunk(passes), strict=True))
        batches = SimpleNamespace(device=CPU, next=lambda: next(parts))
        kept: list[torch.Tensor] = []
        hook = model.head.weight.register_post_accumulate_grad_hook(
            lambda param: kept.append(param.grad.clone())
        )
        loss = train.train_step(model, [], batches, passes, 0.0, 0)
        hook.remove()
        model.zero_grad(set_to_none=True)
        return float(loss), kept[-1]

    (whole, one), (split, three) = gradient(1), gradient(3)
    assert split == pytest.approx(whole, rel=1e-6)
    torch.testing.assert_close(one, three)


def test_gradients_do_not_outlive_their_step(train: ModuleType) -> None:
    model = small(train)
    x = torch.randint(0, 50, (2, 16))
    batches = SimpleNamespace(device=CPU, next=lambda: (x, x))
    train.train_step(model, train.make_optimisers(model), batches, 2, 0.0, 0)
    assert all(param.grad is None for param in model.parameters())


def test_a_step_smaller_than_a_pass_takes_fewer_rows(train: ModuleType) -> None:
    train.DEVICE_BATCH, train.TOTAL_BATCH = 16, 512
    assert train.device_rows(64) == 8 and train.passes_per_step(64) == 1
    train.TOTAL_BATCH = 32
    with pytest.raises(SystemExit, match=r"TOTAL_BATCH = 64$"):
        train.passes_per_step(64)


# -- the file -------------------------------------------------------------------------------------


def test_every_line_of_the_knobs_stands_alone() -> None:
    # A search/replace block must match one place: no knob's line may occur twice.
    text = (TEMPLATE / "train.py").read_text(encoding="utf-8")
    lines = text.splitlines()
    knobs = [line for line in lines if re.match(r"[A-Z_0-9]+ = ", line)]
    assert len(knobs) > 25
    for line in knobs:
        assert lines.count(line) == 1, line
    names = {
        target.id
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert {"DEPTH", "DIM", "WINDOW", "DEVICE_BATCH", "TOTAL_BATCH", "MATRIX_LR"} <= names
