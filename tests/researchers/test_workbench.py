"""The workbench of a run: the incumbent laid out, a program run on it, and its edits read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from autoresearch.errors import Interrupted
from autoresearch.lab.lab import Lab as Opened
from autoresearch.lab.run import Run
from autoresearch.ratchet.workbench import LabWorkbench
from autoresearch.records import Edit
from autoresearch.researchers.base import ProgramRun, Workbench
from autoresearch.researchers.command import CommandResearcher
from tests.labs import TRAIN, make_lab
from tests.researchers.test_command import BRIEF

LOWER = TRAIN.replace("LR = 0.5", "LR = 0.3").encode()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run with its baseline, held by this process."""
    lab = make_lab(tmp_path, files={".gitignore": "*.log\n"})
    lab.cli("baseline")
    monkeypatch.chdir(lab.root)
    opened = Opened.here()
    with opened.locked("t"):
        yield Run(opened, "t", opened.config("t"))


def workbench(run: Run, stopping: bool = False) -> LabWorkbench:
    environment = {"PATH": "/usr/bin:/bin", "MINE": "here"}
    return LabWorkbench(run, run.slots[0], environment, lambda: stopping)


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def test_a_program_works_on_the_incumbent_and_its_edits_are_read(run: Run) -> None:
    script = """
cat > "$MINE.log"; echo "$MINE in $(pwd)"; echo more >&2
sed -i 's/LR = 0.5/LR = 0.3/' train.py; echo new > other.py; rm program.md
"""
    ran = workbench(run).run(shell(script), "a prompt, größer\n", 20)
    assert ran.failure is None
    assert ran.output.splitlines() == [f"here in {run.slots[0].worktree.path}", "more"]
    edits = {edit.path: edit for edit in ran.edits}
    assert edits.keys() == {"other.py", "program.md", "train.py"}  # what may not be is the guard's
    assert edits["train.py"] == Edit("train.py", LOWER, "100644")
    assert edits["program.md"].content is None
    assert (run.slots[0].worktree.path / "here.log").read_text() == "a prompt, größer\n"
    again = workbench(run).run(shell("ls *.py *.md; cat train.py"), "", 20)
    assert again == ProgramRun(None, "program.md\ntrain.py\n" + TRAIN, ()), "laid out anew"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "timeout_s", "failure"),
    [
        ("sed -i s/0.5/0.3/ train.py; echo no network; exit 9", 20, "exited with 9"),
        ("sleep 60 & sleep 60", 0.5, "was killed at researcher.timeout_s = 0.5 s"),
    ],
)
def test_a_program_that_fails_has_made_no_edits(
    run: Run, script: str, timeout_s: float, failure: str
) -> None:
    ran = workbench(run).run(shell(script), "", timeout_s)
    assert (ran.failure, ran.edits) == (failure, ())


def test_a_program_ends_with_the_run(run: Run) -> None:
    with pytest.raises(Interrupted):
        workbench(run, stopping=True).run(shell("sleep 60"), "", 60)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("printf", "%s|", "to: {prompt}"), "to: a task\nof two lines|"),
        (("cat", "{prompt_file}"), "a task\nof two lines"),
        (("sh", "-c", 'cat; echo "$1"', "sh", "{prompt_file}"), "program.prompt\n"),
        (("cat",), "a task\nof two lines"),
    ],
)
def test_where_the_prompt_stands(run: Run, words: tuple[str, ...], said: str) -> None:
    ran = workbench(run).run(words, "a task\nof two lines", 20)
    assert ran.failure is None and ran.output.endswith(said)
    if "sh" in words:
        assert "a task" not in ran.output, "it comes once"


def test_a_prompt_that_is_longer_than_an_argument_is_read_from_its_file(run: Run) -> None:
    script = 'file=$(echo "$1" | grep -o "/[^ ]*program.prompt"); wc -c < "$file"'
    ran = workbench(run).run((*shell(script), "sh", "{prompt}"), "ü" * 100_000, 20)
    assert ran.output.strip() == "200000"


def test_what_a_program_leaves_for_itself_is_dropped_aloud(tmp_path: Path) -> None:
    script = """\
sed -i 's/LR = 0.5/LR = 0.3/' train.py; echo x > .aider.chat.history.md
mkdir -p .claude deep/out; echo {} > .claude/settings.local.json; echo x > deep/out/a.trace
git add -A; git commit -qm "with everything"; echo "description: lower"
"""
    command = f"command = {json.dumps(['sh', '-c', script])}\nignore = ['*.trace']"
    task = "protected = []"
    lab = make_lab(tmp_path, task=task, researcher=f'kind = "command"\n{command}')
    lab.cli("run", "--max", "1")
    assert lab.rows()[1][3:] == ["keep", "lower"]
    assert lab.git("diff", "--name-only", "autoresearch/t~", "autoresearch/t") == "train.py\n"
    [answer] = lab.records("answer")
    dropped = ".aider.chat.history.md, .claude/settings.local.json, deep/out/a.trace"
    assert answer["notes"] == [f"dropped, as the program's own: {dropped}"]


class Memory:
    """A workbench without git, files or processes: a program is a word and the answer to it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def run(self, command: Sequence[str], prompt: str, timeout_s: float) -> ProgramRun:
        changed = {path: json.loads(prompt)[path].encode() for path in self.files}
        edits = [Edit(path, data) for path, data in changed.items() if data != self.files[path]]
        return ProgramRun(None, f"description: {command[0]}", tuple(edits))


def test_any_workbench_drives_the_researcher(run: Run) -> None:
    prompt = json.dumps({"train.py": LOWER.decode()})
    program = "import json, sys; open('train.py', 'w').write(json.load(sys.stdin)['train.py'])"
    benches: list[tuple[Workbench, tuple[str, ...]]] = [
        (Memory({"train.py": TRAIN.encode()}), ("lower",)),
        (workbench(run), ("python3", "-c", program + "; print('description: lower')")),
    ]
    for bench, command in benches:
        researcher = CommandResearcher(bench, command, 20)
        proposal = researcher.read(researcher.propose(prompt, BRIEF, ()), BRIEF)
        assert proposal.description == "lower"
        assert [(edit.path, edit.content) for edit in proposal.edits] == [("train.py", LOWER)]
