"""A lab in a folder of its own, and the real command line run in it as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.ledger import journal
from autoresearch.paths import worktrees_folder
from tests import warm

TRAIN = """\
LR = 0.5
WIDTH = 64
print("---")
print(f"val_bpb: {abs(LR - 0.1) + abs(WIDTH - 128) / 1000 + 1:.6f}")
print("peak_vram_mb: 2048.0")
"""
SUMMARY = 'print("val_bpb: 9.000000", flush=True)\n'


def unwatched(arguments: Iterable[str]) -> list[str]:
    """A command's arguments; `run`, which nobody watches here, says that no sandbox is meant."""
    given = list(arguments)
    return [*given, "--allow-unsandboxed"] if given[:1] == ["run"] else given


@dataclass
class Lab:
    """A lab with a run `t`; its own home and temporary folder lie beside it."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    tag: str = "t"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "autoresearch", *unwatched(arguments)]

    def cli(
        self,
        *arguments: str,
        code: int | None = 0,
        timeout_s: float = 60,
        cold: bool = False,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end; code: the exit code that it must have."""
        done = warm.run(
            unwatched(arguments),
            cwd=self.root,
            env={**self.env, **env},
            timeout_s=timeout_s,
            cold=cold,
        )
        out, err = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        assert code is None or done.returncode == code, out + err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def spawn(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """Start the command; what it prints lies in `self.printed`."""
        with self.printed.open("w") as out:
            return subprocess.Popen(
                self.command(*arguments), cwd=self.root, env={**self.env, **env},
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

    @property
    def printed(self) -> Path:
        return self.root.parent / "printed.txt"

    @property
    def temporary(self) -> Path:
        return self.root.parent / "tmp"

    @property
    def state(self) -> Path:
        return self.root / ".git" / "autoresearch" / self.tag

    @property
    def worktree(self) -> Path:
        """Where the trials of the run's only slot stand."""
        return worktree_of(self.root, self.tag, self.env)

    def git(self, *arguments: str, stdin: str = "") -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.root, env=self.env, input=stdin,
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    def commit(self, **files: str) -> str:
        """Commit files where HEAD stands; `a__py` is a.py."""
        for name, text in files.items():
            (self.root / name.replace("__", ".")).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "by hand")
        return self.git("rev-parse", "HEAD").strip()

    # -- what a run left --------------------------------------------------------------------

    def rows(self) -> list[list[str]]:
        lines = (self.root / "results.tsv").read_text().splitlines()
        return [line.split("\t") for line in lines[1:]]

    def statuses(self) -> list[str]:
        return [row[3] for row in self.rows()]

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        """The journal's records, all or of one kind."""
        everything = journal.read(self.state / "journal")
        return [record for record in everything if kind in ("", record["kind"])]

    def file(self, number: int, name: str) -> str:
        return (self.state / "experiments" / f"{number:04d}" / name).read_text(errors="replace")

    def record(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file(number, "record.json"))
        return found

    def stopped(self) -> str:
        """The reason of the last session's end."""
        reason: str = self.records("stop")[-1]["reason"]
        return reason

    def branch(self) -> list[str]:
        """The subjects on the run's branch, oldest first."""
        ref = f"autoresearch/{self.tag}"
        return self.git("log", "--reverse", "--format=%s", ref).splitlines()


def worktree_of(root: Path, tag: str, environment: Mapping[str, str]) -> Path:
    """The private worktree of a run's slot 0, where runner.worktrees is left empty."""
    state = environment.get("XDG_STATE_HOME") or f"{environment['HOME']}/.local/state"
    return worktrees_folder(f"{state}/autoresearch", root, root / ".git", environment) / tag / "0"


def make_lab(
    folder: Path,
    train: str = TRAIN,
    task: str = "",
    researcher: str = "",
    rest: str = "",
    files: dict[str, str] | None = None,
    timeout_s: float = 20,
) -> Lab:
    """A committed lab with a run made by `init`."""
    root, home, temporary = folder / "lab", folder / "home", folder / "tmp"
    for each in (root, home, temporary):
        each.mkdir(parents=True)
    settings = home / ".gitconfig"
    settings.write_text("[user]\nname = A Person\nemail = person@example.org\n")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": str(settings),
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    lab = Lab(root, env)
    config = f"""\
[task]
command = [{json.dumps(sys.executable)}, "train.py"]
mutable = ["train.py"]
timeout_s = {timeout_s}
{task}
[researcher]
{researcher or 'kind = "knobs"'}
{"" if "[runner]" in rest else "[runner]" + chr(10) + 'sandbox = "none"'}
{rest}
"""
    lab.git("init", "-q", "-b", "main")
    everything = {
        "train.py": train,
        "autoresearch.toml": config,
        "program.md": "The charter: lower is better.\n",
        **(files or {}),
    }
    for name, text in everything.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    lab.git("add", "-A")
    lab.git("commit", "-q", "-m", "the start")
    lab.cli("init", lab.tag)
    return lab


def scripted(folder: Path, answers: Iterable[str]) -> str:
    """The [researcher] lines for these answers, in order."""
    file = folder / "answers.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"--- answer ---\n{answer.rstrip()}\n" for answer in answers))
    return f'kind = "scripted"\nmodel = {json.dumps(str(file))}'


def whole(description: str, content: str, path: str = "train.py", old: str | None = None) -> str:
    """An answer that replaces a file whole; old is what it holds, by default TRAIN in train.py.

    A file without an old text is a new one, or one that can't be changed.
    """
    if old is None and path == "train.py":
        old = TRAIN
    if old is None:
        return f"description: {description}\n\n{path}\n```\n{content}```\n"
    body = f"<<<<<<< SEARCH\n{old}=======\n{content}>>>>>>> REPLACE\n"
    return f"description: {description}\n\n{path}\n{body}"


def swap(description: str, old: str, new: str, path: str = "train.py") -> str:
    """An answer with one search/replace block."""
    return (
        f"description: {description}\nhypothesis: because\n\n"
        f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"
    )


def eventually(what: Callable[[], Any], within_s: float = 60) -> Any:
    """What a condition gives once it holds."""
    end = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


def running(mark: str) -> list[int]:
    """The living processes with a text in their command line or their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            shown = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in shown and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL, and wait."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
