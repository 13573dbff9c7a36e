"""Toolchains of the user's home in the jail: the real ones, and what is opened of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import venv
from pathlib import Path

import pytest

from autoresearch.sandbox.toolchains import Toolchains, find_toolchains
from tests.conftest import Lab, MakeLab

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap (bwrap)")


def program(path: Path, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def found(
    home: Path, *commands: list[str], laid_out: tuple[str, ...] = (), **env: str
) -> Toolchains:
    """What is found in a home whose bin folders are on PATH, from a lab beside it."""
    bins = sorted({str(path.parent) for path in home.rglob("*bin/*")})
    bins += sorted({str(path.parent) for path in home.rglob("shims/*")})
    root = home.parent / "lab"
    root.mkdir(exist_ok=True)
    environment = {"PATH": os.pathsep.join([*bins, "/usr/bin", "/bin"]), **env}
    return find_toolchains(commands, environment, root, [home], laid_out)


def test_rustup_is_opened_without_the_keys_of_its_registry(home: Path) -> None:
    program(home / ".cargo/bin/cargo")
    (home / ".rustup").mkdir()
    (home / ".cargo/credentials.toml").write_text("[registry]\ntoken = 'secret'\n")
    seen = found(home, ["cargo", "run"])
    assert {home / ".rustup", home / ".cargo"} <= set(seen.readable)
    assert home / ".cargo/credentials.toml" in seen.hidden
    told = seen.environment(home, jailed=True)
    assert told["RUSTUP_HOME"] == str(home / ".rustup") and told["CARGO_NET_OFFLINE"] == "true"
    assert "CARGO_NET_OFFLINE" not in seen.environment(home, jailed=False)


def test_a_compiler_that_is_called_by_its_path_is_known(home: Path) -> None:
    cargo = program(home / ".cargo/bin/cargo")
    (home / ".rustup").mkdir()
    assert "RUSTUP_HOME" in dict(found(home, [str(cargo), "run"]).variables)


def test_what_no_command_uses_is_not_opened(home: Path) -> None:
    program(home / ".cargo/bin/cargo")
    (home / ".rustup").mkdir()
    assert found(home, ["sh", "trial.sh"]) == Toolchains()


@pytest.mark.parametrize(
    ("command", "name", "text"),
    [
        (["sh", "trial.sh"], "trial.sh", "set -e\ncargo build --release\n"),
        (["make", "bench"], "Makefile", "bench:\n\tcargo run\n"),
        (["npm", "test"], "package.json", '{"scripts": {"test": "cargo run"}}'),
        (["python", "judge.py"], "judge.py", 'subprocess.run(["cargo", "run"])\n'),
        (["sh", "-c", "cd sub && cargo run"], "other", ""),
        (["env", "X=1", "cargo", "run"], "other", ""),
        (["./trial"], "trial", "#!/bin/sh\nexec cargo run\n"),
    ],
)
def test_its_use_shows_in_scripts_too(home: Path, command: list[str], name: str, text: str) -> None:
    program(home / ".cargo/bin/cargo")
    (home / ".rustup").mkdir()
    (home.parent / "lab").mkdir()
    (home.parent / "lab" / name).write_text(text)
    assert home / ".rustup" in found(home, command).readable


def test_a_word_of_a_program_is_no_use(home: Path) -> None:
    program(home / "sdk/go1.22/bin/go")
    (home.parent / "lab").mkdir(parents=True)
    (home.parent / "lab" / "train.py").write_text("# here we go\nprint('let us go')\n")
    assert "go" not in found(home, ["python", "train.py"]).names


def test_a_python_of_a_virtual_environment_needs_no_pyenv(home: Path) -> None:
    """Its own program and library are enough; all of pyenv's versions are not opened for it."""
    base = program(home / ".pyenv/versions/3.12.1/bin/python3")
    (home.parent / "venv/bin").mkdir(parents=True)
    (home.parent / "venv/bin/python").symlink_to(base)
    program(home / ".pyenv/shims/python")
    seen = found(home, [str(home.parent / "venv/bin/python"), "train.py"])
    assert "pyenv" not in seen.names and home / ".pyenv" not in seen.readable
    assert base in seen.readable


