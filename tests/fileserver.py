"""A hub of data sets on 127.0.0.1 that can misbehave: the hub's own protocol, scripted faults.

    with Hub("someone/texts", {"a.parquet": content}) as hub:
        hub.faults["a.parquet"] = [Truncate(1000), Status(503)]
        fetch(hub.pins(), hub.base_url, folder, ...)

Each GET of a file takes its next fault; behind the last one it is served as it should be,
ranges included. Every request is noted in `hub.asked` as (file name, Range header or "").
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from autoresearch.harness.data.fetch import Pin

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Truncate:
    """The true length is announced, and the connection closed after so many bytes."""

    after: int


@dataclass(frozen=True)
class Reset:
    """The connection is reset after so many bytes."""

    after: int


@dataclass(frozen=True)
class Stall:
    """Silence after so many bytes, until the client or the server goes."""

    after: int


@dataclass(frozen=True)
class Pause:
    """After so many bytes a wait for `hub.go`, then the rest."""

    after: int


@dataclass(frozen=True)
class Drip:
    """One byte every `every_s`, without end."""

    every_s: float


@dataclass(frozen=True)
class Short:
    """A well-formed answer that says that the file ends after so many bytes."""

    length: int


@dataclass(frozen=True)
class Status:
    """An answer with this status and no content."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Other:
    """Other content, whole; behind a range too, as if the server knew no ranges."""

    content: bytes


@dataclass(frozen=True)
class Anew:
    """The file from its start, also behind a range, and the connection closed after so many bytes."""

    after: int


@dataclass(frozen=True)
class WrongRange:
    """206 with a range that was not asked for."""


@dataclass(frozen=True)
class Redirect:
    """To this address, with the path of the file behind it."""

    to: str


Fault = (
    Truncate | Reset | Stall | Pause | Drip | Short | Status | Other | Anew | WrongRange | Redirect
)


