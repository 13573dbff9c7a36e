"""What the researchers that ask a chat model share: one question, one streamed answer, its usage.

The SDKs send the request and read the stream; here an answer is put together from their events, and
whatever fails becomes an error of ours. The SDK is loaded when it is first needed: that takes about
a second of CPU, which `warm_up` spends while a trial runs.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from autoresearch.errors import AnswerTimeout, Outage, ResearcherError
from autoresearch.records import Answer, Proposal, Usage
from autoresearch.researchers import blocks, provider, stop
from autoresearch.researchers.base import Brief, Turn
from autoresearch.researchers.prices import Price, Tokens
from autoresearch.researchers.prompt import conversation, encodable, render
from autoresearch.researchers.provider import Endpoint, checked_key, checked_url

SILENCE_S = 600.0  # a model may think that long before its first word


@dataclass
class Received:
    """What came of an answer so far: its text, counts of tokens by the provider's names, its end.

    reason is the provider's word for why the answer ended; reasoned says that there was reasoning
    aside from the text; whole that nothing more of the answer is to come.
    """

    text: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    reason: str | None = None
    reasoned: bool = False
    whole: bool = False

    def count(self, usage: object, *names: tuple[str, ...]) -> None:
        """Takes over the counts of a reply's usage; one that it leaves out stays as it was."""
        for name in names:
            n = provider.count(provider.field(usage, *name))
            if n is not None:
                self.counts[name[-1]] = n


@dataclass(frozen=True)
class SdkClient:
    """A provider's SDK, the HTTP library below it, a client of it, and the endpoint it asks."""

    sdk: Any
    library: Any
    client: Any
    endpoint: Endpoint


