"""The commands as a user types them: help, exit codes, errors in one line, pipes and terminals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.conftest import CONFIG, PROPOSE, TRIAL, Lab, MakeLab, run_cli
from tests.labs import eventually, unwatched

COMMANDS = [
    "init", "prepare", "doctor", "baseline", "run", "try", "check", "report", "status", "show",
]  # fmt: skip
OF_A_RUN = {
    "baseline": ["baseline"], "run": ["run", "--max", "1"], "try": ["try", "-m", "x"],
    "report": ["report"], "status": ["status"], "show": ["show", "0"],
}  # fmt: skip
CLI = [sys.executable, "-m", "autoresearch"]


def one_line(error: str) -> str:
    """An error that is one line, and says that it is one."""
    assert error.startswith("error: ") and error.count("\n") == 1 and error.endswith("\n"), error
    return error


def slow(make_lab: MakeLab) -> Lab:
    """A lab whose trials take as many seconds as SLOW says; its baseline is measured."""
    config = CONFIG.replace("timeout_s = 20", 'timeout_s = 100\nenv_pass = ["SLOW"]')
    lab = make_lab({"trial.sh": TRIAL + "sleep ${SLOW:-0}\n", "autoresearch.toml": config})
    lab.cli("baseline")
    return lab


def start(lab: Lab, *arguments: str, ignoring: bool = False) -> subprocess.Popen[str]:
    """A command in the background, once its trial runs. ignoring: as `command &` in a script."""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = subprocess.Popen(
        [*CLI, *unwatched(arguments)], cwd=lab.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, env={**os.environ, "SLOW": "60"},
        preexec_fn=ignore if ignoring else None,
    )  # fmt: skip
    end = time.monotonic() + 20
    while "#1 trial" not in process.stdout.readline():  # type: ignore[union-attr]
        assert time.monotonic() < end and process.poll() is None
    return process


# -- help and versions ------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_eighty_columns(tmp_path: Path, command: str) -> None:
    ran = run_cli(*command.split(), "--help", cwd=tmp_path, env={"COLUMNS": "80"})
    assert "Usage: " in ran.stdout and ran.stderr == ""
    assert max(map(len, ran.stdout.splitlines())) <= 80
    shown = [line for line in ran.stdout.splitlines() if not line.startswith("Usage: ")]
    assert [line for line in shown if line.rstrip().endswith(("…", "..."))] == [], "it is cut"
    assert "not yet" not in ran.stdout
    assert "\x1b" not in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_command(tmp_path: Path) -> None:
    shown = run_cli("--help", cwd=tmp_path).stdout
    assert all(re.search(rf"^  {command} ", shown, re.MULTILINE) for command in COMMANDS)


def test_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", run_cli("--version", cwd=tmp_path).stdout)


def test_the_console_script(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("autoresearch")
    if not script.exists():
        pytest.skip("not installed as a script")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == run_cli("--version", cwd=tmp_path).stdout


# -- exit codes -------------------------------------------------------------------------------


def test_done_is_zero_for_a_budget_that_was_reached(make_lab: MakeLab) -> None:
    lab = make_lab({"autoresearch.toml": CONFIG + "[budget]\nexperiments = 1\n"})
    assert "budget.experiments = 1" in lab.cli("run", "--max", "5").stdout
    assert "budget.experiments = 1" in lab.cli("run", "--max", "5").stdout
    assert lab.statuses() == ["keep", "keep"]


def test_too_many_failures_are_one(make_lab: MakeLab) -> None:
    config = CONFIG + "[budget]\nconsecutive_failures = 2\n"
    propose = "cat > /dev/null; echo no > other.txt; echo tried"
    lab = make_lab({"autoresearch.toml": config, "propose.sh": propose})
    ran = lab.cli("run", code=1)
    assert "2 failures in a row" in one_line(ran.stderr) and "other.txt: not mutable" in ran.stderr
    assert lab.statuses() == ["keep"]


def test_a_baseline_that_fails(make_lab: MakeLab) -> None:
    lab = make_lab({"trial.sh": "echo what went wrong; exit 7\n"})
    ran = lab.cli("run", "--max", "1", code=1)
    assert "exited with 7" in ran.stderr and "what went wrong" in ran.stderr
    assert "trial.log" in ran.stderr and "autoresearch run" in ran.stderr
    assert lab.rows() == []
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit("mended", trial__sh=TRIAL)
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--max", "x"], ["run", "--max", "-1"], ["show"], ["show", "x"], ["show", "-1"],
        ["nonsense"], ["try"], ["run", "--nonsense"], ["report", "--top", "0"], ["baseline", "x"],
    ],
)  # fmt: skip
def test_wrong_usage_is_two(lab: Lab, arguments: list[str]) -> None:
    ran = lab.cli(*arguments, code=2)
    assert ran.stdout == "" and ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["run", "--slots", "2"], "--slots"),
        (["baseline", "--repeats", "3"], "--repeats"),
        (["report", "--html", "x.html"], "--html"),
    ],
)
def test_flags_that_are_not_yet(lab: Lab, arguments: list[str], name: str) -> None:
    error = one_line(lab.cli(*arguments, code=2).stderr)
    assert name in error and "not yet" in error


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("[runner]", '[keep]\nrule = "noise"\n[runner]', "rule"),
        ("[runner]", '[runner]\nkind = "slurm"', "runner.kind"),
        ("[runner]", "[runner]\nslots = 2", "runner.slots"),
    ],
)
def test_keys_that_are_not_yet(lab: Lab, old: str, new: str, name: str) -> None:
    lab.write("autoresearch.toml", CONFIG.replace(old, new))
    error = one_line(lab.cli("run", "--max", "1", code=2).stderr)
    assert name in error and "not yet" in error and "autoresearch.toml" in error


def test_a_bug_is_three_with_a_log(lab: Lab, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "from autoresearch.lab.lab import Lab\nLab.here = classmethod(lambda cls: 1 / 0)\n"
    )
    env = {
        "PYTHONPATH": str(broken), "TMPDIR": str(tmp_path), "ANTHROPIC_API_KEY": "sk-secret",
        "OPENAI_API_KEY": "sk-secret",
    }  # fmt: skip
    ran = lab.cli("try", "-m", "sk-secret", code=3, env=env)
    assert "Traceback" not in ran.stderr and "bug" in ran.stderr
    log = Path(ran.stderr.strip().rpartition(" ")[2])
    assert log.parent == tmp_path
    text = log.read_text()
    assert "ZeroDivisionError" in text and "Traceback" in text and "sk-secret" not in text
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_is_130_and_goes_on(make_lab: MakeLab, number: signal.Signals) -> None:
    lab = slow(make_lab)
    process = start(lab, "run", "--max", "1", ignoring=True)
    busy = lab.cli("run", "--max", "1", code=1)
    assert f"pid {process.pid}" in one_line(busy.stderr)
    assert f"driven by pid {process.pid}" in lab.cli("status").stdout
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert output.splitlines()[-1].startswith("stop: interrupted") and "Traceback" not in output
    assert "stopped" in lab.cli("status").stdout
    assert lab.statuses() == ["keep"]
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
    assert "asked" not in output and lab.read("results.tsv").count("lower to 99") == 1


def trials(lab: Lab) -> int:
    """How many trials were begun, by the journal."""
    return lab.state().joinpath("journal").read_bytes().count(b'"trial"')


def connected(lab: Lab) -> tuple[subprocess.Popen[bytes], int]:
    """A run in a terminal of its own, once its trial goes on; closing the descriptor hangs up."""
    before = trials(lab)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*CLI, *unwatched(["run", "--max", "1"])], cwd=lab.root, stdin=slave, stdout=slave,
        stderr=slave, env={**os.environ, "SLOW": "60", "TERM": "xterm"}, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(slave)
    eventually(lambda: trials(lab) > before)
    return process, master


@pytest.mark.slow
def test_three_dropped_connections_are_no_crash(make_lab: MakeLab) -> None:
    lab = slow(make_lab)
    for _ in range(3):
        process, master = connected(lab)
        os.close(master)  # the kernel sends SIGHUP, and every write to the terminal fails
        for _ in range(3):  # and the shell sends it too
            process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 130
    assert lab.statuses() == ["keep"]
    assert "stopped" in lab.cli("status").stdout
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.slow
def test_under_nohup_a_hangup_is_ignored(make_lab: MakeLab) -> None:
    lab = slow(make_lab)
    before = trials(lab)
    with (lab.root.parent / "out").open("w") as out:
        process = subprocess.Popen(
            ["nohup", *CLI, *unwatched(["run", "--max", "1"])], cwd=lab.root, stdout=out, stderr=out,
            stdin=subprocess.DEVNULL, env={**os.environ, "SLOW": "1"},
        )  # fmt: skip
    eventually(lambda: trials(lab) > before)
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 0
    assert lab.statuses() == ["keep", "keep"]


def test_interrupting_the_researcher(make_lab: MakeLab) -> None:
    lab = make_lab({"propose.sh": "sleep 60\n"})
    lab.cli("baseline")
    process = subprocess.Popen(
        [*CLI, *unwatched(["run"])],
        cwd=lab.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while "#1 asking" not in process.stdout.readline():  # type: ignore[union-attr]
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130


# -- what a user can mend ---------------------------------------------------------------------


@pytest.mark.parametrize("command", OF_A_RUN)
def test_no_run_yet(make_lab: MakeLab, command: str) -> None:
    lab = make_lab(tag=None)
    ran = lab.cli(*OF_A_RUN[command], code=1)
    assert "no run here yet" in one_line(ran.stderr) and "autoresearch init" in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize("command", OF_A_RUN)
def test_the_tag_of_an_unknown_run(lab: Lab, command: str) -> None:
    ran = lab.cli(*OF_A_RUN[command], "--tag", "nowhere", code=1)
    assert "'nowhere'" in one_line(ran.stderr) and "there are: t" in ran.stderr


@pytest.mark.parametrize("tag", ["", "../t", "t/../t", "/", ".", "t\n"])
def test_tags_that_are_no_names(lab: Lab, tag: str) -> None:
    one_line(lab.cli("status", "--tag", tag, code=1).stderr)


@pytest.mark.parametrize("command", [*OF_A_RUN, "check"])
def test_outside_of_any_repository(tmp_path: Path, command: str) -> None:
    ran = run_cli(*OF_A_RUN.get(command, [command]), cwd=tmp_path, code=1)
    assert "in no git repository" in one_line(ran.stderr) and "autoresearch init" in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [*OF_A_RUN, "check"])
def test_in_a_repository_that_is_no_lab(tmp_path: Path, command: str) -> None:
    Lab(tmp_path).git("init", "-q")
    ran = run_cli(*OF_A_RUN.get(command, [command]), cwd=tmp_path, code=1)
    assert "no autoresearch.toml" in one_line(ran.stderr)


@pytest.mark.parametrize("command", [*OF_A_RUN, "check"])
def test_a_configuration_that_breaks_after_init(lab: Lab, command: str) -> None:
    lab.write("autoresearch.toml", CONFIG.replace("timeout_s = 20", "timeout_s = 'long'"))
    ran = lab.cli(*OF_A_RUN.get(command, [command]), code=2)
    assert "autoresearch.toml: task.timeout_s" in one_line(ran.stderr)
    lab.write("autoresearch.toml", "[task\n")
    ran = lab.cli(*OF_A_RUN.get(command, [command]), code=2)
    assert "autoresearch.toml: not TOML" in one_line(ran.stderr)


def test_a_configuration_that_is_gone_is_the_runs_own(lab: Lab) -> None:
    (lab.root / "autoresearch.toml").unlink()
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.parametrize("kind", ["oracle", ""])
def test_an_unknown_researcher(lab: Lab, kind: str) -> None:
    error = one_line(lab.cli("run", "--researcher", kind, code=2).stderr)
    assert "no such researcher" in error and "anthropic" in error


def test_a_researcher_without_what_it_needs(lab: Lab) -> None:
    error = one_line(lab.cli("run", "--researcher", "anthropic", code=1).stderr)
    assert "ANTHROPIC_API_KEY" in error
    assert "researcher.model" in lab.cli("run", "--researcher", "scripted", code=2).stderr
    lab.write(
        "autoresearch.toml",
        CONFIG.replace('kind = "command"', "").replace('command = ["sh", "propose.sh"]', ""),
    )
    assert "researcher.command" in lab.cli("run", "--researcher", "command", code=2).stderr


@pytest.mark.slow
def test_several_tasks_keep_to_their_own(make_lab: MakeLab) -> None:
    second = '[tasks.two]\ncommand = ["sh", "trial.sh"]\nmutable = ["code.py"]\n'
    lab = make_lab(
        {"autoresearch.toml": CONFIG.replace("[task]", "[tasks.one]") + second}, tag=None
    )
    lab.cli("init", "a", "--task", "one")
    lab.cli("init", "b", "--task", "two")
    lab.cli("run", "--tag", "a", "--max", "1")
    lab.write("code.py", "x = 2\n")
    lab.cli("check")
    lab.cli("baseline", "--tag", "b")
    lab.write("value.txt", "1\n1\n")
    assert "value.txt: not mutable" in lab.cli("check", code=1).stdout


def test_no_git(lab: Lab, tmp_path: Path) -> None:
    assert "install git" in one_line(lab.cli("status", env={"PATH": str(tmp_path)}, code=1).stderr)


def test_no_such_experiment(lab: Lab) -> None:
    assert "there is none yet" in one_line(lab.cli("show", "0", code=1).stderr)
    lab.cli("baseline")
    assert "there are 0 to 0" in one_line(lab.cli("show", "9", code=1).stderr)


def test_a_folder_that_was_deleted(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", f'cd "{gone}" && rmdir "{gone}" && exec "$@"', "sh", *CLI, "status"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    one_line(done.stderr)


@pytest.mark.slow
def test_a_plot_where_no_folder_is(lab: Lab) -> None:
    lab.cli("baseline")
    one_line(lab.cli("report", "--plot", "nowhere/plot.png", code=1).stderr)


@pytest.mark.slow
def test_prepare_in_a_lab_and_elsewhere(
    make_lab: MakeLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tiktoken")
    pytest.importorskip("rustbpe")
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    table = '[harness]\nsource = "texts"\nvocab_size = 300\nseq_len = 16\nval_tokens = 256\n'
    lines = [f"line {n} of many, {n * n * n}\n" for n in range(5000)]
    texts = {f"texts/{n}.txt": "".join(lines[n::20]) for n in range(20)}
    lab = make_lab({"autoresearch.toml": CONFIG + table, **texts, "sub/x": ""}, tag=None)

    def prepared(*flags: str, cwd: Path = lab.root) -> tuple[str, int, int]:
        lab.cli("prepare", *flags, cwd=cwd)
        folder = tmp_path / "cache" / (tmp_path / "cache" / "current").read_text().strip()
        found = json.loads((folder / "manifest.json").read_text())
        return found["source"], found["vocab_size"], found["seq_len"]

    assert prepared(cwd=lab.root / "sub")[1:] == (300, 16), "from the table, its path from the root"
    assert prepared("--seq-len", "32", "--val-tokens", "512")[1:] == (300, 32)
    other = ("--source", str(lab.root / "texts"), "--vocab-size", "310", "--val-tokens", "1024")
    assert prepared(*other, cwd=tmp_path)[1:] == (310, 64), "outside, by the harness's own defaults"
    lab.write("autoresearch.toml", CONFIG + table.replace("16", "1"))
    notice = lab.cli("prepare", *other, "--seq-len", "16").stderr
    assert notice.startswith("notice: autoresearch.toml: harness.seq_len") and "defaults" in notice


@pytest.mark.slow
def test_a_damaged_journal(lab: Lab) -> None:
    lab.cli("baseline")
    journal = lab.state() / "journal"
    sound = journal.read_bytes()
    journal.write_bytes(sound.replace(b"baseline", b"basELINE", 1))
    for command in ("status", "run"):
        error = one_line(lab.cli(command, code=1).stderr)
        assert str(journal) in error and "is damaged" in error
    journal.write_bytes(sound)
    lab.cli("run", "--max", "1")


# -- what is printed where --------------------------------------------------------------------


@pytest.mark.slow
def test_plain_output_has_no_escape_codes(lab: Lab) -> None:
    lab.cli("run", "--max", "2")
    for arguments in (["run", "--max", "1"], ["report"], ["status"], ["show", "1"], ["doctor"]):
        ran = lab.cli(*arguments, env={"TERM": "xterm-256color"})
        assert "\x1b" not in ran.stdout + ran.stderr and "\r" not in ran.stdout


def test_json_is_json_and_nothing_else(lab: Lab) -> None:
    lab.cli("run", "--max", "1")
    assert json.loads(lab.cli("report", "--json").stdout)
    assert json.loads(lab.cli("doctor", "--json").stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["status"], ["report"], ["show", "1"], ["check"], ["run", "--max", "1"]],
)
def test_a_reader_that_goes_away(lab: Lab, arguments: list[str]) -> None:
    lab.cli("run", "--max", "1")
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as closed:
        done = subprocess.run(
            [*CLI, *unwatched(arguments)], cwd=lab.root, stdout=closed, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
    assert done.stderr == "" and done.returncode == 0
    lab.cli("run", "--max", "1")


def test_piped_into_head(lab: Lab) -> None:
    lab.cli("run", "--max", "1")
    command = f"'{sys.executable}' -m autoresearch show 1 | head -n 1"
    done = subprocess.run(["sh", "-c", command], cwd=lab.root, capture_output=True, text=True)
    assert done.stdout.startswith("#1 keep") and done.stderr == ""


LOST = {
    "out": ">&-", "err": "2>&-", "in": "<&-", "out and err": ">&- 2>&-", "all": "<&- >&- 2>&-",
    "head": "| head -n 1", "true": "| true", "both to true": "2>&1 | true",
}  # fmt: skip
ASCII: dict[str, str | None] = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.slow
@pytest.mark.parametrize("how", LOST)
def test_whatever_the_shell_does_to_the_streams(lab: Lab, how: str) -> None:
    """Every command does its work, exits with 0 and leaves no traceback."""
    lab.cli("baseline")
    commands = ["--help", "baseline", "run --max 2", "check", "report", "report --json", "status",
                "show 0", "doctor --json", "prepare --help"]  # fmt: skip
    codes, errors = lab.root.parent / "codes", lab.root.parent / "errors"
    for command in commands:
        words = " ".join(unwatched(command.split()))
        one = f"('{sys.executable}' -m autoresearch {words}; echo $? >> '{codes}') {LOST[how]}"
        with errors.open("a") as file:
            subprocess.run(["sh", "-c", one], cwd=lab.root, stdout=subprocess.DEVNULL, stderr=file)
    assert codes.read_text().split() == ["0"] * len(commands)
    assert errors.read_text() == ""
    assert lab.statuses() == ["keep"] * 3, "and a run went on to its limit"
    assert not list(lab.root.rglob("*.tmp"))


def test_an_error_is_not_told_on_standard_output(lab: Lab) -> None:
    command = f"'{sys.executable}' -m autoresearch show 9 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=lab.root, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.slow
def test_a_full_disk_under_the_output(lab: Lab) -> None:
    """A report that can't be written is an error; a run has its files, and goes on."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    for arguments, code in ((["report"], 1), (["report", "--json"], 1), (["run", "--max", "1"], 0)):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*CLI, *unwatched(arguments)], cwd=lab.root, stdout=full, stderr=subprocess.PIPE,
                text=True,
            )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert code == 0 or "No space left" in one_line(done.stderr)
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.slow
def test_a_lab_whose_folder_has_no_name_in_the_locale(make_lab: MakeLab) -> None:
    lab = make_lab({"new/größe.txt": "1\n"}, name="größer")
    lab.write("new/größe.txt", "2\n")
    for arguments in (["check"], ["try", "-m", "größer"], ["run", "--max", "1"], ["show", "1"]):
        lab.cli(*arguments, env=ASCII)
    for arguments in (["status"], ["report", "--plot", "größe.png"], ["doctor"]):
        lab.cli(*arguments, env=ASCII)
    assert lab.rows()[1][4] == "größer" and (lab.root / "größe.png").exists()