class Hub:
    """One repository. `url` is the hub's address (HF_ENDPOINT), `base_url` that of the files."""

    def __init__(self, repository: str, files: dict[str, bytes], page: int = 1000) -> None:
        self.repository = repository
        self.files = files
        self.page = page  # entries on a page of the listing
        self.commit = COMMIT
        self.next_page: str | None = None  # what every page of the listing names as the next
        self.faults: dict[str, list[Fault]] = {}
        self.asked: list[tuple[str, str]] = []
        self.listed = 0  # pages of the listing
        self.tokens: list[str | None] = []
        self.agents: list[str] = []  # User-Agent of every request
        self.paths: list[str] = []  # of every request
        self.closing = threading.Event()
        self.go = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/datasets/{self.repository}/resolve/{self.commit}"

    def pins(self) -> list[Pin]:
        return [
            Pin(name, len(content), hashlib.sha256(content).hexdigest())
            for name, content in self.files.items()
        ]

    def ranges(self, name: str) -> list[str]:
        return [asked for file, asked in self.asked if file == name]

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.noted()
            path, _, _ = self.path.partition("?")
            pin = next((p for p in hub.pins() if path == self.address(p.name)), None)
            if pin is None:
                return self.head(404, 0, {"X-Error-Code": "EntryNotFound"})
            facts = {"X-Repo-Commit": hub.commit, "ETag": f'"{pin.sha256}"'}
            linked = {"X-Linked-ETag": f'"{pin.sha256}"', "X-Linked-Size": str(pin.size)}
            return self.head(200, pin.size, {**facts, **linked})

        def noted(self) -> None:
            hub.tokens.append(self.headers.get("Authorization"))
            hub.agents.append(self.headers.get("User-Agent") or "")
            hub.paths.append(self.path)
            self.close_connection = True

        def address(self, name: str) -> str:
            return f"/datasets/{hub.repository}/resolve/{hub.commit}/{name}"

        def do_GET(self) -> None:
            self.noted()
            path, _, query = self.path.partition("?")
            if path.startswith("/api/"):
                self.listing(path, query)
            else:
                self.file(path)

        def listing(self, path: str, query: str) -> None:
            api = f"/api/datasets/{hub.repository}"
            if path == f"{api}/revision/main":
                facts = {"_id": "0", "id": hub.repository, "sha": hub.commit, "siblings": []}
                return self.answer(200, json.dumps(facts).encode())
            if path != f"{api}/tree/{hub.commit}":
                return self.answer(404)
            start = int((re.search(r"cursor=(\d+)", query) or [0, 0])[1])
            pins = hub.pins()
            entries = [
                {
                    "type": "file",
                    "path": pin.name,
                    "size": pin.size,
                    "oid": "0" * 40,
                    "lfs": {"oid": pin.sha256, "size": pin.size, "pointerSize": 134},
                }
                for pin in pins[start : start + hub.page]
            ]
            if not start:
                entries.append({"type": "directory", "path": "images", "size": 0, "oid": "0"})
            more = start + hub.page
            link = f'<{hub.url}{path}?recursive=True&cursor={more}>; rel="next"'
            link = link if more < len(pins) else ""
            if hub.next_page is not None:
                link = f'<{hub.next_page}>; rel="next"'
            hub.listed += 1
            self.answer(200, json.dumps(entries).encode(), {"Link": link} if link else {})

        def file(self, path: str) -> None:
            name = path.rpartition("/")[2]
            asked = self.headers.get("Range") or ""
            hub.asked.append((name, asked))
            faults = hub.faults.get(name)
            fault = faults.pop(0) if faults else None
            known = path == self.address(name)
            content = hub.files.get(name) if known or path == f"/elsewhere/{name}" else None
            if content is None:
                return self.answer(404)
            start = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
            body = content[start:]
            ranged = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            status, headers = (206, ranged) if asked else (200, {})
            match fault:
                case Status(code, extra):
                    return self.answer(code, b"", extra)
                case Redirect(to):
                    return self.answer(302, b"", {"Location": f"{to}/elsewhere/{name}"})
                case Other(other):
                    return self.answer(200, other)
                case WrongRange():
                    return self.answer(206, body, {"Content-Range": f"bytes 1-9/{len(content)}"})
                case Short(length):
                    return self.answer(status, body[:length], headers)
                case Anew(after):
                    self.head(200, len(content), {})
                    self.wfile.write(content[:after])
                    return None
            if asked and not body:
                return self.answer(416)
            self.head(status, len(body), headers)
            match fault:
                case Truncate(after):
                    self.wfile.write(body[:after])
                case Stall(after):
                    self.wfile.write(body[:after])
                    hub.closing.wait(20)
                case Pause(after):
                    self.wfile.write(body[:after])
                    hub.go.wait(20)
                    self.wfile.write(body[after:])
                case Drip(every_s):
                    for place in range(len(body)):
                        self.wfile.write(body[place : place + 1])
                        if hub.closing.wait(every_s):
                            break
                case Reset(after):
                    self.wfile.write(body[:after])
                    self.wfile.flush()
                    linger = struct.pack("ii", 1, 0)  # close sends RST
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                case _:
                    self.wfile.write(body)

        def answer(
            self, code: int, body: bytes = b"", headers: Mapping[str, str] | None = None
        ) -> None:
            self.head(code, len(body), headers or {})
            self.wfile.write(body)

        def head(self, code: int, length: int, headers: Mapping[str, str]) -> None:
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(length)}.items():
                self.send_header(name, value)
            self.end_headers()

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the client went away, as it may
                super().handle()

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().finish()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def interrupted(
    number: signal.Signals, blob: bytes, cache: Path, *module: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """Sends a signal to a `prepare` of three shards of climbmix, each the blob, once parts of all are there.

    module: what Python runs, and its flags. It starts as a job in the background does, with SIGINT ignored.
    """
    files = {f"shard_{shard:05d}.parquet": blob for shard in (0, 6541, 6542)}
    with Hub("karpathy/climbmix-400b-shuffle", files) as hub:
        hub.faults = {name: [Drip(0.02)] for name in files}
        process = subprocess.Popen(
            ["sh", "-c", "trap '' INT; exec \"$0\" \"$@\"",
             sys.executable, "-m", *module, "--source", "climbmix", "--shards", "1"],
            cwd=cache, env={**os.environ, **env, "HF_ENDPOINT": hub.url},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        folder, deadline = cache / "sources" / "climbmix", time.monotonic() + 30
        try:
            while sum(part.stat().st_size > 0 for part in folder.glob("*.part")) < 3:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.01)
            process.send_signal(number)
            said, error = process.communicate(
                timeout=30
            )  # its end: who it started has closed them too
        finally:
            process.kill()
            process.wait()
    assert len(list(folder.glob("*.part"))) == 3 and not list(folder.glob("*.parquet"))
    return subprocess.CompletedProcess(process.args, process.returncode, said, error)
