"""The environment of a trial: an allow-list, so that no key reaches it by being forgotten."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from autoresearch.errors import InfrastructureError
from autoresearch.harness.names import CACHE_VARIABLE, EXAMINER_VARIABLE, SEED, SEED_VARIABLE

_PYTHON = re.compile(r"(.*/)?(python|pypy)[\d.]*")

_SAFE = ("PATH", "LANG", "LANGUAGE", "TZ")
_DEVICES = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
)  # fmt: skip

# Folders of compilers. In the trial's own scratch, each trial would compile everything anew: 77 s
# against 7 s for a GPT of eight blocks on a CPU.
_COMPILERS = {
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "CUDA_CACHE_PATH": "cuda",
    "FLASH_ATTENTION_CUTE_DSL_CACHE_DIR": "flash-attention",
}


def is_python(program: str) -> bool:
    """Returns whether a command's first word is a Python, by its name."""
    return _PYTHON.fullmatch(program) is not None


def python_of(command: Sequence[str], root: Path) -> str | None:
    """Returns the Python that a trial runs with; None where its command is none, or is not on the PATH."""
    return which(command[0], root) if is_python(command[0]) else None


def which(program: str, root: Path, path: str | None = None) -> str | None:
    """Returns where a command's program is, as a trial would find it from the lab's root, or None.

    path: the PATH of the trial, ours where it is None.
    """
    return shutil.which(str(root / program) if "/" in program else program, path=path)


def make_scratch() -> Path:
    """Makes a folder for a trial's temporary files, in the system's own folder for them.

    Raises InfrastructureError where there is no room for it.
    """
    try:
        return Path(tempfile.mkdtemp(prefix="autoresearch-"))
    except FileNotFoundError as fault:  # what tempfile raises where every place is full
        raise InfrastructureError(
            f"{fault.strerror}: make room there, or set TMPDIR, and call autoresearch run again"
        ) from fault


def trial_environment(
    outer: Mapping[str, str],
    number: int,
    scratch: Path,
    cache: Path,
    env_pass: Iterable[str] = (),
    budget: Mapping[str, str] | None = None,
    compiled: Path | None = None,
    repeat: int = 0,
    examiner: int | None = None,
    written: Mapping[str, str] | None = None,
    toolchains: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Returns what a trial sees.

    outer: the supervisor's environment; budget: what [harness] tells the trial's clock, which goes
    before what env_pass lets in; compiled: where compilers keep what they made for the trials
    before; repeat: 0 for an experiment's first trial; examiner: the descriptor on which the trial
    reaches who examines it; written: task.env, where a leading ~ is the user's home; toolchains: what
    those of the user's home are told, which both of the others go before. What XDG_* names lies below
    HOME where they are not set.
    """
    passed = {*_SAFE, *_DEVICES, *env_pass}
    env = {k: v for k, v in outer.items() if k in passed or k.startswith("LC_")}
    return {
        **(_compilers(compiled) if compiled else {}),
        **(toolchains or {}),
        **env,
        **(budget or {}),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        **{name: os.path.expanduser(value) for name, value in (written or {}).items()},
        "AUTORESEARCH_SCRATCH": str(scratch),
        SEED_VARIABLE: str(SEED + repeat),
        "AUTORESEARCH_EXPERIMENT": str(number),
        CACHE_VARIABLE: str(cache),
        **({} if examiner is None else {EXAMINER_VARIABLE: str(examiner)}),
    }


def _compilers(folder: Path) -> dict[str, str]:
    folders = {name: str(folder / part) for name, part in _COMPILERS.items()}
    return {**folders, "FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED": "1"}  # off, unless it is told to
