"""What tests share: a home of their own, the real command line, and tiny labs whose trials take no time."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import warm
from tests.labs import unwatched, worktree_of
from tests.speeds import Speeds

# Lowers the first line of value.txt by one: every proposal is a keep.
PROPOSE = """\
cat > /dev/null
{ read -r first; rest=$(cat); } < value.txt
printf '%s\\n%s\\n' $((first - 1)) "$rest" > value.txt
echo "description: lower to $((first - 1))"
"""
# The metric is the sum of the first two lines.
TRIAL = """\
{ read -r first; read -r second; } < value.txt
echo "val_bpb: $((first + second))"
echo "peak_vram_mb: 2048"
"""
CONFIG = """\
[task]
command = ["sh", "trial.sh"]
mutable = ["value.txt", "code.py", "new/**"]
timeout_s = 20
[researcher]
kind = "command"
command = ["sh", "propose.sh"]
[runner]
sandbox = "none"
"""
FILES = {
    "autoresearch.toml": CONFIG,
    "program.md": "Lower is better.\n",
    "trial.sh": TRIAL,
    "propose.sh": PROPOSE,
    "value.txt": "100\n50\nspare\n",
    "code.py": "x = 1\n",
    "other.txt": "other\n",
}
BASELINE = 150  # what the files above measure


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Speeds())


@pytest.fixture(autouse=True)
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the real home, the real git configuration or a key; the home it sees instead."""
    home = tmp_path.parent / f"{tmp_path.name}-home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("GIT_", "AUTORESEARCH_", "ANTHROPIC_", "OPENAI_", "XDG_")):
            monkeypatch.delenv(name)
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    for name in ("CONFIG", "CACHE", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    settings = home / "gitconfig"
    settings.write_text(
        "[user]\nname = A Person\nemail = person@example.org\n[init]\ndefaultBranch = main\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return home


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def run_cli(
    *arguments: str,
    cwd: Path,
    env: dict[str, str | None] | None = None,
    stdin: str = "",
    code: int | None = 0,
    timeout_s: float = 60,
) -> Ran:
    """The real command as a process. env: variables more, None takes one away; code: its exit."""
    variables = dict(os.environ)
    for name, value in (env or {}).items():
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    done = warm.run(
        unwatched(arguments), cwd=cwd, env=variables, stdin=stdin.encode(), timeout_s=timeout_s
    )
    ran = Ran(done.returncode, *(os.fsdecode(text) for text in (done.stdout, done.stderr)))
    assert code is None or ran.code == code, ran
    if code == 1:
        assert "Traceback" not in ran.stderr
    return ran


@pytest.fixture(scope="session")
def cli() -> Callable[..., Ran]:
    """`run_cli`, by name."""
    return run_cli


@dataclass(frozen=True)
class Lab:
    """A lab, and the commands that a person types in it."""

    root: Path

    def cli(self, *arguments: str, **options: object) -> Ran:
        return run_cli(*arguments, **{"cwd": self.root, **options})  # type: ignore[arg-type]

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=cwd or self.root, check=True, capture_output=True,
            encoding="utf-8", errors="surrogateescape",
        ).stdout.rstrip("\n")  # fmt: skip

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def read(self, name: str) -> str:
        return (self.root / name).read_bytes().decode()

    def commit(self, message: str = "by hand", **files: str) -> str:
        """Commit all there is and files (a__b is a.b); the commit."""
        for name, content in files.items():
            self.write(name.replace("__", "."), content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.head()

    def head(self, rev: str = "HEAD") -> str:
        return self.git("rev-parse", "--verify", rev)

    def first_line(self, rev: str) -> str:
        """The number that the default researcher lowers, at a revision."""
        return self.git("show", f"{rev}:value.txt").splitlines()[0]

    def rows(self, name: str = "results.tsv") -> list[list[str]]:
        return [line.split("\t") for line in self.read(name).splitlines()[1:]]

    def statuses(self) -> list[str]:
        return [row[3] for row in self.rows()]

    def state(self, tag: str = "t") -> Path:
        return self.root / ".git" / "autoresearch" / tag

    def worktree(self, tag: str = "t") -> Path:
        return worktree_of(self.root, tag, os.environ)

    def picture(self) -> dict[str, bytes]:
        """The checkout byte for byte: every file but the run's own two, and HEAD and index."""
        own = ("results.tsv", "musings.md")
        files = [p for p in self.root.rglob("*") if p.is_file() and ".git" not in p.parts]
        seen = {str(p): p.read_bytes() for p in files if p.name not in own}
        for name in ("HEAD", "index"):
            seen[name] = (self.root / ".git" / name).read_bytes()
        return seen


MakeLab = Callable[..., Lab]


@pytest.fixture(scope="session")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the usual labs lie that were made already, to be copied: tag -> folder."""
    return {"": tmp_path_factory.mktemp("labs")}


@pytest.fixture
def make_lab(tmp_path: Path, usual: dict[str, Path]) -> MakeLab:
    """Makes labs: files over the usual ones, the run `tag` where it is not None."""

    def make(
        files: dict[str, str] | None = None,
        tag: str | None = "t",
        name: str = "lab",
        init: tuple[str, ...] = (),
    ) -> Lab:
        lab = Lab(tmp_path / name)
        plain = not files and not init and tag == "t"
        if plain and tag in usual:
            shutil.copytree(usual[tag], lab.root)
            return lab
        lab.root.mkdir()
        lab.git("init", "-q", *init)
        for path, content in {**FILES, **(files or {})}.items():
            lab.write(path, content)
        lab.commit("the start")
        if tag is not None:
            lab.cli("init", tag)
        if plain and tag:
            usual[tag] = usual[""] / tag
            shutil.copytree(lab.root, usual[tag])
        return lab

    return make


@pytest.fixture
def lab(make_lab: MakeLab) -> Iterator[Lab]:
    """A lab on main with the run `t`; what git thinks of it is asked at the end."""
    made = make_lab()
    yield made
    if (made.root / ".git").is_dir():
        made.git("fsck", "--no-dangling", "--no-progress", "--strict")


def on_branch(lab: Lab, tag: str = "t") -> Lab:
    """The same lab with the run's branch checked out."""
    lab.git("checkout", "-q", f"autoresearch/{tag}")
    return lab


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on shared cores cost small models ten times as much."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the budget of the trial; at first 1000 steps."""

    def set_limits(budget: str = "") -> None:
        monkeypatch.setenv("AUTORESEARCH_BUDGET", budget)

    set_limits("1000steps")
    return set_limits
