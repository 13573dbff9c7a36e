"""The coding agents themselves, each from its registry, headless, against a model on this machine.

They are installed once, into a folder outside of the repository that all runs share (AGENTS_CACHE), in
the versions of docs/agents.md. AGENTS=all tries also those of PyPI, which take minutes to install, and
each as another user, where root may do that.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autoresearch.researchers.agents import AGENTS
from tests.agentserver import AgentModel, Call
from tests.labs import TRAIN, Lab, make_lab

_ENVIRONMENT = dict(os.environ)  # of the person, with the registries that they chose
_CACHE = Path(os.environ.get("AGENTS_CACHE", f"/var/tmp/autoresearch-agents-{os.getuid()}"))
_ALL = os.environ.get("AGENTS") == "all"
_ANOTHER = 65534  # nobody
_LAST = "Done.\n\ndescription: lower the rate\nhypothesis: the optimum lies lower"
_OLD, _NEW = "LR = 0.5", "LR = 0.3"
_SED = f"sed -i 's/{_OLD}/{_NEW}/' train.py"
_CODEX = """\
model = "loop"
model_provider = "loop"
[model_providers.loop]
name = "loop"
base_url = "@@/v1"
wire_api = "responses"
env_key = "OPENAI_API_KEY"
"""
_OPENCODE = json.dumps(
    {
        "model": "loop/loop",
        "small_model": "loop/loop",
        "autoupdate": False,
        "provider": {
            "loop": {
                "npm": "@ai-sdk/openai-compatible",
                "options": {"baseURL": "@@/v1", "apiKey": "k"},
                "models": {"loop": {}},
            }
        },
    }
)


@dataclass(frozen=True)
class Setup:
    """How an agent is installed and told of the model; @@ is the model's address."""

    package: str
    calls: tuple[Call, ...]
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # in the home folder
    model: str = ""
    last: str = _LAST


def edits(read: str, edit: str, path: str, old: str, new: str) -> tuple[Call, ...]:
    """The calls of a model that reads the file and then replaces the line."""
    file = "{cwd}/train.py"
    return ((read, {path: file}), (edit, {path: file, old: _OLD, new: _NEW}))


SETUPS = {
    "claude": Setup(
        "@anthropic-ai/claude-code@2.1.332",
        edits("Read", "Edit", "file_path", "old_string", "new_string"),
        {"ANTHROPIC_BASE_URL": "@@", "ANTHROPIC_API_KEY": "k"},
    ),
    "codex": Setup(
        "@openai/codex@0.171.0",
        (("exec_command", {"cmd": _SED}),),
        {"OPENAI_API_KEY": "k"},
        {".codex/config.toml": _CODEX},
    ),
    "aider": Setup(
        "aider-chat==0.86.2",
        (),
        {"OPENAI_API_KEY": "k", "OPENAI_API_BASE": "@@/v1", "AIDER_EDIT_FORMAT": "diff"},
        model="openai/loop",
        last=f"{_LAST}\n\ntrain.py\n```\n<<<<<<< SEARCH\n{_OLD}\n=======\n{_NEW}\n>>>>>>> REPLACE\n```\n",
    ),
    "opencode": Setup(
        "opencode-ai@1.18.33",
        edits("read", "edit", "filePath", "oldString", "newString"),
        files={".config/opencode/opencode.json": _OPENCODE},
    ),
    "qwen": Setup(
        "@qwen-code/qwen-code@0.24.4",
        edits("read_file", "edit", "file_path", "old_string", "new_string"),
        {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "@@/v1", "OPENAI_MODEL": "loop"},
    ),
    "mini": Setup(
        "mini-swe-agent==2.4.6",
        (
            ("bash", {"command": _SED}),
            ("bash", {"command": f"echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT; echo '{_LAST}'"}),
        ),
        {"OPENAI_API_KEY": "k", "OPENAI_API_BASE": "@@/v1"},
        model="openai/loop",
    ),
}


