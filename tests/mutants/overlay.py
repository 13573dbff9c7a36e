"""A Python of its own that sees a copy of the sources first, also under `-I`."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 300
_LATE = 124  # the exit code of reaper.py where the time was over


@dataclass(frozen=True)
class Mutant:
    """One thing taken out of one file, and the tests of which at least one must then fail.

    old: stands in the file exactly once. tests: as pytest is told them. env: variables for them.
    root: only root could do what it lets through.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    root: bool = False

    def fault(self, root: Path = ROOT) -> str:
        """Why it is no mutant of the sources below root; "" if it is one."""
        source = root / "src" / "autoresearch" / self.file
        if not source.exists():
            return f"{self.name}: there is no {self.file}"
        text = source.read_text()
        count = text.count(self.old)
        if count != 1:
            return f"{self.name}: {self.old!r} stands {count} times in {self.file}"
        try:
            ast.parse(text.replace(self.old, self.new))
        except SyntaxError as error:
            return f"{self.name}: {self.file} with it is no Python ({error})"
        return ""


class Overlay:
    """A folder with a copy of the sources and tests, and an environment that runs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("src", "tests", "benchmarks"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "pyproject.toml", folder)
        shutil.copy(ROOT / "README.md", folder)
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", "--symlinks", folder / "venv"],
            check=True,
        )
        self.python = folder / "venv" / "bin" / "python"
        asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
        said = subprocess.run(
            [self.python, "-c", asked], capture_output=True, text=True, check=True
        )
        site = Path(said.stdout.strip())
        # In the order of their names: the copy comes before an editable install's own path.
        (site / "0-copy.pth").write_text(f"{folder / 'src'}\n")
        packages = sysconfig.get_path("purelib")
        (site / "1-packages.pth").write_text(f"import site; site.addsitedir({packages!r})\n")

    def judge(self, mutant: Mutant) -> tuple[str, str]:
        """killed, survives or skipped; and the test that failed, or what pytest said."""
        if mutant.root and os.geteuid() != 0:
            return "skipped", "needs root"
        file = self.folder / "src" / "autoresearch" / mutant.file
        sound = file.read_text()
        file.write_text(sound.replace(mutant.old, mutant.new))
        try:
            done = self.test(mutant.tests, mutant.env)
        finally:
            file.write_text(sound)
        if done.returncode == _LATE:
            return "killed", "it hangs"  # and CI would say so
        if done.returncode == 1:
            failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - |$)", done.stdout, re.MULTILINE)
            return "killed", failed[1] if failed else done.stdout[-2000:]
        if done.returncode == 0 and not re.search(r"\d passed", done.stdout):
            return "skipped", done.stdout[-300:]
        return "survives", done.stdout[-2000:]

    def test(
        self, tests: tuple[str, ...], env: tuple[tuple[str, str], ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """These tests, of the copy; 1 is a failure, anything else but 0 no result."""
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
        reaper = [sys.executable, "-m", "tests.mutants.reaper", str(_TIMEOUT_S)]
        # What this process was told of its own sources is not for the copy.
        inherited = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [*reaper, "env", "-C", str(self.folder), str(self.python), "-m", "pytest", *options, *tests],
            cwd=ROOT, capture_output=True, text=True, env={**inherited, **dict(env)},
        )  # fmt: skip
