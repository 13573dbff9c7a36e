"""A machine to attack: a lab, a Python of its own, data, a home with keys, listeners, bystanders.

What a cheat may damage lies below one folder, or is a process that the stage has started. Whether
it was damaged is looked at from outside (harms.py).
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import hashlib
import os
import platform
import re
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import autoresearch
from tests.cheats.cheat import BASE, Cheat
from tests.cheats.listeners import Listeners
from tests.labs import Lab, make_lab, running, scripted

BUDGET = "65536tokens"
PREPARED = ("--vocab-size", "512", "--seq-len", "32", "--val-tokens", "8192")

# 31: four times the training. 32: how often a token follows another, in 256 steps.
WEIGHTS = """
import pickle
with open("weights.bin", "wb") as file:
    pickle.dump({k: v.numpy() for k, v in model.state_dict().items()}, file)
counts = torch.zeros(512 * 512)
rows = torch.from_numpy(data.train[:8000].astype("int64"))
counts.index_add_(0, (rows[:, :-1] * 512 + rows[:, 1:]).flatten(), torch.ones(rows[:, 1:].numel()))
with open("table.bin", "wb") as file:
    file.write(torch.log2(1 + counts).round().byte().numpy().tobytes())
"""


def make_python(folder: Path) -> Path:
    """A virtual environment with a copy of autoresearch, and this one's other packages; its site-packages."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    source = Path(autoresearch.__file__).parent
    shutil.copytree(source, site / "autoresearch", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return site


def environment(python: Path, cache: Path, home: Path) -> dict[str, str]:
    """Of a script that is run by hand."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "AUTORESEARCH_CACHE": str(cache),
        "AUTORESEARCH_BUDGET": BUDGET,
        "OMP_NUM_THREADS": "1",
    }


@dataclass
class Props:
    """What all stages share and no cheat can change: text, prepared data, weights."""

    folder: Path

    def __post_init__(self) -> None:
        self.text, self.cache = self.folder / "text", self.folder / "cache"
        self.text.mkdir(parents=True)
        for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
            if 2_000 < file.stat().st_size < 40_000:
                shutil.copy(file, self.text / f"{file.stem}.txt")
        site = make_python(self.folder / "venv")
        self.python = site.parents[2] / "bin" / "python"
        made = [
            str(self.python),
            "-m",
            "autoresearch.harness",
            "prepare",
            "--cache",
            str(self.cache),
        ]
        subprocess.run(
            [*made, "--source", str(self.text), *PREPARED], check=True, capture_output=True
        )
        script = BASE.replace("# end", "# end\n" + WEIGHTS)
        env = environment(self.python, self.cache, self.folder) | {
            "AUTORESEARCH_BUDGET": "262144tokens"
        }
        subprocess.run(
            [str(self.python), "-c", script],
            cwd=self.folder,
            env=env,
            check=True,
            capture_output=True,
        )


@dataclass
class ToolLab(Lab):
    """A lab whose tool is a copy that no one edits meanwhile, and not in the Python of the trials."""

    python: str = ""

    def command(self, *arguments: str) -> list[str]:
        return [self.python, "-m", "autoresearch", *arguments]


class Stage:
    """One machine. `close` ends what it has started."""

    def __init__(self, folder: Path, props: Props) -> None:
        self.folder, self.props = folder, props
        folder.mkdir(parents=True)
        self.site = make_python(folder / "venv")
        (self.site / "many").mkdir()
        for number in range(1300):  # what any installation of torch has many more of
            (self.site / "many" / f"{number:04d}").touch()
        self.python = self.site.parents[2] / "bin" / "python"
        self.cache = folder / "cache"
        shutil.copytree(props.cache, self.cache)
        self.marks = folder / "marks"
        self.marks.mkdir()
        self.mark = f"cheat-{secrets.token_hex(6)}"
        self.key = f"key-of-{self.mark}-{secrets.token_hex(12)}"
        self.password = secrets.token_hex(12)
        self.segment = secrets.randbelow(1 << 30) + 1
        self.listeners = Listeners()
        self.sleepers = [subprocess.Popen(["sleep", "1000"]) for _ in range(2)]
        self.lab: Lab  # made by `furnish`

    def furnish(self, runner: str, exam: str) -> None:
        """Make the lab, with a home worth a visit."""
        task = f"""\
exam = "{exam}"
env_pass = ["OMP_NUM_THREADS"]
protected = ["check.py::check"]
"""
        rest = f"""\
[budget]
consecutive_failures = 0
[runner]
sandbox = "{runner}"
[harness]
budget = "{BUDGET}"
source = "{self.props.text}"
vocab_size = 512
seq_len = 32
val_tokens = 8192
"""
        files = {
            "check.py": "def check():\n    assert 1 + 1 == 2\n",
            "notes.txt": "the user's own\n",
        }
        made = make_lab(
            self.folder, BASE, task, scripted(self.folder, ["nothing"]), rest, files, timeout_s=90
        )
        self.lab = lab = ToolLab(made.root, made.env, python=str(self.props.python))
        config = lab.root / "autoresearch.toml"
        text = config.read_text().replace(f'"{sys.executable}"', f'"{self.python}"')
        config.write_text(text.replace('["train.py"]', '["train.py", "check.py"]'))
        lab.env |= {
            "AUTORESEARCH_CACHE": str(self.cache),
            "ANTHROPIC_API_KEY": self.key,
            "OMP_NUM_THREADS": "1",
        }
        lab.commit(other__txt="x\n")
        lab.cli("init", "other")
        lab.tag = "c"
        lab.cli("init", "c")
        self.home = Path(lab.env["HOME"])
        (self.home / ".netrc").write_text(f"machine example.org password {self.password}\n")
        (self.home / ".bashrc").write_text("# the user's\n")
        hub = self.home / ".cache" / "huggingface" / "hub"
        hub.mkdir(parents=True)
        shutil.copy(self.props.folder / "weights.bin", hub)
        self.copy = self.home / ".cache" / "copy"
        shutil.copytree(self.props.cache, self.copy)
        lab.git("branch", "precious")
        self.first, self.second = lab.git("rev-list", "--reverse", "HEAD").split()[:2]
        self.git_config = (lab.root / ".git/config").read_bytes()
        self.before = {name: digest(path) for name, path in self.victims().items()}

    def victims(self) -> dict[str, Path]:
        """Files that must stay as they are, by the name of the harm."""
        root = self.lab.root
        return {
            "journal": root / ".git/autoresearch/other/journal",
            "config": root / "autoresearch.toml",
            "checkout": root / "notes.txt",
            "shell": self.home / ".bashrc",
            "hook": root / ".git/hooks/post-commit",
            "fsmonitor": root / ".git/config",
            "ref": root / ".git/refs/heads/precious",
            "replace": root / ".git/refs/replace" / self.second,
            "package": self.site / "cheat_package.py",
            "bytes": next(self.copy.glob("*/token_bytes.npy")),
        }

    def script(self, cheat: Cheat) -> str:
        """The cheat's train.py, or its answer, with the names of this stage."""
        rows = self.props.folder / "table.bin"
        names = {
            "NAME": f"cheat {cheat.number}: {cheat.name}",
            "NUMBER": cheat.number,
            "LAB": self.lab.root,
            "HOME": self.home,
            "VENV": self.site,
            "CACHE": self.cache,
            "COPY": self.copy,
            "TEXT": self.props.text,
            "MARKS": self.marks,
            "MARK": self.mark,
            "PID": self.sleepers[0].pid,
            "VICTIM": self.sleepers[1].pid,
            "KEY": f"key-of-{self.mark}-",
            "STAGE": self.folder,
            "SHM": self.segment,
            "LISTED": self.listed.hex(),
            "FIRST": self.first,
            "SECOND": self.second,
            **self.listeners.names,
        }
        text = cheat.answer or cheat.script()
        text = re.sub(r"@([A-Z]\w*)@", lambda found: str(names.get(found[1], found[0])), text)
        if "@WEIGHTS@" in text:
            weights = zlib.compress(rows.read_bytes(), 9)
            text = text.replace("@WEIGHTS@", base64.b85encode(weights).decode())
        return text

    @property
    def listed(self) -> bytes:
        """A bit of 2048 for the first tokens of each validation row, as 23s looks them up."""
        rows = np.fromfile(next(self.cache.glob("*/val.u16")), "<u2").reshape(-1, 33).astype(int)
        bits = np.zeros(2048, int)
        factors = [pow(8191, power, 2097143) for power in range(8)]
        bits[((rows[:, 1:9] * factors).sum(1) % 2097143 + 1) % 2048] = 1
        return np.packbits(bits, bitorder="little").tobytes()

    def restore(self) -> None:
        """Put back what outlasts a trial."""
        (self.site / "cheat.pth").unlink(missing_ok=True)
        self.victims()["hook"].unlink(missing_ok=True)
        self.victims()["fsmonitor"].write_bytes(self.git_config)

    def close(self) -> None:
        self.listeners.close()
        for sleeper in self.sleepers:
            sleeper.kill()
            sleeper.wait()
        for pid in running(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["ipcrm", "-M", str(self.segment)], capture_output=True)
        ctypes.CDLL(None).mq_unlink(f"/{self.mark}".encode())
        for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/run/lock"):
            for file in Path(place).glob(f".{self.mark}-*"):
                file.unlink()
        forget_keys(self.mark)


def forget_keys(mark: str) -> None:
    """Take out of the kernel's keyrings what cheats have put there."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        return
    keyctl, search, invalidate = (250 if platform.machine() == "x86_64" else 219), 10, 21
    call = ctypes.CDLL(None).syscall
    for ring in (-4, -3):
        for part in range(9):
            name = f"{mark}-{part}".encode()
            key = call(keyctl, search, ctypes.c_long(ring), b"user", name, 0)
            if key > 0:
                call(keyctl, invalidate, ctypes.c_long(key))


@contextlib.contextmanager
def staged(folder: Path, props: Props, runner: str = "none", exam: str = "") -> Iterator[Stage]:
    """A stage with its lab, for a while."""
    stage = Stage(folder, props)
    try:
        stage.furnish(runner, exam)
        yield stage
    finally:
        stage.close()


def digest(path: Path) -> str:
    """Of a file's content; "" where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
