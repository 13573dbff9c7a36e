"""What the project wants to know of its GPU paths, measured on one NVIDIA GPU in ten minutes.

    benchmarks/gpu.sh [OUT]                       checks the machine first
    python -m benchmarks.gpu [--small] [--out OUT] [SECTION ...]

Each section is a process of its own with a time box. One that fails is reported with its last error
line, and the next goes on; what a section printed before is kept. `--small` runs all of it at tiny
sizes on the CPU, where it measures nothing of interest and shows that the code works.
"""
