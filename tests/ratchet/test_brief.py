"""What a researcher is told of what it can't change."""

from __future__ import annotations

from autoresearch.lab.lab import Lab as Opened
from autoresearch.lab.run import Run
from autoresearch.ratchet.brief import brief_of
from autoresearch.workspace.repository import Repository
from tests.conftest import MakeLab

TOOLS = 'def measure(x: int) -> float:\n    """Say how good x is."""\n    return 1.0\n'


def test_frozen_files_are_named_with_their_interface(make_lab: MakeLab) -> None:
    code = "from autoresearch.harness.clock import Clock\nx = 1\n"
    lab = make_lab({"tools.py": TOOLS, "code.py": code})
    lab.cli("baseline")
    opened = Opened(Repository.discover(lab.root))
    brief = brief_of(Run(opened, "t", opened.config("t")), 1)
    frozen = "\n".join(brief.frozen)
    assert "trial.sh" in brief.frozen
    assert "tools.py\n    def measure(x: int) -> float  # Say how good x is." in frozen
    assert "autoresearch/harness/clock.py\n" in frozen and "    class Clock" in frozen
    assert "harness/loader.py" not in frozen, "the candidate does not import it"
    assert "value.txt" not in brief.frozen and brief.files["value.txt"].startswith(b"100")
    assert brief.charter == "Lower is better.\n"