@pytest.mark.slow
def test_in_a_locale_without_utf8(lab: Lab) -> None:
    lab.write("value.txt", "90\n50\n")
    env = ASCII
    lab.cli("try", "-m", "größer – лучше", env=env)
    assert lab.rows()[1][4] == "größer – лучше"
    for arguments in (["status"], ["show", "1"], ["report"]):
        assert "gr" in lab.cli(*arguments, env=env).stdout


def in_a_terminal(lab: Lab, *arguments: str, env: dict[str, str] | None = None) -> str:
    """What a command writes to a terminal of 80 columns and 24 lines."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [*CLI, *unwatched(arguments)], cwd=lab.root, stdin=slave, stdout=slave, stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", **(env or {})}, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break  # the other end was closed
        if not piece:
            break
        seen += piece
    os.close(master)
    assert process.wait(20) == 0, seen.decode("utf-8", "replace")
    return seen.decode("utf-8")


def screen(written: str, columns: int = 80) -> tuple[list[str], int]:
    """What a terminal shows of what was written, trailing blanks cut off; the widest line ever."""
    lines, row, column, widest = [""], 0, 0, 0
    for code, end, text in re.findall(r"\x1b\[([0-9;?]*)([A-Za-z])|([^\x1b])", written):
        if text == "\r":
            column = 0
        elif text == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text:
            lines[row] = lines[row].ljust(column)[:column] + text + lines[row][column + 1 :]
            column += 1
            widest = max(widest, sum(2 if "\u2e80" <= c <= "\u9fff" else 1 for c in lines[row]))
        elif end == "A":
            row = max(0, row - int(code or 1))
        elif end == "K":
            lines[row] = "" if code == "2" else lines[row][:column]
        else:
            assert end in "mhl", f"a code that this terminal does not know: {code}{end}"
    return [line.rstrip() for line in lines if line.strip()], widest


def test_the_live_display(make_lab: MakeLab) -> None:
    lab = make_lab({
        "trial.sh": TRIAL + """echo '{"step": 1, "loss": 4, "progress": 0.5}'; sleep 0.4\n""",
        "propose.sh": PROPOSE + "echo 'hypothesis: x'\n",
    })  # fmt: skip
    long = "description: a long one, with 漢字 in it, " + "and on and on it goes " * 5
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit("a long one", propose__sh=PROPOSE.replace("description: ", f"{long}"))
    written = in_a_terminal(lab, "run", "--max", "2")
    shown, widest = screen(written)
    kept = [line for line in shown if line.startswith("#") and " keep " in line]
    assert [line.split(" (")[0] for line in kept] == [
        "#0 keep val_bpb 150.000000", "#1 keep val_bpb 149.000000", "#2 keep val_bpb 148.000000",
    ]  # fmt: skip
    assert shown[-1] == "stop: reached --max 2 experiments"
    assert widest <= 80
    assert sum("keep" in line for line in shown) == 3, "one line per verdict, and no other left"
    assert "50 %" in written and "1/2" in written, "it was live: progress, and what is done of what"
    assert "3/2" not in written, "the baseline does not count"
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h"), "the cursor comes back"


def test_a_dumb_terminal_gets_plain_lines(lab: Lab) -> None:
    seen = in_a_terminal(lab, "run", "--max", "1", env={"TERM": "dumb"})
    assert "\x1b" not in seen and "#1 keep val_bpb" in seen
