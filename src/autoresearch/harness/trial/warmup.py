"""A warm-up that leaves no trace: what it may change is put back."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Snapshot:
    """Holds parameters, buffers, optimiser states and random states of one moment.

    `restore` writes into the tensors that were there, so that compiled graphs stay valid, and sets
    gradients to None. Copies lie in the host's memory: the device has room for the training alone.
    What an optimiser keeps outside `state` and `param_groups`, and generators of the script's own,
    are not covered.
    """

    def __init__(
        self, model: nn.Module, optimisers: Iterable[Optimizer], device: torch.device
    ) -> None:
        self._device = device
        self._params = [(param, _host_copy(param)) for param in model.parameters()]
        # With their owners: a module may put another tensor in a buffer's place.
        self._buffers = [
            (module, name, buffer, None if buffer is None else _host_copy(buffer))
            for module in model.modules()
            for name, buffer in module._buffers.items()
        ]
        self._optimisers = [
            (
                optimiser,
                _deep(dict(optimiser.state)),
                [_settings(g) for g in optimiser.param_groups],
            )
            for optimiser in optimisers
        ]
        self._torch = torch.get_rng_state()
        self._on_device = _device_random(device)
        self._numpy, self._python = np.random.get_state(), random.getstate()

    @torch.no_grad()
    def restore(self) -> None:
        """Puts everything back as it was."""
        for param, saved in self._params:
            param.copy_(saved)
            param.grad = None
        for module, name, buffer, content in self._buffers:
            setattr(module, name, buffer)
            if buffer is not None and content is not None:
                buffer.copy_(content)
        for optimiser, state, groups in self._optimisers:
            optimiser.zero_grad(set_to_none=True)
            optimiser.state.clear()
            optimiser.state.update(state)
            for group, settings in zip(optimiser.param_groups, groups, strict=True):
                for key in group.keys() - settings.keys() - {"params"}:
                    del group[key]
                for key, value in settings.items():  # in place: a script may hold group or rate
                    if isinstance(value, Tensor) and isinstance(group.get(key), Tensor):
                        group[key].copy_(value)
                    else:
                        group[key] = value
        torch.set_rng_state(self._torch)
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(self._on_device, self._device)
        elif self._device.type == "mps":
            torch.mps.set_rng_state(self._on_device)
        np.random.set_state(self._numpy)
        random.setstate(self._python)


def _host_copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {key: copy.deepcopy(value) for key, value in group.items() if key != "params"}


def _deep(state: dict[Tensor, Any]) -> dict[Tensor, Any]:
    """Returns a copy of an optimiser's state; the keys are the parameters themselves."""
    return {param: copy.deepcopy(value) for param, value in state.items()}


def _device_random(device: torch.device) -> Tensor:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else torch.empty(0)
