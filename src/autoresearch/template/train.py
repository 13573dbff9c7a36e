"""Pretrain a small GPT on one device within a fixed budget, then measure it in bits per byte.

This is the file that experiments change. It reads from top to bottom: knobs, model, optimiser,
training. The data, the budget and the measure come from the frozen harness.

    python train.py
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoresearch.harness.bpb import evaluate, print_summary
from autoresearch.harness.clock import Clock
from autoresearch.harness.loader import Batches, open_data, trial_seed

# --------------------------------------------------------------------------------------------------
# Knobs. Plain literals, one to a line, for a person, an LLM or a tuner to edit. The values suit a CPU
# (614,400 tokens, 600 steps of them, in some ten seconds) and run anywhere.

# Model
DEPTH = 2  # blocks
DIM = 64  # width of the residual stream; rounded up to a multiple of HEAD_DIM
HEAD_DIM = 16  # width of one attention head; even
MLP_RATIO = 4  # hidden width of the MLP, in multiples of the model's width
WINDOW = "SL"  # attention by block, repeated: S = SHORT_WINDOW, L = whole row, as the last block is
SHORT_WINDOW = 32  # tokens that an S block sees, its own included
VALUE_EMBEDS = True  # every other block adds an embedding of the token to its values
SOFTCAP = 15.0  # logits stay within plus or minus this
ROPE_BASE = 10000.0  # the longest wavelength of the rotary embedding, in tokens / 2 pi

# Batch
BATCH_SIZE = 16  # rows per optimiser step

# Optimiser: Muon for the matrices in the blocks, AdamW for everything else
MATRIX_LR = 0.02  # Muon
EMBED_LR = 0.2  # token and value embeddings
HEAD_LR = 0.01  # output projection
SCALAR_LR = 0.02  # per-block mixing weights
WEIGHT_DECAY = 0.1  # of the matrices, in multiples of their learning rate; falls to 0
MUON_MOMENTUM = 0.95

# Schedule, by share of the budget; without a warm-up, which has only lost at these lengths
WARMDOWN = 0.5  # learning rates fall, in a straight line, to FINAL_LR
FINAL_LR = 0.05  # share of the learning rate that is left at the end

# --------------------------------------------------------------------------------------------------
# Model. B rows, T tokens, C width, H heads, D width of a head, V vocabulary.


def norm(x: Tensor) -> Tensor:
    """RMS norm over the last dimension, without a learned scale."""
    return F.rms_norm(x, (x.size(-1),))


def rotary_tables(length: int, dim: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, each (T, D/2)."""
    frequencies = ROPE_BASE ** (-torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of features (i, i + D/2) of x (B, H, T, D) by its position's angle."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1).type_as(x)


def window_mask(queries: int, keys: int, window: int, device: torch.device) -> Tensor:
    """Which keys each query sees, (queries, keys), when the last key is the last query's own."""
    own = torch.arange(keys - queries, keys, device=device).unsqueeze(1)
    distance = own - torch.arange(keys, device=device)
    return (distance >= 0) & (distance < window)


def attend(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Causal attention in which a token sees the last `window` tokens, its own included.

    q, k, v and the result are (B, H, T, D). Exact on both paths for short windows: a dense mask,
    or, where that does less work, blocks of `window` queries that look at their own block and the
    one before it, which together hold every key that they may see.
    """
    B, H, T, D = q.shape
    W = window
    if W >= T:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    if T % W or T < 4 * W:
        return F.scaled_dot_product_attention(q, k, v, window_mask(T, T, W, q.device))
    first = F.scaled_dot_product_attention(q[:, :, :W], k[:, :, :W], v[:, :, :W], is_causal=True)
    blocks = H * (T // W - 1)  # all but the first, which has no block before it, side by side
    qs = q[:, :, W:].reshape(B, blocks, W, D)
    ks = k.unfold(2, 2 * W, W).transpose(-1, -2).reshape(B, blocks, 2 * W, D)
    vs = v.unfold(2, 2 * W, W).transpose(-1, -2).reshape(B, blocks, 2 * W, D)
    rest = F.scaled_dot_product_attention(qs, ks, vs, window_mask(W, 2 * W, W, q.device))
    return torch.cat((first, rest.reshape(B, H, T - W, D)), dim=2)


class Block(nn.Module):
    """Attention, then an MLP, each on a normalised input and added to the stream."""

    def __init__(self, width: int, window: int, vocab_size: int, value_embeds: bool) -> None:
        super().__init__()
        self.heads, self.window = width // HEAD_DIM, window
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, round(MLP_RATIO * width), bias=False)
        self.down = nn.Linear(round(MLP_RATIO * width), width, bias=False)
        self.value_embed = nn.Embedding(vocab_size, width) if value_embeds else None

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(norm(x), tokens, cos, sin)
        hidden = F.relu(self.up(norm(x))).square()  # (B, T, MLP_RATIO * C)
        return x + cast(Tensor, self.down(hidden))

    def attention(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, C = x.shape
        value = self.v(x)
        if self.value_embed is not None:
            value = value + self.value_embed(tokens).type_as(value)
        q, k, v = (
            part.view(B, T, self.heads, HEAD_DIM).transpose(1, 2)  # (B, H, T, D)
            for part in (self.q(x), self.k(x), value)
        )
        # Norms after the rotation or before are the same: a rotation keeps lengths.
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
        mixed = attend(q, k, v, self.window).transpose(1, 2).reshape(B, T, C)
        return cast(Tensor, self.out(mixed))


class GPT(nn.Module):
    """Tokens (B, T) to logits (B, T, V)."""

    def __init__(self, vocab_size: int, seq_len: int) -> None:
        super().__init__()
        width = math.ceil(DIM / HEAD_DIM) * HEAD_DIM
        short = [WINDOW[index % len(WINDOW)] == "S" for index in range(DEPTH - 1)] + [False]
        self.embed = nn.Embedding(vocab_size, width)
        self.blocks = nn.ModuleList(
            Block(
                width,
                SHORT_WINDOW if short[index] else seq_len,
                vocab_size,
                # Counted from the last block, which gains most.
                VALUE_EMBEDS and (DEPTH - 1 - index) % 2 == 0,
            )
            for index in range(DEPTH)
        )
        self.head = nn.Linear(width, vocab_size, bias=False)
        # The stream that enters a block is a mix of the stream so far and of the embedding.
        self.stream_mix = nn.Parameter(torch.ones(DEPTH))
        self.embed_mix = nn.Parameter(torch.full((DEPTH,), 0.1))
        cos, sin = rotary_tables(seq_len, HEAD_DIM)
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
                nn.init.uniform_(linear.weight, -bound, bound)
            for linear in (block.out, block.down):
                nn.init.zeros_(linear.weight)
            if block.value_embed is not None:
                nn.init.uniform_(block.value_embed.weight, -bound, bound)

    def forward(self, tokens: Tensor) -> Tensor:
        x = first = norm(self.embed(tokens))  # (B, T, C)
        for index, block in enumerate(self.blocks):
            x = self.stream_mix[index] * x + self.embed_mix[index] * first
            x = block(x, tokens, self.cos, self.sin)
        # Divided here rather than after the head, where there are V / C times as many numbers.
        logits = self.head(norm(x) / SOFTCAP).float()  # (B, T, V)
        return SOFTCAP * torch.tanh(logits)

    def flops_per_token(self, seq_len: int) -> float:
        """Forward and backward: 6 per weight that multiplies, 12 per feature and key attended."""
        linears = [module for module in self.modules() if isinstance(module, nn.Linear)]
        weights = sum(linear.weight.numel() for linear in linears)
        width = self.embed.embedding_dim
        keys = sum(min(cast(int, block.window), seq_len) for block in self.blocks)
        return float(6 * weights + 12 * width * keys)


# --------------------------------------------------------------------------------------------------
# Optimiser


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


class Muon(torch.optim.Optimizer):
    """Momentum whose updates are orthogonalised (Jordan et al. 2024, kellerjordan.github.io).

    Weight decay is cautious: it acts only where it points the same way as the update.
    """

    def __init__(self, params: list[Tensor], lr: float, momentum: float, decay: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update all matrices, those of one shape in one stack."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for param in group["params"]:
                shapes.setdefault(param.shape, []).append(param)
            for shape, params in shapes.items():
                grads = torch.stack([cast(Tensor, param.grad) for param in params])
                state = self.state[params[0]]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(grads)
                velocity = state["velocity"].lerp_(grads, 1 - group["momentum"])
                update = orthogonalise(grads.lerp_(velocity, group["momentum"]))  # Nesterov
                lr = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for param, change in zip(params, update, strict=True):
                    if group["decay"]:
                        agrees = (change * param > 0).to(param.dtype)
                        param.sub_(lr * group["decay"] * agrees * param)
                    param.sub_(lr * change)


def make_optimisers(model: GPT) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices; AdamW for the tables, the head and the mixing weights."""
    embeds: list[Tensor] = [model.embed.weight]
    matrices: list[Tensor] = []
    for name, param in model.blocks.named_parameters():
        (embeds if "value_embed" in name else matrices).append(param)
    groups = [
        {"params": embeds, "lr": EMBED_LR},
        {"params": [model.head.weight], "lr": HEAD_LR},
        {"params": [model.stream_mix, model.embed_mix], "lr": SCALAR_LR},
    ]
    adam = torch.optim.AdamW(groups, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.0)
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


# --------------------------------------------------------------------------------------------------
# Training


Precision = contextlib.AbstractContextManager[object]


def pass_rows(seq_len: int) -> int:
    """Rows to a forward pass: 65,536 tokens fill any card, and their logits take gigabytes."""
    return max(1, 65_536 // seq_len)


def mean_loss(run: nn.Module, x: Tensor, y: Tensor, precision: Precision) -> Tensor:
    """Cross-entropy in nats per token, (), of x and y (B, T)."""
    with precision:
        logits = run(x)
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def train_step(
    run: nn.Module,
    optimisers: list[torch.optim.Optimizer],
    x: Tensor,
    y: Tensor,
    progress: float,
    precision: Precision,
) -> float:
    """One optimiser step on x and y (B, T); returns the mean loss in nats per token."""
    total = torch.zeros((), device=x.device)
    rows = pass_rows(x.size(1))
    for part_x, part_y in zip(torch.split(x, rows), torch.split(y, rows), strict=True):
        loss = mean_loss(run, part_x, part_y, precision) * (len(part_x) / len(x))
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak_lr"] * lr_share(progress)
            if "decay" in group:
                group["decay"] = WEIGHT_DECAY * (1 - progress)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    # Waits for the device: costs a per cent or two of a GPU's time, and keeps the clock honest.
    return float(total)


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    seed = trial_seed()
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("high")  # of effect on CUDA alone
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True)

    data = open_data()
    batches = Batches(data, BATCH_SIZE, device, seed)
    model = GPT(data.vocab_size, data.seq_len).to(device)
    optimisers = make_optimisers(model)
    params = sum(p.numel() for p in model.parameters())
    print(f"{params / 1e6:.2f} M parameters, {BATCH_SIZE * data.seq_len} tokens a step, {device}")

    run: nn.Module = model
    precision: Precision = contextlib.nullcontext()
    if device.type == "cuda":
        precision = torch.autocast("cuda", dtype=torch.bfloat16)
        run = cast(nn.Module, torch.compile(model, dynamic=False))
        # Compile before the clock starts, forward and backward, without a step.
        x, y = (tokens[: pass_rows(data.seq_len)] for tokens in batches.batch(0))
        mean_loss(run, x, y, precision).backward()  # type: ignore[no-untyped-call]
        model.zero_grad(set_to_none=True)
        torch.cuda.synchronize()

    clock = Clock(device.type)
    clock.start()
    shown = time.perf_counter()
    while not clock.done():
        x, y = batches.batch(clock.steps)
        loss = train_step(run, optimisers, x, y, clock.progress(), precision)
        clock.step(x.numel())
        if not math.isfinite(loss):
            print(f"\nFAIL: loss is {loss} at step {clock.steps}", flush=True)
            sys.exit(1)
        if time.perf_counter() - shown >= 0.5 or clock.done():
            shown = time.perf_counter()
            speed = clock.tokens / clock.training_seconds / 1000
            share = 100 * clock.progress()
            line = f"step {clock.steps} {share:.1f} % loss {loss:.3f} {speed:.0f} k tokens/s"
            print(f"\r{line:<72}", end="", flush=True)
    print()

    model.eval()
    with precision:
        score = evaluate(model, data, device)
    print_summary(
        score,
        clock,
        data,
        device,
        params=params,
        depth=DEPTH,
        flops_per_token=model.flops_per_token(data.seq_len),
    )


if __name__ == "__main__":
    main()
