"""What both providers share on the wire: streams of events, faults and whose move they are, keys.

The SDKs send the requests; the replies are read here, so that a stream, a plain reply, a fault in
mid-stream and a connection that drops are told apart alike for both, whatever the SDK's version.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from autoresearch.errors import Outage, ResearcherError
from autoresearch.records import Answer
from autoresearch.researchers import prompt as words
from autoresearch.researchers.base import Turn
from autoresearch.text import one_line

PLACEHOLDER = "no-key"  # for servers that want none
SILENCE_S = 600.0  # a model may think that long before its first word
# Questions are minutes apart: a connection kept open would be stale by the next one.
HEADERS = {"Connection": "close"}

_OUTAGES = frozenset({408, 409, 425, 429})
_WAIT_WORDS = ("overloaded", "rate_limit", "server_error", "api_error", "timeout", "unavailable")
_CREDIT_WORDS = ("insufficient_quota", "credit balance is too low", "billing_error", "billing_hard")
_KEY_WORDS = ("authentication_error", "permission_error", "invalid_api_key")
_MODEL_WORDS = ("model_not_found", "not_found_error")
_KEYLIKE = re.compile(r"\b(?:sk|key|pk)-[\w*.-]{6,}")


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event: its name ("" where it has none) and its data, parsed."""

    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class Peer:
    """The provider as faults speak of it."""

    provider: str
    model: str
    key: str
    key_name: str
    where: str

    def fault(
        self, status: int | None, body: object, headers: Mapping[str, str], late: bool = False
    ) -> Exception:
        """What a refused request means: Outage (waiting helps) or ResearcherError (it does not).

        late: it came in mid-stream, where the status says nothing.
        """
        words = _flat(body).lower()
        said = self.clean(_message(body))
        code = f"HTTP {status}" if status and not late else "in mid-stream"
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
                f"no model {self.model!r} at {self.where}, says {about}. Set [researcher] model "
                "(or base_url) in autoresearch.toml."
            )
        waits = any(word in words for word in _WAIT_WORDS)
        if (
            status in _OUTAGES
            or (status or 0) >= 500
            or (late and (waits or "invalid" not in words))
        ):
            return Outage(about, retry_after_s(headers))
        return ResearcherError(
            f"the request for {self.model!r} was refused by {about}. See [researcher] in "
            "autoresearch.toml."
        )

    def clean(self, text: str) -> str:
        """One bounded line without the key, whole or abridged."""
        if self.key and self.key != PLACEHOLDER:
            text = text.replace(self.key, "[key]")
        return _KEYLIKE.sub("[key]", one_line(text, 400))

    def outage(self, what: str, err: BaseException | None = None) -> Outage:
        """An outage in our words, and the SDK's."""
        detail = self.clean(str(err)) if err is not None else ""
        return Outage(f"{self.provider}: {what}" + (f" ({detail})" if detail else ""))


def checked_key(key: str, key_name: str) -> str:
    """The key without blanks around it; ResearcherError where it can't be one."""
    key = key.strip()
    if not all("!" <= c <= "~" for c in key):
        raise ResearcherError(
            f"the key in {key_name} holds characters that no key has. Set {key_name} again."
        )
    return key


def checked_url(url: str) -> str:
    """The base URL; ResearcherError where it is none, or holds a password that we would print."""
    if not re.match(r"https?://[^/\s@?#]+(?:/[^\s?#@]*)?$", url):
        shown = one_line(re.sub(r"//.*@", "//[...]@", url.partition("?")[0]), 200)
        raise ResearcherError(
            f"the base URL {shown!r} can't be used: it begins with https:// (http:// for a server "
            "of your own) and holds no user, password or query. Set [researcher] base_url again."
        )
    return url


def key_to_send(
    provider: str, api_key: str, key_name: str, base_url: str | None, url_variable: str
) -> str:
    """The key to send, or a placeholder for a server that asks for none; ResearcherError without both."""
    where = base_url or os.environ.get(url_variable)
    if where:
        checked_url(where)
    key = checked_key(api_key, key_name)
    if not key and not where:
        raise ResearcherError(f"no key for {provider}: set {key_name} in the environment.")
    return key or PLACEHOLDER


def own_headers_only(origin: Any, credential: Mapping[str, str]) -> Callable[[Any], None]:
    """A hook for the SDK's HTTP client: of all headers, those that a request of ours needs.

    Both SDKs add what they find in the environment (tokens, organisations, custom headers). A
    server named in the configuration gets the credential meant for it and no other; and the
    server that a redirect leads to elsewhere gets none.
    """
    plain = (
        *("accept", "content-", "host", "connection", "transfer-encoding", "user-agent"),
        *("x-stainless-", "anthropic-version", "idempotency-key"),
    )

    def only_ours(request: Any) -> None:
        for name in list(request.headers):
            if not name.lower().startswith(plain):
                del request.headers[name]
        url = request.url
        if (url.scheme, url.host, url.port) == (origin.scheme, origin.host, origin.port):
            request.headers.update(credential)

    return only_ours


