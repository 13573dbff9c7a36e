"""A provider on 127.0.0.1: real HTTP, both protocols, streamed or plain, scripted with faults.

    with Loopback([Text("hello"), Fault(529), Drop("middle")]) as server:
        AnthropicResearcher("some-model", "a-key", base_url=server.url)
        OpenAIResearcher("some-model", "a-key", base_url=server.url + "/v1")

Each request takes the next step; behind the last one every request is refused with 400. Steps may
come from a generator, so that a script of any length costs nothing.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Text:
    """An answer. stream None obeys the request; stop is "end", "length", or a provider's own word.

    reasoning goes before the text, in a field of its own.
    """

    text: str
    stream: bool | None = None
    usage: tuple[int, int] | None = (1000, 100)
    stop: str = "end"
    cached: int = 0
    done: bool = True  # False: a stream without its end event
    reasoning: str = ""

    def reason(self, claude: bool) -> str:
        """The protocol's word for why the answer ends."""
        words = {"end": "end_turn", "length": "max_tokens"} if claude else {"end": "stop"}
        return words.get(self.stop, self.stop)


@dataclass(frozen=True)
class Fault:
    """A status with an error body in the protocol's form (or `body` as it is)."""

    status: int
    kind: str = ""
    message: str = "scripted fault"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True)
class ErrorEvent:
    """A stream that begins well and then says that it failed."""

    kind: str
    message: str = "scripted fault"


@dataclass(frozen=True)
class Stall:
    """Silence, before the reply or in the middle of a stream."""

    seconds: float
    when: str = "before"


@dataclass(frozen=True)
class Drip:
    """A stream that says a little now and then, and does not end before `seconds`."""

    seconds: float
    every: float = 0.05


@dataclass(frozen=True)
class Drop:
    """The connection goes away: "before" any byte, after the "head", in the "middle"."""

    when: str


@dataclass(frozen=True)
class Raw:
    """A 200 with any body."""

    body: bytes
    content_type: str = "application/json"


Step = Text | Fault | ErrorEvent | Stall | Drip | Drop | Raw


@dataclass(frozen=True)
class Request:
    """What was asked: header names are in lower case."""

    path: str
    headers: dict[str, str]
    json: Any


class Loopback:
    """The server; use it as a context manager."""

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self.requests: list[Request] = []
        self._steps: Iterator[Step] = iter(steps)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, request: Request) -> Step:
        """Notes the request and hands out the step for it."""
        with self._lock:
            self.requests.append(request)
            return next(self._steps, Fault(400, message="the script is over"))

    def wait(self, seconds: float) -> None:
        """Sleeps, but not beyond the server's end."""
        self._closing.wait(seconds)


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        owner = loopback

    return Handler


class _Handler(BaseHTTPRequestHandler):
    owner: Loopback
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # buffered: one packet for a whole reply
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `requests`."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def finish(self) -> None:
        with suppress(ConnectionError):  # the client hung up first
            super().finish()

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        asked = json.loads(self.rfile.read(size) or b"null")
        headers = {name.lower(): value for name, value in self.headers.items()}
        step = self.owner.take(Request(self.path, headers, asked))
        claude = self.path.endswith("/messages")
        if not claude and not self.path.endswith("/chat/completions"):
            step = Fault(404, message=f"no such path: {self.path}")
        if isinstance(step, Text):
            streamed = bool(asked.get("stream")) if step.stream is None else step.stream
            if streamed:
                self._stream(_claude_events(step) if claude else _gpt_events(step))
            else:
                self._reply(200, _plain(step, claude))
        elif isinstance(step, Fault):
            self._reply(step.status, _fault(step, claude), step.headers)
        elif isinstance(step, Raw):
            self._reply(200, step.body, {"content-type": step.content_type})
        elif isinstance(step, ErrorEvent):
            self._stream([*_start(claude), _error_event(step, claude)])
        elif isinstance(step, Stall):
            if step.when != "before":
                self._stream(_start(claude), end=False)
            self.owner.wait(step.seconds)
            self.close_connection = True
        elif isinstance(step, Drip):
            self._stream(_start(claude), end=False)
            for _ in range(int(step.seconds / step.every)):
                self.owner.wait(step.every)
                self.wfile.write(b"8\r\n: ping\n\n\r\n")
                self.wfile.flush()
            self.close_connection = True
        else:
            if step.when == "head":
                self._stream([], end=False)
            elif step.when == "middle":
                self._stream(_start(claude), end=False)
            self._hang_up()

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        given = {"content-type": "application/json"} | (headers or {})
        for name, value in given.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _stream(self, events: Iterable[str], end: bool = True) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            data = event.encode("utf-8")
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        if end:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _sse(data: object, name: str = "") -> str:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data if isinstance(data, str) else json.dumps(data)}\n\n"


