"""What the doctor finds: in real folders, with real programs on the PATH, sound and broken."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console

from autoresearch.commands.doctor import Finding, checks, machine, render, training
from autoresearch.config import HarnessConfig, RunnerConfig
from autoresearch.lab.lab import Lab
from autoresearch.runners.environment import make_scratch
from autoresearch.workspace.repository import Repository

ORDER = [
    "python", "git", "platform", "lab", "charter", "command", "training", "GPU", "attention", "memory",
    "disk", "disk", "disk", "keys", "researcher", "data", "sandbox", "Slurm",
]  # fmt: skip
TOML = '[task]\ncommand = ["./run"]\nmutable = ["train.py"]\n'


@pytest.fixture(autouse=True)
def _own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, cache or server of the person who runs the tests, and a `python` that ends at once."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL")) or name.startswith(("AUTORESEARCH_", "GIT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    program(tmp_path / "quick" / "python", "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'quick'}:{os.environ['PATH']}")


@pytest.fixture(autouse=True)
def _sandbox_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof of a sandbox takes a good part of a second: only for the tests that are about it."""
    if "sandbox" not in request.node.name and "every_check" not in request.node.name:
        quick = Finding("sandbox", "ok", "not looked at in this test")
        monkeypatch.setattr(machine, "sandbox", lambda *_: (quick, None))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    root = tmp_path / "lab"
    root.mkdir()
    subprocess.run(["git", "init", "-q", root], check=True)
    (root / "autoresearch.toml").write_text(TOML)
    program(root / "run", "exit 0")
    return Lab(Repository.discover(root))


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def write(lab: Lab, text: str) -> None:
    (lab.repo.root / "autoresearch.toml").write_text(text)


def found(name: str, lab: Lab | None) -> Finding:
    return next(check for check in checks(lab) if check.name == name)


def test_every_check_in_its_order(lab: Lab) -> None:
    there = checks(lab)
    assert [check.name for check in there] == ORDER
    for check in there:
        assert check.state in ("ok", "degraded", "missing")
        assert check.what.isprintable() and check.mend.isprintable()
        assert check.state != "missing" or check.mend
        assert check.state != "ok" or not check.mend
    json.dumps([asdict(check) for check in there])


# -- the machine ------------------------------------------------------------------------------


def test_this_machine() -> None:
    assert machine.python().state == "ok"
    assert machine.git().state == "ok"
    assert "GB of RAM" in machine.memory().what


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo git version 2.30.1", "2.30.1 is too old"),
        ("echo git version 1.99", "1.99 is too old"),
        ("echo hello", "no version"),
        ("echo broken >&2; exit 3", "broken"),
        ("exit 3", "exited with 3"),
        ("exec sleep 60", "no answer within"),
    ],
)
def test_an_old_or_broken_git(
    script: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin" / "git", script)
    monkeypatch.setattr(machine, "_GIT_S", 0.5 if "sleep" in script else 60)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    check = machine.git()
    assert check.state == "missing" and words in check.what
    assert check.mend == "install git 2.36 or newer"


@pytest.mark.parametrize(
    "version", ["2.36", "2.39.5 (Apple Git-154)", "3.0.0", "2.100.1.windows.2"]
)
def test_a_new_git(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin" / "git", f"echo 'git version {version}'")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert machine.git().state == "ok"


def test_with_nothing_on_the_path(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lab, TOML.replace("./run", "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    there = {check.name: check for check in checks(lab)}
    assert there["git"].state == "missing" and "No such file" in there["git"].what
    assert (
        there["command"].state == "missing" and "python is not on the PATH" in there["command"].what
    )
    assert there["training"].state == "missing" and "not on the PATH" in there["training"].what
    assert there["lab"].state == "ok"


def test_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin" / "sbatch", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert machine.slurm().state == "ok"
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert machine.slurm().state == "degraded"


def test_disk_where_the_cache_will_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "a" / "b" / "c", tmp_path / "file" / "below"):
        monkeypatch.setenv("AUTORESEARCH_CACHE", str(place))
        _, cache, _ = machine.disks(tmp_path)
        assert f"free for the cache, {place}" in cache.what


def test_a_tmpdir_whose_name_leaves_no_room_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a data loader's workers bind below it ends training with `AF_UNIX path too long`."""
    for length, fits in ((machine._TMPDIR_MAX, True), (machine._TMPDIR_MAX + 1, False)):
        folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="x" * (length - len("/tmp/12345678"))))
        assert len(str(folder)) == length
        try:
            monkeypatch.setattr(tempfile, "tempdir", str(folder))
            deep = make_scratch() / "pymp-12345678"
            deep.mkdir()
            with socket.socket(socket.AF_UNIX) as listener:
                if fits:
                    listener.bind(str(deep / "listener-12345678"))
                else:
                    with pytest.raises(OSError, match="too long"):
                        listener.bind(str(deep / "listener-12345678"))
            _, _, scratch, *more = machine.disks(tmp_path)
            assert f"free for the scratch, {folder}" in scratch.what
            assert [check.state for check in more] == ([] if fits else ["degraded"])
        finally:
            shutil.rmtree(folder)


# -- the lab ----------------------------------------------------------------------------------


def test_no_lab() -> None:
    check = found("lab", None)
    assert (check.state, check.mend) == ("missing", "autoresearch init")


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (None, "has no autoresearch.toml"),
        ("[task]\n", "task.command: is missing"),
        ("[task\n", "not TOML"),
        (TOML + "tiemout_s = 1\n", "task.tiemout_s: unknown key"),
        (TOML + '[runner]\nkind = "slurm"\n', "not yet"),
        (TOML.replace("[task]", "[tasks.a]") + TOML.replace("[task]", "[tasks.b]"), "--task"),
    ],
)
def test_a_broken_configuration(lab: Lab, toml: str | None, words: str) -> None:
    write(lab, toml or "")
    if toml is None:
        (lab.repo.root / "autoresearch.toml").unlink()
    there = {check.name: check for check in checks(lab)}
    assert there["lab"].state == "missing" and words in there["lab"].what
    assert str(lab.repo.root) in there["lab"].mend
    assert "command" not in there and "keys" in there, "the rest is looked at all the same"


