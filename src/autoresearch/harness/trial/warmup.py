"""A warm-up that leaves no trace: what it may change is put back, and its operations are counted."""

from __future__ import annotations

import contextlib
import copy
import random
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from ..cache import HarnessError


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


class OperationCount:
    """Counts floating-point operations of a warm-up's first step: until every optimiser has stepped once.

    As torch counts them: matrix products, convolutions and attention, two for each multiply-add,
    attention as the whole T x T even where it is causal. Not counted are element-wise work and
    kernels that torch does not know.

    Compiled functions run uncompiled meanwhile, since no operation shows inside them; without
    that stance the compiler would give up on each function that it first met under the counter,
    for good. So compilation takes place in the second step.
    """

    def __init__(self) -> None:
        self.flops = 0
        self.tokens = 0
        self._waiting: set[int] = set()  # optimisers that have not stepped yet, by identity
        self._counted = contextlib.ExitStack()

    @contextlib.contextmanager
    def watch(self, optimisers: list[Optimizer]) -> Iterator[None]:
        """Counts the first step taken in here, or all there is where optimisers do not step."""
        self._waiting = {id(optimiser) for optimiser in optimisers} or {0}  # 0 never steps
        counter = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)
        with contextlib.ExitStack() as hooks, self._counted as counted:
            for optimiser in optimisers:
                hooks.callback(optimiser.register_step_post_hook(self._stepped).remove)
            # The counter follows modules by hooks, of which torch warns compiled modules.
            counted.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", message="Using `torch.compile")
            counted.enter_context(torch.compiler.set_stance("force_eager"))
            counted.callback(self._read, counter)
            counted.enter_context(counter)
            yield

    def grant(self, tokens: int) -> None:
        """Takes note of dummy tokens that are handed out, for the first step or for a later one.

        Counting ends here and not in the optimiser's hook, which may run within something compiled.
        """
        if self._waiting:
            self.tokens += tokens
        else:
            self._counted.close()

    def _stepped(self, optimiser: Optimizer, *_: object) -> None:
        self._waiting.discard(id(optimiser))

    def _read(self, counter: FlopCounterMode) -> None:
        self.flops = counter.get_total_flops()

    def per_token(self) -> float:
        """Returns operations per dummy token. Raises HarnessError where there was none."""
        if not self.tokens or not self.flops:
            raise HarnessError(
                "this trial has a cap on floating-point operations, and none were counted: take two "
                "training steps inside `with clock.warm_up(model, optimisers):`, with batches from "
                "`batches.next()`, before the first batch of the training"
            )
        return self.flops / self.tokens


def _cpu_attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _cpu_attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))  # type: ignore[no-untyped-call]


# torch 2.13 counts the attention kernels of CUDA and not that of the CPU.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _cpu_attention_backward,
}