def _pieces(text: str) -> Iterator[str]:
    for at in range(0, len(text), 400):
        yield text[at : at + 400]


def _claude(kind: str, **more: object) -> str:
    return _sse({"type": kind, **more}, kind)


def _claude_events(step: Text) -> Iterator[str]:
    used, made = step.usage or (0, 0)
    usage = {"input_tokens": used - step.cached, "output_tokens": 1}
    usage["cache_read_input_tokens"] = step.cached
    yield _claude("message_start", message={"usage": usage if step.usage else {}})
    yield _claude("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield _claude("ping")
    for piece in _pieces(step.reasoning):
        delta = {"type": "thinking_delta", "thinking": piece}
        yield _claude("content_block_delta", index=0, delta=delta)
    for piece in _pieces(step.text):
        yield _claude("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield _claude("content_block_stop", index=0)
    if step.done:
        later = {"output_tokens": made} if step.usage else {}
        yield _claude("message_delta", delta={"stop_reason": step.reason(True)}, usage=later)
        yield _claude("message_stop")


def _gpt_chunk(delta: dict[str, str], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _sse({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})


def _gpt_usage(step: Text) -> dict[str, object] | None:
    if step.usage is None:
        return None
    used, made = step.usage
    details = {"cached_tokens": step.cached}
    return {"prompt_tokens": used, "completion_tokens": made, "prompt_tokens_details": details}


def _gpt_events(step: Text) -> Iterator[str]:
    yield _gpt_chunk({"role": "assistant", "content": ""})
    for piece in _pieces(step.reasoning):
        yield _gpt_chunk({"reasoning_content": piece})
    for piece in _pieces(step.text):
        yield _gpt_chunk({"content": piece})
    if step.done:
        yield _gpt_chunk({}, step.reason(False))
        if step.usage:
            yield _sse({"id": "c", "choices": [], "usage": _gpt_usage(step)})
        yield _sse("[DONE]")


def _plain(step: Text, claude: bool) -> bytes:
    body: dict[str, object]
    if claude:
        content = [{"type": "text", "text": step.text}] if step.text else []
        if step.reasoning:
            content.insert(0, {"type": "thinking", "thinking": step.reasoning})
        body = {"type": "message", "role": "assistant", "content": content}
        body["stop_reason"] = step.reason(True)
        if step.usage:
            used, made = step.usage
            body["usage"] = {"input_tokens": used, "output_tokens": made}
    else:
        message = {"role": "assistant", "content": step.text}
        if step.reasoning:
            message["reasoning_content"] = step.reasoning
        choice = {"index": 0, "message": message, "finish_reason": step.reason(False)}
        body = {"choices": [choice]}
        body["usage"] = _gpt_usage(step)
    return json.dumps(body).encode()


def _start(claude: bool) -> list[str]:
    """The first events of an answer that goes wrong."""
    whole = list(
        (_claude_events if claude else _gpt_events)(Text("description: half an", done=False))
    )
    return whole[:-1] if claude else whole


def _error(kind: str, message: str, claude: bool) -> dict[str, object]:
    if claude:
        return {"type": "error", "error": {"type": kind or "api_error", "message": message}}
    return {"error": {"message": message, "type": kind or "server_error", "code": kind or None}}


def _error_event(step: ErrorEvent, claude: bool) -> str:
    return _sse(_error(step.kind, step.message, claude), "error" if claude else "")


def _fault(step: Fault, claude: bool) -> bytes:
    if step.body is not None:
        return step.body.encode()
    kind = step.kind or ("invalid_request_error" if step.status in (400, 422) else "")
    return json.dumps(_error(kind, step.message, claude)).encode()
