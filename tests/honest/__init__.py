"""Forty small models that are odd and fair: no probe may take one of them for a cheat.

Each maps int64 (B, T) to logits (B, T, V), by its weights and by no token after a position.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.honest import mixers, models
from tests.honest.parts import Attention, Decoder, DyT, Experts, Mlp, SwiGlu

Builder = Callable[[int, int], nn.Module]  # (V, T)


def attention(**switches: object) -> Builder:
    """A decoder whose attention differs."""
    return lambda vocab, length: Decoder(
        vocab, length, lambda c, t: Attention(c, t, **switches), positions=False
    )


def decoder(*, mix: type[nn.Module] = Attention, **choices: object) -> Builder:
    """A decoder that differs elsewhere."""
    return lambda vocab, length: Decoder(vocab, length, mix, **choices)


def recurrent(kind: type[nn.RNNBase]) -> Builder:
    return lambda vocab, length: Decoder(
        vocab, length, lambda c, _: mixers.Recurrent(kind, c), positions=False
    )


def relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square()


HONEST: dict[str, Builder] = {
    # Attention
    "gqa": attention(groups=2),
    "window": attention(window=5),
    "block local": attention(block=8),
    "alibi": attention(alibi=True),
    "rope": attention(rope=True),
    "nope": decoder(positions=False, depth=4, width=64),
    "learned positions": decoder(positions=True),
    "qk norm": attention(rope=True, qk_norm=True),
    "tied key and value": attention(tied_kv=True),
    "sinks": attention(sinks=True),
    "sparse top 4": attention(alibi=True, top=4),
    "shared keys": models.SharedKeys,
    "value embeddings": models.ValueEmbeds,
    # Other mixers
    "convolution": decoder(mix=mixers.Convolution, positions=False),
    "gru": recurrent(nn.GRU),
    "lstm": recurrent(nn.LSTM),
    "linear attention": decoder(mix=mixers.Linear),
    "retention": decoder(mix=mixers.Retention, positions=False),
    "selective scan": decoder(mix=mixers.Scan, positions=False),
    # Blocks and norms
    "parallel blocks, SwiGLU": decoder(form="parallel", mlp=SwiGlu),
    "post-norm, LayerNorm": decoder(form="post", norm=nn.LayerNorm),
    "no norm, scaled residuals": decoder(form="scaled", norm=lambda _: nn.Identity()),
    "DyT, ReLU squared": decoder(norm=DyT, mlp=partial(Mlp, act=relu_squared)),
    "experts, best one": decoder(mlp=partial(Experts, top=1)),
    "experts, best two": decoder(mlp=partial(Experts, top=2)),
    "dropout": decoder(mlp=lambda c: nn.Sequential(Mlp(c), nn.Dropout(0.2))),
    "hyper-connections": models.HyperConnections,
    "u-net": models.UNet,
    # Tables and heads
    "bigram of low rank, with bias": models.Bigram,
    "hashes of the past": models.HashedPast,
    "tied, adaptive input": models.Tied,
    "mixture of softmaxes": models.Softmaxes,
    "soft cap": models.SoftCap,
    # State, precision, execution
    "bf16 autocast": models.Autocast,
    "float64": models.Wide,
    "running mean of weights": models.Averaged,
    "counts in a buffer": models.Counted,
    "checkpointed": models.Checkpointed,
    "compiled": models.Compiled,
    "three rows at a time": models.Pieces,
}


def fresh(name: str, vocab: int, length: int, seed: int) -> nn.Module:
    """A model with weights of its own, ready to be asked, or to have others loaded."""
    torch.manual_seed(seed)
    return HONEST[name](vocab, length).eval()


def trained(name: str, vocab: int, rows: Tensor, seed: int, steps: int = 6) -> nn.Module:
    """A model that has seen a few batches of rows (N, T + 1), ready to be asked."""
    model = fresh(name, vocab, rows.size(1) - 1, seed).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.02)
    for step in range(steps):
        batch = rows[8 * step % len(rows) :][:8]
        logits = model(batch[:, :-1])
        F.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten()).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        getattr(model, "after_step", lambda: None)()
    getattr(model, "after_training", lambda: None)()
    return model.eval()
