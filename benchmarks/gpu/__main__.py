"""Runs the sections in order of importance, and collects what they print in a report."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Name, title and seconds of each section. A section has until the sum of the boxes so far, so that
# what one leaves over is there for those behind it; all together stay under ten minutes.
SECTIONS = (
    ("machine", "Machine", 10),
    ("data", "Data", 60),
    ("attention", "Attention kernels", 45),
    ("train", "A trial", 140),
    ("compile", "Compilation", 95),
    ("reference", "Beside the reference's policy", 45),
    ("loss", "Loss in chunks", 35),
    ("loop", "Loss read one step late, and the host", 30),
    ("seeds", "Seeds", 85),
    ("optimiser", "Optimisers", 20),
    ("floor", "Floor", 10),
)
LEAST_S = 3.0  # a section with less time than this is not begun
ERROR = re.compile(r"^([\w.]*(Error|Exception|Exit|Interrupt|Failed)\b|FAIL)")


def main() -> int:
    names = [name for name, _, _ in SECTIONS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(names)}")
    parser.add_argument("--small", action="store_true", help="tiny sizes, on the CPU")
    parser.add_argument("--out", type=Path, help="a folder for report.md and the logs")
    parser.add_argument("--data", type=Path, help="a prepared cache to use, and not to make one")
    parser.add_argument("--profile", default="", help="of autoresearch; default: the device's")
    parser.add_argument("--limit", type=float, help="seconds for everything")
    options = parser.parse_args()
    if unknown := [name for name in options.sections if name not in names]:
        parser.error(f"no section {unknown[0]!r}; there are {', '.join(names)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so end what was started
    with tempfile.TemporaryDirectory(prefix="gpu-benchmark-") as work:
        return Report(options, Path(work)).make()


class Report:
    """The sections' output one after another, on stdout and in OUT/report.md."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options = options
        self.work = work
        self.text = ""
        self.out: Path | None = options.out
        cache = (options.data or work / "data").resolve()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("AUTORESEARCH_")}
        paths = [str(ROOT / "src"), str(ROOT), self.env.get("PYTHONPATH", "")]
        self.env |= {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "AUTORESEARCH_CACHE": str(cache),
            # Shared by all sections but one, as an installation's trials share theirs.
            "TORCHINDUCTOR_CACHE_DIR": str(work / "compiled"),
            "TRITON_CACHE_DIR": str(work / "compiled" / "triton"),
        }
        if options.small:
            # One thread: the operations are too small to be worth a second.
            self.env |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}

    def make(self) -> int:
        """0 where every section succeeded, else 1."""
        began = time.monotonic()
        asked = set(self.options.sections or [name for name, _, _ in SECTIONS])
        if self.options.data is not None:
            asked.discard("data")
        chosen = [section for section in SECTIONS if section[0] in asked]
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
        self.say(f"# GPU paths, {time.strftime('%Y-%m-%d %H:%M')} UTC{time.strftime('%z')}")
        limit_s = sum(box_s for _, _, box_s in chosen)
        if self.options.limit is not None:
            limit_s = min(limit_s, self.options.limit)
        failed, boxes_s = [], 0
        for name, title, box_s in chosen:
            boxes_s += box_s
            left_s = min(boxes_s, limit_s) - (time.monotonic() - began)
            self.say(f"\n## {title}")
            start = time.monotonic()
            fault = self.section(name, left_s) if left_s >= LEAST_S else "no time is left for it"
            if fault:
                failed.append(name)
                self.say(f"\n**FAILED** `{name}`: {fault}")
            else:
                self.say(f"\n({name}: {time.monotonic() - start:.0f} s)")
        spent_s = time.monotonic() - began
        self.say(f"\n{len(chosen) - len(failed)} of {len(chosen)} sections in {spent_s:.0f} s")
        return 1 if failed else 0

    def say(self, text: str) -> None:
        print(text, flush=True)
        self.text += text + "\n"
        if self.out is not None:
            (self.out / "report.md").write_text(self.text)

    def section(self, name: str, left_s: float) -> str | None:
        """Run one as a process and say what it printed; why it failed, or None."""
        options, printed, errors = self.options, self.work / "printed", self.work / "errors"
        command = [sys.executable, "-m", "benchmarks.gpu.section", name, str(self.work)]
        command += [str(left_s), options.profile, "small" if options.small else "full"]
        with printed.open("w") as out, errors.open("w") as err:
            process = subprocess.Popen(
                command, cwd=ROOT, env=self.env, stdout=out, stderr=err, start_new_session=True
            )
            try:
                code: int | None = process.wait(left_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:  # on Ctrl-C too, and with all that it started itself
                _kill(process)
        if text := printed.read_text(errors="replace").strip():
            self.say("\n" + text)
        self._keep_logs(name, errors)
        if code is None:
            return f"stopped after {left_s:.0f} s, its time"
        return _last_error(errors.read_text(errors="replace"), code) if code else None

    def _keep_logs(self, name: str, errors: Path) -> None:
        if self.out is None:
            return
        for log in self.work.glob("*.log"):
            shutil.copy(log, self.out)
        if text := errors.read_text(errors="replace"):
            with (self.out / "errors.log").open("a") as file:
                file.write(f"--- {name}\n{text}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_error(text: str, code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if ERROR.match(line)] or lines
    return errors[-1][:300] if errors else f"exit code {code}"


if __name__ == "__main__":
    sys.exit(main())
