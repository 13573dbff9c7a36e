"""Downloads: parallel, resumed where they stopped, and whole or not there.

A file grows as `NAME.part`. It gets its name only when its size and SHA-256 are those that were
pinned beforehand and the caller's check of its content has passed. So a kill, a full disk or a
server that truncates, stalls, resets or lies about lengths leaves at most a part, and the next call
goes on from there.

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
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

from . import cache as store
from .cache import HarnessError
from .progress import Bars, Say

PINS = "pinned.json"  # beside the files: what they must be
PARALLEL = 8
CHUNK = 1 << 18
# An attempt that brought this much does not count towards the limit: a link that breaks every few
# megabytes is slow, not broken.
PROGRESS_BYTES = 1 << 20
LEAST_BYTES_PER_S = 1000  # slower than this for `silence_s` is a stall
LONGEST_RETRY_AFTER_S = 300.0
PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Pin:
    """A file of the source as it must be."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Patience:
    """How often and how long to try; waits double from `wait_s` to `longest_wait_s`."""

    attempts: int = 8
    silence_s: float = 30.0
    wait_s: float = 1.0
    longest_wait_s: float = 60.0


class _PassingError(Exception):
    """A fault that the next attempt may not meet.

    wait_s: what the server asked for. afresh: what has come so far is of no use.
    """

    def __init__(self, reason: str, wait_s: float = 0.0, afresh: bool = False) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        self.afresh = afresh


class _StoppedError(Exception):
    """Another file failed, or the person interrupted: this one is left as it is."""


def get_json(url: str, say: Say, patience: Patience) -> tuple[Any, str | None]:
    """The JSON at `url`, and the address of the next page that its Link header names, if any."""
    tries = _Tries(url, patience, threading.Event(), say)
    while True:
        try:
            with _open(url, {}, patience) as reply:
                body = b"".join(iter(lambda: _read(reply), b""))
                link = re.search(r'<([^<>]*)>\s*;\s*rel="?next\b', reply.headers.get("Link") or "")
                return json.loads(body), urljoin(url, link.group(1)) if link else None
        except ValueError as fault:
            tries.failed(_PassingError(f"its answer is no JSON: {fault}"))
        except _PassingError as fault:
            tries.failed(fault)


def fetch(
    pins: list[Pin],
    base_url: str,
    folder: Path,
    check: Callable[[Path], object],
    say: Say,
    patience: Patience,
) -> None:
    """Bring what `folder` lacks of `pins` from `base_url`/NAME; a damaged file is replaced.

    check: looks into a whole file before it gets its name. Raises HarnessError naming the file.
    """
    missing = []
    if any((folder / pin.name).exists() for pin in pins):
        say(f"checking what {folder} holds")
    for pin in pins:
        path = folder / pin.name
        if not path.is_file():
            missing.append(pin)
        elif path.stat().st_size != pin.size or store.file_digest(path) != pin.sha256:
            say(f"{path} is damaged; downloading it again")
            path.unlink()
            missing.append(pin)
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    needed = sum(pin.size - min(pin.size, _size(_part(folder, pin))) for pin in missing)
    store.need_space(folder, needed, f"{len(missing)} files to download")
    say(f"downloading {len(missing)} files, {needed / 1e6:.1f} MB, to {folder}")
    lock, stop = threading.Lock(), threading.Event()

    def say_alone(line: str) -> None:
        with lock:
            say(line)

    pool = ThreadPoolExecutor(min(PARALLEL, len(missing)))
    with Bars() as bars:
        try:
            jobs = [
                pool.submit(
                    _fetch_one, pin, base_url, folder, check, say_alone, patience, stop, bars
                )
                for pin in missing
            ]
            wait(jobs, return_when=FIRST_EXCEPTION)
        finally:  # also on Ctrl-C
            stop.set()
            pool.shutdown(cancel_futures=True)
    faults = [fault for job in jobs if not job.cancelled() and (fault := job.exception())]
    for fault in sorted(faults, key=lambda fault: isinstance(fault, _StoppedError)):
        raise fault


