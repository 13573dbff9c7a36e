"""Parts of train.py by themselves: attention kernels, the loss, the optimisers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .setup import Setup, head, row, say, short

CHUNKS = (4096, 8192, 16384, 32768, 65536)


def attention(setup: Setup) -> None:
    """Every kernel of train.py for every window, and what choose_attention makes of them."""
    train = setup.train
    heads = math.ceil(train.DIM / train.HEAD_DIM)
    shape = (setup.rows, setup.length, heads, train.HEAD_DIM)
    # Those that may compile for long, or take the device down with them, come last.
    kernels = (
        ("flash", train.flash, ""),
        ("cuDNN", train.cudnn, None),
        ("SDPA, blockwise", train.blockwise, None),
        ("SDPA, dense mask", train.dense, None),
        ("flash-attn 2", train.flash_attn_2, None),
        ("flash FA3", train.flash, "FA3"),
        ("flash FA4", train.flash, "FA4"),
    )
    say(f"Shape {shape}; the error is the largest of result and gradients, relative, against the")
    say("dense mask in float64; TFLOP/s counts 4 + 8 operations per feature and key that is seen.")
    head("kernel", "window", "forward ms", "forward and backward ms", "TFLOP/s", "error")
    for name, kernel, implementation in kernels:
        for window in sorted(set(train.windows(setup.length))):
            if not setup.cuda and kernel not in (train.dense, train.blockwise):
                row(name, window, "needs CUDA", "", "", "")
                continue
            try:
                if implementation is not None:
                    train.activate(implementation)
                error = attention_error(setup, kernel, (1, *shape[1:]), window)
                times = attention_ms(setup, kernel, shape, window)
            except train.FAULTS as fault:
                row(name, window, short(fault), "", "", "")
                continue
            keys = window - window * (window - 1) / (2 * setup.length)
            flops = 12 * math.prod(shape) * keys
            rate = flops / times[1] / 1e9
            row(name, window, f"{times[0]:.3f}", f"{times[1]:.3f}", f"{rate:.1f}", f"{error:.1e}")
        setup.free()
    say("\n`choose_attention`:\n\n```")
    for window, chosen in train.choose_attention(setup.rows, setup.length).items():
        say(f"{window}: {chosen.__name__}")
    say("```")


def inputs(setup: Setup, shape: tuple[int, ...]) -> list[Tensor]:
    """q, k, v, which want gradients, and the gradient of the result."""
    _, precision = setup.train.find_device()
    made = [torch.randn(shape, device=setup.device, dtype=precision) for _ in range(4)]
    return [part.requires_grad_() for part in made[:3]] + made[3:]


def attention_error(setup: Setup, kernel: Any, shape: tuple[int, ...], window: int) -> float:
    *ours, gradient = inputs(setup, shape)
    exact = [part.detach().double().requires_grad_() for part in ours]
    found, wanted = kernel(*ours, window), setup.train.dense(*exact, window)
    found.backward(gradient)
    wanted.backward(gradient.double())
    pairs = [(found, wanted), *((a.grad, b.grad) for a, b in zip(ours, exact, strict=True))]
    return max(float(((a.double() - b).norm() / b.norm()).detach()) for a, b in pairs)


def attention_ms(
    setup: Setup, kernel: Any, shape: tuple[int, ...], window: int
) -> tuple[float, float]:
    """Of a forward pass, and of one with its backward pass."""
    *ours, gradient = inputs(setup, shape)

    def both() -> None:
        for part in ours:
            part.grad = None
        kernel(*ours, window).backward(gradient)

    return setup.timed_ms(lambda: kernel(*ours, window)), setup.timed_ms(both)


def loss(setup: Setup) -> None:
    """ChunkedLoss at several sizes, beside the logits of all tokens at once."""
    train = setup.train
    _, precision = train.find_device()
    tokens, width = (
        setup.rows * setup.length,
        math.ceil(train.DIM / train.HEAD_DIM) * train.HEAD_DIM,
    )
    x = torch.randn(tokens, width, device=setup.device, dtype=precision, requires_grad=True)
    matrix = torch.randn(setup.vocab_size, width, device=setup.device) / width**0.5
    matrix.requires_grad_()
    targets = torch.randint(setup.vocab_size, (tokens,), device=setup.device)
    say(f"{tokens} tokens x {width} -> {setup.vocab_size}, forward and backward")
    head("tokens at once", "compiled", "ms", "memory more, MB", "loss")

    def measured(label: object, compiled: str, work: Callable[[], Tensor]) -> None:
        def whole() -> None:
            x.grad = matrix.grad = None
            work().backward()

        try:
            value = float(work().detach())
            took_ms = setup.timed_ms(whole)
            row(label, compiled, f"{took_ms:.2f}", setup.peak_mb(whole), f"{value:.6f}")
        except torch.OutOfMemoryError as fault:
            row(label, compiled, short(fault), "", "")
        x.grad = matrix.grad = None
        setup.free()

    def chunked(size: int) -> None:
        torch._dynamo.reset()
        train.DEVICE_CHUNK = size
        setup.compile_rest()
        measured(size, "yes", lambda: train.ChunkedLoss.apply(x, matrix, targets))

    default = train.DEVICE_CHUNK
    chunked(default)
    compiled = torch.compile(train.summed_loss, dynamic=False, backend=setup.backend)
    measured("all", "yes", lambda: compiled(x, matrix, targets) / tokens)
    measured("all", "no", lambda: train.summed_loss(x, matrix, targets) / tokens)
    for size in (tokens // 4,) if setup.small else CHUNKS:
        if size != default and size <= tokens:
            chunked(size)


def optimiser(setup: Setup) -> None:
    """One step of each optimiser, with the model's own shapes."""
    from torch._dynamo.utils import counters

    train = setup.train
    model, optimisers = setup.model(dict.fromkeys(train.windows(setup.length), train.dense))
    for param in model.parameters():
        param.grad = 1e-3 * torch.randn_like(param)
    head("optimiser", "parameters, M", "first step s", "step ms", "graphs")
    for made, compiled in ((optimisers[0], False), (optimisers[1], False), (optimisers[1], True)):
        if compiled:
            train.Muon.update = staticmethod(setup.compiled_muon())
        counters.clear()
        first_s = setup.seconds(made.step)
        step_ms = setup.timed_ms(made.step)
        name = type(made).__name__ + (", compiled" if compiled else "")
        count = sum(param.numel() for group in made.param_groups for param in group["params"])
        graphs = counters["stats"]["unique_graphs"]
        row(name, f"{count / 1e6:.2f}", f"{first_s:.2f}", f"{step_ms:.3f}", graphs)
