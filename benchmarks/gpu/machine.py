"""What the figures were measured on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess

import torch

from autoresearch.harness.trial.accelerator import device_line

from .setup import TEMPLATE, Setup, say

NVIDIA_SMI = ["nvidia-smi", "--format=csv,noheader"]
PACKAGES = ("triton", "flash-attn", "flash-attn-3", "flash-attn-4", "numpy")


def machine(setup: Setup) -> None:
    """Card, driver, versions, profile."""
    say(f"- device: {device_line(setup.device)}")
    if setup.cuda:
        found = torch.cuda.get_device_properties(setup.device)
        say(f"- memory {found.total_memory / 2**20:,.0f} MiB, {found.multi_processor_count} SMs")
        say(f"- CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
    versions = [f"torch {torch.__version__}", f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    say(f"- {', '.join(versions)}")
    say(f"- {platform.system()} {platform.release()}, {os.cpu_count()} cores")
    digest = hashlib.sha256(TEMPLATE.read_bytes()).hexdigest()
    knobs = ", ".join(f"{name} {value}" for name, value in setup.knobs.items())
    say(f"- train.py {digest[:12]}, profile {setup.profile.name}: {knobs}")
    say(f"- T {setup.length}, V {setup.vocab_size}")
    if setup.cuda:
        limits = ask("driver_version,power.limit,clocks.max.sm")
        say(f"- driver, power limit, highest clock of the SMs: {limits}")


def ask(query: str) -> str:
    """What nvidia-smi says of the card."""
    command = [*NVIDIA_SMI, f"--query-gpu={query}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.splitlines()[0].strip()
