"""Claude, through Anthropic's SDK."""

from __future__ import annotations

from typing import Any

from autoresearch.researchers.model import ModelResearcher, Received, SdkClient
from autoresearch.researchers.prices import Tokens
from autoresearch.researchers.prompt import SYSTEM
from autoresearch.researchers.provider import field

DEFAULT_MODEL = "claude-sonnet-5-5"
MAX_TOKENS = 32_000

_COUNTS = (
    ("input_tokens",),
    ("output_tokens",),
    ("cache_read_input_tokens",),
    ("cache_creation_input_tokens",),
)


class AnthropicResearcher(ModelResearcher):
    """Asks Claude."""

    kind = "anthropic"
    provider = "Anthropic"
    key_name = "ANTHROPIC_API_KEY"
    url_name = "ANTHROPIC_BASE_URL"
    default_model = DEFAULT_MODEL

    def _credential(self, key: str) -> dict[str, str]:
        # The SDK's older versions use the first of these headers, its newer ones the second.
        return {"x-api-key": key, "authorization": f"Bearer {key}"}

    def _connect(self) -> SdkClient:
        connection = super()._connect()
        connection.client.auth_token = None  # older SDKs take one from the environment too
        return connection

    def _send(self, client: Any, messages: list[dict[str, str]]) -> Any:
        return client.messages.create(
            model=self.model, max_tokens=MAX_TOKENS, system=SYSTEM, messages=messages, stream=True
        )

    def _take(self, event: Any, received: Received) -> None:
        kind = field(event, "type")
        if kind == "message_start":
            received.count(field(event, "message", "usage"), *_COUNTS)
        elif kind == "content_block_delta" and field(event, "delta", "type") == "text_delta":
            received.text.append(str(field(event, "delta", "text") or ""))
        elif kind == "content_block_delta" and field(event, "delta", "type") == "thinking_delta":
            received.reasoned = True
        elif kind == "message_delta":
            received.count(field(event, "usage"), *_COUNTS)
            received.reason = field(event, "delta", "stop_reason") or received.reason
        elif kind == "message_stop":
            received.whole = received.reason is not None

    def _take_body(self, body: dict[str, Any], received: Received) -> None:
        content = body.get("content")
        for piece in content if isinstance(content, list) else []:
            if field(piece, "type") == "text":
                received.text.append(str(field(piece, "text") or ""))
            elif field(piece, "type") in ("thinking", "redacted_thinking"):
                received.reasoned = True
        received.reason = body.get("stop_reason")
        received.count(body.get("usage"), *_COUNTS)

    def _tokens(self, counts: dict[str, int]) -> Tokens:
        return Tokens(
            counts.get("input_tokens"),
            counts.get("output_tokens"),
            counts.get("cache_read_input_tokens", 0),
            counts.get("cache_creation_input_tokens", 0),
        )
