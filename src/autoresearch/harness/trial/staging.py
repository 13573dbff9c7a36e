"""Rows from the host to the device, while the device computes.

Rows are uint16. They cross the bus as they are, a quarter of the bytes of int64, and are widened on
the device. On CUDA a batch is copied on a stream of its own out of pinned memory, and the batch
after it is gathered and sent while the model works on this one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch

from ..rows import Rows

Pair = tuple[torch.Tensor, torch.Tensor]  # x and y, int64 [B, T] each; y is x one token later
Fill = Callable[[Rows], object]  # writes a batch of rows in place
BUFFERS = 2  # one whose copy is under way, one to fill


class Sending(Protocol):
    """A batch on its way to the device."""

    def finish(self) -> None:
        """Blocks until the host's buffer has been read."""

    def pair(self) -> Pair:
        """Returns the batch on the device, ordered after its copy; it is asked for once."""


SendingT = TypeVar("SendingT", bound=Sending)


class Ring(Generic[SendingT]):
    """Fills host buffers (int16 [B, T+1]) in turn, none before its last copy is finished."""

    def __init__(
        self, buffers: Iterable[torch.Tensor], send: Callable[[torch.Tensor], SendingT]
    ) -> None:
        self._free: deque[tuple[torch.Tensor, SendingT | None]] = deque((b, None) for b in buffers)
        self._send = send

    def start(self, fill: Fill) -> SendingT:
        """Fills the buffer that has waited longest, and starts its copy."""
        buffer, before = self._free.popleft()
        if before is not None:
            before.finish()
        fill(buffer.numpy().view(np.uint16))
        sending = self._send(buffer)
        self._free.append((buffer, sending))
        return sending


class CudaCopy:
    """A copy on a side stream, which the stream that uses the batch waits for on the device."""

    def __init__(self, buffer: torch.Tensor, device: torch.device, side: torch.cuda.Stream) -> None:
        self._device = device
        self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        with torch.cuda.stream(side):
            self._there: torch.Tensor | None = buffer.to(device, non_blocking=True)
            self._copied.record(side)

    def finish(self) -> None:
        self._copied.synchronize()

    def pair(self) -> Pair:
        assert self._there is not None, "a batch is handed out once"
        there, self._there = self._there, None
        user = torch.cuda.current_stream(self._device)
        user.wait_event(self._copied)
        # Allocated on the side stream: must not be reused there before the user has read it.
        there.record_stream(user)
        return widened(there[:, :-1]), widened(there[:, 1:])


def widened(tokens: torch.Tensor) -> torch.Tensor:
    """Turns int16 bits of uint16 into int64: most devices have few kernels for uint16."""
    return tokens.to(torch.int64).bitwise_and_(0xFFFF)


class HostBatch:
    """A batch in one buffer of the host: for a CPU, and for MPS with a copy that blocks."""

    def __init__(self, buffer: torch.Tensor, device: torch.device) -> None:
        self._tokens: Rows = buffer.numpy().view(np.uint16)
        self._device = device

    def finish(self) -> None:
        """Returns at once: `pair` leaves nothing that refers to the buffer."""

    def pair(self) -> Pair:
        rows, length = self._tokens.shape
        # One block for both: from 4 MiB on numpy asks the kernel for huge pages. Freshly mapped
        # in pages of 4 KiB, a batch of 128 x 2048 took up to ten times as long as its widening.
        both = np.empty((2, rows, length - 1), dtype=np.int64)
        both[0], both[1] = self._tokens[:, :-1], self._tokens[:, 1:]
        x, y = torch.from_numpy(both).to(self._device)
        return x, y


def make_ring(rows: int, length: int, device: torch.device) -> Ring[CudaCopy] | Ring[HostBatch]:
    """Returns the ring for batches of `rows` rows of `length` tokens on a device."""
    shape = (rows, length)
    if device.type == "cuda":
        side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        pinned = [torch.empty(shape, dtype=torch.int16, pin_memory=True) for _ in range(BUFFERS)]
        return Ring(pinned, lambda buffer: CudaCopy(buffer, device, side))
    single = [torch.empty(shape, dtype=torch.int16)]
    return Ring(single, lambda buffer: HostBatch(buffer, device))
