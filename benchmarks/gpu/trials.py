"""Whole trials of train.py: one in a process, as a lab runs it, and several seeds of a short one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from autoresearch.fit.rewrite import with_constants
from autoresearch.harness.cache import data_folder, read_manifest
from autoresearch.harness.names import cache_folder

from .machine import ask
from .setup import TEMPLATE, TRAIN_LOG, Setup, head, row, say

SEEDS = 5
MOST_S, LEAST_S = 20, 5  # of training, for each seed


class TrialFailed(Exception):
    """A trial that gave no summary."""


def train(setup: Setup) -> None:
    """A trial of a minute with empty caches, then ten steps with warm ones."""
    budget, few = ("20steps", "4steps") if setup.small else ("60s", "10steps")
    used_mb = [used_memory(setup)]
    log = setup.work / TRAIN_LOG
    while True:
        shutil.rmtree(os.environ["TORCHINDUCTOR_CACHE_DIR"], ignore_errors=True)
        try:
            cold = trial(setup, log, budget)
            break
        except TrialFailed as fault:
            if "out of memory" not in str(fault) or setup.rows == 1:
                raise
            say(f"Out of memory with {setup.rows} rows; half of them now, here and from here on.\n")
            setup.shrink()
            setup.keep_rows()
    used_mb.append(used_memory(setup))
    lines = later_half(log)
    manifest = read_manifest(data_folder(cache_folder()))
    assert manifest is not None
    exam_tokens = manifest.val_rows * manifest.seq_len
    exam_s = float(cold["exam_seconds"])
    say(f"Budget {budget}, {setup.rows} rows of a forward pass; log lines: medians of later half.")
    head("what", "found")
    row("start-up, empty caches, s", cold["startup_seconds"])
    for key, name in (("tokens_per_s", "tokens/s"), ("step_ms", "step, ms")):
        found = [line[key] for line in lines if key in line]
        row(f"{name}, log", f"{statistics.median(found):,.1f}" if found else "n/a")
    training_s = float(cold["training_seconds"])
    row("tokens/s, whole training", f"{1e6 * float(cold['total_tokens_M']) / training_s:,.0f}")
    for key in ("training_seconds", "num_steps", "peak_vram_mb", "mfu_percent", "num_params_M"):
        row(key, cold[key])
    row("exam, s", cold["exam_seconds"])
    row("exam, tokens/s", f"{exam_tokens / max(exam_s, 0.05):,.0f} ({exam_tokens} tokens)")
    others_s = sum(float(cold[f"{part}_seconds"]) for part in ("startup", "training", "exam"))
    row("neither start-up, training nor exam, s", f"{float(cold['total_seconds']) - others_s:.1f}")
    row("val_bpb", cold["val_bpb"])
    warm = trial(setup, setup.work / "warm.log", few)
    used_mb.append(used_memory(setup))
    row(f"start-up, warm caches, s ({few})", warm["startup_seconds"])
    row("device memory in use before, between and after, MiB", ", ".join(used_mb))


def trial(setup: Setup, log: Path, budget: str) -> dict[str, str]:
    """The summary of train.py with the profile's knobs, run to its end; what it printed, in a log."""
    script = setup.work / "train.py"
    script.write_bytes(with_constants(TEMPLATE.read_bytes(), setup.knobs))
    env = {**os.environ, "AUTORESEARCH_BUDGET": budget, "AUTORESEARCH_SEED": "42"}
    with log.open("w") as file:
        code = subprocess.call([sys.executable, script], env=env, stdout=file, stderr=file)
    text = log.read_text(errors="replace")
    found = summary(text)
    if code or not found:
        last = [line for line in text.splitlines() if line.strip()][-1:]
        told = "out of memory" if "OutOfMemoryError" in text else "".join(last)[:200]
        raise TrialFailed(f"train.py ended with {code}: {told}")
    return found


def summary(text: str) -> dict[str, str]:
    """The lines `key: value` behind `---`; {} where there are none."""
    lines = text.rpartition("\n---\n")[2].splitlines() if "\n---\n" in text else []
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def later_half(log: Path) -> list[dict[str, Any]]:
    """Lines of the training log, without the first half; one that was cut off is left out."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            found += [json.loads(line)] if line.startswith("{") else []
    return found[len(found) // 2 :]


def used_memory(setup: Setup) -> str:
    return ask("memory.used").removesuffix(" MiB") if setup.cuda else "n/a"


def seeds(setup: Setup) -> None:
    """train.py's own main, again and again in this process, with one seed after another."""
    train = setup.train  # the import and the first use of the device count to no trial
    spare_s = 20 + SEEDS * 6  # start-up, compilation and the exams
    each_s = min(MOST_S, max(LEAST_S, int((setup.left_s - spare_s) / SEEDS)))
    budget = os.environ["AUTORESEARCH_BUDGET"] = "3steps" if setup.small else f"{each_s}s"
    say(f"Budget {budget} each.")
    head("seed", "val_bpb", "steps", "peak MB", "free memory before, MiB", "in all, s")
    scores = []
    for seed in range(42, 42 + SEEDS):
        os.environ["AUTORESEARCH_SEED"] = str(seed)
        setup.free()
        if setup.cuda:
            torch.cuda.reset_peak_memory_stats()
        free = f"{torch.cuda.mem_get_info()[0] / 2**20:,.0f}" if setup.cuda else "n/a"
        printed, began = io.StringIO(), time.monotonic()
        try:
            with contextlib.redirect_stdout(printed):
                train.main()
        except SystemExit:  # a loss that is not finite
            row(seed, printed.getvalue().splitlines()[-1], "", "", free, "")
            continue
        found = summary(printed.getvalue())
        scores.append(float(found["val_bpb"]))
        took_s = f"{time.monotonic() - began:.1f}"
        row(seed, found["val_bpb"], found["num_steps"], found["peak_vram_mb"], free, took_s)
        if len(scores) > 1 and setup.left_s < each_s + 10 and seed < 41 + SEEDS:
            say("\nno time for more")
            break
    if len(scores) > 1:
        mean, deviation = statistics.mean(scores), statistics.stdev(scores)
        say(f"\nmean {mean:.6f}, standard deviation {deviation:.6f} of {len(scores)}")
