"""GPT and every server that speaks OpenAI's chat completions, through OpenAI's SDK."""

from __future__ import annotations

from typing import Any

from autoresearch.errors import ResearcherError
from autoresearch.records import Answer
from autoresearch.researchers.model import ModelResearcher, Received
from autoresearch.researchers.prices import Tokens
from autoresearch.researchers.prompt import SYSTEM
from autoresearch.researchers.provider import field
from autoresearch.researchers.stop import REFUSAL

DEFAULT_MODEL = "gpt-6.1-sol"

_COUNTS = (
    ("prompt_tokens",),
    ("completion_tokens",),
    ("prompt_tokens_details", "cached_tokens"),
    ("completion_tokens_details", "reasoning_tokens"),
)
_REASONING = ("reasoning_content", "reasoning", "reasoning_details")  # by other servers


class OpenAIResearcher(ModelResearcher):
    """Asks a chat model of OpenAI, or of another server with the same interface."""

    kind = "openai"
    provider = "OpenAI"
    key_name = "OPENAI_API_KEY"
    url_name = "OPENAI_BASE_URL"
    default_model = DEFAULT_MODEL
    _asks_usage = True  # until a server says that it does not know the option

    def _credential(self, key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    def _ask(self, messages: list[dict[str, str]]) -> Answer:
        try:
            return super()._ask(messages)
        except ResearcherError as err:
            if not self._asks_usage or "stream_options" not in str(err):
                raise
        self._asks_usage = False
        return super()._ask(messages)

    def _send(self, client: Any, messages: list[dict[str, str]]) -> Any:
        options = {"stream_options": {"include_usage": True}} if self._asks_usage else {}
        system = {"role": "system", "content": SYSTEM}
        return client.chat.completions.create(
            model=self.model, messages=[system, *messages], stream=True, **options
        )

    def _take(self, event: Any, received: Received) -> None:
        choice = _first(field(event, "choices"))
        self._take_message(field(choice, "delta"), field(event, "usage"), received)
        # The SDK keeps [DONE] to itself: an answer is whole once it gave its reason to end.
        if reason := field(choice, "finish_reason"):
            received.whole = True
            received.reason = received.reason or str(reason)

    def _take_body(self, body: dict[str, Any], received: Received) -> None:
        choice = _first(body.get("choices"))
        reason = field(choice, "finish_reason")
        self._take_message(field(choice, "message"), body.get("usage"), received)
        received.reason = received.reason or (str(reason) if reason else None)

    def _take_message(self, message: object, usage: object, received: Received) -> None:
        """Adds a message or a piece of one; a refusal's words are the text where there is no other."""
        text, refusal = _text(message), field(message, "refusal")
        if isinstance(refusal, str) and refusal:
            received.reason = REFUSAL
        received.text.append(text or (refusal if isinstance(refusal, str) else ""))
        received.reasoned |= any(field(message, name) for name in _REASONING)
        received.count(usage, *_COUNTS)
        received.reasoned |= received.counts.get("reasoning_tokens", 0) > 0

    def _tokens(self, counts: dict[str, int]) -> Tokens:
        total, cached = counts.get("prompt_tokens"), counts.get("cached_tokens", 0)
        fresh = None if total is None else max(0, total - cached)
        return Tokens(fresh, counts.get("completion_tokens"), cached)


def _first(choices: object) -> object:
    """Returns the first choice; None for a chunk that carries the usage and has none."""
    return choices[0] if isinstance(choices, list) and choices else None


def _text(message: object) -> str:
    """Returns the text of a message or of a piece of it."""
    content = field(message, "content")
    if isinstance(content, list):  # parts, as some servers send them
        content = "".join(str(field(part, "text") or "") for part in content)
    return content if isinstance(content, str) else ""