def test_variables_of_the_users_say_where_they_are(home: Path, tmp_path: Path) -> None:
    """As in the images of rust's: nothing is in the home, and both variables are set."""
    for name in ("rustup", "cargo"):
        (tmp_path / name).mkdir()
    seen = found(
        home, ["cargo", "run"], RUSTUP_HOME=str(tmp_path / "rustup"),
        CARGO_HOME=str(tmp_path / "cargo"), RUSTUP_TOOLCHAIN="nightly",
    )  # fmt: skip
    told = dict(seen.variables)
    assert told["RUSTUP_HOME"] == str(tmp_path / "rustup") and told["RUSTUP_TOOLCHAIN"] == "nightly"


@pytest.mark.parametrize(
    ("where", "command", "opened"),
    [
        (".nvm/versions/node/v22.1.0/bin/node", ["node", "a.js"], ".nvm/versions/node/v22.1.0"),
        ("miniconda3/envs/x/bin/R", ["R", "-f", "a.R"], "miniconda3/envs/x"),
        ("miniforge3/condabin/conda", ["conda", "run", "-n", "x", "R"], "miniforge3"),
        ("sdk/go1.22/bin/go", ["go", "run", "."], "sdk/go1.22"),
        ("julia-1.11/bin/julia", ["julia", "a.jl"], "julia-1.11"),
        (".local/share/mise/shims/node", ["node", "a.js"], ".local/share/mise"),
        (".pyenv/shims/ruff", ["ruff", "check"], ".pyenv"),
        (".volta/bin/node", ["node", "a.js"], ".volta"),
    ],
)
def test_an_installation_is_opened_as_a_whole(
    home: Path, where: str, command: list[str], opened: str
) -> None:
    program(home / where)
    (home / opened / "lib").mkdir()
    assert home / opened in found(home, command).readable


def test_an_active_environment_of_condas_is_told(home: Path) -> None:
    place = home / "miniforge3/envs/x"
    program(place / "bin/R")
    told = dict(found(home, ["R", "-f", "a.R"], CONDA_PREFIX=str(place)).variables)
    assert told["CONDA_PREFIX"] == str(place)
    assert "CONDA_PREFIX" not in dict(found(home, ["sh"], CONDA_PREFIX=str(place)).variables)


def test_a_shared_folder_is_not(home: Path) -> None:
    """~/.local has a bin and a lib, and what other programs keep."""
    tool = program(home / ".local/bin/tool")
    (home / ".local/lib").mkdir()
    (home / "bin").mkdir()
    (home / "lib").mkdir()
    own = program(home / "bin/own")
    assert set(found(home, ["tool"]).readable) == {tool}
    assert set(found(home, ["own"]).readable) == {own}


def test_go_and_julia_keep_what_they_compile_where_compilers_may(
    home: Path, tmp_path: Path
) -> None:
    program(home / "go-sdk/bin/go")
    (home / "go/pkg/mod").mkdir(parents=True)
    program(home / ".juliaup/bin/julia")
    (home / ".julia").mkdir()
    told = found(home, ["go", "run", "."], ["julia", "a.jl"]).environment(tmp_path / "c", True)
    assert told["GOMODCACHE"] == str(home / "go/pkg/mod") and told["GOPROXY"] == "off"
    assert told["GOCACHE"] == str(tmp_path / "c/go")
    assert told["JULIA_DEPOT_PATH"] == f"{tmp_path}/c/julia:{home}/.julia:"


def test_a_project_of_uv_has_its_environment_from_the_checkout(home: Path) -> None:
    program(home / ".local/bin/uv")
    lab = home.parent / "lab"
    (lab / ".venv").mkdir(parents=True)
    (lab / ".venv/pyvenv.cfg").write_text("")
    seen = found(home, ["uv", "run", "train.py"])
    told = seen.environment(home, jailed=False)
    assert told["UV_PROJECT_ENVIRONMENT"] == str(lab / ".venv") and told["UV_NO_SYNC"] == "1"
    assert lab / ".venv" in seen.readable
    seen = found(home, ["uv", "run", "train.py"], laid_out=(".venv",))
    assert "UV_PROJECT_ENVIRONMENT" not in dict(seen.variables), "the worktree has its own"


