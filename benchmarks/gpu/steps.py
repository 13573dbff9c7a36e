"""Whole training steps in one process: ways to compile, and what waiting for the loss costs."""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from typing import Any

import torch

from autoresearch.harness.clock import Clock
from autoresearch.harness.loader import Batches, Data, open_data

from .setup import Repeat, Setup, endless_budget, head, row, say, short


class Ours:
    """The loop of train.py, step by step, on the prepared rows."""

    def __init__(self, setup: Setup, data: Data) -> None:
        endless_budget()
        train = self.train = setup.train
        train.LOG_STEPS = 10**9  # every loss is looked at as ever, and none printed
        self.passes = train.passes_per_step(setup.length)
        self.model, self.optimisers = setup.model(choose_quietly(setup))
        self.model.compile_blocks(setup.backend)
        setup.compile_rest()
        self.clock = Clock(setup.device)
        self.batches = Batches(data, setup.rows, setup.device, 42, self.clock)
        with self.clock.warm_up(self.model, self.optimisers):
            for step in range(2):
                self.train_step(step)
        self.log = train.Log(setup.device, self.clock, self.batches)

    def train_step(self, step: int) -> torch.Tensor:
        loss: torch.Tensor = self.train.train_step(
            self.model, self.optimisers, self.batches, self.passes, 0.0, step
        )
        return loss

    def step(self) -> None:
        loss = self.train_step(self.clock.steps)
        self.clock.step()
        self.log.add(loss, 0.0)


def choose_quietly(setup: Setup) -> Any:
    """The attention that train.py takes, without its lines on stdout."""
    with contextlib.redirect_stdout(io.StringIO()):
        return setup.train.choose_attention(setup.rows, setup.length)


def compile(setup: Setup) -> None:
    """Blocks compiled one by one, beside the whole model at once and none at all."""
    say(
        "The same model and batch in one process. Seconds are those of the first calls; the loss in"
    )
    say("chunks and Muon are compiled in each way but eager.")
    head(
        "compiled", "rows", "first passes s", "first optimiser step s", "step ms", "tokens/s", "MB"
    )
    attention = choose_quietly(setup)
    with fresh_cache(setup):
        measured(setup, attention, "by block, cold", "blocks")
        setup.train.DEPTH += 1
        measured(setup, attention, f"by block, depth {setup.train.DEPTH}, warm", "blocks")
        setup.train.DEPTH -= 1
    with fresh_cache(setup):
        measured(setup, attention, "whole model, cold", "whole")
    measured(setup, attention, "nothing (eager)", "nothing")


def fresh_cache(setup: Setup) -> contextlib.AbstractContextManager[None]:
    """An empty cache of compiled code for a while."""
    if setup.small:
        return contextlib.nullcontext()
    from torch._inductor.utils import fresh_cache as fresh

    return fresh()


def measured(setup: Setup, attention: Any, label: str, how: str) -> None:
    """A line of the table; with half the rows, and half again, where memory runs out."""
    rows = setup.rows
    while rows:
        torch._dynamo.reset()
        setup.free()
        try:
            row(label, rows, *compiled_step(setup, attention, how, rows))
            return
        except torch.OutOfMemoryError as fault:
            row(label, rows, short(fault), "", "", "", "")
            rows = rows // 2 if how == "nothing" else 0  # else the next try would not be cold


def compiled_step(setup: Setup, attention: Any, how: str, rows: int) -> list[str]:
    train = setup.train
    model, optimisers = setup.model(attention)
    setup.compile_rest(how != "nothing")
    if how == "blocks":
        model.compile_blocks(setup.backend)
    elif how == "whole":
        model.stream = torch.compile(model.stream, dynamic=False, backend=setup.backend)
    batches = Repeat(setup, rows)
    passes = max(1, train.TOTAL_BATCH // (setup.rows * setup.length))

    def step() -> None:
        train.train_step(model, optimisers, batches, passes, 0.0, 0)

    def optimise() -> None:
        for optimiser in optimisers:
            optimiser.step()

    passes_s = setup.seconds(lambda: model.loss(batches.x, batches.y).backward())
    optimise_s = setup.seconds(optimise)
    step_ms = setup.timed_ms(step)
    rate = 1000 * passes * rows * setup.length / step_ms
    memory = setup.peak_mb(step)
    return [f"{passes_s:.1f}", f"{optimise_s:.1f}", f"{step_ms:.2f}", f"{rate:,.0f}", memory]


def loop(setup: Setup) -> None:
    """A loss that is read a step late, beside waiting for each; then where a step's time goes."""
    ours = Ours(setup, open_data())

    def waiting() -> None:
        setup.seconds(lambda: None)
        loss = ours.train_step(ours.clock.steps)
        ours.clock.step()
        loss.item()
        setup.seconds(lambda: None)

    steps, blocks = (2, 2) if setup.small else (10, 4)
    late_ms, waiting_ms = [], []
    for _ in range(blocks):
        late_ms.append(block_ms(setup, ours.step, steps))
        waiting_ms.append(block_ms(setup, waiting, steps))
    late, waits = statistics.median(late_ms), statistics.median(waiting_ms)
    head("loss", "step ms", "blocks of steps")
    for name, ms, each in (("a step late", late, late_ms), ("synchronised", waits, waiting_ms)):
        row(name, f"{ms:.2f}", " ".join(f"{block:.2f}" for block in each))
    say(f"\nsynchronised / late: {waits / late:.4f}")
    asked_ms = []
    for _ in range(steps):
        began = time.perf_counter()
        ours.train_step(ours.clock.steps)
        asked_ms.append(1000 * (time.perf_counter() - began))
        ours.clock.step()
    say(f"host, to ask for a step: {statistics.median(asked_ms):.2f} ms")
    if setup.cuda:
        kernels_of_a_step(setup, ours, late)
    else:
        say("kernels of a step: needs CUDA")


def block_ms(setup: Setup, step: Any, steps: int) -> float:
    """Milliseconds per step of a few in a row."""

    def several() -> None:
        for _ in range(steps):
            step()

    return 1000 * setup.seconds(several) / steps


def kernels_of_a_step(setup: Setup, ours: Ours, step_ms: float) -> None:
    """Time in kernels, by torch's profiler; what is missing to the step's is lost to the host."""
    from torch.profiler import ProfilerActivity, profile

    steps = 3
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        block_ms(setup, ours.step, steps)
    # Annotations span kernels, which would count twice; copies to the device have their own stream.
    found = [
        event
        for event in profiled.key_averages()
        if event.self_device_time_total > 0
        and not getattr(event, "is_user_annotation", False)
        and not event.key.startswith(("##", "Optimizer.", "Torch-Compiled", "Memcpy HtoD"))
    ]
    found.sort(key=lambda event: event.self_device_time_total, reverse=True)
    busy_ms = sum(event.self_device_time_total for event in found) / 1000 / steps
    calls = sum(event.count for event in found) / steps
    say(f"device: {busy_ms:.2f} ms in {calls:.0f} kernels a step")
    say(f"lost to the host, 1 - kernels / step: {100 * (1 - busy_ms / step_ms):.2f} %")
    head("kernel", "ms a step", "share", "calls a step")
    for event in found[:15]:
        ms = event.self_device_time_total / 1000 / steps
        name = event.key.replace("|", "/")[:90]
        row(f"`{name}`", f"{ms:.2f}", f"{100 * ms / busy_ms:.1f} %", f"{event.count / steps:.0f}")
