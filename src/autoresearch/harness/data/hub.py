"""The hub of data sets, by huggingface_hub: its listing, its client, and the user's token.

The library's own downloads are not used. hf_hub_download deletes what has come when an attempt
fails, and http_get, which it is made of, loses up to 10 MB at every break and sleeps as long as a
server's Retry-After says (docs/log.md). fetch.py downloads with the library's client instead, and
holds every file against its pin.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, close_session, constants, get_session, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    hf_raise_for_status,
)

from ..cache import HarnessError
from .progress import Say
from .retry import Attempts, PassingError, RetryLimits

constants.HF_HUB_DISABLE_TELEMETRY = True
_OURS = {"user-agent": "autoresearch"}  # the library's own tells versions of Python and torch

ENDPOINT = "https://huggingface.co"  # HF_ENDPOINT replaces it
LONGEST_RETRY_AFTER_S = 300.0
PASSING = (408, 425, 429, 500, 502, 503, 504)


T = TypeVar("T")


@dataclass(frozen=True)
class Pin:
    """A file of the source as it must be."""

    name: str
    size: int  # bytes
    sha256: str


def listed(repository: str, say: Say, limits: RetryLimits) -> tuple[str, list[Pin]]:
    """Returns the commit that `main` is at, and the parquet files of that commit.

    Raises HarnessError where the hub gives no listing that can be used.
    """
    api = HfApi(endpoint=endpoint(), token=token() or False, headers=_OURS)
    address = f"{endpoint()}/api/datasets/{repository}"
    silence_s = limits.silence_s
    try:
        with session():
            commit = _tried(
                f"{address}/revision/main",
                lambda: api.dataset_info(repository, revision="main", timeout=silence_s).sha,
                say,
                limits,
            )
            if not commit:
                raise LookupError("it names no commit")
            page: str | None = f"{address}/tree/{commit}?recursive=True"
            pins: list[Pin] = []
            asked: set[str] = set()
            while page:
                if page in asked:
                    raise HarnessError(
                        f"{address}: its listing has no end; it comes back to {page}"
                    )
                asked.add(page)
                entries, page = _tried(page, partial(_page, page, silence_s), say, limits)
                pins += entries
    except (LookupError, TypeError, AttributeError) as fault:
        raise HarnessError(
            f"{address}: its listing has another form than expected ({fault})"
        ) from fault
    return commit, pins


def _tried(url: str, get: Callable[[], T], say: Say, limits: RetryLimits) -> T:
    """Returns what `get` does, tried again within the limits where a fault may pass."""
    attempts = Attempts(url, limits, threading.Event(), say)
    while True:
        try:
            with _faults(url):
                return get()
        except PassingError as fault:
            attempts.failed(fault)
        except (ValueError, RecursionError) as fault:
            attempts.failed(PassingError(f"its answer is no JSON: {fault}"))


def _page(url: str, silence_s: float) -> tuple[list[Pin], str | None]:
    """Returns the parquet files on a page of the listing, and the next page's address if any.

    Not by HfApi.list_repo_tree, whose requests have no time-out, and which sleeps as long as a
    server's Retry-After says.
    """
    reply = get_session().get(url, headers=_headers(), timeout=silence_s)
    hf_raise_for_status(reply)
    files = [
        RepoFile(**entry)  # type: ignore[no-untyped-call]
        for entry in reply.json()
        if entry["type"] == "file"
    ]
    found = [
        pin(file.path, file.lfs.size, file.lfs.sha256)
        for file in files
        if file.lfs and file.path.endswith(".parquet")
    ]
    after = reply.links.get("next", {}).get("url")
    if after is None:
        return found, None
    if after.startswith(ENDPOINT + "/"):  # a mirror may hand on what the hub says
        after = endpoint() + after.removeprefix(ENDPOINT)
    if not after.startswith(endpoint() + "/"):  # nor does the token go anywhere else
        raise HarnessError(f"{url}: its Link header names no address of the hub ({after})")
    return found, after


def _headers() -> dict[str, str]:
    headers: dict[str, str] = build_hf_headers(token=token() or False, headers=_OURS)
    return headers


@contextmanager
def session() -> Iterator[None]:
    """Closes the library's client, which all its requests share, when what is inside is done."""
    try:
        yield
    finally:
        close_session()