# -- the real ones, in the jail -----------------------------------------------------------------

JAILED = """\
[task]
command = {command}
{task}
mutable = {mutable}
timeout_s = 120
[researcher]
kind = "command"
command = ["sh", "propose.sh"]
[runner]
sandbox = "bwrap"
"""
MAIN = """\
const LR: f64 = 100.0;
fn main() {
    println!("val_bpb: {}", LR + 50.0);
}
"""


def jailed(
    make_lab: MakeLab, command: list[str], mutable: str, files: dict[str, str], task: str = ""
) -> Lab:
    config = JAILED.format(command=json.dumps(command), mutable=json.dumps([mutable]), task=task)
    return make_lab({"autoresearch.toml": config, **files})


def real(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name} on PATH")


@needs_bwrap
@real("cargo")
@pytest.mark.parametrize("how", ["command", "setup", "script"])
def test_cargo_builds_in_the_jail(make_lab: MakeLab, how: str) -> None:
    files = {
        "Cargo.toml": '[package]\nname = "m"\nversion = "0.1.0"\nedition = "2021"\n',
        "src/main.rs": MAIN, ".gitignore": "target/\n",
        "trial.sh": "cargo run --quiet --release\n",
        "propose.sh": "cat > /dev/null; sed -i 's/LR: f64 = 100/LR: f64 = 90/' src/main.rs; echo lower\n",
    }  # fmt: skip
    command, task = ["cargo", "run", "--quiet", "--release"], 'caches = ["target"]'
    if how == "setup":
        command, task = ["target/debug/m"], f'{task}\nsetup = ["cargo", "build"]'
    if how == "script":
        command = ["sh", "trial.sh"]
    lab = jailed(make_lab, command, "src/main.rs", files, task)
    lab.cli("run", "--max", "1", timeout_s=300)
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.slow
@needs_bwrap
@real("node")
@real("npm")
@pytest.mark.parametrize("command", [["node", "main.js"], ["npm", "run", "--silent", "bench"]])
def test_node_and_npm_run_in_the_jail(make_lab: MakeLab, command: list[str]) -> None:
    files = {
        "package.json": '{"name": "m", "version": "1.0.0", "scripts": {"bench": "node main.js"}}',
        "main.js": "const LR = 100;\nconsole.log(`val_bpb: ${LR + 50}`);\n",
        "propose.sh": "cat > /dev/null; sed -i 's/LR = 100/LR = 90/' main.js; echo lower\n",
    }
    lab = jailed(make_lab, command, "main.js", files)
    lab.cli("run", "--max", "1", timeout_s=120)
    assert lab.statuses() == ["keep", "keep"]


