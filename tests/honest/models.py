"""Decoders whose oddity is not in a mixer: heads, tables, streams, precision, shared parts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tests.honest.parts import HEADS, Attention, Decoder


class Bigram(nn.Module):
    """Two tables of rank 16 and a bias for each token: no token but the last one counts."""

    def __init__(self, vocab: int, _length: int) -> None:
        super().__init__()
        self.rows, self.head = nn.Embedding(vocab, 16), nn.Linear(16, vocab)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.rows(tokens))


class HashedPast(Decoder):
    """Besides the token, embeddings of hashes of the last two and the last three."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length)
        self.tables = nn.ModuleList(nn.Embedding(509, 32) for _ in range(2))

    def enter(self, tokens: Tensor) -> Tensor:
        x, mark = super().enter(tokens), tokens
        for back, table in enumerate(self.tables, 1):
            mark = (mark * 31 + F.pad(tokens, (back, 0))[:, : tokens.size(1)]) % 509
            x = x + table(mark)
        return x


class Tied(Decoder):
    """The head is the embedding, whose rows enter by a gain of each token's own."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length)
        self.head.weight = self.embed.weight
        self.gain = nn.Embedding(vocab, 1)

    def enter(self, tokens: Tensor) -> Tensor:
        return super().enter(tokens) * (1 + self.gain(tokens))


class ValueEmbeds(Decoder):
    """An embedding of the token joins the values of the last block."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length)
        self.values = nn.Embedding(vocab, 32)
        self.mix = nn.Parameter(torch.tensor(0.5))

    def stream(self, tokens: Tensor) -> Tensor:
        x = self.blocks[0](self.enter(tokens))
        last = self.blocks[1]
        y = last.one(x)
        attend = last.mix
        x = x + attend.mix(y, attend.k(y), attend.v(y) + self.mix * self.values(tokens))
        return self.norm(x + last.mlp(last.two(x)))


class SharedKeys(Decoder):
    """One head of keys and values, made once and used by every block."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length, lambda c, t: Attention(c, t, groups=1))
        self.kv = nn.Linear(32, 2 * 32 // HEADS, bias=False)

    def stream(self, tokens: Tensor) -> Tensor:
        x = self.enter(tokens)
        keys, values = self.kv(x).chunk(2, dim=-1)
        for block in self.blocks:
            x = x + block.mix.mix(block.one(x), keys, values)
            x = x + block.mlp(block.two(x))
        return self.norm(x)


class HyperConnections(Decoder):
    """Three streams, which each block reads and writes by learned mixes (Zhu et al. 2024)."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length)
        self.read = nn.Parameter(torch.eye(2, 3) + 0.1)
        self.write = nn.Parameter(torch.ones(2, 3))
        self.mix = nn.Parameter(torch.eye(3).repeat(2, 1, 1))

    def stream(self, tokens: Tensor) -> Tensor:
        streams = self.enter(tokens).unsqueeze(-1).expand(-1, -1, -1, 3)
        for block, read, write, mix in zip(
            self.blocks, self.read, self.write, self.mix, strict=True
        ):
            taken = streams @ read
            new = block(taken) - taken
            streams = streams @ mix + new.unsqueeze(-1) * write
        return self.norm(streams.mean(dim=-1))


class UNet(Decoder):
    """What the first blocks put out joins the input of the last ones."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length, depth=4)
        self.skip = nn.Parameter(torch.full((2,), 0.5))

    def stream(self, tokens: Tensor) -> Tensor:
        first = self.blocks[0](self.enter(tokens))
        second = self.blocks[1](first)
        x = self.blocks[2](second + self.skip[0] * second)
        return self.norm(self.blocks[3](x + self.skip[1] * first))


class Softmaxes(Decoder):
    """A mixture of three softmaxes (Yang et al. 2017): the logits are its logarithm."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length)
        self.shares, self.views = nn.Linear(32, 3), nn.Linear(32, 3 * 32)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.stream(tokens)
        each = self.head(torch.tanh(self.views(x)).view(*x.shape[:2], 3, 32)).log_softmax(-1)
        return torch.logsumexp(each + self.shares(x).log_softmax(-1).unsqueeze(-1), dim=2)


class SoftCap(Decoder):
    """Logits within plus or minus 15."""

    def forward(self, tokens: Tensor) -> Tensor:
        return 15 * torch.tanh(super().forward(tokens) / 15)


class Autocast(Decoder):
    """bf16 products of a CPU."""

    def forward(self, tokens: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(tokens)


class Wide(nn.Module):
    """All in float64."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__()
        self.inner = Decoder(vocab, length).double()

    def forward(self, tokens: Tensor) -> Tensor:
        return self.inner(tokens)


class Averaged(Decoder):
    """Trains one set of weights, answers with their running mean, which is put in at the end."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length)
        self.mean = {name: part.detach().clone() for name, part in self.named_parameters()}

    @torch.no_grad()
    def after_step(self) -> None:
        for name, part in self.named_parameters():
            self.mean[name].lerp_(part, 0.3)

    def after_training(self) -> None:
        self.load_state_dict(self.mean, strict=False)


class Counted(Decoder):
    """Counts the tokens of its training in a buffer, and adds their frequencies to the logits."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length)
        self.register_buffer("counts", torch.ones(vocab))

    def forward(self, tokens: Tensor) -> Tensor:
        if self.training:
            self.counts += torch.bincount(tokens.flatten(), minlength=len(self.counts))
        return super().forward(tokens) + (self.counts / self.counts.sum()).log()


class Checkpointed(Decoder):
    """Blocks are run again for the backward pass instead of kept."""

    def stream(self, tokens: Tensor) -> Tensor:
        x = self.enter(tokens)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False)
        return self.norm(x)


class Compiled(Decoder):
    """Blocks compiled one by one."""

    def __init__(self, vocab: int, length: int) -> None:
        super().__init__(vocab, length)
        for block in self.blocks:
            block.compile(dynamic=False, backend="aot_eager")


class Pieces(Decoder):
    """Works through the rows of a batch three at a time."""

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.cat([super(Pieces, self).forward(part) for part in tokens.split(3)])
