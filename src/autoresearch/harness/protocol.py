"""Frames between a trial and its examiner, over one AF_UNIX stream socket.

A frame is 4 bytes (big-endian) of length, so many bytes of a JSON object with a "kind", and as
many raw bytes as its "bytes" says. Nothing is unpickled. Neither side believes the other's sizes:
a header is bounded here, a payload by whoever receives it, before any memory is taken for it.
"""

from __future__ import annotations

import hashlib
import json
import math
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

PIECE_BYTES = 8 << 20
HEADER_BYTES = 1 << 20  # most of a header; the names of a model's tensors are the longest


def raw_digest(raw: Any) -> bytes:
    """Returns the SHA-256 of a tensor's bytes."""
    return hashlib.sha256(raw).digest()


def joint_digest(digests: Iterable[bytes]) -> str:
    """Returns a state_dict's digest, from those of its tensors; a hand-over binds a trial to it."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


class ProtocolError(Exception):
    """The other side sent what is no frame, or not the one that is due."""


class ClosedError(ProtocolError):
    """The other side is gone."""


class LateError(ProtocolError):
    """The other side did not send, or did not take, a frame in time."""


@dataclass(frozen=True)
class Frame:
    """One message; the payload is valid until the next one is received."""

    kind: str
    fields: dict[str, Any]
    payload: memoryview

    def whole(self, name: str, least: int, most: int) -> int:
        """Returns a whole number within bounds. Raises ProtocolError where the field is none."""
        value = self.fields.get(name)
        if type(value) is not int or not least <= value <= most:
            raise ProtocolError(f"{self.kind}: {name} is no whole number from {least} to {most}")
        return value


class Connection:
    """One end of the socket. A deadline is a time of `time.monotonic`; None waits for ever."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._room = bytearray()  # of payloads; grows to the largest that was received

    def close(self) -> None:
        self._end.close()

    def send(
        self, kind: str, payload: Any = b"", deadline: float | None = None, **fields: Any
    ) -> None:
        """Sends one frame; the payload is anything with a contiguous buffer."""
        size = memoryview(payload).nbytes
        self.begin(kind, size, deadline, **fields)
        if size:
            self.more(payload, deadline)

    def wait(self, until: float | None) -> bool:
        """Whether something can be received, or the other side is gone; waits until then at most."""
        readable = select.poll()
        readable.register(self._end, select.POLLIN)
        left_s = None if until is None else max(0.0, until - time.monotonic())
        return bool(readable.poll(None if left_s is None else math.ceil(1000 * left_s)))

    def begin(self, kind: str, size: int, deadline: float | None = None, **fields: Any) -> None:
        """Sends a frame's header alone, for a payload of `size` bytes that follows in pieces."""
        header = json.dumps({"kind": kind, **fields, "bytes": size}).encode()
        self.more(struct.pack(">I", len(header)) + header, deadline)

    def more(self, piece: Any, deadline: float | None = None) -> None:
        """Sends a piece of what `begin` announced."""
        self._allow(deadline)
        try:
            self._end.sendall(piece)
        except TimeoutError:
            raise LateError("it does not take what it is sent") from None
        except OSError as error:
            raise ClosedError(f"the connection is closed ({error.strerror})") from error

    def receive(
        self, most_bytes: int, deadline: float | None = None, room: memoryview | None = None
    ) -> Frame:
        """Returns the next frame, whose payload may have so many bytes, all of it before the deadline.

        room: bytes, at least that many, at whose beginning the payload is to lie.
        """
        kind, fields, size = self.receive_header(most_bytes, deadline)
        if room is None:
            if len(self._room) < size:
                self._room = bytearray(size)
            room = memoryview(self._room)
        return Frame(kind, fields, self._read(room[:size], deadline))

    def receive_header(
        self, most_bytes: int, deadline: float | None = None
    ) -> tuple[str, dict[str, Any], int]:
        """Returns the next frame's kind, fields and bytes of payload; `pieces` receives these."""
        (length,) = struct.unpack(">I", self._read(memoryview(bytearray(4)), deadline))
        if length > HEADER_BYTES:
            raise ProtocolError(f"a header of {length} bytes")
        text = bytes(self._read(memoryview(bytearray(length)), deadline))
        try:
            fields = json.loads(text)
            kind, size = fields.pop("kind"), fields.pop("bytes")
        except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
            raise ProtocolError("a header that is no JSON object with a kind and a size") from None
        if not isinstance(kind, str) or type(size) is not int or not 0 <= size <= most_bytes:
            raise ProtocolError(f"a frame whose kind or size is wrong (at most {most_bytes} bytes)")
        return kind[:40], fields, size

    def pieces(self, size: int, deadline: float | None = None) -> Iterator[memoryview]:
        """Yields a payload of `size` bytes in pieces, each valid until the next.

        Memory is taken for a piece, and not for what the other side says that it will send.
        """
        room = memoryview(bytearray(min(size, PIECE_BYTES)))
        while size > 0:
            piece = self._read(room[: min(size, PIECE_BYTES)], deadline)
            size -= piece.nbytes
            yield piece

    def _read(self, into: memoryview, deadline: float | None) -> memoryview:
        got = 0
        while got < into.nbytes:
            self._allow(deadline)
            try:
                count = self._end.recv_into(into[got:])
            except TimeoutError:
                raise LateError("it sends nothing") from None
            except OSError as error:
                raise ClosedError(f"the connection is closed ({error.strerror})") from error
            if not count:
                raise ClosedError("the connection is closed")
            got += count
        return into

    def _allow(self, deadline: float | None) -> None:
        if deadline is None:
            self._end.settimeout(None)
            return
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise LateError("its time is over")
        self._end.settimeout(left_s)
