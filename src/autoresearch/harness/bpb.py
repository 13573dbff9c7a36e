"""The measure: bits per byte of the frozen validation rows, and the summary that reports it.

    bits per byte = total nats / (ln 2 * total bytes)

Nats and bytes are summed over all targets but BOS, which stands for no text. Dividing by true
bytes makes scores comparable across vocabularies.

What this guarantees for an honest script: the targets never reach the model, any logits are
normalised here, and the rows are the same whatever batch size the script trains with.
What it does not stop, because script and measure share a process: a forged summary, a replaced
function, a model that looks ahead in its own input. Probes of a model (causality: does a later
token change an earlier logit; independence of rows) belong at the end of `evaluate`.
"""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .clock import Clock
from .loader import Data

Model = Callable[[torch.Tensor], torch.Tensor]  # int64 [B, T] -> logits [B, T, V]
# Tokens per evaluation batch: fp32 logits of 2048 x 1024 are 8 MiB (twice as fast as 32 MiB on a
# CPU, where larger blocks are mapped anew each time), of 65536 x 8192 2 GiB.
CPU_TOKENS, CUDA_TOKENS = 2048, 65_536
# Dense bf16 peaks from the makers' data sheets, TFLOP/s; the first name that fits counts.
PEAK_TFLOPS = {
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "H200": 989.0,
    "GH200": 989.0,
    "B200": 2250.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "RTX 4090": 165.0,
    "RTX 3090": 71.0,
}


class EvaluationError(Exception):
    """The model gave something that cannot be scored."""


@dataclass(frozen=True)
class Score:
    """What was measured, with the totals it was made from."""

    bpb: float
    nats: float
    bytes: int
    rows: int


def evaluate(
    model: Model, data: Data, device: torch.device, batch_rows: int | None = None
) -> Score:
    """Score a model on every validation row; `batch_rows` is halved when memory runs out.

    Raises EvaluationError where logits have another shape than [B, T, V] or are not finite.
    """
    default = CUDA_TOKENS if device.type == "cuda" else CPU_TOKENS
    size = batch_rows or max(1, default // data.seq_len)
    lengths = torch.from_numpy(data.token_bytes).to(device)  # [V]
    nats = torch.zeros((), dtype=torch.float64, device=device)
    counted, row = 0, 0
    while row < len(data.val):
        rows = torch.from_numpy(data.val[row : row + size].astype("int64"))  # [B, T+1]
        try:
            batch_nats, batch_bytes = _score(model, rows, lengths, data, device)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            continue
        nats += batch_nats
        counted += batch_bytes
        row += len(rows)
    total = float(nats)
    if row != len(data.val) or counted != data.val_bytes:
        raise EvaluationError(
            f"scored {row} rows and {counted} bytes, not {len(data.val)} and {data.val_bytes}"
        )
    return Score(total / (math.log(2) * counted), total, counted, row)


@torch.no_grad()
def _score(
    model: Model, rows: torch.Tensor, lengths: torch.Tensor, data: Data, device: torch.device
) -> tuple[torch.Tensor, int]:
    """(nats as float64, bytes) of one batch of rows [B, T+1]."""
    # A copy: a view would carry the targets along in its storage.
    logits = model(rows[:, :-1].clone().to(device))
    shape = (len(rows), data.seq_len, data.vocab_size)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != shape:
        found = tuple(getattr(logits, "shape", ())) or type(logits).__name__
        raise EvaluationError(f"the model must return logits of shape {shape}, not {found}")
    logits = logits.float()
    if not bool(torch.isfinite(logits).all()):
        raise EvaluationError("the model's logits are not all finite (nan or inf)")
    targets = rows[:, 1:].to(device)  # [B, T], made after the model has answered
    with torch.autocast(device.type, enabled=False):
        picked = logits.gather(2, targets.unsqueeze(2)).squeeze(2)
        nats = torch.logsumexp(logits, dim=2) - picked  # -log softmax at the target
    counts = targets != data.bos
    return (nats.double() * counts).sum(), int(lengths[targets[counts]].sum())


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
    """Print the block that the tool reads: `---`, then one `key: value` per line."""
    tokens = clock.tokens
    flops = flops_per_token * tokens / clock.training_seconds
    lines = {
        "val_bpb": f"{score.bpb:.6f}",
        "training_seconds": f"{clock.training_seconds:.1f}",
        "total_seconds": f"{clock.total_seconds:.1f}",
        "peak_vram_mb": f"{peak_memory_mb(device):.1f}",
        "mfu_percent": _mfu(flops, device),
        "total_tokens_M": f"{tokens / 1e6:.2f}",
        "num_steps": f"{clock.steps}",
        "num_params_M": f"{params / 1e6:.2f}",
        "depth": f"{depth}",
        "fingerprint": data.fingerprint,
    }
    print("---")
    for key, value in lines.items():
        print(f"{key + ':':<18}{value}")
    sys.stdout.flush()


def peak_memory_mb(device: torch.device) -> float:
    """Most memory held at once: on CUDA of the device's allocator, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1024**2
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**2


def _mfu(flops_per_second: float, device: torch.device) -> str:
    """Share of the card's dense bf16 peak; n/a where the peak is not known."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for known, peak in PEAK_TFLOPS.items():
            if known in name:
                return f"{100 * flops_per_second / (peak * 1e12):.2f}"
    return "n/a"
