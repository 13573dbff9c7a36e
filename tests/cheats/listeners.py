"""Services of the user's that a trial must not reach."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from pathlib import Path


class Listeners:
    """Services of the user's that a trial must not reach: `arrived` are those that it did."""

    def __init__(self) -> None:
        self.arrived: set[str] = set()
        name = f"autoresearch-{secrets.token_hex(6)}"
        # The path of a socket has at most 107 bytes.
        self.path = Path(f"/tmp/{name}")
        self.sockets = {
            "tcp": socket.create_server(("127.0.0.1", 0)),
            "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            "unix": socket.socket(socket.AF_UNIX),
            "abstract": socket.socket(socket.AF_UNIX),
        }
        self.sockets["udp"].bind(("127.0.0.1", 0))
        self.sockets["unix"].bind(str(self.path))
        self.sockets["abstract"].bind(f"\0{name}")
        self.names = {
            "TCP": self.sockets["tcp"].getsockname()[1],
            "UDP": self.sockets["udp"].getsockname()[1],
            "SOCKET": self.path,
            "ABSTRACT": name,
        }
        for kind, each in self.sockets.items():
            each.settimeout(0.2)
            if kind in ("unix", "abstract"):
                each.listen()
        self._open = True
        self._threads = [
            threading.Thread(target=self._listen, args=pair) for pair in self.sockets.items()
        ]
        for thread in self._threads:
            thread.start()

    def _listen(self, kind: str, each: socket.socket) -> None:
        while self._open:
            with contextlib.suppress(TimeoutError):
                if kind == "udp":
                    each.recv(100)
                else:
                    each.accept()[0].close()
                self.arrived.add(kind)

    def close(self) -> None:
        self._open = False
        for thread in self._threads:
            thread.join()
        for each in self.sockets.values():
            each.close()
        self.path.unlink(missing_ok=True)
