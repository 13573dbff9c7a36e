"""A model on 127.0.0.1 for coding agents: it calls their tools, one after another, then says its last words.

It speaks the three protocols that agents speak, streamed as they ask for it: Anthropic's messages,
OpenAI's chat completions and OpenAI's responses. Which call comes next shows in the conversation itself:
the model makes the n-th of its calls once n - 1 results have come back. `{cwd}` in a call's arguments is the
folder that the agent says it works in, and `{taught}` the command, up to its message, that a skill taught.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_CWD = re.compile(r"working (?:in the )?directory: (/[^\s\"\\\\]+)", re.IGNORECASE)
_TAUGHT = re.compile(r"autoresearch try [-a-z ]*-m")
Call = tuple[str, dict[str, Any]]  # a tool's name and its arguments


@dataclass
class AgentModel:
    """The model; use it as a context manager. `status` other than 200 refuses every request."""

    calls: Sequence[Call]
    last: str
    status: int = 200
    asked: list[tuple[str, Any]] = field(default_factory=list)  # path and body of each request

    def __enter__(self) -> AgentModel:
        model = self

        class Handler(_Handler):
            owner = model

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def prompts(self) -> str:
        """All that was asked, as one text."""
        return json.dumps([body for _, body in self.asked], ensure_ascii=False)

    def next_call(self, body: Any) -> Call | None:
        """The tool that the model calls now; None where it says its last words, or has no tools."""
        names = {_name(tool) for tool in body.get("tools") or ()}
        done = _results(body)
        if done == len(self.calls) or self.calls[done][0] not in names:
            return None
        tool, arguments = self.calls[done]
        found = _CWD.search(json.dumps(body, ensure_ascii=False))
        cwd = found[1] if found else "."
        taught = _TAUGHT.search(json.dumps(body, ensure_ascii=False))
        known = {"{cwd}": cwd, "{taught}": taught[0] if taught else "not taught"}
        return tool, {name: _filled(str(value), known) for name, value in arguments.items()}


def _filled(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(name, value)
    return text


def _name(tool: Any) -> str:
    return str(tool.get("name") or (tool.get("function") or {}).get("name"))


def _results(body: Any) -> int:
    """How many results of tools a conversation holds."""
    count = 0
    for item in body.get("messages") or body.get("input") or ():
        if not isinstance(item, dict):
            continue
        if item.get("role") == "tool" or str(item.get("type")).endswith("_call_output"):
            count += 1
        elif isinstance(item.get("content"), list):
            count += sum(part.get("type") == "tool_result" for part in item["content"])
    return count


class _Handler(BaseHTTPRequestHandler):
    owner: AgentModel
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._reply({})

    def do_GET(self) -> None:
        self._reply({"object": "list", "data": [{"id": "loop", "object": "model"}]})

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(size) or b"{}")
        path = self.path.partition("?")[0]
        self.owner.asked.append((path, body))
        if self.owner.status != 200:
            error = {"type": "authentication_error", "message": "invalid api key"}
            self._reply({"type": "error", "error": error}, self.owner.status)
        elif path.endswith("/count_tokens"):
            self._reply({"input_tokens": 100})
        elif path.endswith("/messages"):
            self._answer(body, _messages, "message_start")
        elif path.endswith("/chat/completions"):
            self._answer(body, _completions, "")
        elif path.endswith("/responses"):
            self._answer(body, _responses, "response")
        else:
            self._reply({})

    def _answer(self, body: Any, protocol: Any, kind: str) -> None:
        events, whole = protocol(self.owner.next_call(body), self.owner.last, _results(body))
        if not body.get("stream"):
            self._reply(whole)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("connection", "close")
        self.end_headers()
        for event in events:
            name = f"event: {event['type']}\n" if kind else ""
            self.wfile.write(f"{name}data: {json.dumps(event)}\n\n".encode())
        if not kind:
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _reply(self, body: Any, status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)


Answer = tuple[Iterator[dict[str, Any]], dict[str, Any]]  # as events, and whole


def _messages(call: Call | None, last: str, n: int) -> Answer:
    usage = {"input_tokens": 10, "output_tokens": 5}
    head = {"id": f"msg_{n}", "type": "message", "role": "assistant", "model": "loop"}
    stop = "tool_use" if call else "end_turn"
    if call:
        block: dict[str, Any] = {"type": "tool_use", "id": f"toolu_{n}", "name": call[0]}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call[1])}
        begun, full = {**block, "input": {}}, {**block, "input": call[1]}
    else:
        delta = {"type": "text_delta", "text": last}
        begun, full = {"type": "text", "text": ""}, {"type": "text", "text": last}

    def events() -> Iterator[dict[str, Any]]:
        message = {
            **head,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        yield {"type": "message_start", "message": message}
        yield {"type": "content_block_start", "index": 0, "content_block": begun}
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
        yield {"type": "content_block_stop", "index": 0}
        ended = {"stop_reason": stop, "stop_sequence": None}
        yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 5}}
        yield {"type": "message_stop"}

    return events(), {**head, "content": [full], "stop_reason": stop, "usage": usage}


def _completions(call: Call | None, last: str, n: int) -> Answer:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    head = {"id": f"c{n}", "created": 0, "model": "loop"}
    message: dict[str, Any] = {"role": "assistant", "content": None if call else last}
    if call:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        message["tool_calls"] = [{"id": f"call_{n}", "type": "function", "function": function}]
    why = "tool_calls" if call else "stop"

    def events() -> Iterator[dict[str, Any]]:
        delta = dict(message)
        if call:
            delta["tool_calls"] = [{"index": 0, **message["tool_calls"][0]}]
        for piece, finish in ((delta, None), ({}, why)):
            choice = {"index": 0, "delta": piece, "finish_reason": finish}
            yield {**head, "object": "chat.completion.chunk", "choices": [choice]}
        yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}

    choice = {"index": 0, "message": message, "finish_reason": why}
    return events(), {**head, "object": "chat.completion", "choices": [choice], "usage": usage}


def _responses(call: Call | None, last: str, n: int) -> Answer:
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    if call:
        item = {
            "type": "function_call", "id": f"fc_{n}", "call_id": f"call_{n}", "name": call[0],
            "arguments": json.dumps(call[1]), "status": "completed",
        }  # fmt: skip
    else:
        text = {"type": "output_text", "text": last, "annotations": []}
        item = {
            "type": "message", "id": f"m_{n}", "role": "assistant", "status": "completed",
            "content": [text],
        }  # fmt: skip
    whole = {"id": f"r{n}", "object": "response", "status": "completed", "output": [item]}

    def events() -> Iterator[dict[str, Any]]:
        begun = {**whole, "status": "in_progress", "output": []}
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.output_item.added", "output_index": 0, "item": item}
        yield {"type": "response.output_item.done", "output_index": 0, "item": item}
        yield {"type": "response.completed", "response": {**whole, "usage": usage}}

    return events(), {**whole, "usage": usage}
