"""A Python of its own that sees a copy of the sources first, also under `-I`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 300


@dataclass(frozen=True)
class Mutant:
    """One thing taken out of one file, and the tests of which at least one must then fail.

    old: stands in the file exactly once. tests: as pytest is told them.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def fault(self) -> str:
        """Why it is no mutant of the sources as they are; "" if it is one."""
        source = ROOT / "src" / "autoresearch" / self.file
        if not source.exists():
            return f"{self.name}: there is no {self.file}"
        count = source.read_text().count(self.old)
        return (
            "" if count == 1 else f"{self.name}: {self.old!r} stands {count} times in {self.file}"
        )


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

    def survives(self, mutant: Mutant) -> str:
        """What pytest said where no test failed with the mutant in place; "" where one did."""
        file = self.folder / "src" / "autoresearch" / mutant.file
        sound = file.read_text()
        file.write_text(sound.replace(mutant.old, mutant.new))
        try:
            done = self.test(mutant.tests)
        except subprocess.TimeoutExpired:
            return ""  # it hangs, and CI would say so
        finally:
            file.write_text(sound)
        return "" if done.returncode == 1 else f"{mutant.name} survives:\n{done.stdout[-2000:]}"

    def test(self, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """These tests, of the copy; 1 is a failure, anything else but 0 no result."""
        options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
        return subprocess.run(
            [self.python, "-m", "pytest", *options, *tests],
            cwd=self.folder, capture_output=True, text=True, timeout=_TIMEOUT_S,
        )  # fmt: skip
