"""Claude, through Anthropic's SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autoresearch.records import Answer, Proposal, Usage
from autoresearch.researchers import blocks, prices, provider
from autoresearch.researchers.base import Brief, Turn
from autoresearch.researchers.prompt import SYSTEM
from autoresearch.researchers.provider import count, table

DEFAULT_MODEL = "claude-sonnet-5-5"
KEY_NAME = "ANTHROPIC_API_KEY"
MAX_TOKENS = 32_000


class AnthropicResearcher:
    """Asks Claude for search/replace blocks.

    timeout_s is what a whole answer may take; ten minutes of silence end it too. Waiting after an
    outage is the ratchet's business, so the SDK retries nothing.
    """

    kind = "anthropic"
    attempts = 3

    def __init__(
        self,
        model: str,
        api_key: str,
        base_url: str | None = None,
        timeout_s: float = 1800.0,
        key_name: str = KEY_NAME,
    ) -> None:
        import anthropic

        self.model = model or DEFAULT_MODEL
        self.timeout_s = timeout_s
        base_url = base_url or None
        key = provider.key_to_send("Anthropic", api_key, key_name, base_url, "ANTHROPIC_BASE_URL")
        http = anthropic.DefaultHttpxClient() if base_url else None
        self._client = anthropic.Anthropic(
            api_key=key,
            base_url=base_url,
            timeout=min(timeout_s, provider.SILENCE_S),
            max_retries=0,
            default_headers=provider.HEADERS,
            http_client=http,
        )
        self._client.auth_token = None  # older SDKs take one from the environment besides the key
        if http is not None:
            # The SDK's older versions use the first of these headers, its newer ones the second.
            credential = {"x-api-key": key, "authorization": f"Bearer {key}"}
            hook = provider.own_headers_only(self._client.base_url, credential)
            http.event_hooks = {"request": [hook]}
        self._peer = provider.Peer(
            "Anthropic", self.model, key, key_name, str(self._client.base_url)
        )

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """One answer; its text may be empty or cut off, which is the parser's matter."""
        import anthropic

        request: Any = {
            "model": self.model,
            "max_tokens": MAX_TOKENS,
            "system": SYSTEM,
            "messages": provider.conversation(prompt, turns),
            "stream": True,
        }
        return provider.exchange(
            anthropic,
            self._peer,
            self.timeout_s,
            lambda: self._client.messages.with_streaming_response.create(**request),
            self._from_stream,
            self._from_body,
        )

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        """The blocks in the answer."""
        return blocks.parse(answer.text, brief.files, brief.tree)

    def _from_stream(self, events: Iterator[provider.Event]) -> Answer:
        parts: list[str] = []
        used: dict[str, Any] = {}
        for event in events:
            data = table(event.data)
            kind = data.get("type", event.name)
            if kind == "error":
                raise self._peer.fault(None, data, {}, late=True)
            if kind == "message_start":
                used.update(table(table(data.get("message")).get("usage")))
            elif kind == "content_block_delta":
                delta = table(data.get("delta"))
                if delta.get("type") == "text_delta":
                    parts.append(str(delta.get("text", "")))
            elif kind == "message_delta":
                later = table(data.get("usage"))
                used.update({name: n for name, n in later.items() if n is not None})
            elif kind == "message_stop":
                return self._answer("".join(parts), used)
        raise self._peer.outage("the answer ended in the middle")

    def _from_body(self, body: dict[str, Any]) -> Answer:
        content = body.get("content")
        pieces = [table(piece) for piece in content] if isinstance(content, list) else []
        text = "".join(str(p.get("text", "")) for p in pieces if p.get("type") == "text")
        return self._answer(text, table(body.get("usage")))

    def _answer(self, text: str, used: dict[str, Any]) -> Answer:
        fresh, output = count(used.get("input_tokens")), count(used.get("output_tokens"))
        if fresh is None or output is None:
            return Answer(provider.whole(text), Usage(fresh, output))
        read = count(used.get("cache_read_input_tokens")) or 0
        write = count(used.get("cache_creation_input_tokens")) or 0
        usd = prices.usd(self.model, fresh, output, read, write)
        return Answer(provider.whole(text), Usage(fresh + read + write, output, usd))
