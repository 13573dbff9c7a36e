"""Ways to mix positions other than attention's softmax: (B, T, C) to (B, T, C), causal."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.honest.parts import HEADS, distances


class Convolution(nn.Module):
    """A causal depthwise convolution over the last four tokens."""

    def __init__(self, width: int, _length: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 4, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x.transpose(1, 2), (3, 0))).transpose(1, 2)


class Recurrent(nn.Module):
    """torch's GRU or LSTM, one layer."""

    def __init__(self, kind: type[nn.RNNBase], width: int) -> None:
        super().__init__()
        self.cell = kind(width, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x)[0]


class Linear(nn.Module):
    """Linear attention (Katharopoulos et al. 2020), by cumulative sums of outer products."""

    def __init__(self, width: int, _length: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, HEADS, C // HEADS).unbind(2)  # (B, T, H, D)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        state = (k.unsqueeze(-1) * v.unsqueeze(-2)).cumsum(dim=1)  # (B, T, H, D, D)
        total = k.cumsum(dim=1)
        out = (q.unsqueeze(-2) @ state).squeeze(-2) / (q * total).sum(-1, keepdim=True)
        return out.reshape(B, T, C)


class Retention(nn.Module):
    """Attention without a softmax whose weights fade with distance (Sun et al. 2023)."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        far = distances(length)
        rates = 1 - 2.0 ** (-2 - torch.arange(HEADS))
        fade = rates.view(HEADS, 1, 1) ** far.clamp_min(0) * (far >= 0)
        self.register_buffer("fade", fade)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, HEADS, C // HEADS).permute(2, 0, 3, 1, 4)
        weights = q @ k.transpose(-1, -2) * self.fade[:, :T, :T] / (C // HEADS) ** 0.5
        return F.rms_norm((weights @ v).transpose(1, 2), (C // HEADS,)).reshape(B, T, C)


class Scan(nn.Module):
    """A selective scan (Gu and Dao 2023) written as the loop that it is."""

    def __init__(self, width: int, _length: int) -> None:
        super().__init__()
        self.rate = nn.Linear(width, width)
        self.enter = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        keep, new = torch.sigmoid(self.rate(x)), self.enter(x)
        state, states = torch.zeros_like(x[:, 0]), []
        for place in range(x.size(1)):
            state = keep[:, place] * state + (1 - keep[:, place]) * new[:, place]
            states.append(state)
        return torch.stack(states, dim=1) * F.silu(self.gate(x))
