"""Pretrain a small GPT on one device within a fixed budget, then measure it in bits per byte.

This is the file that experiments change. It reads from top to bottom: knobs, attention, model,
loss, optimisers, training. Data, budget and measure come from the frozen harness.

    python train.py
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoresearch.harness.bpb import evaluate, print_summary
from autoresearch.harness.clock import Clock
from autoresearch.harness.loader import Batches, open_data, trial_seed

# --------------------------------------------------------------------------------------------------
# Knobs. Plain literals, one to a line, for a person, an LLM or a tuner to edit. `autoresearch init`
# and `autoresearch doctor --fit` write the values that suit a device; these suit a CPU.

# Model
DEPTH = 2  # blocks
DIM = 64  # width of the residual stream; rounded up to a multiple of HEAD_DIM
HEAD_DIM = 32  # width of one attention head; even
MLP_RATIO = 4  # hidden width of the MLP, in multiples of the model's width
WINDOW = "SL"  # attention by block, repeated: S = SHORT_WINDOW, L = whole row, as the last block is
SHORT_WINDOW = 2  # tokens that an S block sees, its own included
VALUE_EMBEDS = True  # every other block adds an embedding of the token to its values
SOFTCAP = 15.0  # logits stay within plus or minus this
ROPE_BASE = 10000.0  # the longest wavelength of the rotary embedding, in tokens / 2 pi
INIT_SCALE = 0.5  # of the matrices that read the stream, in multiples of 1 / sqrt(width)

# Batch
DEVICE_BATCH = 16  # rows of one forward and backward pass, at most: what memory allows
TOTAL_BATCH = 1024  # tokens of one optimiser step, in one pass or several
DEVICE_CHUNK = 8192  # tokens whose logits exist at once while training: what memory allows

# Optimiser: Muon for the matrices of the blocks, AdamW for everything else. The rates of tables and
# head are for a width of 768 and grow as 1 / sqrt(width) for smaller models.
MATRIX_LR = 0.02  # Muon
EMBED_LR = 0.12  # token and value embeddings
HEAD_LR = 0.006  # output projection
SCALAR_LR = 0.02  # per-block mixing weights
WEIGHT_DECAY = 0.1  # of the matrices, in multiples of their learning rate; falls to 0
EMBED_DECAY = 0.0  # of the token embedding
VALUE_EMBED_DECAY = 0.0  # of the value embeddings
HEAD_DECAY = 0.0  # of the output projection
MUON_MOMENTUM = 0.95  # reached from 0.85 within MOMENTUM_STEPS
MOMENTUM_STEPS = 300  # early gradients are soon out of date

# Schedule, by share of the budget; without a warm-up, which has only lost at these lengths
WARMDOWN = 0.5  # learning rates fall, in a straight line, to FINAL_LR
FINAL_LR = 0.05  # share of the learning rate that is left at the end

LOG_STEPS = 10  # optimiser steps per line of the training log

# --------------------------------------------------------------------------------------------------
# Attention. q, k, v and the result are (B, T, H, D): B rows, T tokens, H heads of width D. A token
# sees the last `window` tokens, its own included; flash-attention counts the others: window - 1.

Attention = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def window_mask(queries: int, keys: int, window: int, device: torch.device) -> Tensor:
    """Which keys each query sees, (queries, keys), when the last key is the last query's own."""
    own = torch.arange(keys - queries, keys, device=device).unsqueeze(1)
    distance = own - torch.arange(keys, device=device)
    return (distance >= 0) & (distance < window)


def dense(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """The meaning of a window, spelled out as a mask of all pairs: what the others must equal."""
    mask = window_mask(q.size(1), k.size(1), window, q.device)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H, T, D)
    return F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2)


