#!/usr/bin/env bash
# What the project wants to know of its GPU paths, measured on one NVIDIA GPU in ten minutes:
#
#   benchmarks/gpu.sh [OUT [OPTION ...]]
#
# OUT: where report.md and the logs go; default: $OUT, else a new folder. OPTIONS: those of
# `python -m benchmarks.gpu`, as --data CACHE for rows that are prepared already. PYTHON: which Python,
# else python3; with what `pip install '.[train]'` installs, a torch for CUDA among it. No network.
set -euo pipefail
out=${1:-${OUT:-}}
[[ -z $out ]] || out=$(realpath -m "$out") # before the folder changes
shift || true
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
export PYTHONPATH="$PWD/src:$PWD${PYTHONPATH:+:$PYTHONPATH}"

fail() {
    echo "gpu.sh: $1" >&2
    exit 1
}
command -v "$python" >/dev/null || fail "no $python; name a Python with PYTHON=..."
command -v nvidia-smi >/dev/null || fail "no nvidia-smi, so no NVIDIA GPU with a driver"
needed="autoresearch.fitting autoresearch.harness.bpb"
[[ " $* " == *" --data "* ]] || needed+=" autoresearch.harness.prepare"
"$python" - $needed <<'PROBE' || fail "nothing was measured"
import importlib
import sys
try:
    import torch
    for name in sys.argv[1:]:
        importlib.import_module(name)
except ImportError as fault:
    sys.exit(f"gpu.sh: {fault}; install what the benchmark needs: pip install '.[train]'")
if not torch.cuda.is_available():
    sys.exit(f"gpu.sh: torch {torch.__version__} finds no GPU that it can use")
PROBE
out=${out:-$(mktemp -d)}
echo "report: $out/report.md"
exec "$python" -m benchmarks.gpu --out "$out" "$@"