def test_a_charter(lab: Lab) -> None:
    assert found("charter", lab).state == "degraded"
    (lab.repo.root / "program.md").write_text("Do good.")
    assert "charter" not in [check.name for check in checks(lab)]


# -- training ---------------------------------------------------------------------------------


def test_another_language_needs_no_torch(lab: Lab) -> None:
    there = {check.name: check for check in checks(lab)}
    assert there["command"].what.endswith(str(lab.repo.root / "run"))
    assert there["training"].state == "ok" and "no Python" in there["training"].what
    assert "CPU" in there["GPU"].what


def test_a_python_without_packages(lab: Lab, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    python = tmp_path / "v" / "bin" / "python"
    write(lab, TOML.replace("./run", str(python)))
    there = {check.name: check for check in checks(lab)}
    assert there["training"].state == "missing"
    assert "not torch, numpy, tiktoken, rustbpe, autoresearch" in there["training"].what
    assert there["training"].mend == f"{python} -m pip install 'autoresearch[train]'"
    assert there["GPU"].state == there["attention"].state == "degraded"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo one >&2; echo 'ImportError: libcudart' >&2; exit 1", "ImportError: libcudart"),
        ("kill -9 $$", "exited with -9"),
        ("echo hello", "JSONDecodeError"),
        ("true", "answered nothing"),
        ("echo '[1]'", "answered nothing"),
        ("sleep 60", "no answer within 0.2 s"),
    ],
)
def test_a_python_that_breaks(
    script: str, words: str, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_PROBE_TIMEOUT_S", 0.2 if "sleep" in script else 60)
    program(tmp_path / "bin" / "python3", script)
    write(lab, TOML.replace("./run", str(tmp_path / "bin" / "python3")))
    there = {check.name: check for check in checks(lab)}
    assert there["training"].state == "missing" and words in there["training"].what
    assert there["GPU"].state == there["attention"].state == "degraded"


def test_the_probe_sees_what_a_trial_would(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    program(tmp_path / "bin" / "python3", f"env > {tmp_path}/seen; pwd >> {tmp_path}/seen; exit 1")
    write(lab, TOML.replace("./run", str(tmp_path / "bin" / "python3")))
    checks(lab)
    seen = (tmp_path / "seen").read_text()
    assert "sk-secret" not in seen and "AUTORESEARCH_SEED" in seen
    assert str(lab.repo.root) not in seen.splitlines()


def test_cards_and_kernels_as_the_probe_tells_them(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = dict.fromkeys(("torch", "numpy", "tiktoken", "rustbpe", "autoresearch"), "1.0")
    card = {"name": "NVIDIA H100", "memory_gb": 79.6}
    seen = {"python": "3.12.1", "packages": packages, "gpus": [card], "attention": ["SDPA flash"]}
    python = tmp_path / "bin" / "python3"
    write(lab, TOML.replace("./run", str(python)))
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:{os.environ['PATH']}")

    def told(**more: object) -> dict[str, Finding]:
        program(python, f"echo noise; echo '{json.dumps({**seen, **more})}'")
        return {check.name: check for check in checks(lab)}

    there = told()
    assert there["training"].state == "ok" and "torch 1.0" in there["training"].what
    assert (there["GPU"].state, there["GPU"].what) == ("ok", "NVIDIA H100, 80 GB")
    assert (there["attention"].state, there["attention"].what) == ("ok", "SDPA flash")
    assert told(attention=[])["attention"].state == "degraded"
    program(tmp_path / "tools" / "nvidia-smi", "exit 0")
    blind = told(gpus=[])["GPU"]
    assert blind.state == "degraded" and "nvidia-smi is here" in blind.what and blind.mend


@pytest.mark.slow
def test_the_python_that_runs_these_tests(lab: Lab) -> None:
    pytest.importorskip("torch")
    write(lab, TOML.replace("./run", sys.executable))
    there = {check.name: check for check in checks(lab)}
    assert "torch 2" in there["training"].what
    assert there["attention"].state == "ok" and "SDPA" in there["attention"].what


def test_neither_torch_nor_an_sdk_is_loaded(lab: Lab) -> None:
    script = (
        "import sys; from autoresearch.commands.doctor import checks; checks(None); "
        "print([m for m in ('torch', 'anthropic', 'openai', 'matplotlib') if m in sys.modules])"
    )
    env = {**os.environ, "OPENAI_API_KEY": "sk-1", "PATH": "/nowhere"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)
    assert done.stdout == "[]\n", done.stderr


# -- who proposes -----------------------------------------------------------------------------


def test_keys_are_named_and_never_shown(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "  ")
    there = checks(lab)
    assert "secret" not in json.dumps([asdict(check) for check in there])
    keys = next(check for check in there if check.name == "keys")
    assert (keys.state, keys.what) == ("ok", "set: ANTHROPIC_API_KEY")


RESEARCHERS = [
    ({}, "", "ok", "auto means knobs", "degraded"),
    ({"ANTHROPIC_API_KEY": "k"}, "", "ok", "auto means anthropic, model claude", "ok"),
    ({"OPENAI_API_KEY": "k"}, "", "ok", "auto means openai, model gpt", "ok"),
    ({"OPENAI_API_KEY": "k"}, 'model = "o9"', "ok", "auto means openai, model o9", "ok"),
    ({}, 'kind = "anthropic"', "missing", "anthropic, model claude", "degraded"),
    ({}, 'base_url = "http://h/v1"', "ok", "openai, model gpt", "degraded"),
    ({}, 'base_url = "http://h/v1"\nkey_env = "MY"', "ok", "at http://h/v1", "missing"),
    ({"MY": "k"}, 'kind = "openai"\nkey_env = "MY"', "ok", "openai, model gpt", "ok"),
    ({}, 'kind = "openai"\nkey_env = "MY"', "missing", "without a key", "missing"),
    ({}, 'command = ["sh", "-c", "true"]', "ok", "auto means command: sh -c true", "degraded"),
    ({}, 'command = ["no-such-agent"]', "missing", "no-such-agent is not on the PATH", "degraded"),
    ({}, 'kind = "scripted"', "missing", "no file of answers", "degraded"),
    ({}, 'kind = "scripted"\nmodel = "run"', "ok", "scripted", "degraded"),
    ({}, 'kind = "knobs"', "ok", "knobs", "degraded"),
]


@pytest.mark.parametrize(("env", "lines", "state", "words", "keys"), RESEARCHERS)
def test_the_researcher_that_is_meant(
    env: dict[str, str],
    lines: str,
    state: str,
    words: str,
    keys: str,
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    write(lab, f"{TOML}[researcher]\n{lines}\n")
    there = {check.name: check for check in checks(lab)}
    assert there["researcher"].state == state and words in there["researcher"].what
    assert there["keys"].state == keys


# -- data -------------------------------------------------------------------------------------


def test_data(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    missing = training.data()
    assert (missing.state, missing.mend) == ("missing", "autoresearch prepare")
    folder = cache / "stdlib-0123"
    folder.mkdir(parents=True)
    (cache / "current").write_text("stdlib-0123\n")
    assert training.data().state == "missing"
    for broken in ("", "{", "[]", "{}", "3", '{"digests": 3}', "\0"):
        (folder / "manifest.json").write_text(broken)
        check = training.data()
        assert check.state == "missing" and check.mend == "autoresearch prepare", broken
    whole = {"digests": {"a.npy": ""}, "source": "stdlib", "train_rows": 9, "fingerprint": "f00"}
    (folder / "manifest.json").write_text(json.dumps(whole))
    assert "lost a.npy" in training.data().what
    (folder / "a.npy").write_text("")
    good = training.data()
    assert good.state == "ok" and "source stdlib, 9 training rows, fingerprint f00" in good.what
    table = HarnessConfig(vocab_size=512)
    assert "has no data as this lab's [harness] asks for it" in training.data(table).what
    sizes = {"vocab_size": 512, "seq_len": 64, "val_tokens": 131_072}
    settings = {"source": "stdlib", "shards": 0, **sizes}
    (folder / "manifest.json").write_text(json.dumps({**whole, "settings": settings}))
    assert training.data(table).state == training.data().state == "ok"
    other = training.data(HarnessConfig(vocab_size=512, seq_len=128))
    assert (other.state, other.mend) == ("missing", "autoresearch prepare")
    assert "vocab_size 512, seq_len 128" in other.what
    (cache / "current").write_bytes(b"\xff")
    assert training.data().state == "missing"
    shutil.rmtree(cache)
    cache.write_text("a file")
    assert training.data().state == "missing"


@pytest.mark.slow
def test_data_is_asked_for_where_trials_use_the_harness(lab: Lab) -> None:
    assert "don't use it" in found("data", lab).what
    write(lab, '[task]\ncommand = ["python", "train.py"]\nmutable = ["train.py"]\nexam = "bpb"\n')
    assert found("data", lab).mend == "autoresearch prepare"


def test_data_that_the_harness_made(tmp_path: Path) -> None:
    pytest.importorskip("tiktoken")
    pytest.importorskip("rustbpe")
    text = tmp_path / "text"
    text.mkdir()
    for count in range(40):
        lines = (f"line {count} of {n} {n * count}\n" for n in range(1500))
        (text / f"{count}.txt").write_text("".join(lines))
    command = [sys.executable, "-m", "autoresearch.harness", "prepare", "--source", str(text)]
    done = subprocess.run(
        [*command, "--cache", str(tmp_path / "cache")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    check = training.data()
    assert check.state == "ok" and "training rows" in check.what


# -- the screen -------------------------------------------------------------------------------

FINDINGS = [
    Finding("python", "ok", "3.12"),
    Finding(
        "training", "missing", "x " * 100, "/a/long/path/" * 8 + "python -m pip install [train]"
    ),
    Finding("GPU", "degraded", "[bold]none[/bold]"),
]


def test_at_80_columns() -> None:
    out = io.StringIO()
    render(FINDINGS, Console(file=out, width=80, force_terminal=True, color_system=None))
    lines = out.getvalue().splitlines()
    mend = [line for line in lines if "pip install" in line]
    assert mend == [" " * 21 + FINDINGS[1].mend], "whole, to be copied"
    assert all(len(line) <= 80 for line in lines if line not in mend)
    assert lines[0].split() == ["python", "ok", "3.12"]
    assert lines[-1].endswith("[bold]none[/bold]")


def test_in_a_pipe_a_finding_is_a_line() -> None:
    out = io.StringIO()
    render(FINDINGS, Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert len(lines) == 4 and "\x1b" not in out.getvalue()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        "python", "training", "GPU",
    ]  # fmt: skip


# -- the sandbox ------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="jails are Linux's")
def test_the_sandbox_is_tried_and_leaves_nothing(lab: Lab) -> None:
    before = sorted(lab.repo.root.rglob("*"))
    check = found("sandbox", lab)
    if check.state == "ok":
        assert check.what.startswith("level 4 (bwrap, seccomp); not covered: ")
    else:
        assert check.what.startswith(("level 3", "level 2", "none holds here"))
    assert sorted(lab.repo.root.rglob("*")) == before
    assert found("sandbox", None).state == check.state


def test_a_sandbox_that_does_not_hold_says_why(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = "echo 'bwrap: setting up uid map: Permission denied' >&2\nexit 1"
    program(tmp_path / "broken" / "bwrap", f'[ "$1" = --version ] && echo 0.9.0 && exit\n{failing}')
    monkeypatch.setenv("PATH", f"{tmp_path / 'broken'}:{os.environ['PATH']}")
    check, _ = machine.sandbox(RunnerConfig(), ["python"], lab.repo.root)
    assert check.state in ("degraded", "missing") and check.mend
    check, _ = machine.sandbox(RunnerConfig(sandbox="bwrap"), ["python"], lab.repo.root)
    assert check.state == "missing" and "setting up uid map: Permission denied" in check.what
    assert check.mend == 'set runner.sandbox = "auto" in autoresearch.toml'
    check, _ = machine.sandbox(RunnerConfig(sandbox="none"), ["python"], lab.repo.root)
    assert check.state == "degraded" and "trials run as you" in check.what


# -- the lab's own command, started in the sandbox ---------------------------------------------

needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="no bubblewrap (bwrap)")


def commit(lab: Lab, toml: str = TOML, **files: str) -> None:
    for name, text in {"autoresearch__toml": toml, **files}.items():
        (lab.repo.root / name.replace("__", ".")).write_text(text)
    who = ["-c", "user.name=A Person", "-c", "user.email=person@example.org"]
    for words in (["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run(["git", *who, *words], cwd=lab.repo.root, check=True)


@needs_bwrap
def test_sandbox_the_command_starts_in_it(lab: Lab) -> None:
    program(lab.repo.root / "run", 'test "$PWD" = "$(pwd -P)" && ls train.py')
    commit(lab, train__py="")
    check = found("start", lab)
    assert check.state == "ok" and "ran in the sandbox to the end" in check.what, check
    listed = subprocess.run(
        ["git", "worktree", "list"], cwd=lab.repo.root, capture_output=True, text=True, check=True
    ).stdout
    assert len(listed.splitlines()) == 1, "nothing of it is left"


@needs_bwrap
def test_sandbox_a_command_that_goes_on_is_ended(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoresearch.commands.doctor.start._WAIT_S", 1.0)
    program(lab.repo.root / "run", "sleep 300")
    commit(lab)
    check = found("start", lab)
    assert check.state == "ok" and "started in the sandbox" in check.what, check


@needs_bwrap
@pytest.mark.parametrize(
    ("body", "what", "mend"),
    [
        ("cat data.txt", "data.txt", 'inputs = ["data.txt"]'),
        ('cat "$OTHERS/w"', "No such file", "readable = ["),
        ("echo error: no matching package named serde found; exit 101", "serde", "cargo fetch"),
        ("mytool", "mytool: not found", 'export PATH="'),
        ("echo \"Error: Cannot find module 'left-pad'\"; exit 1", "left-pad", "node_modules"),
    ],
)
def test_sandbox_what_is_missing_is_said_with_the_line_that_mends_it(
    lab: Lab, guard: Path, tmp_path: Path, body: str, what: str, mend: str
) -> None:
    program(guard / ".local/bin/mytool", "exit 0")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "w").write_text("1")
    program(lab.repo.root / "run", body.replace("$OTHERS", str(tmp_path / "others")))
    (lab.repo.root / ".gitignore").write_text("data.txt\n")
    (lab.repo.root / "data.txt").write_text("1")
    commit(lab)
    check = found("start", lab)
    assert check.state == "missing" and what in check.what and mend in check.mend, check


def test_a_program_that_is_off_the_path_is_found(lab: Lab, guard: Path) -> None:
    program(guard / ".cargo/bin/tool", "exit 0")
    (lab.repo.root / "autoresearch.toml").write_text(TOML.replace("./run", "tool"))
    check = found("command", lab)
    assert check.state == "missing" and check.mend == f'export PATH="{guard}/.cargo/bin:$PATH"'
