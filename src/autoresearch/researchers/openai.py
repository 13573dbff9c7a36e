"""GPT and every server that speaks OpenAI's chat completions, through OpenAI's SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autoresearch.errors import ResearcherError
from autoresearch.records import Answer, Proposal, Usage
from autoresearch.researchers import blocks, prices, provider
from autoresearch.researchers.base import Brief, Turn
from autoresearch.researchers.prompt import SYSTEM
from autoresearch.researchers.provider import count, table

DEFAULT_MODEL = "gpt-6.1-sol"
KEY_NAME = "OPENAI_API_KEY"


class OpenAIResearcher:
    """Asks a chat model for search/replace blocks.

    timeout_s is what a whole answer may take; ten minutes of silence end it too. Waiting after an
    outage is the ratchet's business, so the SDK retries nothing.
    """

    kind = "openai"
    attempts = 3

    def __init__(
        self,
        model: str,
        api_key: str,
        base_url: str | None = None,
        timeout_s: float = 1800.0,
        key_name: str = KEY_NAME,
    ) -> None:
        import openai

        self.model = model or DEFAULT_MODEL
        self.timeout_s = timeout_s
        base_url = base_url or None
        key = provider.key_to_send("OpenAI", api_key, key_name, base_url, "OPENAI_BASE_URL")
        http = openai.DefaultHttpxClient() if base_url else None
        self._client = openai.OpenAI(
            api_key=key,
            base_url=base_url,
            timeout=min(timeout_s, provider.SILENCE_S),
            max_retries=0,
            default_headers=provider.HEADERS,
            http_client=http,
        )
        if http is not None:
            credential = {"authorization": f"Bearer {key}"}
            hook = provider.own_headers_only(self._client.base_url, credential)
            http.event_hooks = {"request": [hook]}
        self._peer = provider.Peer("OpenAI", self.model, key, key_name, str(self._client.base_url))
        self._asks_usage = True  # until a server says that it does not know the option

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """One answer; its text may be empty or cut off, which is the parser's matter."""
        messages = [{"role": "system", "content": SYSTEM}, *provider.conversation(prompt, turns)]
        try:
            return self._ask(messages)
        except ResearcherError as err:
            if not self._asks_usage or "stream_options" not in str(err):
                raise
        self._asks_usage = False
        return self._ask(messages)

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        """The blocks in the answer."""
        return blocks.parse(answer.text, brief.files, brief.tree)

    def _ask(self, messages: list[dict[str, str]]) -> Answer:
        import openai

        request: Any = {"model": self.model, "messages": messages, "stream": True}
        if self._asks_usage:
            request["stream_options"] = {"include_usage": True}
        return provider.exchange(
            openai,
            self._peer,
            self.timeout_s,
            lambda: self._client.chat.completions.with_streaming_response.create(**request),
            self._from_stream,
            self._from_body,
        )

    def _from_stream(self, events: Iterator[provider.Event]) -> Answer:
        parts: list[str] = []
        used: dict[str, Any] = {}
        complete = False
        for event in events:
            if event.data is None:  # [DONE]
                complete = True
                break
            data = table(event.data)
            if data.get("error") or event.name == "error":
                raise self._peer.fault(None, data, {}, late=True)
            used = table(data.get("usage")) or used  # comes behind the last choice
            choice = _first(data)
            parts.append(_text(table(choice.get("delta"))))
            complete = complete or bool(choice.get("finish_reason"))  # some send no [DONE]
        if not complete:
            raise self._peer.outage("the answer ended in the middle")
        return self._answer("".join(parts), used)

    def _from_body(self, body: dict[str, Any]) -> Answer:
        return self._answer(_text(table(_first(body).get("message"))), table(body.get("usage")))

    def _answer(self, text: str, used: dict[str, Any]) -> Answer:
        total, output = count(used.get("prompt_tokens")), count(used.get("completion_tokens"))
        if total is None or output is None:
            return Answer(provider.whole(text), Usage(total, output))
        cached = count(table(used.get("prompt_tokens_details")).get("cached_tokens")) or 0
        usd = prices.usd(self.model, max(0, total - cached), output, cached)
        return Answer(provider.whole(text), Usage(total, output, usd))


def _first(data: dict[str, Any]) -> dict[str, Any]:
    """The first choice; a chunk that carries the usage has none."""
    choices = data.get("choices")
    return table(choices[0]) if isinstance(choices, list) and choices else {}


def _text(message: dict[str, Any]) -> str:
    """The text of a message or of a piece of it; a refusal's where there is no other."""
    content = message.get("content")
    if isinstance(content, list):  # parts, as some servers send them
        content = "".join(str(table(part).get("text") or "") for part in content)
    return content if isinstance(content, str) and content else str(message.get("refusal") or "")
