"""The examiner's arithmetic: losses and divergences from logits, in numpy.

fp32 as the logits came, sums over positions in fp64. The same logits give the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]  # [n, V]
Losses = npt.NDArray[np.float32]
Picks = npt.NDArray[np.int64]  # [B, K] positions of each row

# Bytes of the logits that are worked on at once, so that they stay in a core's own cache: on one of
# 2 MB, 3.6 ns a logit, and 5.3 in slices of 8 MiB.
SLICE_BYTES = 1 << 18
# Of each row the logits of so many positions are compared between workers, and audited where the
# losses are the trial's own: one before a cut of the row and others before that. A look one token
# ahead shows at the first alone, one further ahead also at the others.
PICKS = 4


class AnswerError(Exception):
    """An answer cannot be scored; the text is for a person."""


def losses(logits: Logits, targets: npt.NDArray[np.int64]) -> Losses:
    """Returns -log softmax at the targets [n], in nats, [n].

    Raises AnswerError where a logit is not finite.
    """
    out = np.empty(len(logits), np.float32)
    step = max(1, SLICE_BYTES // (4 * logits.shape[1]))
    work = np.empty((step, logits.shape[1]), np.float32)
    with np.errstate(all="ignore"):
        for first in range(0, len(logits), step):
            part = logits[first : first + step]
            top = part.max(axis=1)  # nan where there is one
            if not (np.isfinite(top).all() and np.isfinite(part.min())):
                raise AnswerError("the model's logits are not all finite (nan or inf)")
            powers = np.subtract(part, top[:, None], out=work[: len(part)])
            np.exp(powers, out=powers)
            at_target = part[np.arange(len(part)), targets[first : first + step]]
            out[first : first + step] = np.log(powers.sum(axis=1)) + (top - at_target)
    if not np.isfinite(out).all():
        raise AnswerError("the model's logits are too large to be scored in fp32")
    return out


def divergences(left: Logits, right: Logits) -> npt.NDArray[np.float64]:
    """Returns the Kullback-Leibler divergence of the right distributions from the left, in nats, [n]."""
    p, q = _log_softmax(left), _log_softmax(right)
    found: npt.NDArray[np.float64] = (np.exp(p) * (p - q)).sum(axis=1)
    return found.clip(min=0.0)


def _log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def counted_nats(found: Losses, targets: npt.NDArray[Any], bos: int) -> float:
    """Returns the sum in fp64 over the targets that are no BOS, which stands for no text."""
    return float(found[targets != bos].sum(dtype=np.float64))


def bits_per_byte(nats: float, size_bytes: int) -> float:
    """Returns bits per byte of text: nats / (ln 2 * bytes)."""
    return nats / (math.log(2) * size_bytes)


def draw_picks(rng: np.random.Generator, rows: int, length: int) -> Picks:
    """Draws positions, [rows, K]: the first is uniform over 0 to T - 2, the rest at or before it.

    The one after the first is where a foreign suffix may begin. Drawn in the same way in every
    role, so that no audit tells a worker what it is being asked for.
    """
    edges = rng.integers(0, max(1, length - 1), size=(rows, 1))
    earlier = (rng.random((rows, PICKS - 1)) * (edges + 1)).astype(np.int64)
    return np.concatenate([edges, earlier], axis=1)