def blockwise(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """SDPA of stock torch, on every device, exact for short windows without a mask of all pairs.

    Blocks of `window` queries look at their own block and the one before it, which together hold
    every key that they may see. A window that does not divide the row takes the mask.
    """
    B, T, H, D = q.shape
    W = window
    if W < T and (T % W or T < 4 * W):
        return dense(q, k, v, W)
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H, T, D)
    if W >= T:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
    first = F.scaled_dot_product_attention(q[:, :, :W], k[:, :, :W], v[:, :, :W], is_causal=True)
    blocks = H * (T // W - 1)  # all but the first, which has no block before it, side by side
    qs = q[:, :, W:].reshape(B, blocks, W, D)
    ks = k.unfold(2, 2 * W, W).transpose(-1, -2).reshape(B, blocks, 2 * W, D)
    vs = v.unfold(2, 2 * W, W).transpose(-1, -2).reshape(B, blocks, 2 * W, D)
    rest = F.scaled_dot_product_attention(qs, ks, vs, window_mask(W, 2 * W, W, q.device))
    return torch.cat((first, rest.reshape(B, H, T - W, D)), dim=2).transpose(1, 2)


def flash(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """torch's own flash attention over equal lengths, in whatever implementation is active."""
    from torch.nn.attention.varlen import varlen_attn

    B, T, H, D = q.shape
    ends = torch.arange(0, (B + 1) * T, T, dtype=torch.int32, device=q.device)  # (B + 1,)
    q, k, v = (part.reshape(B * T, H, D) for part in (q, k, v))
    seen = (window - 1 if window < T else -1, 0)
    return varlen_attn(q, k, v, ends, ends, T, T, window_size=seen).view(B, T, H, D)


def flash_attn_2(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """The package flash-attn, where it is installed."""
    from flash_attn import flash_attn_func

    seen = (window - 1 if window < q.size(1) else -1, 0)
    return flash_attn_func(q, k, v, causal=True, window_size=seen)


def cudnn(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """cuDNN's kernel, which knows no windows."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if window < q.size(1):
        raise NotImplementedError("cuDNN's attention sees the whole row")
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H, T, D)
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)


def activate(implementation: str) -> None:
    """Put FA3 or FA4, from packages of their own, under torch's flash attention; "" is torch's."""
    from torch.nn import attention

    if implementation:
        attention.activate_flash_attention_impl(implementation)
    elif getattr(attention, "current_flash_attention_impl", lambda: None)():
        attention.restore_flash_attention_impl()


# What a kernel that is missing or unfit for this device ends in, at its import or at its launch.
FAULTS = (
    *(ImportError, AttributeError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, AssertionError),
)


def measured_ms(
    kernel: Attention,
    shape: tuple[int, ...],
    window: int,
    precision: torch.dtype = torch.bfloat16,
) -> float:
    """Milliseconds of a forward and backward pass on the GPU; RuntimeError where it is not exact."""
    q, k, v, g = (torch.randn(1, *shape[1:], device="cuda") for _ in range(4))
    ours = [part.clone().to(precision).requires_grad_() for part in (q, k, v)]
    exact = [part.requires_grad_() for part in (q, k, v)]
    found = kernel(ours[0], ours[1], ours[2], window)
    wanted = dense(exact[0], exact[1], exact[2], window)
    found.backward(g.to(precision))
    wanted.backward(g)
    pairs: Any = [(found, wanted), *((a.grad, b.grad) for a, b in zip(ours, exact, strict=True))]
    for a, b in pairs:
        if not bool((a.float() - b).norm() < 0.02 * b.norm()):  # bfloat16 itself: about 0.004
            raise RuntimeError("it differs from the dense mask")
    q, k, v, g = (torch.randn(shape, device="cuda", dtype=precision) for _ in range(4))
    ours = [part.requires_grad_() for part in (q, k, v)]
    times = []
    for _ in range(4):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        kernel(ours[0], ours[1], ours[2], window).backward(g)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return min(times[1:])  # the first may have compiled


def choose_attention(
    rows: int, length: int, precision: torch.dtype = torch.bfloat16
) -> dict[int, Attention]:
    """The kernel for each window: on a GPU the fastest that runs there and is exact.

    An import or a version number proves nothing, so each is launched. One further down the list
    must be 5 % faster than those above it, so that a close call falls the same way every time.
    """
    wanted = sorted(set(windows(length)))
    if not torch.cuda.is_available():
        return dict.fromkeys(wanted, blockwise)
    shape = (min(rows, 32), length, math.ceil(DIM / HEAD_DIM), HEAD_DIM)
    active, active_ms = "", math.inf
    for implementation in ("FA3", "FA4", ""):  # one of them serves all of torch's flash attention
        with contextlib.suppress(*FAULTS):
            activate(implementation)
            taken_ms = measured_ms(flash, shape, wanted[0], precision)
            if taken_ms < 0.95 * active_ms:
                active, active_ms = implementation, taken_ms
    activate(active)
    kernels = {"flash": flash, "flash-attn 2": flash_attn_2, "cuDNN": cudnn, "SDPA": blockwise}
    chosen: dict[int, Attention] = {}
    for window in wanted:
        best, best_ms = "SDPA", math.inf  # inf: none could be measured
        for name, kernel in kernels.items():
            with contextlib.suppress(*FAULTS):
                taken_ms = measured_ms(kernel, shape, window, precision)
                if taken_ms < 0.95 * best_ms:
                    best, best_ms = name, taken_ms
        chosen[window] = kernels[best]
        label = f"{best} {active}".strip() if best == "flash" else best
        print(f"attention over {window} tokens: {label}, {best_ms:.2f} ms for {shape}")
    return chosen


# --------------------------------------------------------------------------------------------------
# Model. C width of the stream, V vocabulary.


def norm(x: Tensor) -> Tensor:
    """RMS norm over the last dimension, without a learned scale."""
    return F.rms_norm(x, (x.size(-1),))


def rotary_tables(length: int, dim: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, each (T, 1, D/2)."""
    frequencies = ROPE_BASE ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies).unsqueeze(1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of features (i, i + D/2) of x (B, T, H, D) by its position's angle."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1).type_as(x)


class Linear(nn.Linear):
    """A matrix kept in float32 and used in the precision of its input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.type_as(x))


class Block(nn.Module):
    """Attention, then an MLP, each on a normalised input and added to the stream."""

    def __init__(self, width: int, window: int, attend: Attention, values: int | None) -> None:
        super().__init__()
        self.window, self.attend = window, attend
        self.heads = width // HEAD_DIM
        self.q = Linear(width, width)
        self.k = Linear(width, width)
        self.v = Linear(width, width)
        self.out = Linear(width, width)
        self.up = Linear(width, round(MLP_RATIO * width))
        self.down = Linear(round(MLP_RATIO * width), width)
        self.value_embed = None if values is None else nn.Embedding(values, width)
        # How much of the embedding a head takes is read off the first features of the stream.
        self.value_gate = None if values is None else Linear(min(32, width), self.heads)

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(norm(x), tokens, cos, sin)
        hidden = F.relu(self.up(norm(x))).square()  # (B, T, MLP_RATIO * C)
        return x + self.down(hidden)

    def attention(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, C = x.shape
        shape = (B, T, self.heads, HEAD_DIM)
        q, k, v = self.q(x).view(shape), self.k(x).view(shape), self.v(x).view(shape)
        if self.value_embed is not None and self.value_gate is not None:
            gate = 2 * torch.sigmoid(self.value_gate(x[..., : self.value_gate.in_features]))
            v = v + gate.unsqueeze(-1) * self.value_embed(tokens).view(shape).type_as(v)
        # Norms after the rotation or before are the same: a rotation keeps lengths.
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
        return self.out(self.attend(q, k, v, self.window).reshape(B, T, C))


def windows(length: int) -> list[int]:
    """The window of each block, in tokens; the last block always sees the whole row."""
    short = [WINDOW[index % len(WINDOW)] == "S" for index in range(DEPTH - 1)] + [False]
    return [min(SHORT_WINDOW, length) if s else length for s in short]


class GPT(nn.Module):
    """Tokens (B, T) to logits (B, T, V)."""

    def __init__(
        self,
        vocab_size: int,
        length: int,
        attention: dict[int, Attention],
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        width = math.ceil(DIM / HEAD_DIM) * HEAD_DIM
        self.precision = precision  # of the stream
        self.compiled = False
        self.embed = nn.Embedding(vocab_size, width)
        self.blocks = nn.ModuleList(
            # Value embeddings in every other block, counted from the last, which gains most.
            Block(
                width,
                window,
                attention[window],
                vocab_size if VALUE_EMBEDS and (DEPTH - 1 - index) % 2 == 0 else None,
            )
            for index, window in enumerate(windows(length))
        )
        self.head = Linear(width, vocab_size)
        # The stream that enters a block is a mix of the stream so far and of the embedding.
        self.stream_mix = nn.Parameter(torch.ones(DEPTH))
        self.embed_mix = nn.Parameter(torch.full((DEPTH,), 0.1))
        cos, sin = rotary_tables(length, HEAD_DIM)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Every block begins as the identity, and the head as almost uniform."""
        nn.init.normal_(self.embed.weight, std=1.0)
        nn.init.normal_(self.head.weight, std=0.001)
        for block in self.blocks:
            assert isinstance(block, Block)
            bound = math.sqrt(3 / block.q.in_features)  # uniform with a deviation of 1/sqrt(C)
            for linear in (block.q, block.k, block.v, block.up):
                nn.init.uniform_(linear.weight, -INIT_SCALE * bound, INIT_SCALE * bound)
            for linear in (block.out, block.down):
                nn.init.zeros_(linear.weight)
            if block.value_embed is not None and block.value_gate is not None:
                nn.init.uniform_(block.value_embed.weight, -bound, bound)
                nn.init.zeros_(block.value_gate.weight)  # a gate of 1

    def compile_blocks(self, backend: str = "inductor") -> None:
        """Compile block by block: blocks of one kind share a graph, whatever the depth."""
        torch._dynamo.config.recompile_limit = 64  # kinds of blocks that one process may see
        for block in self.blocks:
            block.compile(backend=backend, dynamic=False)
        self.compiled = True

    def stream(self, tokens: Tensor) -> Tensor:
        """The normalised stream after the last block, (B, T, C)."""
        # With gradients on in the exam as well: without, all blocks would be compiled once more.
        with torch.set_grad_enabled(torch.is_grad_enabled() or self.compiled):
            x = first = norm(self.embed(tokens).to(self.precision))  # (B, T, C)
            stream_mix, embed_mix = self.stream_mix.type_as(x), self.embed_mix.type_as(x)
            for index, block in enumerate(self.blocks):
                x = stream_mix[index] * x + embed_mix[index] * first
                x = block(x, tokens, self.cos, self.sin)
            return norm(x)

    @torch.no_grad()
    def forward(self, tokens: Tensor) -> Tensor:
        x = self.stream(tokens).detach()
        logits = torch.empty(*tokens.shape, self.head.out_features, device=x.device)
        rows = max(1, DEVICE_CHUNK // tokens.size(1))
        for part, out in zip(x.split(rows), logits.split(rows), strict=True):
            out.copy_(softcapped(part, self.head.weight))
        return logits

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats per token, (), of tokens and targets (B, T)."""
        x = self.stream(tokens).flatten(0, 1)
        return ChunkedLoss.apply(x, self.head.weight, targets.flatten())

    def flops_per_token(self) -> float:
        """Forward and backward: 6 per weight that multiplies, 12 per feature and key seen.

        Causal attention is counted once: token i of a window W sees min(i + 1, W) keys.
        """
        weights = sum(m.weight.numel() for m in self.modules() if isinstance(m, nn.Linear))
        length = self.cos.size(0)
        keys = sum(W - W * (W - 1) / (2 * length) for W in windows(length))
        return 6.0 * weights + 12.0 * self.embed.embedding_dim * keys


# --------------------------------------------------------------------------------------------------
# Loss. Logits of all tokens at once would be the largest tensors of the whole step: 128 x 2048
# tokens and 8192 ids are 8.6 GB in float32, several times over. So they come and go in chunks.


def softcapped(x: Tensor, head: Tensor) -> Tensor:
    """Logits in float32, (..., V), of the stream (..., C) and the head (V, C)."""
    # Divided before the head rather than after it, where there are V / C times as many numbers.
    return SOFTCAP * torch.tanh(F.linear(x / SOFTCAP, head.type_as(x)).float())


def summed_loss(x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats, summed over the tokens of one chunk."""
    return F.cross_entropy(softcapped(x, head), targets, reduction="sum")


class ChunkedLoss(torch.autograd.Function):
    """Mean of `summed_loss` over chunks; each one's gradients are taken before the next begins."""

    chunk: Callable[[Tensor, Tensor, Tensor], Tensor] = staticmethod(summed_loss)

    @staticmethod
    def forward(ctx: Any, x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        total = torch.zeros((), device=x.device)
        x_grad, head_grad = torch.empty_like(x), torch.zeros_like(head)
        parts = zip(x.split(DEVICE_CHUNK), x_grad.split(DEVICE_CHUNK), strict=True)
        for (part, part_grad), part_targets in zip(parts, targets.split(DEVICE_CHUNK), strict=True):
            with torch.enable_grad():
                leaf, weight = part.detach().requires_grad_(), head.detach().requires_grad_()
                loss = ChunkedLoss.chunk(leaf, weight, part_targets)
                leaf_grad, weight_grad = torch.autograd.grad(loss, (leaf, weight))
            total += loss.detach()
            part_grad.copy_(leaf_grad)
            head_grad += weight_grad
        ctx.save_for_backward(x_grad, head_grad)
        ctx.count = len(targets)
        return total / len(targets)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x_grad, head_grad = ctx.saved_tensors
        scale = grad / ctx.count
        return x_grad * scale.type_as(x_grad), head_grad * scale, None


# --------------------------------------------------------------------------------------------------
# Optimisers


# Coefficients of five odd quintic polynomials that take singular values from [0.001, 1] towards 1:
# "The Polar Express" (Amsel, Persson, Musco, Gower 2025, arXiv:2505.16932), algorithm 1.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalise(x: Tensor) -> Tensor:
    """The nearest matrices with all singular values about 1, of a stack (N, rows, columns)."""
    tall = x.size(1) > x.size(2)
    x = x.mT if tall else x  # the smaller side first: the products are then smaller
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)
    for a, b, c in POLAR_EXPRESS:
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def muon_update(
    weights: Tensor,
    grads: Tensor,
    velocity: Tensor,
    power: Tensor,
    rate: Tensor,
    momentum: Tensor,
    decay: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """New weights, velocity and power of a stack of matrices of one shape, (N, rows, columns).

    power: running mean square of each neuron's update, (N, rows, 1) or (N, 1, columns), which
    evens out their step sizes (NorMuon, Li et al. 2025, arXiv:2510.05491). Weight decay is
    cautious: it acts only where it points the same way as the update (Chen et al. 2025,
    arXiv:2510.12402). rate, momentum and decay are tensors (), so that a new value is no new graph.
    """
    velocity = momentum * velocity + (1 - momentum) * grads
    update = momentum * velocity + (1 - momentum) * grads  # Nesterov
    fast = torch.bfloat16 if update.is_cuda else update.dtype
    update = orthogonalise(update.to(fast)).float()
    axis = 2 if power.size(2) == 1 else 1
    power = power.lerp(update.square().mean(dim=axis, keepdim=True), 0.05)
    evened = update * (power + 1e-10).rsqrt()
    # As large as before; a matrix behind one of zeros has no gradient yet, and an update of zero.
    size = evened.norm(dim=(1, 2), keepdim=True).clamp_min(1e-10)
    update = evened * (update.norm(dim=(1, 2), keepdim=True) / size)
    agrees = update * weights >= 0
    return weights - rate * (update + decay * agrees * weights), velocity, power


class Muon(torch.optim.Optimizer):
    """Momentum whose updates are orthogonalised (Jordan et al. 2024, kellerjordan.github.io)."""

    update: Callable[..., tuple[Tensor, Tensor, Tensor]] = staticmethod(muon_update)

    def __init__(self, params: list[Tensor], lr: float, momentum: float, decay: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:
        """Update all matrices, those of one shape in one stack."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for param in group["params"]:
                shapes.setdefault(param.shape, []).append(param)
            for (rows, columns), params in shapes.items():
                grads = torch.stack([param.grad for param in params])
                state = self.state[params[0]]
                if not state:
                    state["velocity"] = torch.zeros_like(grads)
                    side = (rows, 1) if rows >= columns else (1, columns)
                    state["power"] = grads.new_zeros(len(params), *side)
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                # On the host, where a GPU's kernels take single numbers from without waiting.
                numbers = map(torch.tensor, (rate, group["momentum"], group["decay"]))
                weights, state["velocity"], state["power"] = Muon.update(
                    torch.stack(params), grads, state["velocity"], state["power"], *numbers
                )
                torch._foreach_copy_(params, list(weights.unbind()))


def make_optimisers(model: GPT) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices; AdamW for the tables, the head and the mixing weights."""
    matrices: list[Tensor] = []
    value_embeds: list[Tensor] = []
    for name, param in model.blocks.named_parameters():
        (value_embeds if "value_embed" in name else matrices).append(param)
    scale = (768 / model.embed.embedding_dim) ** 0.5
    groups: list[dict[str, Any]] = [
        {"params": [model.embed.weight], "lr": EMBED_LR * scale, "weight_decay": EMBED_DECAY},
        {"params": value_embeds, "lr": EMBED_LR * scale, "weight_decay": VALUE_EMBED_DECAY},
        {"params": [model.head.weight], "lr": HEAD_LR * scale, "weight_decay": HEAD_DECAY},
        # The stream's own share is the more delicate: a hundredth of the rate.
        {"params": [model.stream_mix], "lr": SCALAR_LR / 100, "weight_decay": 0.0},
        {"params": [model.embed_mix], "lr": SCALAR_LR, "betas": (0.96, 0.95), "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    adam = torch.optim.AdamW(groups, betas=(0.8, 0.95), eps=1e-10, fused=True)
    muon = Muon(matrices, lr=MATRIX_LR, momentum=MUON_MOMENTUM, decay=WEIGHT_DECAY)
    for optimiser in (adam, muon):
        for group in optimiser.param_groups:
            group["peak_lr"] = group["lr"]
    return [adam, muon]


def lr_share(progress: float) -> float:
    """Share of the peak learning rates after this share of the budget."""
    if progress <= 1 - WARMDOWN:
        return 1.0
    left = (1 - progress) / WARMDOWN  # 1 to 0
    return FINAL_LR + (1 - FINAL_LR) * left


def set_rates(optimisers: list[torch.optim.Optimizer], progress: float, step: int) -> None:
    """The schedule: rates, momentum and decay for the step that follows."""
    ramp = min(1.0, step / MOMENTUM_STEPS) if MOMENTUM_STEPS else 1.0
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak_lr"] * lr_share(progress)
            if isinstance(optimiser, Muon):
                group["momentum"] = 0.85 + (MUON_MOMENTUM - 0.85) * ramp
                group["decay"] = WEIGHT_DECAY * (1 - progress)


# --------------------------------------------------------------------------------------------------
# Training


def device_rows(length: int) -> int:
    """Rows of a pass: a step may have fewer than memory allows."""
    return min(DEVICE_BATCH, max(1, TOTAL_BATCH // length))


def passes_per_step(length: int) -> int:
    """Forward passes to an optimiser step; the batch sizes must divide."""
    each = device_rows(length) * length
    if TOTAL_BATCH % each == 0:
        return TOTAL_BATCH // each
    rows = [n for n in range(1, DEVICE_BATCH + 1) if TOTAL_BATCH % (n * length) == 0]
    fits = f"DEVICE_BATCH = {rows[-1]}, or " if rows else ""
    near = [str(n * each) for n in (TOTAL_BATCH // each, TOTAL_BATCH // each + 1) if n]
    sys.exit(
        f"FAIL: TOTAL_BATCH = {TOTAL_BATCH} is no multiple of DEVICE_BATCH x row = {each // length} x "
        f"{length} = {each} tokens. These would do: {fits}TOTAL_BATCH = {' or '.join(near)}"
    )


def train_step(
    model: GPT,
    optimisers: list[torch.optim.Optimizer],
    batches: Batches,
    passes: int,
    progress: float,
    step: int,
) -> Tensor:
    """One optimiser step; its mean loss in nats per token, (), which may still be in the making."""
    total = torch.zeros((), device=batches.device)
    for _ in range(passes):
        x, y = batches.next()
        loss = model.loss(x, y) / passes
        loss.backward()
        total += loss.detach()
    set_rates(optimisers, progress, step)
    for optimiser in optimisers:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return total


class Log:
    """A line of JSON per LOG_STEPS steps. A loss is read one step late, so that none waits for it."""

    def __init__(self, device: torch.device, clock: Clock, batches: Batches) -> None:
        self.cuda, self.clock, self.batches = device.type == "cuda", clock, batches
        self.waiting: tuple[dict[str, float], Tensor, Any] | None = None
        self.before: tuple[int, int, Any] | None = None  # steps, tokens and time of the last line

    def add(self, loss: Tensor, progress: float) -> None:
        """A step is under way; the one before it is looked at."""
        self.look()
        facts = {
            "step": self.clock.steps,
            "progress": round(progress, 5),
            "lr": round(lr_share(progress), 5),
            "tokens": self.clock.tokens,
            "rows": self.batches.position,
        }
        read = torch.empty_like(loss, device="cpu", pin_memory=self.cuda)
        self.waiting = (facts, read.copy_(loss, non_blocking=self.cuda), self.now())

    def now(self) -> Any:
        """This moment, on a GPU that in which it gets here."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def look(self, last: bool = False) -> None:
        """Print what waits, where it is to be logged; a loss that is not finite ends the trial."""
        if self.waiting is None:
            return
        (facts, loss, when), self.waiting = self.waiting, None
        if self.cuda:
            when.synchronize()
        facts["loss"] = round(float(loss), 6)
        step, tokens = int(facts["step"]), int(facts["tokens"])
        if not math.isfinite(facts["loss"]):
            print(f"FAIL: loss is {facts['loss']} at step {step}", flush=True)
            sys.exit(1)
        if step % LOG_STEPS and not last:
            return
        if self.before is not None:
            steps, seen, since = self.before
            spent_ms = since.elapsed_time(when) if self.cuda else 1000 * (when - since)
            facts["step_ms"] = round(spent_ms / (step - steps), 3)
            facts["tokens_per_s"] = round(1000 * (tokens - seen) / max(spent_ms, 1e-6), 1)
        self.before = (step, tokens, when)
        print(json.dumps(facts), flush=True)


def find_device() -> tuple[torch.device, torch.dtype]:
    """The device, and the precision of the stream on it."""
    if torch.cuda.is_available():  # ROCm too
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.device("cuda"), torch.bfloat16 if fast else torch.float32
    mps = torch.backends.mps.is_available()
    return torch.device("mps" if mps else "cpu"), torch.float32


def settle(device: torch.device) -> None:
    """Settings of the process that are about speed and repeatability."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)
    if device.type == "cpu" and sys.platform == "linux":
        # Keep freed memory: mapped anew, each large tensor would cost a page fault per 4 KiB.
        mallopt = ctypes.CDLL(None).mallopt
        for option in (-1, -2, -3):  # M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD
            mallopt(option, 512 << 20)


def main() -> None:
    device, precision = find_device()
    settle(device)
    data = open_data()
    rows, passes = device_rows(data.seq_len), passes_per_step(data.seq_len)
    attention = choose_attention(rows, data.seq_len, precision)
    seed = trial_seed()
    torch.manual_seed(seed)
    model = GPT(data.vocab_size, data.seq_len, attention, precision).to(device)
    optimisers = make_optimisers(model)
    params = sum(p.numel() for p in model.parameters())
    print(f"{params / 1e6:.2f} M parameters, {TOTAL_BATCH} tokens a step in {passes} passes")
    if device.type == "cuda":
        model.compile_blocks()
        ChunkedLoss.chunk = staticmethod(torch.compile(summed_loss, dynamic=False))
        Muon.update = staticmethod(torch.compile(muon_update, dynamic=True))

    clock = Clock(device)
    batches = Batches(data, rows, device, seed, clock)
    with clock.warm_up(model, optimisers):  # compiles, on tokens that mean nothing
        for step in range(2):
            train_step(model, optimisers, batches, passes, 0.0, step)
    log = Log(device, clock, batches)
    while not clock.done():
        progress = clock.progress()
        loss = train_step(model, optimisers, batches, passes, progress, clock.steps)
        clock.step()
        log.add(loss, progress)
    log.look(last=True)

    model.eval()
    score = evaluate(model, data, device, rows)
    print_summary(
        score,
        clock,
        data,
        device,
        params=params,
        depth=DEPTH,
        flops_per_token=model.flops_per_token(),
    )


if __name__ == "__main__":
    main()
