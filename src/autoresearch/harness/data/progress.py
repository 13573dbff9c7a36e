"""Progress bars on a terminal; elsewhere nothing, for then the plain lines say enough."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

Say = Callable[[str], None]


class Bars:
    """Shows bars in bytes, one for each `add`, while the context lasts. Threads may share it."""

    def __init__(self) -> None:
        console = Console()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def add(self, name: str, total_bytes: int) -> Callable[[int], None]:
        """Adds a bar; call what is returned with the bytes that are done."""
        task = self._progress.add_task(name, total=total_bytes)
        return lambda done_bytes: self._progress.update(task, completed=done_bytes)
