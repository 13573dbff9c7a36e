"""Claude, through Anthropic's SDK."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

from autoresearch.errors import ResearcherError
from autoresearch.records import Answer, Proposal, Usage
from autoresearch.researchers import blocks, prices, prompt, wire
from autoresearch.researchers.base import Brief, Turn
from autoresearch.researchers.wire import Peer, count, table

DEFAULT_MODEL = "claude-sonnet-4-5"
KEY_NAME = "ANTHROPIC_API_KEY"
MAX_TOKENS = 32_000


class AnthropicResearcher:
    """Asks Claude for search/replace blocks.

    timeout_s is the longest silence; an answer may take six times that. Waiting after an outage
    is the ratchet's business, so the SDK retries nothing.
    """

    kind = "anthropic"
    attempts = 3

    def __init__(
        self,
        model: str,
        api_key: str,
        base_url: str | None = None,
        timeout_s: float = 600.0,
        key_name: str = KEY_NAME,
    ) -> None:
        import anthropic

        self.model = model or DEFAULT_MODEL
        self.timeout_s = timeout_s
        key = wire.checked_key(api_key, key_name)
        url = wire.checked_url(base_url or os.environ.get("ANTHROPIC_BASE_URL") or "https://")
        if not key and url == "https://":
            raise ResearcherError(f"no key for Anthropic: set {key_name} in the environment.")
        key = key or wire.PLACEHOLDER
        http = anthropic.DefaultHttpxClient() if base_url else None
        self._client = anthropic.Anthropic(
            api_key=key, base_url=base_url, timeout=timeout_s, max_retries=0, http_client=http
        )
        self._client.auth_token = None  # older SDKs take one from the environment besides the key
        if http is not None:
            hook = wire.own_headers_only(self._client.base_url, {"x-api-key": key})
            http.event_hooks = {"request": [hook]}
        self._peer = Peer("Anthropic", self.model, key, key_name, str(self._client.base_url))

    def propose(self, prompt_text: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        raise NotImplementedError
