"""The measure: bits per byte of the frozen validation rows, and the summary that reports it.

    bits per byte = total nats / (ln 2 * total bytes)

Nats and bytes are summed over all targets but BOS, which stands for no text. Dividing by true
bytes makes scores comparable across vocabularies.

What this guarantees for an honest script: the targets never reach the model, any logits are
normalised here, and the rows are the same whatever batch size the script trains with. The probes
at the end find a model that looks ahead or mixes rows by mistake. What it does not stop, where
script and measure share a process: a forged summary, a replaced function, a hidden look-ahead. Under
an examiner (examiner.py) the measure is in another process, and what is printed here is a claim.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from .clock import Clock
from .loader import Data
from .trial.accelerator import device_line, mfu_percent, peak_memory_mb
from .trial.inference import (
    CPU_SLICE,
    GPU_SLICE,
    Model,
    half_batch,
    logits_of,
    padded,
    usual_batch_rows,
)
from .trial.probes import BF16_TOLERANCE, FP32_TOLERANCE, EvaluationError, probe

__all__ = ["EvaluationError", "Score", "evaluate", "print_summary"]


@dataclass(frozen=True)
class Score:
    """A model's score, with the totals it was made from."""

    bpb: float
    nats: float
    bytes: int
    rows: int
    seconds: float = field(compare=False)  # of the whole examination, probes included


@torch.no_grad()
def evaluate(
    model: Model, data: Data, device: torch.device, batch_rows: int | None = None
) -> Score:
    """Scores a model on every validation row, then probes it on the first batch.

    Under an examiner the model, a module, is handed over instead: the examiner asks for logits,
    scores them, and what it says is returned. That ends the training, and may be done once.

    Every batch has `batch_rows` rows (the last one is filled up with rows that do not count), so
    that a compiled model sees one shape; the number is halved when memory runs out. Raises
    EvaluationError where logits have another shape than [B, T, V] or are not finite, and where a
    probe fails.
    """
    began = time.perf_counter()
    if data.exam is not None:
        size = batch_rows or usual_batch_rows(device, data.exam.val_rows, data.seq_len)
        bpb, found, counted, row = data.exam.examine(model, device, size)
        return Score(bpb, found, counted, row, time.perf_counter() - began)
    size = batch_rows or usual_batch_rows(device, len(data.val), data.seq_len)
    ask = functools.partial(logits_of, model, vocab_size=data.vocab_size, device=device)
    nats, counted, row = 0.0, 0, 0
    while row < len(data.val):
        rows = data.val[row : row + size].astype(np.int64)  # [n, T+1], n rows of `size`
        try:
            nats += _nats(ask(padded(rows[:, :-1], size)), rows[:, 1:], data.bos)
        except torch.OutOfMemoryError:
            size = half_batch(size)
            continue
        counted += int(data.token_bytes[rows[:, 1:]].sum())  # BOS has length 0
        row += len(rows)
    if row != len(data.val) or counted != data.val_bytes:
        raise EvaluationError(
            f"scored {row} rows and {counted} bytes, not {len(data.val)} and {data.val_bytes}"
        )
    while True:
        first = padded(data.val[:size, :-1].astype(np.int64), size)
        try:
            probe(ask, first, data.vocab_size, _tolerance(device))
            break
        except torch.OutOfMemoryError:  # two batches of logits are held at once
            size = half_batch(size)
    seconds = time.perf_counter() - began
    return Score(nats / (math.log(2) * counted), nats, counted, row, seconds)


def _tolerance(device: torch.device) -> float:
    """Returns the probes' tolerance: fp32 is promised on a CPU alone, and there without autocast."""
    exact = device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return FP32_TOLERANCE if exact else BF16_TOLERANCE


def _nats(logits: torch.Tensor, targets: npt.NDArray[np.int64], bos: int) -> float:
    """Returns the sum of -log softmax at the targets [n, T] that are no BOS, by the first n rows.

    In slices, so that B x T x V numbers in fp32 are never held at once; summed in fp64 (by slice
    in fp32 on MPS, which has no other).
    """
    flat = logits[: len(targets)].flatten(0, 1)  # [n * T, V]
    device = logits.device
    room = CPU_SLICE if device.type == "cpu" else GPU_SLICE
    step = max(1, room // (4 * logits.size(2)))
    wide = torch.float32 if device.type == "mps" else torch.float64
    wanted = torch.from_numpy(targets.reshape(-1)).to(device)
    sums, finite = [], []
    with torch.autocast(device.type, enabled=False):
        for part, target in zip(torch.split(flat, step), torch.split(wanted, step), strict=True):
            part = part.float()
            nats = torch.logsumexp(part, dim=1) - part.gather(1, target.unsqueeze(1)).squeeze(1)
            sums.append((nats * (target != bos)).sum(dtype=wide))
            finite.append(torch.isfinite(part).all())
    if not bool(torch.stack(finite).all()):
        raise EvaluationError("the model's logits are not all finite (nan or inf)")
    return float(torch.stack(sums).cpu().double().sum())


def print_summary(
    score: Score,
    clock: Clock,
    data: Data,
    device: torch.device,
    *,
    params: int,
    depth: int,
    flops_per_token: float,
) -> None:
    """Prints the block that the tool reads: `---`, then one `key: value` per line.

    `flops_per_token` is of a training step, forward and backward, in matrix products alone, with
    causal attention counted once: half of the T x T scores, or a window's share of them.
    """
    clock.finish()
    training_s = clock.training_seconds
    lines = {
        "val_bpb": f"{score.bpb:.6f}",
        "training_seconds": f"{training_s:.1f}",
        "total_seconds": f"{clock.total_seconds:.1f}",
        "startup_seconds": f"{clock.startup_seconds:.1f}",
        "exam_seconds": f"{score.seconds:.1f}",
        "peak_vram_mb": f"{peak_memory_mb(device):.1f}",
        "mfu_percent": mfu_percent(flops_per_token * clock.tokens / training_s, device),
        "total_tokens_M": f"{clock.tokens / 1e6:.2f}",
        "num_steps": f"{clock.steps}",
        "num_params_M": f"{params / 1e6:.2f}",
        "depth": f"{depth}",
        "fingerprint": data.fingerprint,
        "device": device_line(device),
    }
    print("---")
    for key, value in lines.items():
        print(f"{key + ':':<18}{value}")
    sys.stdout.flush()
