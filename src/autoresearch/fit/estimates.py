"""What a trial of the template will take: memory, seconds, experiments an hour. Pure.

Computed from train.py's knobs and the [harness] table before anything runs, so that a night does not
end at the first trial; every figure is an estimate until the baseline has measured it.

Below, C is the model's width, M the MLP's, L the blocks, V the vocabulary, T the row, and s the bytes
of a number in the stream (2 for bfloat16 on CUDA, else 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autoresearch.config import HarnessConfig
from autoresearch.fit.profiles import Device, Knobs
from autoresearch.harness.cards import float32_peak_tflops, has_bfloat16, peak_tflops
from autoresearch.harness.names import read_budget, usual_budget
from autoresearch.records import Experiment

_USED = 0.35  # share of a GPU's peak; the reference reports 36 to 40 % on an H100
_OLD_CARD_TFLOPS = 5.0  # of a card before Ampere whose name is not known, in float32
_CORE_GFLOPS = 25.0  # of a CPU core at the size of the profile `cpu`
_STARTUP_S = {"cuda": 45.0, "mps": 15.0, "cpu": 5.0}  # imports, kernels, compilation
_PROCESS_MB = 400  # on a CPU memory is that of the process: Python, torch, data
_CARD_SHARE = 0.85  # of a card's memory; the rest is for the driver and for fragmentation
_TIMEOUT_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Model:
    """The size of train.py's model: parameters by how they are optimised, and work per token."""

    width: int
    hidden: int
    windows: tuple[int, ...]  # by block, in tokens
    value_blocks: int
    matrices: int  # parameters of the blocks (Muon)
    tables: int  # of embeddings and head (AdamW)
    head: int  # of the head alone
    seq_len: int

    @classmethod
    def of(cls, knobs: Knobs, settings: HarnessConfig) -> Model:
        """Returns the model with these constants of train.py.

        Raises KeyError or ValueError where they are no such model's.
        """
        depth, head_dim = int(knobs["DEPTH"]), int(knobs["HEAD_DIM"])
        if not (0 < depth < 10_000 and head_dim > 0):
            raise ValueError("no model")
        heads = math.ceil(int(knobs["DIM"]) / head_dim)
        width = heads * head_dim
        hidden = round(float(knobs.get("MLP_RATIO", 4)) * width)
        pattern, T = str(knobs["WINDOW"]), settings.seq_len
        if min(width, hidden) < 1 or not pattern:
            raise ValueError("no model")
        short = [pattern[index % len(pattern)] == "S" for index in range(depth - 1)] + [False]
        windows = tuple(min(int(knobs["SHORT_WINDOW"]), T) if s else T for s in short)
        values = (depth + 1) // 2 if knobs.get("VALUE_EMBEDS", True) else 0
        block = 4 * width**2 + 2 * width * hidden
        gates = values * min(32, width) * heads
        table = settings.vocab_size * width
        return cls(
            width, hidden, windows, values, depth * block + gates, (2 + values) * table, table, T
        )

    @property
    def parameters(self) -> int:
        """All parameters of the model."""
        return self.matrices + self.tables

    @property
    def flops_per_token(self) -> float:
        """Operations forward and backward: 6 per weight that multiplies, 12 per feature and key seen."""
        keys = sum(W - W * (W - 1) / (2 * self.seq_len) for W in self.windows)
        return 6.0 * (self.matrices + self.head) + 12.0 * self.width * keys


def peak_memory_mb(knobs: Knobs, settings: HarnessConfig, kind: str, float32: bool = False) -> int:
    """Returns the most memory that a trial holds at once, in MB of 2^20 bytes, as its summary counts.

    kind: cuda (compiled, bfloat16 unless float32), mps or cpu (eager, float32). Parameters: 4 bytes
    of weight and 4 of gradient each, 8 more for AdamW's two moments and 4 for Muon's one, and while
    Muon steps five copies of its largest stack. Kept for the backward pass, numbers per token:

        in each block    the stream before it, mixed, and after attention     3 C
                         q and k before their norms; q, k, v; their result    6 C
                         the MLP after its first matrix                       M
        where values are embedded                                             C
        eager alone      both normalised inputs, the result laid out anew     3 C
                         the squares in the MLP                               M
                         the blocks of keys and values of a short window      5 C
        outside          embedding, its norm, the last norm, its gradient     5 C

    A compiler makes the eager ones anew in the backward pass. On top comes the larger of the loss's
    chunk (10 bytes per logit, eager 30) and of the gradients in one MLP (2 M, eager 4 M). In the
    exam the logits of one batch are held twice, in float32. On a CPU, with a tenth more for its heap,
    this is within 13 % of what was measured at 8192 tokens a pass (C 64 and 256, L 1 to 8, V 512 and
    4096); on CUDA it is not measured.
    """
    model = Model.of(knobs, settings)
    compiled = kind == "cuda"
    s = 2 if compiled and not float32 else 4
    tokens = int(knobs["DEVICE_BATCH"]) * model.seq_len
    C, M, V, L = model.width, model.hidden, settings.vocab_size, len(model.windows)
    kept = L * (9 * C + M) + model.value_blocks * C + 5 * C
    if not compiled:
        short = sum(model.seq_len > W for W in model.windows)
        kept += L * (3 * C + M) + short * 5 * C
    chunk = min(tokens, int(knobs.get("DEVICE_CHUNK", 8192))) * V * (10 if compiled else 30)
    training = tokens * kept * s + max(chunk, (2 if compiled else 4) * tokens * M * s)
    stacks = 5 * 4 * L * C * max(C, M)
    exam = tokens * V * 9
    state = 12 * model.matrices + 16 * model.tables
    bytes_ = state + max(training, stacks, exam)
    if kind == "cpu":
        return round(1.1 * bytes_ / 2**20) + _PROCESS_MB
    return round(bytes_ / 2**20)


