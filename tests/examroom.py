"""Real examinations for tests: the examiner's own process, trials in others, a socket between.

Trials are forked from one process that has torch loaded and has run nothing: each is a process of
its own, and takes milliseconds to start.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autoresearch.harness import cache as store
from autoresearch.harness import names
from autoresearch.harness.exam.scorer import FULL_BYTES
from autoresearch.harness.protocol import Connection
from tests.handmade import write_cache

VOCAB, T, BOS = 64, 16, 63
ROWS = {names.TRAIN: 600, names.VAL: 90, names.VAULT: 60}

# Told of a script, its variables and its log, it forks, and says how the child ended.
NURSERY = """
import json, os, runpy, socket, sys, traceback
import torch, torch._dynamo
import autoresearch.harness.bpb
torch.set_num_threads(1)
channel = socket.socket(fileno=int(sys.argv[1]))
while True:
    line, fds, _, _ = socket.recv_fds(channel, 1 << 16, 1)
    if not line:
        break
    told = json.loads(line)
    child = os.fork()
    if not child:
        code = 0
        try:
            log = os.open(told["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1), os.dup2(log, 2)
            os.environ.update(told["environment"], AUTORESEARCH_EXAMINER=str(fds[0]))
            runpy.run_path(told["script"], run_name="__main__")
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        os._exit(code)
    os.close(fds[0])
    channel.sendall(json.dumps({"pid": child}).encode())
    _, status = os.waitpid(child, 0)
    channel.sendall(json.dumps({"code": os.waitstatus_to_exitcode(status)}).encode())
"""


# As `python -m autoresearch.harness examine` does it.
EXAMINE = """
import sys
from autoresearch.harness.exam import scorer
from autoresearch.harness.__main__ import main
scorer.FULL_BYTES = {full_bytes}
sys.exit(main(["examine", sys.argv[1]]))
"""


def text_like(rows: int, seed: int, free: int = 1) -> np.ndarray:
    """[rows, T+1] of a language in which two tokens say much about the next one.

    The first `free` tokens after BOS are by chance: by enough of them a row is known again.
    """
    rng = np.random.default_rng(seed)
    found = np.full((rows, T + 1), BOS)
    found[:, 1] = rng.integers(0, BOS, rows)
    for place in range(2, T + 1):
        known = (3 * found[:, place - 1] + found[:, place - 2]) % BOS
        certain = 0.7 if place > free else 0.0
        found[:, place] = np.where(rng.random(rows) < certain, known, rng.integers(0, BOS, rows))
    found[::7, T // 2] = BOS  # documents end within rows
    return found


def prepared(cache: Path, free: int = 1) -> Path:
    """A cache with a small data folder, its vault included; the data folder."""
    parts = {name: text_like(rows, seed, free) for seed, (name, rows) in enumerate(ROWS.items())}
    folder = write_cache(cache, parts[names.TRAIN], parts[names.VAL], VOCAB)
    vault = parts[names.VAULT].astype("<u2")
    (folder / names.VAULT).write_bytes(vault.tobytes())
    manifest = store.read_manifest(folder)
    assert manifest is not None
    digests = manifest.digests | {names.VAULT: store.file_digest(folder / names.VAULT)}
    manifest = replace(manifest, digests=digests, vault_rows=len(vault))
    store.write_manifest(folder, manifest)
    return folder


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


@dataclass
class Ended:
    """What an examination left."""

    result: dict[str, Any]
    code: int  # of the trial
    log: str  # of the trial


class Nursery:
    """Where trials are forked."""

    def __init__(self) -> None:
        self._channel, theirs = pair()
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
        theirs.close()
        self._channel.settimeout(120)

    def start(
        self, script: Path, end: socket.socket, log: Path, environment: dict[str, str]
    ) -> int:
        """Fork a trial; its pid."""
        told = {"script": str(script), "log": str(log), "environment": environment}
        socket.send_fds(self._channel, [json.dumps(told).encode()], [end.fileno()])
        end.close()
        return int(json.loads(self._channel.recv(1000))["pid"])

    def wait(self) -> int:
        """How the trial that was started ended."""
        return int(json.loads(self._channel.recv(1000))["code"])

    def close(self) -> None:
        self._channel.close()
        self._process.wait(timeout=60)


@dataclass
class Room:
    """A folder of one examination after another, over one cache."""

    cache: Path
    folder: Path
    nursery: Nursery
    seed: int = 7
    full_bytes: int = FULL_BYTES  # less than all logits: the losses are committed to and audited
    ends_with: int = 0  # the examiner
    process: subprocess.Popen[str] | None = None

    def plan(self, role: str, descriptor: int, **changes: Any) -> Path:
        """PLAN.json as the tool writes it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        facts: dict[str, Any] = {
            "role": role, "descriptor": descriptor, "cache": str(self.cache),
            "folder": str(self.folder), "seed": self.seed, "device": "cpu", "budget": "30steps",
            "threshold": None, "calibration": None, "full": False, "control": None,
        }  # fmt: skip
        path = self.folder / "PLAN.json"
        path.write_text(json.dumps(facts | changes))
        return path

    @contextmanager
    def examiner(self, role: str = "score", **plan: Any) -> Iterator[Connection]:
        """The examiner's process; what is yielded is the trial's end of its socket."""
        with self.started(role, **plan) as theirs:
            connection = Connection(theirs)
            yield connection
            connection.close()

    @contextmanager
    def started(self, role: str = "score", **plan: Any) -> Iterator[socket.socket]:
        ours, theirs = pair()
        (self.folder / f"{role}.json").unlink(missing_ok=True)
        path = self.plan(role, ours.fileno(), **plan)
        command = [
            sys.executable,
            "-I",
            "-c",
            EXAMINE.format(full_bytes=self.full_bytes),
            str(path),
        ]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[ours.fileno()],
            text=True,
        )  # fmt: skip
        ours.close()
        self.process = process
        try:
            yield theirs
            # Its stdin is left open, or it would end with it.
            code = process.wait(timeout=60)
            assert code == self.ends_with, process.stderr and process.stderr.read()
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stderr):
                assert stream is not None
                stream.close()

    def result(self, role: str = "score") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{role}.json").read_text())
        return found

    def hold(self, role: str, script: str, **plan: Any) -> Ended:
        """A trial with its examiner, to the end of both."""
        path = self.folder / "script.py"
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(script)
        environment = {
            "AUTORESEARCH_BUDGET": plan.get("budget", "30steps"),
            "AUTORESEARCH_CACHE": "/nonexistent",
            "AUTORESEARCH_SEED": str(self.seed),
            "CACHE": str(self.cache),
            "LEAKED": str(store.data_folder(self.cache) / names.VAL),
        }
        log = self.folder / f"{role}.log"
        with self.started(role, **plan) as theirs:
            self.nursery.start(path, theirs, log, environment)
            code = self.nursery.wait()
        return Ended(self.result(role), code, log.read_text())

    def verified(self, script: str, **plan: Any) -> dict[str, Any]:
        """Score, then both workers; their results by role."""
        return {
            role: self.hold(role, script, **plan).result for role in ("score", "foreign", "true")
        }


