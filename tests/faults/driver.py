"""Runs a lab again and again in forked children, each hit by one fault; see shim.c.

Started by test_faults.py with the library preloaded: python driver.py WORKDIR MODE FIRST STEP. Every
child is a whole `autoresearch run`; the parent has imported all of it once, so that hundreds of runs
take minutes. Prints one JSON line per fault, and one with the count of points.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import shutil
import struct
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

# The clock stands still: commits made again after a fault have the same dates, and so the same names.
time.time = lambda: 1_700_000_000.0

from autoresearch import cli  # noqa: E402
from autoresearch.compose import run as _preload  # noqa: E402, F401
from autoresearch.researchers.scripted import ScriptedResearcher as _preload2  # noqa: E402, F401
from autoresearch.workspace.git import git  # noqa: E402
from tests.faults import FULL, KILL, SIZE  # noqa: E402

ANSWERS = """\
description: better
hypothesis: a smaller number

value.txt
<<<<<<< SEARCH
1.5
=======
1.4
>>>>>>> REPLACE
--- answer ---
description: worse
lesson: smaller is better

value.txt
<<<<<<< SEARCH
1.4
=======
1.6
>>>>>>> REPLACE
--- answer ---
description: nonsense that is refused

other.txt
<<<<<<< SEARCH
x
=======
y
>>>>>>> REPLACE
--- answer ---
description: a crash

value.txt
<<<<<<< SEARCH
1.4
=======
broken
>>>>>>> REPLACE
--- answer ---
description: better still, with a new file

value.txt
<<<<<<< SEARCH
1.4
=======
1.3
>>>>>>> REPLACE

notes/new.txt
<<<<<<< SEARCH
=======
a note
>>>>>>> REPLACE
"""

CONFIG = """\
[task]
command = ["sh", "trial.sh"]
mutable = ["value.txt", "notes/"]
timeout_s = 20
[budget]
experiments = 4
[researcher]
kind = "scripted"
model = "answers.txt"
[runner]
sandbox = "none"
"""


def make_lab(folder: Path) -> None:
    """A lab whose trial takes no time, with its run's branch checked out."""
    folder.mkdir(parents=True)
    (folder / "value.txt").write_text("1.5\n")
    (folder / "other.txt").write_text("x\n")
    (folder / "trial.sh").write_text('printf "val_bpb: %s\\n" "$(cat value.txt)"\n')
    (folder / "autoresearch.toml").write_text(CONFIG)
    (folder / "answers.txt").write_text(ANSWERS)
    (folder / ".gitignore").write_text("answers.txt\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "a")
    git(folder, "config", "user.email", "a@b")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "lab")


class Faults:
    """The state that the preloaded library shares with us."""

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDWR)
        self._map = mmap.mmap(descriptor, SIZE)

    def set(self, armed: int, at: int, mode: int, group: int) -> None:
        self._map[:20] = struct.pack("5i", armed, 0, at, mode, group)

    def group(self, pid: int) -> None:
        self._map[16:20] = struct.pack("i", pid)

    def count(self) -> int:
        return int(struct.unpack("i", self._map[4:8])[0])

    def needs_room(self, call: int) -> bool:
        return bool(self._map[20 + call])

    def disarm(self) -> None:
        self._map[:4] = struct.pack("i", 0)


def run(
    lab: Path, faults: Faults, arguments: list[str], at: int = 0, mode: int = KILL
) -> tuple[int, str]:
    """One command in a child of its own process group; its exit code (negative: signal), its output."""
    output = lab.parent / "output.txt"
    faults.set(0, at, mode, 0)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.chdir(lab)
        sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        sys.argv = ["autoresearch", *arguments]
        faults.group(os.getpid())
        faults._map[:4] = struct.pack("i", 1)
        try:
            cli.main()
        except SystemExit as end:
            sys.stdout.flush()
            os._exit(end.code if isinstance(end.code, int) else 1)
        finally:
            if sys.exc_info()[0] not in (None, SystemExit):
                traceback.print_exc()
            sys.stdout.flush()
            os._exit(99)
    _, status = os.waitpid(pid, 0)
    faults.disarm()
    return os.waitstatus_to_exitcode(status), output.read_text()


def picture(lab: Path) -> dict[str, str]:
    """All that a run leaves, as text: refs, checkout, tables and the experiments' files."""
    seen = {
        "refs": git(lab, "for-each-ref", "--format=%(refname) %(objectname)").decode(),
        "head": (lab / ".git" / "HEAD").read_text(),
        "status": git(lab, "status", "--porcelain", "--ignored").decode(),
        "fsck": git(lab, "fsck", "--no-dangling", "--no-progress").decode(),
    }
    for file in sorted(lab.rglob("*")):
        name = file.relative_to(lab).as_posix()
        if name.startswith(".git/"):
            inside = name.removeprefix(".git/autoresearch/")
            if inside == name or "/experiments/" not in inside:
                if name.endswith(".lock") and "/autoresearch/" not in name:
                    seen[name] = "a lock was left"
                continue
        if file.is_file():
            text = file.read_text()
            if file.name == "record.json":
                text = json.dumps({k: v for k, v in json.loads(text).items() if k != "seconds"})
            seen[name] = text
    return seen


def fresh(pristine: Path, lab: Path) -> None:
    """The lab as it was before the run."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(lab)
    shutil.copytree(pristine, lab, symlinks=True)


def leftovers(lab: Path) -> list[str]:
    """Processes that still work in the lab."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(folder / "cwd").startswith(str(lab)) and int(folder.name) != os.getpid():
                found.append((folder / "cmdline").read_bytes().decode())
    return found


def main() -> None:
    work, mode, first, step = (
        Path(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        int(sys.argv[4]),
    )
    faults = Faults(os.environ["FAULT_STATE"])
    pristine, lab = work / "pristine", work / "lab"
    make_lab(pristine)
    command = ["run"]
    fresh(pristine, lab)
    assert run(lab, faults, ["init", "t"])[0] == 0
    git(lab, "checkout", "-q", "autoresearch/t")
    shutil.rmtree(pristine)
    shutil.copytree(lab, pristine, symlinks=True)
    code, output = run(lab, faults, command)
    assert code == 0, output
    points, expected = range(1, faults.count() + 1), picture(lab)
    if mode == FULL:
        points = [at for at in points if faults.needs_room(at)]
    print(json.dumps({"points": len(points), "rows": expected["results.tsv"]}), flush=True)
    for at in points[first::step]:
        fresh(pristine, lab)
        code, output = run(lab, faults, command, at, mode)
        again, said = run(lab, faults, command)
        got = picture(lab)
        different = {
            k: [expected.get(k), got.get(k)]
            for k in expected.keys() | got.keys()
            if expected.get(k) != got.get(k)
        }
        report = {"at": at, "code": code, "resumed": again, "different": different}
        bad = bool(different) or again != 0
        if mode == FULL and (code not in (0, 1) or "Traceback" in output):
            bad = True
        if bad:
            report["output"], report["said"] = output[-1500:], said[-1500:]
        report["left"] = leftovers(lab)
        report["bad"] = bad or bool(report["left"])
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
