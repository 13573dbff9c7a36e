"""The standard streams of a command that outlives its screen, its reader and its locale.

A reader that ends (`| head -1`), a terminal that was closed, a descriptor that was never open or an
encoding without the character is no reason to end a night, nor to end a report with a traceback.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import stat
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENXIO, errno.EIO)


class _Lasting(io.FileIO):
    """A descriptor that becomes /dev/null, for children too, once nobody is left to read it."""

    needed = True

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as fault:
            on_disk = stat.S_ISREG(os.fstat(self.fileno()).st_mode)
            gone = fault.errno in _GONE and not (fault.errno == errno.EIO and on_disk)
            if not gone and not self.needed:
                return memoryview(data).nbytes  # dropped; later lines may find room again
            _to_null(
                self.fileno()
            )  # what is left in the buffers goes there, without a second fault
            if not gone:
                raise  # a disk that is full or broken, which a person has to know of
            return super().write(data)


def outlive() -> None:
    """Puts streams in place of sys.stdin, stdout and stderr that last and take any character."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            _to_null(descriptor)  # else the next file that is opened would be a child's output
    sys.stdin = sys.stdin or io.StringIO()
    sys.stdout = _lasting(sys.stdout)
    sys.stderr = _lasting(sys.stderr)


def forgive_full_disk() -> None:
    """Lets what is printed from here on be lost where its disk is full: the files have it all."""
    _Lasting.needed = False


def ensure_utf8() -> None:
    """Starts the process anew in UTF-8 where the locale has paths and arguments in another encoding.

    git's paths are bytes that we read as UTF-8, and under LC_ALL=C with PYTHONUTF8=0 a folder named
    `größer` could be neither opened nor handed to git.
    """
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def say(line: str, file: TextIO | None = None) -> None:
    """Prints one line, at once, whatever the terminal's encoding."""
    file = file or sys.stdout
    encoding = file.encoding or "utf-8"
    print(line.encode(encoding, "replace").decode(encoding), file=file, flush=True)


def say_json(fields: Mapping[str, Any]) -> None:
    """Prints one JSON object; a number that JSON has none of (NaN, an infinity) becomes null."""
    print(json.dumps(_finite(fields), indent=2, allow_nan=False), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value


def _lasting(stream: TextIO | None) -> TextIO:
    """Returns a stream that writes what the given one would; None is one that was closed."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # a caller's own
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.line_buffering or stream is sys.stderr,
        write_through=stream.write_through,
    )


def _to_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null == descriptor:
        os.set_inheritable(descriptor, True)
        return
    os.dup2(null, descriptor)
    os.close(null)
