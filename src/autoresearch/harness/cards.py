"""Peaks of GPUs by the names that their drivers give them, for MFU and for estimates.

Not in names.py, which is part of the fingerprint: a card more in this table changes no score.

The figures are dense peaks from the makers' data sheets and architecture white papers, in TFLOP/s
with fp32 accumulation and without sparsity (NVIDIA prints most of them for sparse matrices: half of
that): bfloat16 in PEAKS, fp32 in FLOAT32_PEAKS. A card that is not here has no peak rather than a
wrong one: a laptop's card, a Max-Q, a slice (MIG) or a `D` is another chip than the one that shares
its number.
"""

from __future__ import annotations

import re

PEAKS = {
    "A10": 125.0,
    "A30": 165.0,
    "A40": 149.7,
    "A100": 312.0,
    "A100 PCIe": 312.0,
    "RTX A4000": 76.7,
    "RTX A5000": 111.1,
    "RTX A6000": 154.8,
    "RTX 6000 Ada Generation": 364.2,
    "L4": 121.0,
    "L40": 181.0,
    "L40S": 362.0,
    "H100": 989.4,  # SXM, whose name says no more than its memory: "NVIDIA H100 80GB HBM3"
    "H100 PCIe": 756.0,
    "H100 NVL": 835.5,
    "H200": 989.4,
    "H200 NVL": 835.5,
    "GH200": 989.4,
    "B200": 2250.0,
    "GeForce RTX 3060": 25.5,
    "GeForce RTX 3080": 59.5,
    "GeForce RTX 3090": 71.0,
    "GeForce RTX 4070": 58.3,
    "GeForce RTX 4080": 97.5,
    "GeForce RTX 4090": 165.2,
    "GeForce RTX 5090": 209.5,
    "Instinct MI300X": 1307.4,
}
# Cards before Ampere have no bfloat16, and train in float32.
FLOAT32_PEAKS = {
    "T4": 8.1,
    "P100": 10.6,
    "P100 PCIe": 9.3,
    "V100": 15.7,
    "V100 PCIe": 14.0,
    "V100S PCIe": 16.4,
    "GeForce RTX 2060": 6.5,
    "GeForce RTX 2070": 7.5,
    "GeForce RTX 2080": 10.1,
    "GeForce RTX 2080 Ti": 13.4,
    "Quadro RTX 4000": 7.1,
    "Quadro RTX 5000": 11.2,
    "Quadro RTX 6000": 16.3,
    "Quadro RTX 8000": 16.3,
    "TITAN RTX": 16.3,
}
# The makers, memory, and SXM, the socket of the names without another one.
_UNSAID = re.compile(r"NVIDIA|AMD|Tesla|\d+GB|HBM\d\w?|SXM\d?", re.IGNORECASE)
# Brands that ended before Ampere, and chips that go without one. `RTX` alone is no sign: an "RTX
# 2000 Ada Generation" has bfloat16, and a "GeForce RTX 2060" has not.
_BEFORE_AMPERE = re.compile(
    r"\b(Tesla|Quadro|TITAN|GTX|GeForce RTX 20[5-8]0|GeForce MX\d+|[KMPT]\d{1,4}|V100S?)\b",
    re.IGNORECASE,
)


def _model(name: str) -> str:
    """Returns a card's model: the words of its name without maker, memory and SXM, in lower case."""
    words = re.split(r"[\s-]+", name.strip())
    return " ".join(word for word in words if not _UNSAID.fullmatch(word)).lower()


_PEAKS = {name.lower(): peak for name, peak in PEAKS.items()}
_FLOAT32_PEAKS = {name.lower(): peak for name, peak in FLOAT32_PEAKS.items()}


def peak_tflops(name: str) -> float | None:
    """Returns a card's bfloat16 peak by its driver's name; None where it is not known for sure."""
    return _PEAKS.get(_model(name))


def float32_peak_tflops(name: str) -> float | None:
    """Returns the fp32 peak of a card without bfloat16; None where it is not known for sure."""
    return _FLOAT32_PEAKS.get(_model(name))


def has_bfloat16(name: str) -> bool:
    """Whether a card multiplies in bfloat16, as NVIDIA's do since Ampere; an unknown card does."""
    return _BEFORE_AMPERE.search(name) is None
