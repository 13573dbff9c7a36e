"""Logits of a model: whole batches of one shape, and smaller ones where memory ends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from .probes import EvaluationError, Tokens

Model = Callable[[torch.Tensor], torch.Tensor]  # int64 [B, T] -> logits [B, T, V]
# Tokens per evaluation batch, where the script does not say: fp32 logits of 2048 x 1024 are 8 MiB,
# of 65536 x 8192 2 GiB.
CPU_TOKENS, GPU_TOKENS = 2048, 65_536
# Bytes of one slice of fp32 logits; the softmax takes a few times that. On a CPU 8 MiB are twice as
# fast as 32 MiB, since larger blocks are mapped anew each time.
CPU_SLICE, GPU_SLICE = 8 << 20, 256 << 20


def usual_batch_rows(device: torch.device, rows: int, seq_len: int) -> int:
    """Returns the rows of a batch where the script does not say, of so many rows in all."""
    tokens = CPU_TOKENS if device.type == "cpu" else GPU_TOKENS
    return min(rows, max(1, tokens // seq_len))


def padded(rows: npt.NDArray[np.int64], size: int) -> Tokens:
    """Returns [size, T] of rows [n, T]: the missing ones are copies of the first."""
    return np.concatenate([rows, np.repeat(rows[:1], size - len(rows), axis=0)])


def half_batch(size: int) -> int:
    """Returns half the rows, for memory that ran out. Raises OutOfMemoryError where there was one row."""
    if size == 1:
        raise torch.OutOfMemoryError("the evaluation of a single row does not fit in memory")
    return size // 2


def logits_of(model: Model, tokens: Tokens, vocab_size: int, device: torch.device) -> torch.Tensor:
    """Returns the model's logits, [B, T, V]; the model gets a copy of the tokens, and no targets.

    Raises EvaluationError where they have another shape.
    """
    logits = model(torch.tensor(tokens, device=device))
    shape = (*tokens.shape, vocab_size)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != shape:
        found = tuple(getattr(logits, "shape", ())) or type(logits).__name__
        raise EvaluationError(f"the model must return logits of shape {shape}, not {found}")
    return logits