class ModelResearcher:
    """Asks a chat model for search/replace blocks; one subclass for each provider's SDK.

    timeout_s is what a whole answer may take; ten minutes of silence end it too. Waiting after an
    outage is the ratchet's business, so the SDK retries nothing. Raises ResearcherError for a key
    or a URL that can't be one.
    """

    kind: str  # also the name of the SDK's package
    provider: str  # also the name of the SDK's client class
    key_name: str
    url_name: str
    default_model: str
    attempts = 3

    def __init__(
        self,
        model: str,
        api_key: str,
        base_url: str | None = None,
        timeout_s: float = 1800.0,
        key_name: str | None = None,
        price_per_mtok: tuple[float, float] | None = None,
    ) -> None:
        self.model = model or self.default_model
        self.timeout_s = timeout_s
        self._base_url = base_url or None
        self._url = self._base_url or os.environ.get(self.url_name) or None
        if self._url is not None:
            checked_url(self._url)
        self._key_name = key_name or self.key_name
        key = checked_key(api_key, self._key_name)
        if not key and self._url is None:
            raise ResearcherError(
                f"no key for {self.provider}: set {self._key_name} in the environment."
            )
        self._key = key or provider.PLACEHOLDER
        self.price = Price(self.kind, self.model, self._url, price_per_mtok)
        self._ends_at = 0.0
        self._connection: SdkClient | None = None
        self._connecting: Future[SdkClient] | None = None

    def warm_up(self) -> None:
        """Begins to make the SDK's client, in a thread; what fails is raised with the first question."""
        if self._connection is None and self._connecting is None:
            from concurrent.futures import ThreadPoolExecutor

            executor = ThreadPoolExecutor(1)
            self._connecting = executor.submit(self._connect)
            executor.shutdown(wait=False)

    def prompt(self, brief: Brief) -> str:
        """Returns the prompt of a model."""
        return render(brief)

    def propose(self, prompt: str, brief: Brief, turns: tuple[Turn, ...]) -> Answer:
        """Returns one answer; its text may be empty or cut off, which is for `read` to say."""
        return self._ask(conversation(prompt, turns))

    def read(self, answer: Answer, brief: Brief) -> Proposal:
        """Returns the proposal that the answer's blocks make; raises BadAnswer."""
        stop.check(answer)
        return blocks.parse(answer.text, brief.files, brief.tree)

    # -- what a provider has of its own -----------------------------------------------------------

    def _credential(self, key: str) -> dict[str, str]:
        """Returns the headers that carry the key."""
        raise NotImplementedError

    def _send(self, client: Any, messages: list[dict[str, str]]) -> Any:
        """Sends the question, and returns the SDK's stream of events."""
        raise NotImplementedError

    def _take(self, event: Any, received: Received) -> None:
        """Adds one event of a stream to what was received."""
        raise NotImplementedError

    def _take_body(self, body: dict[str, Any], received: Received) -> None:
        """Adds the whole of a reply that is no stream."""
        raise NotImplementedError

    def _tokens(self, counts: dict[str, int]) -> Tokens:
        """Returns the provider's counts by our names."""
        raise NotImplementedError

    # -- one question -----------------------------------------------------------------------------

    def _ask(self, messages: list[dict[str, str]]) -> Answer:
        """Returns the answer; raises ResearcherError, or Outage with the usage that is known."""
        received = Received()
        try:
            self._receive(messages, received)
        except Outage as outage:
            if not received.whole:  # what breaks behind the end of an answer takes nothing from it
                if received.counts:
                    outage.usage = self._usage(received, broken=True)
                raise
        usage = self._usage(received)
        if stop.is_fault(received.reason):
            what = f"the provider ended the answer with {received.reason!r}"
            raise Outage(self._connected().endpoint.said(what), usage=usage)
        text = encodable("".join(received.text))
        stopped = stop.stopped(received.reason, text, received.reasoned)
        return Answer(text, usage, stopped=stopped)

    def _usage(self, received: Received, broken: bool = False) -> Usage:
        """Returns what an answer cost; a broken one at least what is known of it."""
        tokens = self._tokens(received.counts)
        known = Tokens(tokens.fresh or 0, tokens.output or 0, tokens.cache_read, tokens.cache_write)
        usd = self.price.usd(known if broken else tokens)
        return Usage(tokens.input, tokens.output, usd)

    def _receive(self, messages: list[dict[str, str]], received: Received) -> None:
        """Sends one request and takes in its reply, streamed or plain; whatever fails becomes ours.

        The errors come without the SDK's error behind them: that one may quote the key.
        """
        connection = self._connected()
        sdk, endpoint = connection.sdk, connection.endpoint
        self._ends_at = time.monotonic() + self.timeout_s
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # about the model's last day
                stream = self._send(connection.client, messages)
            with stream:
                if "event-stream" in stream.response.headers.get("content-type", ""):
                    for event in stream:
                        self._take(event, received)
                else:
                    body = json.loads(stream.response.read())
                    if not isinstance(body, dict) or body.get("error"):
                        raise endpoint.fault(None, body, {})
                    self._take_body(body, received)
                    received.whole = True
            if not received.whole:
                raise AnswerTimeout(
                    endpoint.said("the answer ended without a reason, as half of one")
                )
        except sdk.APITimeoutError as err:
            raise self._silence(endpoint, err.__cause__ or err) from None
        except sdk.APIConnectionError as err:
            cause = err.__cause__ or err
            raise Outage(endpoint.said(f"can't reach {endpoint.url}", cause)) from None
        except sdk.APIStatusError as err:
            status = err.response.status_code
            late = status < 400  # an error in mid-stream, behind a status of success
            raise endpoint.fault(None if late else status, err.body, err.response.headers) from None
        except sdk.APIError as err:
            if err.body:
                raise endpoint.fault(None, err.body, {}) from None
            raise Outage(endpoint.said("the answer can't be read", err)) from None
        except connection.library.TimeoutException as err:
            raise self._silence(endpoint, err) from None
        except (connection.library.HTTPError, connection.library.StreamError) as err:
            what = "the connection was lost in the middle of the answer"
            raise Outage(endpoint.said(what, err)) from None
        except provider.TooLate:
            what = f"the answer was not complete after {self.timeout_s:g} s"
            raise AnswerTimeout(endpoint.said(what)) from None
        except ValueError as err:
            what = "the answer is neither JSON nor a stream of events"
            raise Outage(endpoint.said(what, err)) from None

    def _silence(self, endpoint: Endpoint, err: BaseException) -> Outage:
        """Returns the outage for a time-out; of an answer only where the question had been taken."""
        silence_s = min(self.timeout_s, SILENCE_S)
        what = f"no answer from {endpoint.url} for {silence_s:g} s"
        if type(err).__name__ == "ReadTimeout":
            return AnswerTimeout(endpoint.said(what))
        return Outage(endpoint.said(what))

    # -- the client -------------------------------------------------------------------------------

    def _connected(self) -> SdkClient:
        if self._connection is None:
            connecting = self._connecting
            self._connection = connecting.result() if connecting else self._connect()
        return self._connection

    def _connect(self) -> SdkClient:
        """Loads the SDK and returns a client of it."""
        with _without_collections():
            sdk = importlib.import_module(self.kind)
        library = importlib.import_module(sdk.DefaultHttpxClient.__base__.__module__.split(".")[0])
        http = provider.http_client(sdk, library, self._url, lambda: self._ends_at)
        client = getattr(sdk, self.provider)(
            api_key=self._key,
            base_url=self._base_url,
            timeout=min(self.timeout_s, SILENCE_S),
            max_retries=0,
            default_headers=provider.HEADERS,
            http_client=http,
        )
        if self._base_url is not None:
            hook = provider.only_own_headers(client.base_url, self._credential(self._key))
            http.event_hooks = {**http.event_hooks, "request": [hook]}
        endpoint = Endpoint(
            self.provider, self.model, self._key, self._key_name, str(client.base_url)
        )
        return SdkClient(sdk, library, client, endpoint)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keeps the garbage collector from an SDK's thousands of classes, now and later on.

    Going through them, as they are made and after, is a sixth of an import's time or more.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_on:
            gc.enable()
