"""What suits a device: knobs of train.py, settings of the harness and the kill, by memory. Pure.

`80gb` is the end state of the reference's first night on an H100 (karpathy/autoresearch, branch
exp/H100/mar8: val_bpb 0.9979 -> 0.9697 in 126 experiments). The smaller cards' shapes keep its
proportions (a short window of an eighth of the row, a few hundred optimiser steps at least) and are
computed, and were not run: memory by estimates.py, time by the makers' figures.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from pydantic import ValidationError

from autoresearch.config import HarnessConfig
from autoresearch.config.explanations import explain
from autoresearch.errors import UsageError
from autoresearch.fit.constants import Value

Knobs: TypeAlias = "Mapping[str, Value]"


@dataclass(frozen=True, slots=True)
class Device:
    """What trials run on; memory_mb is the smallest card's, or the machine's for a CPU and Apple's GPU."""

    kind: Literal["cuda", "mps", "cpu"]
    name: str
    memory_mb: int
    count: int = 1  # cards
    cores: int = 1

    def words(self) -> str:
        """Returns the device in words."""
        if self.kind == "cpu":
            return f"the CPU ({self.cores} cores, {self.memory_mb} MB; no GPU was found)"
        several = f"the smallest of {self.count} GPUs: " if self.count > 1 else ""
        return f"{several}{self.name}, {self.memory_mb} MB"


@dataclass(frozen=True, slots=True)
class Profile:
    """Values for one class of device.

    It is for cards with at least least_mb of memory. tflops is the peak that is assumed of a card whose
    name is not known.
    """

    name: str
    kind: Literal["cuda", "mps", "cpu"]
    least_mb: int
    tflops: float
    knobs: dict[str, Value]
    harness: dict[str, Value]
    timeout_s: int = 600

    @property
    def settings(self) -> HarnessConfig:
        """The [harness] table."""
        return HarnessConfig.model_validate(self.harness)


def _shape(
    depth: int, dim: int, head: int, window: str, short: int, device_batch: int, total_batch: int
) -> dict[str, Value]:
    return {
        "DEPTH": depth, "DIM": dim, "HEAD_DIM": head, "WINDOW": window, "SHORT_WINDOW": short,
        "DEVICE_BATCH": device_batch, "TOTAL_BATCH": total_batch,
    }  # fmt: skip


def _data(
    vocab_size: int, seq_len: int, val_tokens: int, shards: int, source: str = "climbmix"
) -> dict[str, Value]:
    return {
        "budget": "300s", "source": source, "shards": shards,
        "vocab_size": vocab_size, "seq_len": seq_len, "val_tokens": val_tokens,
    }  # fmt: skip


# What the reference's night found for some thousand steps of a wide model; train.py itself scales
# the rates of tables and head with the width.
_LONG: dict[str, Value] = {
    "ROPE_BASE": 200000.0, "INIT_SCALE": 0.68, "MATRIX_LR": 0.04, "EMBED_LR": 0.9, "HEAD_LR": 0.005,
    "SCALAR_LR": 0.5, "WEIGHT_DECAY": 0.15, "EMBED_DECAY": 0.001, "VALUE_EMBED_DECAY": 0.003,
    "HEAD_DECAY": 0.01, "MOMENTUM_STEPS": 200, "WARMDOWN": 0.75,
}  # fmt: skip
# Six hundred steps of a tiny one.
_SHORT: dict[str, Value] = {
    "ROPE_BASE": 10000.0, "INIT_SCALE": 0.5, "MATRIX_LR": 0.02, "EMBED_LR": 0.12, "HEAD_LR": 0.006,
    "SCALAR_LR": 0.02, "WEIGHT_DECAY": 0.1, "EMBED_DECAY": 0.0, "VALUE_EMBED_DECAY": 0.0,
    "HEAD_DECAY": 0.0, "MOMENTUM_STEPS": 300, "WARMDOWN": 0.5,
}  # fmt: skip