def _fetch_one(
    pin: Pin,
    base_url: str,
    folder: Path,
    check: Callable[[Path], object],
    say: Say,
    patience: Patience,
    stop: threading.Event,
    bars: Bars,
) -> None:
    part, url = _part(folder, pin), f"{base_url}/{quote(pin.name)}"
    tries = _Tries(url, patience, stop, say)
    bar = bars.add(pin.name, pin.size)
    useless = 0  # times that what came was not the file
    while True:
        before = _size(part)
        try:
            if before != pin.size:
                _transfer(pin, url, part, patience, stop, bar)
            found = store.file_digest(part)
            if found == pin.sha256:
                break
            raise _PassingError(f"SHA-256 {found}, not {pin.sha256}", afresh=True)
        except _PassingError as fault:
            if fault.afresh:
                part.unlink(missing_ok=True)
                useless += 1
            elif _size(part) - before >= PROGRESS_BYTES:
                tries.count = 0
            if useless == 2:
                raise HarnessError(
                    f"{url} is not the file that {folder / PINS} names ({fault}; twice): damaged, "
                    "or changed since then"
                ) from fault
            tries.failed(fault, f"; what has come is in {part}" if part.exists() else "")
    check(part)
    store.sync(part)
    part.replace(folder / pin.name)
    store.sync(folder)
    say(f"downloaded {pin.name}, {pin.size / 1e6:.1f} MB")


def _transfer(
    pin: Pin,
    url: str,
    part: Path,
    patience: Patience,
    stop: threading.Event,
    bar: Callable[[int], None],
) -> None:
    """One attempt to complete `part`, from its end where the server can."""
    have = _size(part)
    if have > pin.size:
        have = 0
    # The bytes as they are: a range of a compressed answer would be another range.
    headers = {"Accept-Encoding": "identity"}
    with _open(url, headers | ({"Range": f"bytes={have}-"} if have else {}), patience) as reply:
        if reply.status != 206:
            have = 0
        elif not reply.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise _PassingError("the server sent another range than was asked for", afresh=True)
        try:
            with part.open("ab" if have else "wb") as file:
                since, then = time.monotonic(), have
                bar(have)
                while chunk := _read(reply):
                    have += len(chunk)
                    if have > pin.size:
                        reason = f"the server sent more than its {pin.size} bytes"
                        raise _PassingError(reason, afresh=True)
                    file.write(chunk)
                    file.flush()  # a kill loses nothing that came
                    bar(have)
                    if stop.is_set():
                        raise _StoppedError
                    if time.monotonic() - since > patience.silence_s:
                        if have - then < LEAST_BYTES_PER_S * patience.silence_s:
                            raise _PassingError(f"{have - then} bytes in {patience.silence_s:g} s")
                        since, then = time.monotonic(), have
        except OSError as fault:
            raise store.not_written(part, fault) from fault
    if have < pin.size:
        raise _PassingError(f"the answer ended after {have} of {pin.size} bytes")


def _open(url: str, headers: dict[str, str], patience: Patience) -> http.client.HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": "autoresearch", **headers})
    if token := os.environ.get("HF_TOKEN"):
        # Not sent on to the host that a redirect names.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        reply: http.client.HTTPResponse = urllib.request.urlopen(
            request, timeout=patience.silence_s
        )
    except urllib.error.HTTPError as fault:
        with fault:
            if fault.code == 416:  # the part is no beginning of what is there now
                raise _PassingError("the server has no such range", afresh=True) from fault
            if fault.code in PASSING:
                wait_s = _retry_after_s(fault.headers.get("Retry-After"))
                raise _PassingError(f"HTTP {fault.code} {fault.reason}", wait_s) from fault
            hint = "; HF_TOKEN may name a token that is let in" if fault.code in (401, 403) else ""
            raise HarnessError(f"{url}: HTTP {fault.code} {fault.reason}{hint}") from fault
    except (OSError, http.client.HTTPException) as fault:
        raise _PassingError(_why(fault)) from fault
    return reply


def _read(reply: http.client.HTTPResponse) -> bytes:
    """What has arrived, so that nothing of it is lost when the rest does not."""
    try:
        return reply.read1(CHUNK)
    except (OSError, http.client.HTTPException) as fault:
        raise _PassingError(_why(fault)) from fault


class _Tries:
    """Counts the attempts for one address, and waits between them."""

    def __init__(self, url: str, patience: Patience, stop: threading.Event, say: Say) -> None:
        self.url = url
        self.say = say
        self.patience = patience
        self.stop = stop
        self.count = 0

    def failed(self, fault: _PassingError, left: str = "") -> None:
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
            raise _StoppedError


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


def _part(folder: Path, pin: Pin) -> Path:
    return folder / f"{pin.name}.part"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