def installed(name: str) -> Path:
    """Returns the folder of an agent's program; skips the test, aloud, where it can't be installed."""
    package = SETUPS[name].package
    folder = _CACHE / f"{name}-{package.rpartition('@')[2].rpartition('=')[2]}"
    npm = "==" not in package
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            command = [
                "npm",
                "install",
                "--prefix",
                str(folder),
                "--no-audit",
                "--no-fund",
                package,
            ]
            if not npm:
                venv.create(folder, with_pip=True, clear=False, symlinks=True)
                command = [str(folder / "bin" / "pip"), "install", "--quiet", package]
            if shutil.which(command[0]) is None:
                pytest.skip(f"{name} can't be installed here: there is no {command[0]}")
            done = subprocess.run(
                command, env=_ENVIRONMENT, capture_output=True, text=True, timeout=900
            )
            if done.returncode:
                pytest.skip(f"{name} can't be installed here: {done.stderr.strip()[-300:]}")
            (folder / "done").touch()
    return folder / ("node_modules/.bin" if npm else "bin")


def lab_of(name: str, folder: Path, url: str) -> tuple[Lab, dict[str, str]]:
    """A lab whose researcher is the agent, and the environment that leads it to the model."""
    setup = SETUPS[name]
    model = f'\nmodel = "{setup.model}"' if setup.model else ""
    lab = make_lab(folder, researcher=f'agent = "{name}"{model}\ntimeout_s = 300')
    for path, text in setup.files.items():
        file = Path(lab.env["HOME"]) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("@@", url))
    env = {key: value.replace("@@", url) for key, value in setup.env.items()}
    return lab, {**env, "PATH": f"{installed(name)}:{lab.env['PATH']}"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETUPS)
def test_an_agent_as_it_comes(name: str, tmp_path: Path) -> None:
    setup = SETUPS[name]
    if "==" in setup.package and not _ALL:
        pytest.skip("AGENTS=all tries those of PyPI too")
    with AgentModel(setup.calls, setup.last) as model:
        lab, env = lab_of(name, tmp_path, model.url)
        ran = lab.cli("run", "--max", "1", timeout_s=400, **env)
        check(lab, ran.stdout, model)
    if name == "aider":
        assert "dropped, as the program's own: .aider.chat.history.md" in ran.stdout


def check(lab: Lab, printed: str, model: AgentModel) -> None:
    """What stands in the lab is the model's edit, under the words that it said last."""
    assert [row[3:] for row in lab.rows()] == [
        ["keep", "baseline"],
        ["keep", "lower the rate"],
    ], printed + lab.file(1, "answer.txt")
    assert lab.record(1)["hypothesis"] == "the optimum lies lower"
    assert lab.git("show", "autoresearch/t:train.py") == TRAIN.replace(_OLD, _NEW)
    assert lab.git("diff", "--name-only", "autoresearch/t~", "autoresearch/t") == "train.py\n"
    asked = model.prompts()
    assert "Here the charter ends." in asked and "Make no commits" in asked


# Goes on as another user in a worktree that is that user's meanwhile, with a home of its own.
_AS_ANOTHER = """\
folder=$PWD
while [ "$folder" != / ]; do chmod o+x "$folder"; folder=$(dirname "$folder"); done
chmod -R o+rX "$PROMPTS"
chown -R {user} . "$HOME"
git config --global --add safe.directory "$PWD"
TMPDIR="$HOME" setpriv --reuid {user} --regid {user} --clear-groups -- {program} "$@"
code=$?
chown -R 0 . "$HOME"
exit $code
"""


@pytest.mark.slow
@pytest.mark.skipif(not _ALL, reason="AGENTS=all tries another user too")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("name", SETUPS)
def test_an_agent_as_another_user(name: str) -> None:
    setup, program = SETUPS[name], installed(name) / AGENTS[name].command[0]
    python = program.parent / "python"
    started = (python if python.exists() else program).resolve()
    asked = ["setpriv", "--reuid", str(_ANOTHER), "--clear-groups", "test", "-x", str(started)]
    if subprocess.run(asked, cwd="/").returncode:
        pytest.skip(f"{name} can't be started by another user here: {started} is not theirs to run")
    # pytest closes its own folders to other users, at every start of another pytest too.
    with (
        tempfile.TemporaryDirectory(prefix="autoresearch-", dir="/var/tmp") as temporary,
        AgentModel(setup.calls, setup.last) as model,
    ):
        folder = Path(temporary)
        lab, env = lab_of(name, folder, model.url)
        home = folder / "another"
        shutil.copytree(lab.env["HOME"], home)
        script = _AS_ANOTHER.format(user=_ANOTHER, program=program)
        path = stub(folder, AGENTS[name].command[0], f"export HOME={home}\n{script}")["PATH"]
        env = {**env, "PATH": path, "PROMPTS": str(lab.state)}
        ran = lab.cli("run", "--max", "1", timeout_s=500, **env)
        check(lab, ran.stdout, model)


