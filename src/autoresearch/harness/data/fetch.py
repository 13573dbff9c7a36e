"""Downloads: parallel, resumed where they stopped, and whole or not there.

A file grows as `NAME.part`. It gets its name only when its size and SHA-256 are those that were
pinned beforehand and the caller's check of its content has passed. So a kill, a full disk or a
server that truncates, stalls, resets or lies about lengths leaves at most a part, and the next call
goes on from there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import quote

from .. import cache as store
from ..cache import HarnessError
from .hub import Pin, ask, pieces, session
from .progress import Bars, Say
from .retry import Attempts, PassingError, RetryLimits, StoppedError

PINS = "pinned.json"  # beside the files: what they must be
PARALLEL = 8
# An attempt that brought this much does not count towards the limit: a link that breaks every few
# megabytes is slow, not broken.
PROGRESS_BYTES = 1 << 20
LEAST_BYTES_PER_S = 1000  # slower than this for `silence_s` is a stall


def fetch(
    pins: list[Pin],
    base_url: str,
    folder: Path,
    check: Callable[[Path], object],
    say: Say,
    limits: RetryLimits,
) -> None:
    """Brings what `folder` lacks of `pins` from `base_url`/NAME; a damaged file is replaced.

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
            with store.writing(path):
                path.unlink()
            missing.append(pin)
    if not missing:
        return
    with store.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    needed = sum(pin.size - min(pin.size, _size(_part(folder, pin))) for pin in missing)
    store.need_space(folder, needed, f"{len(missing)} files to download")
    say(f"downloading {len(missing)} files, {needed / 1e6:.1f} MB, to {folder}")
    job = _Job(base_url, folder, check, say, limits)
    pool = ThreadPoolExecutor(min(PARALLEL, len(missing)))
    with job.bars, session():
        try:
            running = [pool.submit(job.fetch, pin) for pin in missing]
            wait(running, return_when=FIRST_EXCEPTION)
        finally:  # also on Ctrl-C
            job.stop.set()
            pool.shutdown(cancel_futures=True)
    faults = [fault for one in running if not one.cancelled() and (fault := one.exception())]
    for fault in sorted(faults, key=lambda fault: isinstance(fault, StoppedError)):
        raise fault


class _Job:
    """What the downloads of one call share."""

    def __init__(
        self,
        base_url: str,
        folder: Path,
        check: Callable[[Path], object],
        say: Say,
        limits: RetryLimits,
    ) -> None:
        self.base_url = base_url
        self.folder = folder
        self.check = check
        self.limits = limits
        self.stop = threading.Event()
        self.bars = Bars()
        self._say = say
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        with self._lock:
            self._say(line)

    def fetch(self, pin: Pin) -> None:
        """Brings one file, whatever it takes within the limits."""
        part, url = _part(self.folder, pin), f"{self.base_url}/{quote(pin.name)}"
        attempts = Attempts(url, self.limits, self.stop, self.say)
        bar = self.bars.add(pin.name, pin.size)
        useless = 0  # times that what came was not the file
        largest = _size(part)  # so far; a server that begins anew each time brings no progress
        while True:
            try:
                if _size(part) != pin.size:
                    self._transfer(pin, url, part, bar)
                found = store.file_digest(part)
                if found == pin.sha256:
                    break
                raise PassingError(f"SHA-256 {found}, not {pin.sha256}", afresh=True)
            except PassingError as fault:
                if fault.afresh:
                    with store.writing(part):
                        part.unlink(missing_ok=True)
                    useless += 1
                    largest = 0
                elif (size := _size(part)) - largest >= PROGRESS_BYTES:
                    attempts.count = 0
                    largest = size
                if useless == 2:
                    raise HarnessError(
                        f"{url} is not the file that {self.folder / PINS} names ({fault}; twice): "
                        "damaged, or changed since then"
                    ) from fault
                attempts.failed(fault, f"; what has come is in {part}" if part.exists() else "")
        self.check(part)
        with store.writing(part):
            store.sync(part)
            part.replace(self.folder / pin.name)
            store.sync(self.folder)
        self.say(f"downloaded {pin.name}, {pin.size / 1e6:.1f} MB")

    def _transfer(self, pin: Pin, url: str, part: Path, bar: Callable[[int], None]) -> None:
        """Makes one attempt to complete `part`, from its end where the server can."""
        have, silence_s = _size(part), self.limits.silence_s
        if have > pin.size:
            have = 0
        # The bytes as they are: a range of a compressed answer would be another range.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with ask(url, headers, silence_s) as reply:
            if reply.status_code != 206:
                have = 0
            elif not reply.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise PassingError("the server sent another range than asked for", afresh=True)
            try:
                with part.open("ab" if have else "wb") as file:
                    since, then = time.monotonic(), have
                    bar(have)
                    for chunk in pieces(reply):
                        have += len(chunk)
                        if have > pin.size:
                            reason = f"the server sent more than its {pin.size} bytes"
                            raise PassingError(reason, afresh=True)
                        file.write(chunk)
                        file.flush()  # a kill loses nothing that came
                        bar(have)
                        if self.stop.is_set():
                            raise StoppedError
                        if time.monotonic() - since > silence_s:
                            if have - then < LEAST_BYTES_PER_S * silence_s:
                                raise PassingError(f"{have - then} bytes in {silence_s:g} s")
                            since, then = time.monotonic(), have
            except OSError as fault:
                raise store.not_written(part, fault) from fault
        if have < pin.size:
            raise PassingError(f"the answer ended after {have} of {pin.size} bytes")


def _part(folder: Path, pin: Pin) -> Path:
    return folder / f"{pin.name}.part"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
