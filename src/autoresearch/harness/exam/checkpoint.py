"""The weights that a trial handed over, as a file, from which the workers load them."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import BinaryIO

from ..protocol import PIECE_BYTES, Connection, ProtocolError, joint_digest
from .granting import HandOver, TensorSpec
from .plan import VoidError
from .scorer import Scorer


def write_checkpoint(file: BinaryIO, handed: HandOver, scorer: Scorer) -> None:
    """Writes the state_dict into one file: 4 bytes of length, the list in JSON, then the raw tensors.

    Raises VoidError where it is not what was handed over: a model that is trained on while it is
    asked has a better score than the one that the workers load, and their replay tells.
    """
    listed = json.dumps([[t.name, t.dtype, list(t.shape)] for t in handed.tensors]).encode()
    file.write(struct.pack(">I", len(listed)) + listed)
    digests = []
    for tensor in handed.tensors:
        digest = hashlib.sha256()
        for piece in scorer.receive_tensor(tensor):
            digest.update(piece)
            file.write(piece)
        digests.append(digest.digest())
    if joint_digest(digests) != handed.digest:
        raise VoidError("exam", "the tensors that were sent are not those that were handed over")


def load_checkpoint(
    path: Path, tensors: tuple[TensorSpec, ...], connection: Connection, deadline: float | None
) -> None:
    """Sends the checkpoint's tensors to a worker.

    Raises VoidError where the worker's model has others, or does not take them.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack(">I", file.read(4))
        saved = tuple(TensorSpec(n, d, tuple(s)) for n, d, s in json.loads(file.read(length)))
        if saved != tensors:
            raise VoidError(
                "exam", f"a fresh process makes another model: {_other(saved, tensors)}"
            )
        try:
            for tensor in saved:
                connection.begin("load", tensor.size_bytes, deadline)
                for left in range(tensor.size_bytes, 0, -PIECE_BYTES):
                    connection.more(file.read(min(left, PIECE_BYTES)), deadline)
        except ProtocolError as error:
            raise VoidError("exam", f"a worker did not take the checkpoint: {error}") from error


def _other(saved: tuple[TensorSpec, ...], found: tuple[TensorSpec, ...]) -> str:
    """Returns the first tensor that differs, in words for a person."""
    for left, right in zip(saved, found, strict=False):
        if left != right:
            return f"{left.name[:80]!r} {left.shape} is {right.name[:80]!r} {right.shape} there"
    return f"{len(found)} tensors, not {len(saved)}"
