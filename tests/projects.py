"""Small projects in the layouts that `init` knows, for tests: written for them, with real programs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Lab

PREPARE = """\
import os
TIME_BUDGET = 300
CACHE_DIR = os.path.join(os.path.expanduser("~"), ".cache", "autoresearch")
DATA_DIR = os.path.join(CACHE_DIR, "data")
def evaluate(rate):
    with open(os.path.join(DATA_DIR, "val.txt")) as file:
        return float(file.read()) + rate
"""
TRAIN = """\
from prepare import evaluate
RATE = 0.5
print("step 1 | loss: 3.0")
print("---")
print(f"val_bpb:          {evaluate(RATE):.6f}")
print(f"training_seconds: {1.0:.1f}")
print(f"peak_vram_mb:     {2048.0:.1f}")
"""
CHARTER = """\
# The charter
Get the lowest val_bpb. If a run exceeds 10 minutes, kill it and count it as a failure.
"""
REFERENCE = {
    "train.py": TRAIN,
    "prepare.py": PREPARE,
    "program.md": CHARTER,
    "pyproject.toml": '[project]\nname = "lab"\nversion = "0"\n',
    "uv.lock": "version = 1\n",
    ".gitignore": ".venv\n__pycache__/\nresults.tsv\n",
}
RESULTS = (
    "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
    "abcdef1\t0.997900\t44.0\tkeep\tbaseline\n"
    "abcdef2\t0.996000\t44.0\tdiscard\ta wider model\n"
)


def project(folder: Path, files: dict[str, str], inside: str = "") -> Lab:
    """A repository with these files committed, below the folder `inside` of it."""
    folder.mkdir(parents=True, exist_ok=True)
    lab = Lab(folder)
    lab.git("init", "-q")
    for name, text in files.items():
        lab.write(f"{inside}/{name}" if inside else name, text)
    lab.commit("start")
    return Lab(folder / inside)


def reference(folder: Path, home: Path, inside: str = "", **files: str) -> Lab:
    """The layout of karpathy/autoresearch, with its data prepared in the home's cache."""
    data = home / ".cache" / "autoresearch" / "data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "val.txt").write_text("0.25\n")
    return project(folder, REFERENCE | files, inside)


def rust(what: str) -> dict[str, str | None]:
    """What cargo needs where HOME is another: the toolchain itself on PATH, and no link of rustup's.

    Skips the test where there is none, and says what was not tried.
    """
    home = pwd.getpwuid(os.getuid()).pw_dir
    if shutil.which("rustc") is None:
        pytest.skip(f"no rustc on PATH: {what} was not tried")
    asked = subprocess.run(
        ["rustc", "--print", "sysroot"], capture_output=True, text=True,
        env={**os.environ, "HOME": home},
    )  # fmt: skip
    if asked.returncode:
        pytest.skip(f"rustc does not start here: {what} was not tried")
    return {"PATH": f"{asked.stdout.strip()}/bin:{os.environ['PATH']}"}