def conversation(prompt: str, turns: tuple[Turn, ...]) -> list[dict[str, str]]:
    """The prompt, then each earlier answer and what was wrong with it."""
    said = [("user", prompt)]
    for turn in turns:
        # no provider takes an empty message
        said += [("assistant", turn.answer if turn.answer.strip() else "(nothing)")]
        said += [("user", words.retry(turn.error))]
    return [{"role": role, "content": whole(text)} for role, text in said]


def whole(text: str) -> str:
    """The text without halves of characters, which no encoder takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def exchange(
    sdk: Any,
    peer: Peer,
    timeout_s: float,
    send: Callable[[], AbstractContextManager[Any]],
    from_stream: Callable[[Iterator[Event]], Answer],
    from_body: Callable[[dict[str, Any]], Answer],
) -> Answer:
    """One request by an SDK, and its reply, streamed or plain; whatever fails becomes ours.

    Raises Outage or ResearcherError, without the SDK's error behind it: that one may quote the key.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with ExitStack() as stack:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # about the model's last day
                response = stack.enter_context(send())
            if "event-stream" in response.headers.get("content-type", ""):
                return from_stream(events(_lines(response.iter_bytes()), deadline))
            body = json.loads(response.read())
            if not isinstance(body, dict) or body.get("error"):
                raise peer.fault(None, body, {}, late=True)
            return from_body(body)
    except sdk.APITimeoutError:
        silence_s = min(timeout_s, SILENCE_S)
        raise peer.outage(f"no answer from {peer.where} for {silence_s:g} s") from None
    except sdk.APIConnectionError as err:
        cause = err.__cause__ or err
        raise peer.outage(f"can't reach {peer.where}", cause) from None
    except sdk.APIStatusError as err:
        raise peer.fault(err.status_code, err.body, err.response.headers) from None
    except sdk.APIError as err:
        raise peer.outage("the answer can't be read", err) from None
    except _transport_errors() as err:
        raise peer.outage("the connection was lost in the middle of the answer", err) from None
    except TimeoutError:
        raise peer.outage(f"the answer was not complete after {timeout_s:g} s") from None
    except ValueError as err:
        raise peer.outage("the answer is neither JSON nor a stream of events", err) from None


def _transport_errors() -> tuple[type[Exception], ...]:
    """What the SDKs' HTTP library raises while a reply is read; they do not always wrap it."""
    found: list[type[Exception]] = []
    for name in ("httpx", "httpx2"):  # the SDKs moved from one to the other
        module = sys.modules.get(name)
        if module is not None:
            found += [module.HTTPError, module.StreamError]
    return tuple(found)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a stream. Only a newline ends one: JSON may hold other separators as they are."""
    rest = b""
    for chunk in chunks:
        *ready, rest = (rest + chunk).split(b"\n")
        for line in ready:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What the provider asked us to wait; None where it did not say."""
    try:
        if millis := headers.get("retry-after-ms"):
            return max(0.0, float(millis) / 1000)
        text = headers.get("retry-after") or ""
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", text):
            return float(text)
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except (ValueError, OverflowError):
        return None


def events(lines: Iterable[str], deadline: float) -> Iterator[Event]:
    """The server-sent events in a reply's lines.

    The read time-out catches silence; deadline (time.monotonic) catches a stream that never ends.
    Raises TimeoutError past it, ValueError for data that is not JSON.
    """
    name = ""
    data: list[str] = []
    for line in lines:
        if time.monotonic() > deadline:
            raise TimeoutError("the answer took too long")
        if not line:
            if data:
                text = "\n".join(data)
                yield Event(name, None if text == "[DONE]" else json.loads(text))
            name, data = "", []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif line.startswith("event:"):
            name = line[6:].strip()
    # an event without the blank line that ends it was cut off: it is not one


def count(value: object) -> int | None:
    """A token count as a reply gives it; None where it does not."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def table(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one: servers differ in what they leave out."""
    return value if isinstance(value, dict) else {}


def _message(body: object) -> str:
    """The provider's own words in an error's body."""
    if isinstance(body, str):
        return re.sub(r"<[^>]*>", " ", body)
    inner = table(body)
    error = inner.get("error", inner)
    if isinstance(error, str):
        return error
    message = table(error).get("message")
    return message if isinstance(message, str) else _flat(body) if body else ""


def _flat(body: object) -> str:
    return body if isinstance(body, str) else json.dumps(body, default=str)[:10_000]
