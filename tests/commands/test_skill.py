"""`skill`: where it is written, and an agent that knows nothing but what it says."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Lab, MakeLab

TEXT = (resources.files("autoresearch") / "skill" / "SKILL.md").read_text()


def written(folder: Path) -> set[str]:
    files = [path for path in folder.rglob("SKILL.md") if path.is_file()]
    assert all(path.read_text() == TEXT for path in files)
    return {str(path.parent.relative_to(folder)) for path in files}


def test_where_it_is_written(lab: Lab, tmp_path: Path) -> None:
    agents = {f"{each}/skills/autoresearch" for each in (".claude", ".agents", ".qwen")}
    ran = lab.cli("skill", cwd=lab.root)
    assert written(lab.root) == agents
    assert len(re.findall(r"(?m)^wrote ", ran.stdout)) == 3
    lab.cli("skill", cwd=lab.root), "again is no error"
    for name, expected in (
        ("plain", {"."}),
        ("skills", {"autoresearch"}),
        ("deep/er", {"."}),
    ):
        lab.cli("skill", str(tmp_path / name))
        assert written(tmp_path / name) == expected
    other = tmp_path / "other"
    (other / ".git").mkdir(parents=True)
    lab.cli("skill", str(other))
    assert written(other) == agents
    (tmp_path / "file").write_text("")
    assert "can't be written" in lab.cli("skill", str(tmp_path / "file" / "x"), code=1).stderr


def test_it_stands_in_the_way_of_no_try(lab: Lab) -> None:
    lab.cli("skill")
    lab.write("value.txt", "90\n50\n")
    assert "mutable; ignored, of an agent's own: .agents/" in lab.cli("check").stdout
    lab.cli("try", "-m", "better")
    assert lab.git("diff", "--name-only", "HEAD", "autoresearch/t") == "value.txt"


def test_it_is_a_skill_and_it_is_short() -> None:
    front = re.match(r"---\nname: autoresearch\ndescription: (.+)\n---\n", TEXT)
    assert front and len(front[1]) < 1024
    assert len(TEXT.split()) < 900
    assert "no_such" not in TEXT and TEXT.isascii()


@dataclass
class Reader:
    """An agent that has read the skill and nothing else: its one command, and what each outcome means."""

    lab: Lab
    text: str
    outcomes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        """The words of the one command that tries an experiment, without its message."""
        blocks = re.findall(r"(?ms)^```\n(.*?)^```$", self.text)
        [line] = [line for block in blocks for line in block.splitlines()]
        return shlex.split(line)

    @property
    def table(self) -> dict[str, list[tuple[set[int], str]]]:
        """Status -> exit codes that it comes with, and what the table says of it."""
        found: dict[str, list[tuple[set[int], str]]] = {}
        for status, exits, what in re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \| (.*)$", self.text):
            found.setdefault(status, []).append(({int(n) for n in re.findall(r"\d+", exits)}, what))
        return found

    def experiment(self, files: dict[str, str], what: str) -> dict[str, Any]:
        """Edits, calls the command, and reads the outcome as the skill says."""
        for name, content in files.items():
            self.lab.write(name, content)
        program, *words = [what if word.startswith("what ") else word for word in self.command]
        assert program == "autoresearch"
        ran = self.lab.cli(*words, code=None)
        outcome: dict[str, Any] = json.loads(ran.stdout)
        meant = [said for exits, said in self.table[outcome["status"]] if ran.code in exits]
        assert len(meant) == 1, (outcome, ran.code)
        if "the incumbent's again" in meant[0]:
            assert self.lab.cli("check").stdout.startswith("ok")
        self.outcomes.append(outcome)
        return outcome


@pytest.mark.slow
def test_an_agent_that_knows_nothing_else(make_lab: MakeLab) -> None:
    lab = make_lab()
    lab.cli("skill")
    agent = Reader(lab, (lab.root / ".claude/skills/autoresearch/SKILL.md").read_text())
    first = agent.experiment({"value.txt": "90\n50\n"}, "lower")
    assert first["status"] == "keep" and first["incumbent"]["value"] == 140
    worse = agent.experiment({"value.txt": "95\n50\n"}, "higher")
    assert worse["status"] == "discard" and worse["best"] == first["best"]
    broken = agent.experiment({"value.txt": "broken\n"}, "broken")
    assert broken["status"] == "crash" and broken["value"] is None and broken["log_tail"]
    refused = agent.experiment({"value.txt": "80\n50\n", "trial.sh": "echo val_bpb: 1"}, "cheat")
    assert refused["status"] == "refused" and refused["paths"] == ["trial.sh"]
    again = agent.experiment({}, "nothing")
    assert again["status"] == "error" and "nothing to try" in again["reason"]
    last = agent.experiment({"value.txt": "80\n50\n"}, "lower still")
    assert last["status"] == "keep" and last["value"] == 130
    assert lab.statuses() == ["keep", "keep", "discard", "crash", "keep"]
    assert lab.git("status", "--porcelain", "--", "trial.sh") == ""
    for key in ("status", "reason", "number", "value", "incumbent", "best", "log_tail", "flags"):
        assert key in last and (key in agent.text or key == "number")
