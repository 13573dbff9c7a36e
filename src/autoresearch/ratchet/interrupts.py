"""SIGINT and SIGTERM: the first asks a run to stop where it can be resumed, the second leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

from autoresearch.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Handlers of our own while it is entered: a background job starts with SIGINT ignored."""

    def __init__(self) -> None:
        self.requested = False
        self._breaking = False

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            os._exit(130)  # safe: the journal is whole, and the trial dies with its launcher's pipe
        self.requested = True
        if self._breaking:
            raise Interrupted

    @contextlib.contextmanager
    def breaking(self) -> Iterator[None]:
        """Where an interrupt may break off at any point: a call to a provider, a wait."""
        self._breaking = True  # first: a signal between these two lines must not be lost
        try:
            if self.requested:
                raise Interrupted
            yield
        finally:
            self._breaking = False
