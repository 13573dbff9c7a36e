"""SIGINT, SIGTERM and SIGHUP: the first asks a run to stop where it can be resumed.

A second SIGINT or SIGTERM leaves at once. A second SIGHUP does not, nor one after a SIGTERM: a
connection that drops sends it from the shell and from the kernel, and systemd right after SIGTERM.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

from autoresearch.errors import Interrupted


def stopping() -> list[signal.Signals]:
    """Returns the signals that stop a command: a background job starts with SIGINT ignored, and is stopped.

    A SIGHUP that is ignored at the start, as under nohup, stays ignored.
    """
    hangup_counts = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangup_counts else [])]


class Interrupts:
    """Handlers of our own while it is entered.

    Once a stop was asked for they stay in place, since the process is on its way out.
    """

    def __init__(self) -> None:
        self.requested = False
        self._insisted = False
        self._breaking = False

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._handle) for number in stopping()}
        return self

    def __exit__(self, *_: object) -> None:
        if not self.requested:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGHUP:
            if self._insisted:
                os._exit(130)  # safe: the journal is whole, and the trial dies with the launcher
            self._insisted = True
        if self.requested:
            return
        self.requested = True
        if self._breaking:
            raise Interrupted

    @contextlib.contextmanager
    def breaking(self) -> Iterator[None]:
        """Lets an interrupt break off at any point of what is done inside: a provider's call, a wait."""
        self._breaking = True  # first: a signal between these two lines must not be lost
        try:
            if self.requested:
                raise Interrupted
            yield
        finally:
            self._breaking = False