_M = 2**20
# Largest first. A shard of climbmix is some 60 million tokens.
PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "80gb", "cuda", 76_800, 312,
            _shape(9, 640, 128, "SSSSL", 256, 128, 2**18) | _LONG, _data(8192, 2048, 20 * _M, 0),
        ),
        Profile(
            "40gb", "cuda", 38_900, 155,
            _shape(8, 640, 128, "SSSSL", 256, 64, 2**17) | _LONG, _data(8192, 2048, 5 * _M, 4),
        ),
        Profile(
            "24gb", "cuda", 22_500, 71,
            _shape(8, 512, 128, "SSSSL", 128, 64, 2**16) | _LONG, _data(8192, 1024, 5 * _M, 3),
        ),
        Profile(
            "16gb", "cuda", 14_800, 8,
            _shape(6, 384, 128, "SSSL", 128, 32, 2**15) | _LONG, _data(8192, 1024, 2 * _M, 2),
        ),
        Profile(
            "8gb", "cuda", 7_600, 8,
            _shape(5, 320, 64, "SSSL", 64, 32, 2**15) | _LONG, _data(8192, 512, 2 * _M, 2),
        ),
        Profile(
            "6gb", "cuda", 5_600, 5,
            _shape(4, 256, 64, "SSSL", 64, 16, 2**14) | _LONG, _data(8192, 512, _M, 1),
        ),
        Profile(
            "mps", "mps", 0, 2.6,
            _shape(4, 256, 64, "SSSL", 64, 32, 2**13) | _LONG, _data(4096, 256, _M // 2, 1),
        ),
        Profile(
            "cpu", "cpu", 0, 0,
            _shape(2, 64, 32, "SL", 2, 16, 1024) | _SHORT,
            _data(1024, 64, 131_072, 0, "stdlib") | {"budget": "614400tokens"},
        ),
    )
}  # fmt: skip


def choose(device: Device, name: str | None = None) -> Profile:
    """Returns the profile of a name, else the largest that the device has the memory for.

    A card below the smallest of them gets the CPU's, which any card can hold.
    """
    if name is not None:
        if name not in PROFILES:
            raise UsageError(f"--profile {name}: there are {', '.join(PROFILES)}")
        return PROFILES[name]
    fitting = [
        profile
        for profile in PROFILES.values()
        if profile.kind == device.kind and profile.least_mb <= device.memory_mb
    ]
    return fitting[0] if fitting else PROFILES["cpu"]


def changed(profile: Profile, sets: Iterable[str]) -> Profile:
    """Returns the profile with single values set, each as NAME=VALUE; raises UsageError for any other."""
    knobs, harness, timeout_s = dict(profile.knobs), dict(profile.harness), profile.timeout_s
    for given in sets:
        name, equals, text = (part.strip() for part in given.partition("="))
        if not equals:
            raise UsageError(f"--set {given}: give NAME=VALUE, as in --set DEPTH=6")
        if name in knobs:
            knobs[name] = _knob(name, text, knobs[name])
        elif name in harness:
            if name == "source":
                harness["shards"] = 0  # those were of the other source
            harness[name] = _read(name, text, harness[name])
        elif name == "timeout_s":
            timeout_s = int(_read(name, text, timeout_s))
        else:
            known = ", ".join([*knobs, *harness, "timeout_s"])
            raise UsageError(f"--set {name}: unknown name; known here: {known}")
    made = replace(profile, knobs=knobs, harness=harness, timeout_s=timeout_s)
    try:
        _check(made)
    except ValidationError as fault:
        raise UsageError(explain(fault, HarnessConfig, "--set", None)) from None
    return made


def _knob(name: str, text: str, like: Value) -> Value:
    value = _read(name, text, like)
    if name == "WINDOW" and not re.fullmatch("[SL]{1,64}", str(value)):
        raise UsageError(f"--set {name}={text}: must be a pattern of S and L, as SSSL")
    if isinstance(value, int) and not 1 <= value <= 2**40:
        raise UsageError(f"--set {name}={text}: must be a whole number from 1")
    return value


def _read(name: str, text: str, like: Value) -> Value:
    """Returns the value in a text, in the type of another; raises UsageError."""
    if isinstance(like, str):
        return text.strip("\"'")
    power = re.fullmatch(r"2\*\*(\d{1,2})", text)
    plain = re.fullmatch(r"\d[\d_]{0,17}", text)
    if isinstance(like, int):
        if power or plain:
            return 2 ** int(power[1]) if power else int(text.replace("_", ""))
        raise UsageError(f"--set {name}={text}: must be a whole number, as 64 or 2**18")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise UsageError(f"--set {name}={text}: must be a number from 0")
    return value


def _check(profile: Profile) -> None:
    """Raises UsageError for what train.py or the configuration would refuse later."""
    knobs, settings = profile.knobs, profile.settings
    if profile.timeout_s < 1:
        raise UsageError(f"--set timeout_s={profile.timeout_s}: must be at least 1")
    if int(knobs["HEAD_DIM"]) % 2:
        raise UsageError(f"--set HEAD_DIM={knobs['HEAD_DIM']}: must be even")
    each = int(knobs["DEVICE_BATCH"]) * settings.seq_len
    if int(knobs["TOTAL_BATCH"]) % each:
        raise UsageError(
            f"--set: TOTAL_BATCH = {knobs['TOTAL_BATCH']} is no multiple of DEVICE_BATCH x seq_len = "
            f"{knobs['DEVICE_BATCH']} x {settings.seq_len} = {each} tokens"
        )
