"""What the sections share: the profile's knobs in train.py, clocks of the device, and tables."""

from __future__ import annotations

import gc
import importlib.util
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import autoresearch
from autoresearch.fit import device, profiles
from autoresearch.harness.trial.accelerator import synchronise

TEMPLATE = Path(autoresearch.__file__).parent / "template" / "train.py"
TRAIN_LOG = "train.log"  # of the trial, in the work folder
MAX_VAL_TOKENS = 1_572_864
SMALL_KNOBS = {
    "DEPTH": 2, "DIM": 32, "HEAD_DIM": 16, "MLP_RATIO": 1, "WINDOW": "SL", "SHORT_WINDOW": 16,
    "DEVICE_BATCH": 4, "TOTAL_BATCH": 512, "DEVICE_CHUNK": 128,
}  # fmt: skip
SMALL_HARNESS = {"vocab_size": 300, "seq_len": 64, "val_tokens": 1024}


class Setup:
    """Sizes, device and train.py of a section.

    work: a folder that all sections share. left_s: how long the section may take. profile: a name,
    or "" for what suits the device.
    """

    def __init__(self, work: Path, left_s: float, profile: str, small: bool) -> None:
        self.work = work
        self.ends = time.monotonic() + left_s
        self.small = small
        self.profile = profiles.choose(device.find(), "cpu" if small else profile or None)
        self.knobs = {**self.profile.knobs, **(SMALL_KNOBS if small else {})}
        if (found := work / "rows").exists():
            self.knobs["DEVICE_BATCH"] = int(found.read_text())
        harness = {**self.profile.harness, **(SMALL_HARNESS if small else {})}
        self.vocab_size, self.length = int(harness["vocab_size"]), int(harness["seq_len"])
        self.val_tokens = min(int(harness["val_tokens"]), MAX_VAL_TOKENS)

    @property
    def left_s(self) -> float:
        """Seconds that the section still has."""
        return self.ends - time.monotonic()

    @property
    def rows(self) -> int:
        """Of one forward pass."""
        return int(self.knobs["DEVICE_BATCH"])

    def shrink(self) -> None:
        """Half the rows of a forward pass: memory did not do for more."""
        self.knobs["DEVICE_BATCH"] = self.rows // 2

    def keep_rows(self) -> None:
        """What this section found to fit is what those after it begin with."""
        (self.work / "rows").write_text(str(self.rows))

    @cached_property
    def train(self) -> ModuleType:
        """train.py as a module, with the knobs and with its settings of the process."""
        spec = importlib.util.spec_from_file_location("template_train", TEMPLATE)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["template_train"] = module  # where the compiler looks for its globals
        spec.loader.exec_module(module)
        for name, value in self.knobs.items():
            assert hasattr(module, name), name
            setattr(module, name, value)
        module.settle(self.device)
        return module

    @cached_property
    def device(self) -> torch.device:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def backend(self) -> str:
        """Of torch.compile: at tiny sizes only the tracing is of interest."""
        return "eager" if self.small else "inductor"

    def model(self, attention: dict[int, Any]) -> tuple[Any, list[torch.optim.Optimizer]]:
        """A new model and its optimisers."""
        _, precision = self.train.find_device()
        torch.manual_seed(42)
        model = self.train.GPT(self.vocab_size, self.length, attention, precision).to(self.device)
        return model, self.train.make_optimisers(model)

    def compile_rest(self, compiled: bool = True) -> None:
        """Loss and Muon as train.py has them on a GPU, or without compilation."""
        train = self.train
        loss, update = train.summed_loss, train.muon_update
        if compiled:
            loss = torch.compile(loss, dynamic=False, backend=self.backend)
        if compiled and not self.small:  # to trace it takes seconds
            update = self.compiled_muon()
        train.ChunkedLoss.chunk, train.Muon.update = staticmethod(loss), staticmethod(update)

    def compiled_muon(self) -> Any:
        return torch.compile(self.train.muon_update, dynamic=True, backend=self.backend)

    def timed_ms(self, work: Callable[[], object], times: int = 10, warm: int = 3) -> float:
        """Median milliseconds of work that is asked for again and again, by the device's clock."""
        if self.small:
            times, warm = 2, 1
        for _ in range(warm):
            work()
        marks = [self.mark()]
        for _ in range(times):
            work()
            marks.append(self.mark())
        synchronise(self.device)
        return statistics.median(_between_ms(a, b) for a, b in itertools.pairwise(marks))

    def mark(self) -> Any:
        """This moment of the device."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def peak_mb(self, work: Callable[[], object]) -> str:
        """Most memory that the work held, beyond what was held before; n/a on a CPU."""
        if not self.cuda:
            work()
            return "n/a"
        synchronise(self.device)
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        synchronise(self.device)
        return f"{(torch.cuda.max_memory_allocated() - held) / 2**20:,.0f}"

    def seconds(self, work: Callable[[], object]) -> float:
        """Of some work, until the device is done with it."""
        synchronise(self.device)
        began = time.perf_counter()
        work()
        synchronise(self.device)
        return time.perf_counter() - began

    def free(self) -> None:
        """Give back memory that nothing refers to."""
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()


def _between_ms(a: Any, b: Any) -> float:
    return float(1000 * (b - a)) if isinstance(a, float) else float(a.elapsed_time(b))


class Repeat:
    """The same random tokens as every batch, for train_step."""

    def __init__(self, setup: Setup, rows: int) -> None:
        self.device = setup.device
        shape = (rows, setup.length)
        self.x, self.y = (
            torch.randint(setup.vocab_size, shape, device=self.device) for _ in range(2)
        )

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x, self.y


def endless_budget() -> None:
    """Let a clock of this process run on."""
    os.environ["AUTORESEARCH_BUDGET"] = "1000000000steps"


def head(*cells: str) -> None:
    """Begin a table; on a process that is stopped later, the rows so far remain."""
    say("")
    row(*cells)
    row(*("---" for _ in cells))


def row(*cells: object) -> None:
    say("| " + " | ".join(str(cell) for cell in cells) + " |")


def say(text: str) -> None:
    print(text, flush=True)


def short(fault: BaseException) -> str:
    """An error in one cell."""
    lines = str(fault).strip().splitlines() or [""]
    return f"{type(fault).__name__}: {lines[-1]}".replace("|", "/")[:120]
