"""The device that a trial trains on: waiting for its work, its name, its memory and its use."""

from __future__ import annotations

import platform
import resource
import sys

import torch

from ..cards import peak_tflops


def synchronise(device: torch.device) -> None:
    """Waits until everything that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def device_line(device: torch.device) -> str:
    """Returns the device in words.

    As in `NVIDIA H100 80GB HBM3, sm_90`, `AMD Instinct MI300X, gfx942`, `mps, ...`, `cpu, 2 threads`.
    """
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
    """Returns the most memory held at once: on CUDA by the device's allocator, else by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1024**2
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**2


def mfu_percent(flops_per_second: float, device: torch.device) -> str:
    """Returns the share of the device's peak in per cent; `n/a` where the peak is not known."""
    peak = peak_tflops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return "n/a" if peak is None else f"{100 * flops_per_second / (peak * 1e12):.2f}"
