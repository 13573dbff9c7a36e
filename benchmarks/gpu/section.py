"""One section, in a process of its own: python -m benchmarks.gpu.section NAME WORK LEFT_S PROFILE SIZE"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

# The module of each section; its function has the section's name.
MODULES = {
    "machine": "machine",
    "data": "data",
    "attention": "kernels",
    "train": "trials",
    "compile": "steps",
    "reference": "reference",
    "loss": "kernels",
    "loop": "steps",
    "seeds": "trials",
    "optimiser": "kernels",
    "floor": "floor",
}


def main() -> None:
    name, work, left_s, profile, size = sys.argv[1:]
    from .setup import Setup

    setup = Setup(Path(work), float(left_s), profile, size == "small")
    module = importlib.import_module(f".{MODULES[name]}", __package__)
    getattr(module, name)(setup)


if __name__ == "__main__":
    main()