SCRIPT = """\
import hashlib, os, random, sys, time
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from autoresearch.harness.bpb import evaluate, print_summary
from autoresearch.harness.clock import Clock
from autoresearch.harness.loader import Batches, open_data, trial_seed

CPU = torch.device("cpu")
torch.manual_seed(trial_seed())

class Model(nn.Module):
    def __init__(self, vocab):
        super().__init__()
        self.vocab = vocab
        self.here, self.before = nn.Embedding(vocab, 64), nn.Embedding(vocab, 64)
        self.hidden, self.head = nn.Linear(64, 64), nn.Linear(64, vocab)
    def logits(self, tokens):
        before = F.pad(tokens, (1, 0))[:, :-1]
        x = self.here(tokens) + self.before(before)
        return self.head(x + F.relu(self.hidden(x)))
    def forward(self, tokens):
        return self.logits(tokens)

{model}
data = open_data()
model = {name}(data.vocab_size)
optimiser = torch.optim.AdamW({params}, lr=0.01)
clock = Clock(CPU)
batches = Batches(data, 8, CPU, 123, clock)
def step():
    x, y = batches.next()
    F.cross_entropy(model.logits(x).flatten(0, 1), y.flatten()).backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
with clock.warm_up(model, [optimiser]):
    step(), step()
while not clock.done():
    step()
    clock.step()
{last}
model.eval()
score = evaluate(model, data, CPU, {rows})
{after}
print_summary(score, clock, data, CPU, params=1, depth=1, flops_per_token=1.0)
"""


def script(
    model: str = "",
    name: str = "Model",
    params: str = "model.parameters()",
    last: str = "",
    rows: int = 8,
    after: str = "",
) -> str:
    """A training script; `model` defines the class `name`, `last` comes before the examination."""
    parts = {"model": model, "name": name, "params": params, "last": last, "after": after}
    parts["rows"] = str(rows)
    text = SCRIPT
    for key, value in parts.items():
        text = text.replace("{" + key + "}", value)
    return text
