"""The least time that a step needs on this card, by operations and bytes, and how far it is from it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch

from autoresearch.harness.cards import peak_tflops

from .setup import TRAIN_LOG, Setup, head, row, say
from .trials import later_half

# Memory bandwidth by the maker's data sheets, TB/s, by the name that the driver gives.
BANDWIDTH = {
    "NVIDIA H100 80GB HBM3": 3.35,
    "NVIDIA H200": 4.8,
    "NVIDIA A100-SXM4-80GB": 2.0,
    "NVIDIA A100 80GB PCIe": 1.9,
}


def floor(setup: Setup) -> None:
    """Counts, the least time for each at the data sheet's rates and at measured ones."""
    train = setup.train
    model = train.GPT(
        setup.vocab_size, setup.length, dict.fromkeys(train.windows(setup.length), train.dense)
    )
    _, muon = train.make_optimisers(model)
    tokens = train.TOTAL_BATCH
    weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear))
    flops = {
        "matrix products": 6.0 * weights * tokens,
        "attention": (model.flops_per_token() - 6.0 * weights) * tokens,
        "Muon": muon_flops([param for group in muon.param_groups for param in group["params"]]),
    }
    params = sum(param.numel() for param in model.parameters())
    moved = {
        "element-wise, blocks (estimated)": 2.0 * stream_numbers(train, model) * tokens,
        # bfloat16 logits written, read for the sum, read for the gradient, which is written and
        # read by the products for stream and head.
        "logits (estimated)": 2.0 * 6 * setup.vocab_size * tokens,
        # float32: weight, gradient and two states read; weight and states written.
        "optimisers' state": 4.0 * 7 * params,
    }
    name = torch.cuda.get_device_name() if setup.cuda else ""
    sheet = (peak_tflops(name), BANDWIDTH.get(name))
    found = ceilings(setup) if setup.cuda else (None, None)
    say(f"Data sheet: {rate(sheet[0])} TFLOP/s dense bf16, {rate(sheet[1])} TB/s. Measured here:")
    say(
        f"{rate(found[0])} TFLOP/s (8192 x 8192 x 8192), {rate(found[1])} TB/s (copy, read and write)."
    )
    head("one step", "TFLOP", "GB", "least ms, data sheet", "least ms, measured rates")
    for what, count in flops.items():
        row(what, f"{count / 1e12:.4f}", "", *(least(count, each[0]) for each in (sheet, found)))
    for what, count in moved.items():
        row(what, "", f"{count / 1e9:.3f}", *(least(count, each[1]) for each in (sheet, found)))
    sums = [total_ms(flops, moved, *each, sum) for each in (sheet, found)]
    most = [total_ms(flops, moved, *each, max) for each in (sheet, found)]
    row("one after another", "", "", *(rate(ms) for ms in sums))
    row("arithmetic and traffic at once", "", "", *(rate(ms) for ms in most))
    log = setup.work / TRAIN_LOG
    steps = (
        [line["step_ms"] for line in later_half(log) if "step_ms" in line] if log.exists() else []
    )
    measured = statistics.median(steps) if steps else None
    say(f"\nmeasured step: {rate(measured)} ms")
    if measured is not None and sums[0] is not None and sums[1] is not None:
        say(
            f"of the sum: {measured / sums[0]:.2f} times the data sheet's",
        )
        say(f"and {measured / sums[1]:.2f} times the measured rates'")


def muon_flops(matrices: list[torch.Tensor]) -> float:
    """Of five steps of orthogonalisation, each three products: two wide ones and a square one."""
    total = 0.0
    for matrix in matrices:
        small, large = sorted(matrix.shape)
        total += 5 * (4.0 * small * small * large + 2.0 * small**3)
    return total


def stream_numbers(train: Any, model: Any) -> float:
    """Numbers per token that passes over the stream read and write, where each is one kernel.

    Matrix products and attention are left out: their traffic hides behind their arithmetic. In
    units of the width, forward and backward of each block:
        mix and norm        reads stream, first, the block before; writes stream, normed    5, 6
        rotation and norm   q and k                                                         4, 6
        norm                reads stream and attention's; writes stream, normed             4, 4
        squared ReLU        of the MLP's hidden width                                       2, 3
        value embedding     reads v and the embedding, writes v                             3, 4
    """
    width = model.embed.embedding_dim
    with_values = sum(block.value_embed is not None for block in model.blocks)
    each = (5 + 6) + (4 + 6) + (4 + 4) + train.MLP_RATIO * (2 + 3)
    return float(width * (len(model.blocks) * each + with_values * (3 + 4)))


def ceilings(setup: Setup) -> tuple[float, float]:
    """TFLOP/s of a large matrix product of random bfloat16, and TB/s of a large copy."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product_ms = setup.timed_ms(lambda: a @ b)
    size = min(2 * 2**30, torch.cuda.mem_get_info()[0] // 4)
    source = torch.empty(size, dtype=torch.int8, device="cuda").random_()
    target = torch.empty_like(source)
    copy_ms = setup.timed_ms(lambda: target.copy_(source))
    return 2 * 8192**3 / product_ms / 1e9, 2 * size / copy_ms / 1e9


def least(count: float, tera_per_s: float | None) -> str:
    return "n/a" if tera_per_s is None else f"{count / tera_per_s / 1e9:.2f}"


def total_ms(
    flops: dict[str, float],
    moved: dict[str, float],
    tflops: float | None,
    bandwidth: float | None,
    join: Callable[[list[float]], float],
) -> float | None:
    if tflops is None or bandwidth is None:
        return None
    return join([sum(flops.values()) / tflops / 1e9, sum(moved.values()) / bandwidth / 1e9])


def rate(number: float | None) -> str:
    return "n/a" if number is None else f"{number:.2f}"