@needs_bwrap
@real("uv")
def test_uv_run_takes_the_projects_environment_without_a_network(make_lab: MakeLab) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "m"\nversion = "0.1.0"\nrequires-python = ">=3.9"\n',
        "train.py": "LR = 100\nimport sys\nprint(sys.prefix)\nprint('val_bpb:', LR + 50)\n",
        ".gitignore": ".venv/\n",
        "propose.sh": "cat > /dev/null; sed -i 's/LR = 100/LR = 90/' train.py; echo lower\n",
    }
    lab = jailed(make_lab, ["uv", "run", "train.py"], "train.py", files)
    made = subprocess.run(["uv", "sync", "--offline"], cwd=lab.root, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    lab.git("add", "uv.lock")
    lab.git("commit", "-qm", "lock")
    lab.cli("run", "--max", "1", timeout_s=120)
    assert lab.statuses() == ["keep", "keep"]
    log = (lab.state() / "experiments/0001/trial.log").read_text()
    assert str(lab.root / ".venv") in log


# -- an editable install of the checkout -----------------------------------------------------------


FINDER = """
from importlib.machinery import PathFinder
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return PathFinder.find_spec(name, [MAPPING[name].rpartition("/")[0]]) if name in MAPPING else None
sys.meta_path.append(Finder)
"""


@pytest.mark.parametrize("how", ["pth", "finder"])
@pytest.mark.parametrize("sandbox", ["none", pytest.param("bwrap", marks=needs_bwrap)])
def test_a_candidate_is_run_and_not_the_checkout_that_is_installed(
    make_lab: MakeLab, how: str, sandbox: str
) -> None:
    """As `pip install -e .` and `uv sync` install a project: its sources by their path in the checkout."""
    lab = make_lab(tag=None, files={".gitignore": ".venv/\n"})
    venv.create(lab.root / ".venv", symlinks=True)
    (site,) = (lab.root / ".venv").glob("lib/python3*/site-packages")
    if how == "pth":
        (site / "m.pth").write_text(f"{lab.root}/src\n")
    else:
        mapping = f"MAPPING = {{'m': '{lab.root}/src/m'}}\n"
        (site / "__editable___m_finder.py").write_text(f"import sys\n{mapping}{FINDER}")
        (site / "m.pth").write_text("import __editable___m_finder\n")
    python = str(lab.root / ".venv/bin/python")
    config = JAILED.format(
        command=json.dumps([python, "train.py"]), mutable='["src/**"]', task=""
    ).replace('"bwrap"', f'"{sandbox}"')
    lab.write("autoresearch.toml", config)
    lab.write("src/m/__init__.py", "LR = 100\n")
    lab.write("train.py", "import m\nprint('val_bpb:', m.LR + 50)\n")
    lab.write("propose.sh", "cat > /dev/null; echo LR = 90 > src/m/__init__.py; echo lower\n")
    lab.commit()
    lab.cli("init", "t")
    lab.cli("run", "--max", "1", timeout_s=120)
    assert [row[1] for row in lab.rows()] == ["150.000000", "140.000000"]


# -- [task] env ---------------------------------------------------------------------------------


def test_variables_that_are_written_reach_a_trial_and_are_fixed_by_the_baseline(
    make_lab: MakeLab, guard: Path
) -> None:
    config = """\
[task]
command = ["sh", "trial.sh"]
mutable = ["value.txt"]
env = { MINE = "as written $HOME", PLACE = "~/models", HOME = "~" }
[runner]
sandbox = "none"
"""
    trial = 'echo "$MINE|$PLACE|$HOME|$TMPDIR"\necho val_bpb: 1\n'
    lab = make_lab({"autoresearch.toml": config, "trial.sh": trial})
    lab.cli("baseline")
    log = (lab.state() / "experiments/0000/trial.log").read_text().splitlines()[0].split("|")
    assert log[:3] == ["as written $HOME", f"{guard}/models", str(guard)] and log[3] != str(guard)
    lab.write("autoresearch.toml", config.replace("as written", "otherwise"))
    said = lab.cli("run", "--max", "1", "--researcher", "knobs", code=1).stderr
    assert "task.env changed since the baseline" in said


# -- what can have no effect ----------------------------------------------------------------------


@needs_bwrap
@pytest.mark.parametrize("name", ["~", ".", ".git", "~/nowhere", "{tmp}"])
def test_a_readable_without_effect_is_refused(make_lab: MakeLab, name: str) -> None:
    name = name.format(tmp=tempfile.gettempdir())
    config = JAILED.format(command='["sh", "trial.sh"]', mutable='["value.txt"]', task="")
    lab = make_lab({"autoresearch.toml": f"{config}readable = [{json.dumps(name)}]\n"})
    said = lab.cli("baseline", code=1).stderr
    assert f"runner.readable: {name} " in said
    assert said.count("\n") == 1 and ("has no effect" in said or "does not exist" in said)
    doctor = json.loads(lab.cli("doctor", "--json").stdout)
    assert any("runner.readable" in each["what"] for each in doctor)


@needs_bwrap
def test_a_readable_in_a_hidden_folder_has_its_effect(make_lab: MakeLab, guard: Path) -> None:
    (guard / "models").mkdir()
    (guard / "models" / "w").write_text("49")
    config = JAILED.format(command='["sh", "trial.sh"]', mutable='["value.txt"]', task="")
    trial = f"echo val_bpb: $(cat {guard}/models/w)\n"
    lab = make_lab({"autoresearch.toml": f'{config}readable = ["~/models"]\n', "trial.sh": trial})
    lab.cli("baseline")
    assert lab.rows()[0][1] == "49.000000"
