"""Parts of small decoders: B rows, T tokens, C width of the stream, V vocabulary, H heads."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 4
Maker = Callable[[int, int], nn.Module]  # (C, T) -> a module from (B, T, C) to (B, T, C)


def distances(length: int) -> Tensor:
    """(T, T): how many tokens a key lies before the query; below 0 it lies after."""
    place = torch.arange(length)
    return place.unsqueeze(1) - place


def rotate(x: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021) on (B, H, T, D)."""
    half = x.size(-1) // 2
    rates = 100.0 ** (-torch.arange(half) / half)
    angles = torch.outer(torch.arange(x.size(2)), rates).to(x)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), -1)


class Attention(nn.Module):
    """Causal attention with its variants as switches; by default without any positions."""

    def __init__(
        self,
        width: int,
        length: int,
        groups: int = HEADS,
        window: int | None = None,
        block: int | None = None,
        alibi: bool = False,
        rope: bool = False,
        qk_norm: bool = False,
        tied_kv: bool = False,
        sinks: bool = False,
        top: int | None = None,
    ) -> None:
        """groups: heads of keys and values. window, block: what a token sees. top: keys kept."""
        super().__init__()
        self.head, self.groups, self.top = width // HEADS, groups, top
        self.rope, self.qk_norm, self.tied_kv = rope, qk_norm, tied_kv
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, groups * self.head, bias=False)
        self.v = self.k if tied_kv else nn.Linear(width, groups * self.head, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.sink = nn.Parameter(torch.zeros(HEADS, 1, 1)) if sinks else None
        far = distances(length)
        seen = far >= 0
        if window is not None:
            seen &= far < window
        if block is not None:
            place = torch.arange(length) // block
            seen &= place.unsqueeze(1) == place
        bias = torch.zeros(HEADS, length, length)
        if alibi:  # Press et al. 2021
            slopes = 2.0 ** (-8 * (torch.arange(HEADS) + 1) / HEADS)
            bias = -slopes.view(HEADS, 1, 1) * far.clamp_min(0)
        bias = bias.masked_fill(~seen, -torch.inf)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x, self.k(x), self.k(x) if self.tied_kv else self.v(x))

    def mix(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """keys and values are (B, T, groups * D)."""
        B, T, C = x.shape
        q = self.q(x).view(B, T, HEADS, self.head).transpose(1, 2)  # (B, H, T, D)
        k, v = (
            part.view(B, T, self.groups, self.head)
            .transpose(1, 2)
            .repeat_interleave(HEADS // self.groups, dim=1)
            for part in (keys, values)
        )
        if self.rope:
            q, k = rotate(q), rotate(k)
        if self.qk_norm:
            q, k = F.normalize(q, dim=-1) * 4, F.normalize(k, dim=-1) * 2
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.head) + self.bias[:, :T, :T]
        if self.top is not None:  # of the keys that may be seen, the largest alone
            least = scores.topk(min(self.top, T), dim=-1).values[..., -1:]
            scores = scores.masked_fill(scores < least, -torch.inf)
        if self.sink is None:
            weights = scores.softmax(dim=-1)
        else:  # a place to attend to that holds nothing
            sink = self.sink.expand(B, -1, T, 1)
            weights = torch.cat((sink, scores), dim=-1).softmax(dim=-1)[..., 1:]
        return self.out((weights @ v).transpose(1, 2).reshape(B, T, C))


class Mlp(nn.Module):
    """Two matrices around a function."""

    def __init__(self, width: int, act: Callable[[Tensor], Tensor] = F.gelu) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.act(self.up(x)))


class SwiGlu(nn.Module):
    """A gated MLP (Shazeer 2020)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.gate = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Experts(nn.Module):
    """Token-choice mixture of experts: each token alone chooses its best `top` of four."""

    def __init__(self, width: int, top: int) -> None:
        super().__init__()
        self.top = top
        self.router = nn.Linear(width, 4, bias=False)
        self.experts = nn.ModuleList(Mlp(width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)
        weights, chosen = self.router(flat).softmax(dim=-1).topk(self.top, dim=-1)
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):
            token, rank = (chosen == number).nonzero(as_tuple=True)
            out.index_add_(0, token, weights[token, rank, None] * expert(flat[token]))
        return out.view_as(x)


class DyT(nn.Module):
    """A learned tanh in the place of a norm (Zhu et al. 2025)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.5))
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * torch.tanh(self.rate * x)


class Block(nn.Module):
    """A mixer of positions and an MLP, each added to the stream."""

    def __init__(
        self,
        width: int,
        length: int,
        mix: Maker,
        mlp: Callable[[int], nn.Module],
        norm: Callable[[int], nn.Module],
        form: str,
    ) -> None:
        """form: pre, post (norm after the sum), parallel, or scaled (a learned small share)."""
        super().__init__()
        self.mix, self.mlp = mix(width, length), mlp(width)
        self.one, self.two = norm(width), norm(width)
        self.form = form
        self.share = nn.Parameter(torch.full((2,), 0.3)) if form == "scaled" else None

    def forward(self, x: Tensor) -> Tensor:
        if self.form == "post":
            x = self.one(x + self.mix(x))
            return self.two(x + self.mlp(x))
        if self.form == "parallel":
            y = self.one(x)
            return x + self.mix(y) + self.mlp(y)
        a, b = (1.0, 1.0) if self.share is None else self.share
        x = x + a * self.mix(self.one(x))
        return x + b * self.mlp(self.two(x))


class Decoder(nn.Module):
    """Embedding, blocks, head: int64 (B, T) to logits (B, T, V)."""

    def __init__(
        self,
        vocab: int,
        length: int,
        mix: Maker = Attention,
        *,
        width: int = 32,
        depth: int = 2,
        mlp: Callable[[int], nn.Module] = Mlp,
        norm: Callable[[int], nn.Module] = nn.RMSNorm,
        form: str = "pre",
        positions: bool = True,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.place = nn.Parameter(0.3 * torch.randn(length, width)) if positions else None
        self.blocks = nn.ModuleList(
            Block(width, length, mix, mlp, norm, form) for _ in range(depth)
        )
        self.norm = norm(width)
        self.head = nn.Linear(width, vocab, bias=False)

    def enter(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        return x if self.place is None else x + self.place[: tokens.size(1)]

    def stream(self, tokens: Tensor) -> Tensor:
        x = self.enter(tokens)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.stream(tokens))
