"""What the command line loads: nothing heavy before a command needs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = [
    "torch",
    "numpy",
    "anthropic",
    "openai",
    "httpx",
    "optuna",
    "matplotlib",
    "pyarrow",
    "pydantic",
    "git",
    "tomlkit",
]


def loaded(code: str) -> set[str]:
    """The heavy modules that code loads in a process of its own."""
    ask = f"import json, sys\n{code}\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_command_line_loads_nothing_heavy() -> None:
    assert loaded("import autoresearch.cli") == set()


@pytest.mark.parametrize(
    "module",
    ["run", "baseline", "try_", "check", "init", "report", "status", "show", "doctor.command"],
)
def test_what_a_command_composes_loads_no_provider(module: str) -> None:
    assert loaded(f"import autoresearch.commands.{module}") <= {"pydantic"}


def test_a_report_of_a_file_loads_no_git(tmp_path: Path) -> None:
    file = tmp_path / "results.tsv"
    file.write_text("commit\tval_bpb\tmemory_gb\tstatus\tdescription\nabcdef0\t1.0\t0.0\tkeep\tx\n")
    code = (
        f"sys.argv = ['autoresearch', 'report', '--file', {str(file)!r}]\n"
        "from autoresearch import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert ended.code == 0\n"
    )
    assert "git" not in loaded(code)


def test_no_command_loads_what_trains() -> None:
    modules = "researchers.make, autoresearch.researchers.scripted, autoresearch.runners.local"
    assert loaded(f"import autoresearch.{modules}") <= {"pydantic"}


def test_the_launcher_of_trials_stands_alone() -> None:
    code = (
        "import autoresearch.runners.launcher as launch, subprocess, sys\n"
        "source = open(launch.__file__).read()\n"
        "assert 'autoresearch' not in source.split('import ', 1)[1].split('def ')[0]\n"
    )
    assert loaded(code) == set()
