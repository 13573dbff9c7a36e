"""The lab that is run under faults, and the picture of all that a run leaves."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autoresearch.ledger import journal
from autoresearch.ledger.state import State
from autoresearch.workspace.git import GitError, git

RUN = ("run", "--allow-unsandboxed")
ONE = (*RUN, "--max", "1")
JOURNAL = ".git/autoresearch/t/journal"
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
# A lab with judges of its own, and a candidate that is too good to be true.
GATES = """\
setup = [["sh", "-c", "echo > built"]]
evaluate = ["sh", "evaluate.sh"]
checks = [["test", "-e", "built"], ["grep", "-q", ".", "value.txt"]]
limits = { size = "<= baseline * 2" }
[keep]
implausible = "hold"
"""
HUGE = """\
description: too good to be true

value.txt
<<<<<<< SEARCH
1.5
=======
0.1
>>>>>>> REPLACE
--- answer ---
"""


def make_lab(folder: Path, gates: bool = False) -> None:
    """A lab whose trial takes no time, with its run's branch checked out; gates: see GATES and HUGE."""
    folder.mkdir(parents=True)
    (folder / "value.txt").write_text("1.5\n")
    (folder / "other.txt").write_text("x\n")
    (folder / "trial.sh").write_text('printf "val_bpb: %s\\n" "$(cat value.txt)"\n')
    (folder / "autoresearch.toml").write_text(CONFIG)
    (folder / "answers.txt").write_text(ANSWERS)
    (folder / ".gitignore").write_text("answers.txt\n")
    if gates:
        (folder / "trial.sh").write_text(
            "grep -q broken value.txt && exit 1\ncp value.txt out.txt\n"
        )
        (folder / "evaluate.sh").write_text('echo "val_bpb: $(cat out.txt)"; echo "size: 3"\n')
        limit, rest = CONFIG.split("[budget]", 1)
        config = limit + GATES + "[budget]" + rest.replace("experiments = 4", "experiments = 5")
        (folder / "autoresearch.toml").write_text(config)
        (folder / "answers.txt").write_text(HUGE + ANSWERS)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "a")
    git(folder, "config", "user.email", "a@b")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "lab")


def picture(lab: Path) -> dict[str, str]:
    """All that a run leaves, as text: what its journal says, refs, checkout, tables, experiments' files.

    Two labs of the same picture go on in the same way: what is left out is when things happened.
    """
    seen = {
        "state": _state(lab),
        "refs": git(lab, "for-each-ref", "--format=%(refname) %(objectname)").decode(),
        "head": (lab / ".git" / "HEAD").read_text(),
        "status": git(lab, "status", "--porcelain", "--ignored").decode(),
        "fsck": _fsck(lab),
    }
    for file in sorted(lab.rglob("*")):
        name = file.relative_to(lab).as_posix()
        if name.startswith(".git/"):
            inside = name.removeprefix(".git/autoresearch/")
            if inside == name or "/experiments/" not in inside:
                if name.endswith(".lock") and "/autoresearch/" not in name:
                    seen[name] = "a lock was left"
                continue
        if file.is_file() and file.name not in ("fault.txt", "incumbent.log"):  # what a fault left
            text = file.read_text()
            if file.name == "record.json":
                text = json.dumps({k: v for k, v in json.loads(text).items() if k != "seconds"})
            seen[name] = text
    return seen


def rows(lab: Path) -> list[tuple[Any, ...]]:
    """The journal's results; JournalError where it can't be read."""
    keys = ("n", "commit", "parent", "status", "value", "description")
    found = journal.read(lab / JOURNAL)
    return [tuple(r[key] for key in keys) for r in found if r["kind"] == "result"]


def cut_off(lab: Path) -> int:
    """How often the candidate under way was tried without an end."""
    count = 0
    for record in journal.read(lab / JOURNAL):
        if record["kind"] in ("result", "failed", "refused"):
            count = 0
        count += record["kind"] == "trial"
    return count


def _state(lab: Path) -> str:
    """What the journal's records come to, times apart."""
    state = asdict(State.of(journal.read(lab / JOURNAL)))
    for key in ("seconds", "last_at", "session", "stop"):
        del state[key]
    known = [
        *state["experiments"],
        *state["trees"].values(),
        *filter(None, [state["incumbent"], state["held"]]),
    ]
    for experiment in known:
        del experiment["seconds"]
    return json.dumps(state)


def _fsck(lab: Path) -> str:
    """What git finds wrong with the repository, refs and worktrees included."""
    try:
        return git(lab, "fsck", "--no-dangling", "--no-progress").decode()
    except GitError as fault:
        return fault.output


def leftovers(lab: Path) -> list[str]:
    """Processes that still work in the lab, or in its private worktree beside it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                os.readlink(folder / "cwd").startswith(str(lab.parent))
                and int(folder.name) != os.getpid()
            ):
                found.append((folder / "cmdline").read_bytes().decode())
    return found
