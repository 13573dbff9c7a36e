"""What the Python of a trial can do, as JSON. `doctor` runs it with that Python; nothing imports it.

A package that is missing is null in it. One that breaks in another way ends the process with a
traceback, of which `doctor` shows the last line.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

PACKAGES = ("torch", "numpy", "tiktoken", "rustbpe", "autoresearch")


def attention() -> list[str]:
    """Returns the kernels of scaled_dot_product_attention that run here; each is launched once."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    cuda = torch.cuda.is_available()
    kind = torch.bfloat16 if cuda else torch.float32
    x = torch.zeros(1, 1, 16, 64, device="cuda" if cuda else "cpu", dtype=kind)
    scaled_dot_product_attention(x, x, x, is_causal=True)
    if not cuda:
        return ["SDPA"]
    found = []
    for name in ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION", "MATH"):
        backend = getattr(SDPBackend, name, None)
        if backend is None:
            continue
        try:
            with sdpa_kernel(backend):
                scaled_dot_product_attention(x, x, x, is_causal=True)
                torch.cuda.synchronize()
        except RuntimeError:
            continue
        found.append(f"SDPA {name.removesuffix('_ATTENTION').lower()}")
    return found


def main() -> None:
    """Prints one line of JSON."""
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = str(getattr(importlib.import_module(name), "__version__", ""))
        except ImportError:
            versions[name] = None
    found: dict[str, Any] = {
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "packages": versions,
    }
    if versions["torch"] is not None:
        import torch

        found["attention"] = attention()
        found["gpus"] = []
        for index in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(index)
            found["gpus"].append({"name": card.name, "memory_gb": card.total_memory / 2**30})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
