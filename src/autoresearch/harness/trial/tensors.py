"""A model's numbers on their way out of a trial: logits, losses and the state_dict as bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .inference import GPU_SLICE
from .probes import EvaluationError


def on_host(logits: Tensor) -> npt.NDArray[np.float32]:
    """Returns fp32 in the host's memory, by slices, so that the device never holds all of it twice."""
    logits = logits.detach()
    if logits.device.type == "cpu":
        return logits.float().contiguous().numpy()
    flat = logits.reshape(-1, logits.size(-1))
    found = torch.empty(flat.shape, dtype=torch.float32)
    step = max(1, GPU_SLICE // (4 * flat.size(1)))
    for part, out in zip(torch.split(flat, step), torch.split(found, step), strict=True):
        out.copy_(part.float())
    return found.numpy()


def following_losses(logits: Tensor, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Returns -log softmax at the tokens that follow, [n, T-1], of logits [n, T, V], in slices of rows."""
    count, length, vocab_size = logits.shape
    targets = torch.from_numpy(rows[:, 1:].copy()).to(logits.device)
    found = torch.empty(count, length - 1)
    step = max(1, GPU_SLICE // (4 * length * vocab_size))
    with torch.autocast(logits.device.type, enabled=False):
        for first in range(0, count, step):
            part = logits[first : first + step, :-1].float()
            wanted = targets[first : first + step].unsqueeze(2)
            # Not by logsumexp, which is as far from the truth as the largest logit is from zero.
            logs = part.log_softmax(dim=2).gather(2, wanted).squeeze(2)
            found[first : first + step] = -logs
    return found.numpy()


def plain_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Returns the state_dict, of plain tensors alone. Raises EvaluationError where there is more."""
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            raise EvaluationError(
                f"{name!r} of the model's state_dict is a {type(value).__name__} that is no plain "
                "tensor: what is not one cannot be examined again"
            )
        state[name] = value
    return state


def dtype_name(tensor: Tensor) -> str:
    """Returns the dtype's name as the examiner knows it, such as `float32`."""
    return str(tensor.dtype).removeprefix("torch.")


def raw_bytes(tensor: Tensor) -> npt.NDArray[np.uint8]:
    """Returns a copy of a tensor's bytes, in the order of its elements."""
    flat = tensor.detach().to("cpu", copy=True).contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy() if flat.numel() else np.empty(0, np.uint8)
