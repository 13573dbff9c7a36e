"""The examiner: a process beside one trial that grants it rows, times it, and examines its model.

`python -I -m autoresearch.harness examine PLAN.json`, numpy and no torch. It has the data, the
clock and the arithmetic; the trial, which has none of them, is at the other end of a socket. The
result, also that there is none, is written whole as `<role>.json` into the plan's folder. The
process can be neither traced nor read by others of its user, and ends with the tool that began it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from .. import cache as store
from ..cache import HarnessError
from ..names import CHECKPOINT, GRANTED, LOSSES
from ..protocol import Connection, ProtocolError
from .checking import Verifier, scored_batches
from .checkpoint import load_checkpoint, write_checkpoint
from .granting import DataServer, HandOver, RandomRows, TrainingRows
from .losses import bits_per_byte, counted_nats
from .plan import ExamData, Plan, VoidError
from .processor import GroupTime, ProcessorTime, TreeTime, WallTime, can_look
from .scorer import Scorer, deadline_after, rows_at_once
from .timekeeper import Timekeeper

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
FIELDS = {
    "score": (
        *("bpb", "nats", "bytes", "rows", "tokens", "steps", "training_seconds"),
        *("startup_seconds", "exam_seconds", "startup_processor_s", "training_processor_s"),
        *("batch_rows", "fingerprint", "state_bytes"),
    ),
    "foreign": ("positions", "exam_seconds"),
    "true": (
        *("replay", "rows", "gap", "twin", "blind", "blind_error", "positions", "exam_seconds"),
    ),
}


def examine(path: Path) -> None:
    """Carries out a plan and writes its result. Raises HarnessError where that cannot be done."""
    began = time.monotonic()
    heard = _shut_off()
    plan = Plan.read(path)
    try:
        end = socket.socket(fileno=plan.descriptor)
        end.set_inheritable(False)
    except OSError as error:
        raise HarnessError(f"descriptor {plan.descriptor} is no socket ({error})") from error
    connection = Connection(end)
    data = ExamData.open(Path(plan.cache), plan.data)
    found: dict[str, Any] = dict.fromkeys(FIELDS[plan.role])
    if plan.role == "score":
        found["checkpoint"] = False
    found["void"] = None
    try:
        processor = _processor_time(plan, heard)
        ExamSession(plan, data, connection, began, found, processor).run()
        data.check_untouched()
    except MemoryError:
        _refuse(connection, found, "exam", "there is no memory for what the trial asks for at once")
    except VoidError as error:
        _refuse(connection, found, error.failure, error.reason)
    connection.close()
    store.write_atomic(Path(plan.folder, f"{plan.role}.json"), json.dumps(found) + "\n")


def _refuse(connection: Connection, found: dict[str, Any], failure: str, reason: str) -> None:
    """Notes why there is no figure, and tells the trial, for its log; it may be gone."""
    found["void"] = {"failure": failure, "reason": reason}
    with contextlib.suppress(ProtocolError):
        connection.send("refused", b"", time.monotonic() + 1, reason=reason)


def _shut_off() -> Future[bytes]:
    """Keeps this process from being traced or read, and ends it with the tool.

    The tool's end of our standard input closes when the tool ends. What is returned will be the line
    that the tool writes there.
    """
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with contextlib.suppress(OSError):  # if memory runs out: after the trial, before the tool
            Path("/proc/self/oom_score_adj").write_text("250")
    line: Future[bytes] = Future()
    threading.Thread(target=_end_with_stdin, args=(line,), daemon=True).start()
    return line


def _end_with_stdin(line: Future[bytes]) -> None:
    heard = b""
    try:
        while piece := os.read(0, 4096):
            heard += piece
            if b"\n" in heard and not line.done():
                line.set_result(heard.partition(b"\n")[0])
    except OSError:
        pass
    os._exit(3)


def _processor_time(plan: Plan, line: Future[bytes]) -> ProcessorTime | None:
    """Returns what counts the trial's processor time; None on a GPU, where time is on the wall.

    The trial is held until the tool has said where, so nothing of it goes uncounted.
    """
    if not plan.counted or plan.device != "cpu" or plan.role != "score":
        return None
    told = json.loads(line.result())
    if told["group"] is not None:
        with contextlib.suppress(OSError, ValueError):
            counted = GroupTime(Path(told["group"]))
            counted.seconds()
            return counted
    return TreeTime(told["below"]) if can_look() else WallTime()


class ExamSession:
    """Holds one examination; fills `found` as it goes, so that a void one tells how far it came."""

    def __init__(
        self,
        plan: Plan,
        data: ExamData,
        connection: Connection,
        began: float,
        found: dict[str, Any],
        processor: ProcessorTime | None = None,
    ) -> None:
        self._plan = plan
        self._data = data
        self._connection = connection
        self._began = began
        self._processor = processor
        self._found = found
        self._rng = np.random.default_rng()  # seeded by the system
        self._training: TrainingRows | None = None  # what a trial is granted

    def run(self) -> None:
        """Grants rows, takes the model over, asks it, and ends. Raises VoidError where there is no figure."""
        plan, data = self._plan, self._data
        self._training = TrainingRows(data, plan.seed) if plan.role == "score" else None
        source = self._training or RandomRows(data, self._rng)
        timekeeper = Timekeeper(plan, self._began, self._processor)
        server = DataServer(self._connection, plan, data, source, timekeeper)
        try:
            handed = server.until_handover()
        finally:
            self._note(server, timekeeper)
        if plan.role == "score":
            assert timekeeper.first_grant is not None
            self._found["steps"] = handed.steps
            self._found["tokens"] = server.served
            self._found["state_bytes"] = handed.state_bytes
            self._found["training_seconds"] = handed.at - timekeeper.first_grant
        try:
            self._ask(handed, deadline_after(handed.at, plan.allowance_s("exam_seconds")))
        finally:
            self._found["exam_seconds"] = time.monotonic() - handed.at

    def _note(self, server: DataServer, timekeeper: Timekeeper) -> None:
        if self._plan.role == "score":
            self._found["fingerprint"] = self._data.fingerprint
            self._found["tokens"] = server.served
            self._found["startup_processor_s"] = timekeeper.startup_processor_s
            self._found["training_processor_s"] = timekeeper.training_processor_s
            if timekeeper.first_grant is not None:
                self._found["startup_seconds"] = timekeeper.first_grant - self._began

    def _ask(self, handed: HandOver, deadline: float | None) -> None:
        folder = Path(self._plan.folder)
        if self._plan.role == "score":
            size = rows_at_once(self._data, handed.batch_rows)
            scorer = Scorer(self._connection, self._data, size, deadline)
            self._score(scorer, handed)
            self._tell_end(self._found, deadline)
            return
        score = json.loads((folder / "score.json").read_text(encoding="utf-8"))
        size = int(score["batch_rows"])
        scorer = Scorer(self._connection, self._data, size, deadline)
        load_checkpoint(folder / CHECKPOINT, handed.tensors, self._connection, deadline)
        checks = Verifier(self._plan, self._data, scorer, size)
        figures = checks.true(score["bpb"]) if self._plan.role == "true" else checks.foreign()
        self._found.update(figures)
        self._tell_end(score, deadline)

    def _score(self, scorer: Scorer, handed: HandOver) -> None:
        """Scores all validation rows in the file's order; keeps the checkpoint where the score is below the
        threshold.
        """
        data, found = self._data, self._found
        size = scorer.size
        answers = np.empty((len(data.val), data.manifest.seq_len), np.float32)
        nats, counted, row = 0.0, 0, 0
        for part in scorer.score(scored_batches(data.val, size)):
            n = part.batch.count
            targets = part.batch.rows[:n, 1:]
            nats += counted_nats(part.losses, targets, data.manifest.bos)
            counted += int(data.token_bytes[targets].sum())
            answers[row : row + n] = part.losses
            row += n
        if (row, counted) != (len(data.val), data.manifest.val_bytes):
            raise VoidError("exam", f"{row} rows of {counted} bytes were scored")
        bpb = bits_per_byte(nats, counted)
        if self._plan.threshold is None or bpb < self._plan.threshold:
            self._keep(scorer, handed, answers)
            found["checkpoint"] = True
        found.update(bpb=bpb, nats=nats, bytes=counted, rows=row, batch_rows=size)

    def _keep(self, scorer: Scorer, handed: HandOver, answers: np.ndarray[Any, Any]) -> None:
        folder = Path(self._plan.folder)
        self._see_to_room(handed.state_bytes, answers.nbytes + (1 << 20))
        try:
            self._connection.send("keep", b"", scorer.deadline)
        except ProtocolError as error:
            raise VoidError("exam", "the trial ended during the examination") from error
        with store.writing(folder / CHECKPOINT), (folder / CHECKPOINT).open("wb") as file:
            write_checkpoint(file, handed, scorer)
        with store.writing(folder / LOSSES):
            np.save(folder / LOSSES, answers)
        with store.writing(folder / GRANTED):
            assert self._training is not None
            np.save(folder / GRANTED, self._training.granted)

    def _see_to_room(self, state_bytes: int, other_bytes: int) -> None:
        """Sees that there is room for a state that the trial claims, and for what else is kept.

        Raises VoidError where there would be room for the baseline's, HarnessError where there is none
        for that either.
        """
        folder = Path(self._plan.folder)
        usual, free = self._plan.baseline("state_bytes"), shutil.disk_usage(folder).free
        if usual is not None and usual + other_bytes <= free < state_bytes + other_bytes:
            raise VoidError(
                "exam",
                f"a state_dict of {state_bytes / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} GB free",
            )
        store.need_space(
            folder, state_bytes + other_bytes, "the checkpoint and the answers of a trial"
        )

    def _tell_end(self, score: dict[str, Any], deadline: float | None) -> None:
        """Sends what the script's summary prints; a trial that is gone already misses nothing."""
        told = {name: score[name] for name in ("bpb", "nats", "rows")}
        with contextlib.suppress(ProtocolError):
            self._connection.send("end", b"", deadline, counted_bytes=score["bytes"], **told)
