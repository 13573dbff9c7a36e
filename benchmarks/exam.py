"""What an examination from outside costs, beside the measure in the trial's own process.

    python -m benchmarks.exam [--repeats 3]

On the CPU profile's shapes (train.py as shipped, V = 1024, T = 64, 2,048 validation rows) a fresh
model is examined by a real examiner in a process of its own, and then by `evaluate` in its own
process, of which the four batches of the probes are a part. Target: at most 1.5 times as long. Batches
of rows are timed both ways. For the 80 GB profile (V = 8192, T = 2048, 10,240 rows, losses that are
committed to and audited) bytes are counted and times computed from the rates that were measured
here, the socket's and the examiner's arithmetic; target: at most 5 % of a trial of 300 s.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

import autoresearch
from autoresearch.harness import cache as store
from autoresearch.harness import names
from autoresearch.harness.bpb import evaluate
from autoresearch.harness.clock import Clock
from autoresearch.harness.exam.losses import PICKS, losses
from autoresearch.harness.loader import Batches, Data, open_data
from autoresearch.harness.names import CACHE_VARIABLE, EXAMINER_VARIABLE
from autoresearch.harness.protocol import Connection
from tests.examroom import pair
from tests.handmade import write_cache

V, T, VAL_ROWS, TRAIN_ROWS, VAULT_ROWS = 1024, 64, 2048, 20_000, 64
BATCHES = 300
CPU = torch.device("cpu")
LARGE_V, LARGE_T, LARGE_ROWS, LARGE_TRIAL_S = 8192, 2048, 10_240, 300.0


def template() -> ModuleType:
    path = Path(autoresearch.__file__).parent / "template" / "train.py"
    spec = importlib.util.spec_from_file_location("template_train", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def batch_ms(data: Data, rows: int) -> float:
    """Milliseconds of a batch, drawn one after another."""
    clock = Clock(CPU)
    batches = Batches(data, rows, CPU, 1, clock)
    batches.next()
    began = time.perf_counter()
    for _ in range(BATCHES):
        batches.next()
    return 1000 * (time.perf_counter() - began) / BATCHES


def trial() -> None:
    """In a process of its own, with an examiner: both ways, after each other."""
    train = template()
    train.settle(CPU)
    data = open_data()
    rows = train.device_rows(T)
    torch.manual_seed(0)
    model = train.GPT(V, T, train.choose_attention(rows, T))
    torch.nn.init.normal_(model.head.weight, std=0.1)
    model.eval()
    granted_ms = batch_ms(data, rows)
    model(torch.zeros(rows, T, dtype=torch.int64))
    cpu_s = [time.process_time()]
    told = evaluate(model, data, CPU, rows)
    cpu_s.append(time.process_time())
    del os.environ[EXAMINER_VARIABLE]
    own = open_data(Path(os.environ["AUTORESEARCH_CACHE"]))
    cpu_s.append(time.process_time())
    found = evaluate(model, own, CPU, rows)
    cpu_s.append(time.process_time())
    assert abs(told.bpb / found.bpb - 1) < 1e-6
    facts = {"told_s": told.seconds, "own_s": found.seconds, "granted_ms": granted_ms}
    facts |= {"told_cpu_s": cpu_s[1] - cpu_s[0], "own_cpu_s": cpu_s[3] - cpu_s[2]}
    print(json.dumps(facts | {"own_ms": batch_ms(own, rows)}))


def examined(folder: Path, cache: Path) -> dict[str, float]:
    """A trial with its examiner."""
    ours, theirs = pair()
    plan = {
        "role": "score", "descriptor": ours.fileno(), "cache": str(cache), "folder": str(folder),
        "seed": 1, "device": "cpu", "budget": "1000000steps", "threshold": 0.0,
        "calibration": None,
    }  # fmt: skip
    (folder / "PLAN.json").write_text(json.dumps(plan))
    command = [sys.executable, "-m", "autoresearch.harness", "examine", str(folder / "PLAN.json")]
    examiner = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[ours.fileno()])
    ours.close()
    environment = {
        **os.environ, EXAMINER_VARIABLE: str(theirs.fileno()), CACHE_VARIABLE: str(cache),
        "AUTORESEARCH_BUDGET": "1000000steps",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.exam", "--trial"],
        pass_fds=[theirs.fileno()], env=environment, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    theirs.close()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert examiner.wait() == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts: dict[str, float] = json.loads(done.stdout)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return facts | {"examiner_cpu_s": spent_s}  # of its whole life


def make_cache(cache: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {n: rng.integers(0, V, (n, T + 1)) for n in (TRAIN_ROWS, VAL_ROWS, VAULT_ROWS)}
    folder = write_cache(cache, rows[TRAIN_ROWS], rows[VAL_ROWS], V)
    (folder / names.VAULT).write_bytes(rows[VAULT_ROWS].astype("<u2").tobytes())
    manifest = store.read_manifest(folder)
    assert manifest is not None
    digests = manifest.digests | {names.VAULT: store.file_digest(folder / names.VAULT)}
    store.write_manifest(folder, replace(manifest, digests=digests, vault_rows=VAULT_ROWS))


def socket_rate() -> float:
    """Bytes a second from one process's memory to another's, by frames of 64 MB."""
    ours, theirs = pair()
    content, times = bytes(64 << 20), 10
    sender = threading.Thread(
        target=lambda: [Connection(ours).send("some", content) for _ in range(times)]
    )
    connection = Connection(theirs)
    sender.start()
    began = time.perf_counter()
    for _ in range(times):
        connection.receive(len(content))
    took_s = time.perf_counter() - began
    sender.join()
    ours.close()
    theirs.close()
    return times * len(content) / took_s


def arithmetic_rate() -> float:
    """Logits a second that the examiner turns into losses, of V = 8192."""
    logits = np.random.default_rng(0).standard_normal((4096, LARGE_V)).astype(np.float32)
    targets = np.arange(4096)
    began = time.perf_counter()
    losses(logits, targets)
    return logits.size / (time.perf_counter() - began)


def large_profile() -> None:
    bytes_per_second, logits_per_second = socket_rate(), arithmetic_rate()
    tokens = LARGE_ROWS * LARGE_T
    logits = LARGE_ROWS * (1 + PICKS) * LARGE_V  # the last position of each row, and the audits
    sizes = {
        "rows that are asked": 2 * tokens,
        "losses": 4 * (tokens - LARGE_ROWS),
        "logits of the last position": 4 * LARGE_ROWS * LARGE_V,
        "logits for audits": 4 * LARGE_ROWS * PICKS * LARGE_V,
    }
    total = sum(sizes.values())
    print(f"80 GB profile: {tokens / 1e6:.1f} M tokens x {LARGE_V}, ", end="")
    print(f"whole logits would be {4 * tokens * LARGE_V / 1e9:.0f} GB")
    for name, size in sizes.items():
        print(f"  {size / 1e6:8.0f} MB  {name}")
    moved_s, scored_s = total / bytes_per_second, logits / logits_per_second
    print(f"  {total / 1e6:8.0f} MB in all, at {bytes_per_second / 1e9:.2f} GB/s: {moved_s:.1f} s")
    print(f"  {logits / 1e6:8.0f} M logits to score, at {logits_per_second / 1e6:.0f} M/s", end="")
    print(f": {scored_s:.1f} s")
    share = (moved_s + scored_s) / LARGE_TRIAL_S
    print(f"  computed: {share:.1%} of a trial of {LARGE_TRIAL_S:.0f} s (target 5 %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trial", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.trial:
        trial()
        return
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name, "cache")
        make_cache(cache)
        folder = Path(name, "room")
        folder.mkdir()
        runs = [examined(folder, cache) for _ in range(options.repeats)]
    threads = torch.get_num_threads()
    print(
        f"{threads} threads, {os.cpu_count()} cores, {sys.platform}, load {os.getloadavg()[0]:.1f}"
    )
    ratios = [run["told_s"] / run["own_s"] for run in runs]
    print(f"{VAL_ROWS} rows of {T} tokens, V {V}: ", end="")
    for name, what in (("told_s", "by the examiner"), ("own_s", "in its own process")):
        print(f"{min(run[name] for run in runs):.2f} s {what}, ", end="")
    print(f"ratio {statistics.median(ratios):.2f} (target 1.5), each {min(ratios):.2f}", end="")
    print(f" to {max(ratios):.2f}")
    told, own, examiner = (
        min(run[f"{name}_cpu_s"] for run in runs) for name in ("told", "own", "examiner")
    )
    print(f"CPU: {told:.2f} s of the trial and {examiner:.2f} s of the examiner, ", end="")
    print(f"{own:.2f} s in its own process, ratio {(told + examiner) / own:.2f}")
    granted, own = (min(run[name] for run in runs) for name in ("granted_ms", "own_ms"))
    print(f"a batch of 16 rows: {granted:.3f} ms granted, {own:.3f} ms from the map")
    large_profile()


if __name__ == "__main__":
    main()
