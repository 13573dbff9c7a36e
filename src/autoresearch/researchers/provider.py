"""A provider's endpoint: its key and address, its client for HTTP, and what its faults mean."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from autoresearch.errors import Outage, ResearcherError
from autoresearch.text import one_line

PLACEHOLDER = "no-key"  # for servers that want none
# Questions are minutes apart: a connection kept open would be stale by the next one.
HEADERS = {"Connection": "close"}

_OUTAGES = frozenset({408, 409, 425, 429})
_WAIT_WORDS = ("overloaded", "rate_limit", "server_error", "api_error", "timeout", "unavailable")
_CREDIT_WORDS = ("insufficient_quota", "credit balance is too low", "billing_error", "billing_hard")
_KEY_WORDS = ("authentication_error", "permission_error", "invalid_api_key")
_MODEL_WORDS = ("model_not_found", "not_found_error")
_KEYLIKE = re.compile(r"\b(?:sk|key|pk)-[\w*.-]{6,}")
_OWN_HEADERS = (
    *("accept", "content-", "host", "connection", "transfer-encoding", "user-agent"),
    *("x-stainless-", "anthropic-version", "idempotency-key"),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model at a provider, as faults speak of it; url is where it is asked."""

    provider: str
    model: str
    key: str
    key_name: str
    url: str

    def fault(
        self, status: int | None, body: object, headers: Mapping[str, str]
    ) -> Outage | ResearcherError:
        """Returns what a refused request means: Outage where waiting helps, else ResearcherError.

        status is None where the fault came in mid-stream, with a status that said nothing.
        """
        words = _flat(body).lower()
        said = self.clean(_message(body))
        code = "in mid-stream" if status is None else f"HTTP {status}"
        about = f"{self.provider} ({code})" + (f": {said}" if said else "")
        if status == 402 or any(word in words for word in _CREDIT_WORDS):
            return ResearcherError(
                f"no credit left at {about}. Add credit or use another key in {self.key_name}, "
                "then run again."
            )
        if status in (401, 403) or any(word in words for word in _KEY_WORDS):
            return ResearcherError(
                f"the key was refused by {about}. Check {self.key_name} and its rights."
            )
        if status == 404 or any(word in words for word in _MODEL_WORDS):
            return ResearcherError(
                f"no model {self.model!r} at {self.url}, says {about}. Set [researcher] model "
                "(or base_url) in autoresearch.toml."
            )
        waits = any(word in words for word in _WAIT_WORDS)
        if (
            status in _OUTAGES
            or (status or 0) >= 500
            or (status is None and (waits or "invalid" not in words))
        ):
            return Outage(about, retry_after_s(headers))
        return ResearcherError(
            f"the request for {self.model!r} was refused by {about}. See [researcher] in "
            "autoresearch.toml."
        )

    def clean(self, text: str) -> str:
        """Returns one bounded line without the key, whole or abridged."""
        if self.key and self.key != PLACEHOLDER:
            text = text.replace(self.key, "[key]")
        return _KEYLIKE.sub("[key]", one_line(text, 400))

    def said(self, what: str, err: BaseException | None = None) -> str:
        """Returns the words for an outage: ours, then those of the SDK's error."""
        detail = self.clean(str(err)) if err is not None else ""
        return f"{self.provider}: {what}" + (f" ({detail})" if detail else "")


def checked_key(key: str, key_name: str) -> str:
    """Returns the key without blanks around it; raises ResearcherError where it can't be one."""
    key = key.strip()
    if not all("!" <= c <= "~" for c in key):
        raise ResearcherError(
            f"the key in {key_name} holds characters that no key has. Set {key_name} again."
        )
    return key


def checked_url(url: str) -> str:
    """Returns the base URL; raises ResearcherError where it is none, or holds a password."""
    if not re.match(r"https?://[^/\s@?#]+(?:/[^\s?#@]*)?$", url):
        shown = one_line(re.sub(r"//.*@", "//[...]@", url.partition("?")[0]), 200)
        raise ResearcherError(
            f"the base URL {shown!r} can't be used: it begins with https:// (http:// for a server "
            "of your own) and holds no user, password or query. Set [researcher] base_url again."
        )
    return url


def http_client(sdk: Any, library: Any, url: str | None, ends_at: Callable[[], float]) -> Any:
    """Returns the SDK's own kind of HTTP client, whose replies end at a time of time.monotonic().

    library is httpx, or the successor that the SDK uses. A reply that still comes in at ends_at()
    raises TooLate: the read time-out sees silence alone, and the SDKs swallow what keeps a
    connection alive.
    """

    class Bounded(library.SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            for chunk in self._stream:
                if time.monotonic() > ends_at():
                    raise TooLate
                yield chunk

        def close(self) -> None:
            self._stream.close()

    def bound(response: Any) -> None:
        response.stream = Bounded(response.stream)

    plain = url is not None and url.startswith("http://")
    trust = {"verify": _late_trust(library)} if plain else {}
    client = sdk.DefaultHttpxClient(**trust)
    client.event_hooks = {"response": [bound]}
    return client


class TooLate(Exception):
    """A reply was still coming in when its time was over."""


def _late_trust(library: Any) -> ssl.SSLContext:
    """Returns a TLS context that is made at its first use, which http:// never comes to.

    To read the authorities' certificates takes longer than the rest of a client. A redirect to
    https:// needs them, and verifies as ever.
    """

    class Late(ssl.SSLContext):
        def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
            return library.create_ssl_context().wrap_socket(*args, **kwargs)  # type: ignore[no-any-return]

    return Late(ssl.PROTOCOL_TLS_CLIENT)


def only_own_headers(origin: Any, credential: Mapping[str, str]) -> Callable[[Any], None]:
    """Returns a hook for the HTTP client that leaves a request the headers that it needs, alone.

    Both SDKs add what they find in the environment (tokens, organisations, custom headers). A
    server named in the configuration gets the credential meant for it and no other; and the
    server that a redirect leads to elsewhere gets none.
    """

    def hook(request: Any) -> None:
        for name in list(request.headers):
            if not name.lower().startswith(_OWN_HEADERS):
                del request.headers[name]
        url = request.url
        if (url.scheme, url.host, url.port) == (origin.scheme, origin.host, origin.port):
            request.headers.update(credential)

    return hook


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that the provider asked us to wait; None where it did not say."""
    try:
        if millis := headers.get("retry-after-ms"):
            return max(0.0, float(millis) / 1000)
        text = headers.get("retry-after") or ""
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text):
            return float(text)
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except (ValueError, OverflowError):
        return None


def field(value: object, *names: str) -> Any:
    """Returns what stands under these names, one in another, in the SDK's objects or in plain JSON.

    Servers differ in what they leave out: None where a name is not there.
    """
    for name in names:
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value


def count(value: object) -> int | None:
    """Returns a count of tokens as a reply gives it; None where it is none."""
    plain = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if plain else None  # type: ignore[return-value]


def _message(body: object) -> str:
    """Returns the provider's own words in an error's body."""
    if isinstance(body, str):
        return re.sub(r"<[^>]*>", " ", body)
    inner = body if isinstance(body, dict) else {}
    error = inner.get("error", inner)
    if isinstance(error, str):
        return error
    message = field(error, "message")
    return message if isinstance(message, str) else _flat(body) if body else ""


def _flat(body: object) -> str:
    return body if isinstance(body, str) else json.dumps(body, default=str)[:10_000]