@pytest.mark.slow
@pytest.mark.skipif(not _ALL, reason="AGENTS=all tries the skill too")
def test_an_agent_at_the_wheel_knows_what_its_skill_says(tmp_path: Path) -> None:
    """Claude Code, whose model asks for the skill, edits, and calls the one command that it found there."""
    calls = (
        ("Skill", {"skill": "autoresearch"}),
        *SETUPS["claude"].calls,
        ("Bash", {"command": "{taught} 'lower the rate'"}),
    )
    with AgentModel(calls, "It was kept.") as model:
        lab, env = lab_of("claude", tmp_path, model.url)
        lab.cli("skill")
        words = ["claude", "-p", "Run one experiment.", "--allowedTools", "Skill,Read,Edit,Bash"]
        env = {**lab.env, **env, "PATH": f"{Path(sys.executable).parent}:{env['PATH']}"}
        done = subprocess.run(
            [*words, "--permission-mode", "acceptEdits"], cwd=lab.root, env=env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.stdout.strip() == "It was kept.", done
        assert [row[3:] for row in lab.rows()][1:] == [["keep", "lower the rate"]], model.prompts()[
            -4000:
        ]
        last = model.asked[-1][1]["messages"][-1]
        assert '\\"status\\": \\"keep\\"' in json.dumps(last)


# -- failures that will not pass ------------------------------------------------------------------


def stub(folder: Path, name: str, script: str) -> dict[str, str]:
    """A program of an agent's name on PATH."""
    file = folder / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return {"PATH": f"{file.parent}:{os.environ['PATH']}"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("cat; echo 'Not logged in · Please run /login'; exit 1", "Please run /login"),
        ("echo '--dangerously-skip-permissions cannot be used with root'; exit 1", "with root"),
        ("echo 'litellm.AuthenticationError: Incorrect API key provided'", "Incorrect API key"),
        ("exec no-such-program-here", "no-such-program-here"),
    ],
)
def test_a_failure_that_will_not_pass_stops_at_once(tmp_path: Path, script: str, said: str) -> None:
    lab = make_lab(tmp_path, researcher='agent = "claude"')
    ran = lab.cli("run", code=1, **stub(tmp_path, "claude", script))
    [line] = ran.stderr.splitlines()
    assert line.startswith("error: claude can't work here: ") and said in line
    assert lab.statuses() == ["keep"] and not lab.records("refused")


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_that_is_not_installed_is_told_before_the_baseline(
    tmp_path: Path, name: str
) -> None:
    lab = make_lab(tmp_path, researcher=f'agent = "{name}"')
    only = tmp_path / "only"
    only.mkdir()
    for each in ("git", "sh"):
        (only / each).symlink_to(str(shutil.which(each)))
    ran = lab.cli("run", code=1, PATH=str(only))
    assert "is not on PATH; install it (" in ran.stderr and name in ran.stderr
    assert lab.statuses() == []


@pytest.mark.slow
def test_a_provider_that_is_down_is_waited_for(tmp_path: Path) -> None:
    script = f"""
if [ ! -e ../../tried ]; then touch ../../tried; echo "API Error: 529 Overloaded"; exit 1; fi
{_SED}; echo "description: lower the rate"
"""
    lab = make_lab(tmp_path, researcher='agent = "qwen"')
    ran = lab.cli(
        "run", "--max", "1", **stub(tmp_path, "qwen", script.replace("../..", str(tmp_path)))
    )
    assert "waiting 1 s: qwen: API Error: 529 Overloaded" in ran.stdout
    assert lab.statuses() == ["keep", "keep"] and not lab.records("refused")
