"""A trial and its examiner as two threads of one process, with a socket between them.

The frames, the questions and the arithmetic are the real ones; what starts the processes is left
out, so that hundreds of examinations take a minute.
"""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from autoresearch.harness.exam.examiner import ExamSession
from autoresearch.harness.exam.plan import ExamData, Plan
from autoresearch.harness.protocol import Connection
from autoresearch.harness.trial.answering import ExaminerClient


def examine(
    role: str,
    model: nn.Module,
    data: ExamData,
    folder: Path,
    batch_rows: int,
    control: Path | None = None,
) -> dict[str, Any]:
    """What the examiner of that role finds, left in `folder` for the roles after it.

    Raises VoidError where it finds nothing.
    """
    plan = Plan(
        role=role,
        descriptor=-1,
        cache="",
        folder=str(folder),
        seed=42,
        device="cpu",
        budget="1steps",
        threshold=None,
        calibration=None,
        control=str(control) if control else None,
    )
    ours, theirs = socket.socketpair()
    found: dict[str, Any] = {}
    with ours, theirs, ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            _run, ExamSession(plan, data, Connection(ours), time.monotonic(), found), ours
        )
        try:
            with torch.no_grad():
                _answer(ExaminerClient(Connection(theirs)), model, batch_rows)
        finally:
            theirs.close()
            running.result()  # its error tells more than that the connection is closed
    (folder / f"{role}.json").write_text(json.dumps(found))
    return found


def _run(examiner: ExamSession, end: socket.socket) -> None:
    try:
        examiner.run()
    finally:
        end.close()


def _answer(exam: ExaminerClient, model: nn.Module, batch_rows: int) -> None:
    """What a script does by way of `Batches` and `evaluate`, with a single batch."""
    rows = np.empty((1, exam.seq_len + 1), np.uint16)
    exam.ask_rows(0, 1).read_into(rows)
    exam.examine(model, torch.device("cpu"), batch_rows)