def memory_of(knobs: Knobs, settings: HarnessConfig, device: Device) -> tuple[int, bool]:
    """Returns the peak on a device in MB, and whether the device can hold it."""
    float32 = not has_bfloat16(device.name)
    peak_mb = peak_memory_mb(knobs, settings, device.kind, float32)
    return peak_mb, peak_mb <= _CARD_SHARE * device.memory_mb


# -- time -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Estimate:
    """The seconds of one trial; `basis` says what they were computed from, None: from a trial."""

    startup_s: float
    training_s: float
    exam_s: float
    basis: str | None = None

    @property
    def total_s(self) -> float:
        """Seconds from the start of the trial to its end."""
        return self.startup_s + self.training_s + self.exam_s

    def words(self, timeout_s: float) -> str:
        """Returns one line for a person, without a full stop."""
        about = f"about {_s(self.total_s)}" if self.basis else _s(self.total_s)
        return (
            f"a trial takes {about} s of {timeout_s:g} s (start-up {_s(self.startup_s)}, training "
            f"{_s(self.training_s)}, exam {_s(self.exam_s)}): {self.per_hour} experiments an hour"
            + (f", assuming {self.basis}" if self.basis else "")
        )

    @property
    def per_hour(self) -> str:
        """Experiments an hour, for a person."""
        rate = 3600 / max(self.total_s, 1e-3)
        return f"{math.floor(rate)}" if rate >= 2 else f"{rate:.1f}"

    def warning(self, timeout_s: float) -> str | None:
        """Returns what to change where a trial may be killed before its end; None where it has time."""
        if self.total_s <= _TIMEOUT_SHARE * timeout_s:
            return None
        enough = math.ceil(self.total_s * 1.5 / 60) * 60
        return (
            f"a trial needs {_s(self.total_s)} s and is killed at task.timeout_s = {timeout_s:g}: set "
            f"it to {enough}, or lower harness.budget, or harness.val_tokens and prepare again"
        )


def _s(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}"


def computed(
    knobs: Knobs, settings: HarnessConfig, device: Device, unknown_tflops: float
) -> Estimate:
    """Returns an estimate from operations and an assumed speed.

    unknown_tflops: the peak of a card whose name is not in the harness's table.
    """
    model = Model.of(knobs, settings)
    if device.kind == "cpu":
        rate = device.cores * _CORE_GFLOPS * 1e9
        basis = f"{_CORE_GFLOPS:g} GFLOP/s for each of {device.cores} cores"
    else:
        known = peak_tflops(device.name) or float32_peak_tflops(device.name)
        assumed = unknown_tflops if has_bfloat16(device.name) else _OLD_CARD_TFLOPS
        peak = known or assumed or _OLD_CARD_TFLOPS  # a card too small for any profile has none
        rate = _USED * peak * 1e12
        basis = f"{100 * _USED:.0f} % of {round(peak) if peak >= 100 else peak:g} TFLOP/s"
    work = model.flops_per_token
    budget = read_budget(settings.budget or usual_budget(device.kind))
    if budget is None:
        raise ValueError(f"no budget: {settings.budget!r}")
    amount, unit = budget
    if unit == "steps":
        training_s = amount * int(knobs["TOTAL_BATCH"]) * work / rate
    elif unit == "tokens":
        training_s = amount * work / rate
    else:
        training_s = float(amount)
    exam_s = settings.val_tokens * work / 3 / rate  # forward alone
    return Estimate(_STARTUP_S[device.kind], training_s, exam_s, basis)


def observed(experiment: Experiment) -> Estimate | None:
    """Returns what a trial of the harness took; None where its summary does not say."""
    training_s = experiment.summary.get("training_seconds")
    exam_s = experiment.summary.get("exam_seconds")
    if training_s is None or exam_s is None or training_s < 0 or exam_s < 0:
        return None
    startup_s = max(0.0, experiment.seconds - training_s - exam_s)
    return Estimate(startup_s, training_s, exam_s)
