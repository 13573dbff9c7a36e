"""GET with patience: faults that pass are told from faults that do not, and waits grow.

The standard library's client: what is needed is GET with a range, and the client that comes with
the provider SDKs has another name by version (httpx, httpx2). huggingface_hub would be one more
dependency of the training environment, for a listing and that same GET.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

from ..cache import HarnessError
from .progress import Say

CHUNK = 1 << 18
LONGEST_RETRY_AFTER_S = 300.0
PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """How often and how long to try; waits double from `wait_s` to `longest_wait_s`."""

    attempts: int = 8
    silence_s: float = 30.0
    wait_s: float = 1.0
    longest_wait_s: float = 60.0


class PassingError(Exception):
    """A fault that the next attempt may not meet.

    wait_s: what the server asked for. afresh: what has come so far is of no use.
    """

    def __init__(self, reason: str, wait_s: float = 0.0, afresh: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.afresh = afresh


class StoppedError(Exception):
    """Another file failed, or the person interrupted: this one is left as it is."""


def get_json(url: str, say: Say, patience: Patience) -> tuple[Any, str | None]:
    """The JSON at `url`, and the address of the next page that its Link header names, if any."""
    tries = Tries(url, patience, threading.Event(), say)
    while True:
        try:
            with open_url(url, {}, patience) as reply:
                body = b"".join(iter(lambda: read(reply), b""))
                link = re.search(r'<([^<>]*)>\s*;\s*rel="?next\b', reply.headers.get("Link") or "")
        except PassingError as fault:
            tries.failed(fault)
            continue
        try:
            content = json.loads(body)
        except (ValueError, RecursionError) as fault:
            tries.failed(PassingError(f"its answer is no JSON: {fault}"))
            continue
        try:
            return content, urljoin(url, link.group(1)) if link else None
        except ValueError as fault:
            raise HarnessError(f"{url}: its Link header names no address ({fault})") from fault


def open_url(url: str, headers: dict[str, str], patience: Patience) -> http.client.HTTPResponse:
    """The answer to GET, whose status says that it holds what was asked for.

    Raises PassingError where another attempt may help, else HarnessError.
    """
    token = _token()
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "autoresearch", **headers})
        if token:
            # Not sent on to the host that a redirect names.
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        reply: http.client.HTTPResponse = urllib.request.urlopen(
            request, timeout=patience.silence_s
        )
    except urllib.error.HTTPError as fault:
        with fault:
            if fault.code == 416:  # the part is no beginning of what is there now
                raise PassingError("the server has no such range", afresh=True) from fault
            if fault.code in PASSING:
                wait_s = _retry_after_s(fault.headers.get("Retry-After"))
                raise PassingError(f"HTTP {fault.code} {fault.reason}", wait_s) from fault
            hint = "; HF_TOKEN may name a token that is let in" if fault.code in (401, 403) else ""
            raise HarnessError(f"{url}: HTTP {fault.code} {fault.reason}{hint}") from fault
    except (OSError, http.client.HTTPException) as fault:
        raise PassingError(_why(fault)) from fault
    except ValueError as fault:
        raise HarnessError(f"{url}: not an address that can be asked ({fault})") from fault
    return reply


def read(reply: http.client.HTTPResponse) -> bytes:
    """What has arrived, so that nothing of it is lost when the rest does not."""
    try:
        return reply.read1(CHUNK)
    except (OSError, http.client.HTTPException) as fault:
        raise PassingError(_why(fault)) from fault


class Tries:
    """Counts the attempts for one address, and waits between them."""

    def __init__(self, url: str, patience: Patience, stop: threading.Event, say: Say) -> None:
        self.url = url
        self.say = say
        self.patience = patience
        self.stop = stop
        self.count = 0

    def failed(self, fault: PassingError, left: str = "") -> None:
        """Wait for the next attempt. Raises HarnessError when there have been enough."""
        self.count += 1
        if self.count >= self.patience.attempts:
            raise HarnessError(
                f"{self.url}: no whole copy after {self.count} attempts ({fault}){left}; "
                "look at the network and run the same command again to go on"
            ) from fault
        backoff_s = min(
            self.patience.wait_s * 2.0 ** (self.count - 1), self.patience.longest_wait_s
        )
        # Half of it by chance, so that eight downloads do not come back at the same moment.
        wait_s = max(fault.wait_s, backoff_s * random.uniform(0.5, 1.0))
        self.say(f"{self.url}: {fault}; trying again in {wait_s:.0f} s")
        if self.stop.wait(wait_s):
            raise StoppedError


def _token() -> str:
    """HF_TOKEN without the line end of the file it was read from. No error shows what it holds."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()):
        raise HarnessError(
            "HF_TOKEN holds characters that no token has; set it to the token alone, or unset it"
        )
    return token


def _retry_after_s(text: str | None) -> float:
    """A Retry-After header, in seconds or as a date; 0 where there is none that can be read."""
    try:
        if text and not text.strip().isdigit():
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        else:
            seconds = float(text or 0)
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def _why(fault: BaseException) -> str:
    """Of an error of the transport its cause, in few words."""
    cause = fault.reason if isinstance(fault, urllib.error.URLError) else fault
    return str(cause) or type(cause).__name__