def pin(name: str, size: object, sha256: object) -> Pin:
    """Returns a pin. Raises TypeError where size or SHA-256 is none."""
    if type(size) is not int or not re.fullmatch("[0-9a-f]{64}", str(sha256)):
        raise TypeError(f"{name}: size {size!r}, SHA-256 {sha256!r}")
    return Pin(name, size, str(sha256))


def endpoint() -> str:
    """Returns the hub's address, HF_ENDPOINT or huggingface.co, without a slash at its end."""
    found = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    try:
        parts = urlsplit(found)
    except ValueError as fault:
        raise HarnessError(f"HF_ENDPOINT {found!r}: not an address that can be asked") from fault
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HarnessError(f"HF_ENDPOINT {found!r}: an address with http:// or https://")
    return found


@contextmanager
def ask(url: str, headers: Mapping[str, str], silence_s: float) -> Iterator[httpx2.Response]:
    """Gives the answer to a GET whose status says that it holds what was asked for.

    Raises PassingError where another attempt may help, else HarnessError.
    """
    with _faults(url):
        # Another host that a redirect names is not sent the token: the client sees to that.
        reply = get_session().stream(
            "GET", url, headers={**_headers(), **headers}, timeout=silence_s
        )
        with reply as answer:
            hf_raise_for_status(answer)
            yield answer


def pieces(reply: httpx2.Response) -> Iterator[bytes]:
    """Yields what arrives as it arrives, so that nothing of it is lost when the rest does not.

    Ends where the connection does; that it is all, is for the caller to see.
    """
    try:
        yield from reply.iter_raw()
    except httpx2.RemoteProtocolError:
        return


@contextmanager
def _faults(url: str) -> Iterator[None]:
    """Turns the library's errors into PassingError, or into a HarnessError that names the address."""
    try:
        yield
    except HfHubHTTPError as fault:
        reply = fault.response
        if reply.status_code == 416:  # the part is no beginning of what is there now
            raise PassingError("the server has no such range", afresh=True) from None
        said = f"HTTP {reply.status_code} {reply.reason_phrase}"
        if reply.status_code in PASSING:
            raise PassingError(said, _retry_after_s(reply.headers.get("Retry-After"))) from None
        hint = (
            "; HF_TOKEN may name a token that is let in" if reply.status_code in (401, 403) else ""
        )
        raise HarnessError(f"{url}: {said}{hint}") from None
    except OfflineModeIsEnabled:
        raise HarnessError(
            f"{url}: HF_HUB_OFFLINE is set, and this is not here yet; unset it to download"
        ) from None
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects) as fault:
        raise HarnessError(f"{url}: not an address that can be asked ({fault})") from fault
    except httpx2.HTTPError as fault:
        raise PassingError(str(fault) or type(fault).__name__) from fault


def token() -> str | None:
    """Returns the user's token: HF_TOKEN, or the one that `hf auth login` left; None without one.

    The line end of the file it was read from is no part of it. No error shows what it holds.
    """
    found = (os.environ.get("HF_TOKEN") or "").strip() or get_token() or ""
    if not (found.isascii() and found.isprintable()):
        raise HarnessError(
            "HF_TOKEN holds characters that no token has; set it to the token alone, or unset it"
        )
    return found or None


def _retry_after_s(text: str | None) -> float:
    """Returns the seconds of a Retry-After header, also of a date; 0 where it can't be read."""
    try:
        if text and not text.strip().isdigit():
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        else:
            seconds = float(text or 0)
    except (ValueError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)
