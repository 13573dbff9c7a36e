"""What the harness asks of a device: to finish its work, its name, its memory and its peak."""

from __future__ import annotations

import platform
import re
import resource
import sys

import torch

# Dense bf16 peaks from the makers' data sheets, TFLOP/s with fp32 accumulation and without sparsity
# (NVIDIA prints most of them for sparse matrices: half of that). By the words of the device's name;
# of those that fit the longest counts. A device that is not here has no MFU rather than a wrong one.
PEAK_TFLOPS = {
    "A10": 125.0,
    "A100": 312.0,
    "RTX A6000": 154.8,
    "RTX 3090": 71.0,
    "L4": 121.0,
    "L40": 181.0,
    "L40S": 362.0,
    "RTX 4090": 165.2,
    "RTX 6000 Ada Generation": 364.2,
    "H100": 989.4,  # SXM, whose name says no more than its memory: "NVIDIA H100 80GB HBM3"
    "H100 PCIe": 756.0,
    "H100 NVL": 835.5,
    "H200": 989.4,
    "H200 NVL": 835.5,
    "GH200": 989.4,
    "B200": 2250.0,
    "RTX 5090": 209.5,
    "Instinct MI300X": 1307.4,
}
# Words that make another chip, or a slice of one, of the name before them.
OTHER_CHIP = re.compile(r"\b(MIG|Laptop|Max-Q|Mobile|Ti|SUPER|D|VF)\b")


def synchronise(device: torch.device) -> None:
    """Wait until everything that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def device_line(device: torch.device) -> str:
    """`NVIDIA H100 80GB HBM3, sm_90`, `AMD Instinct MI300X, gfx942`, `mps, ...`, `cpu, 2 threads`."""
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        if torch.version.hip:
            return f"{found.name}, {found.gcnArchName.split(':')[0]}"
        return f"{found.name}, sm_{found.major}{found.minor}"
    if device.type == "mps":
        return f"mps, macOS {platform.mac_ver()[0]}"
    threads = torch.get_num_threads()
    return f"{device.type}, {threads} {'thread' if threads == 1 else 'threads'}"


def peak_memory_mb(device: torch.device) -> float:
    """Most memory held at once: on CUDA of the device's allocator, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1024**2
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**2


def peak_tflops(name: str) -> float | None:
    """Of a device by the name that its driver gives it; None where it is not known for sure."""
    if OTHER_CHIP.search(name):
        return None
    known = [words for words in PEAK_TFLOPS if re.search(rf"\b{words}\b", name)]
    return PEAK_TFLOPS[max(known, key=len)] if known else None


def mfu_percent(flops_per_second: float, device: torch.device) -> str:
    """Share of the device's peak, in per cent; `n/a` where the peak is not known."""
    peak = peak_tflops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return "n/a" if peak is None else f"{100 * flops_per_second / (peak * 1e12):.2f}"
