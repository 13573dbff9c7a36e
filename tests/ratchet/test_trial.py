"""Trials as real processes: what they see and leave, how they end, and that nothing outlives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.labs import SUMMARY, TRAIN, Lab, eventually, kill, make_lab, running, scripted, whole
from tests.loopback import Loopback, Text
from tests.speeds import Reading

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

CANARY = "sk-canary-7f3e9a51c0d24b68"

# Ignores every polite signal, and leaves a daemon that has another pid every moment.
NASTY = """\
import os, signal, sys, time
hop_s, how = float(sys.argv[1]), sys.argv[2]
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, signal.SIG_IGN)
if not os.fork():
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 64)
    while True:
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(hop_s)
print("val_bpb: 1.000000", flush=True)
while how == "stay":
    time.sleep(1)
"""

HUNDRED = """\
import os, sys, time
for _ in range(100):
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        if sys.argv[1] == "closed":
            os.closerange(0, 64)
        time.sleep(600)
print("val_bpb: 1.000000", flush=True)
"""

HITS_THE_LAUNCHER = """\
import os, signal, sys, time
if not os.fork():
    os.setsid()
    time.sleep(600)
launcher = os.getppid()
os.kill(launcher, getattr(signal, sys.argv[1]))
print("val_bpb: 0.000100", flush=True)
time.sleep(float(sys.argv[2]))
"""


class One:
    """One trial under a supervisor of its own."""

    def __init__(self, folder: Path, script: str, *arguments: str, **given: Any) -> None:
        folder.mkdir()
        self.mark = f"nasty-{folder.name}-{os.getpid()}-{time.monotonic_ns()}"
        file = folder / f"{self.mark}.py"
        file.write_text(script)
        self.log = folder / "log"
        spec = {
            "commands": [[sys.executable, str(file), *arguments]],
            "cwd": str(folder),
            "env": {"PATH": os.environ["PATH"], "AUTORESEARCH_SCRATCH": str(folder / self.mark)},
            "log": str(self.log),
            "timeout_s": 1,
            **given,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.onetrial"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(spec) + "\n")
        self.process.stdin.flush()

    def outcome(self) -> dict[str, Any]:
        """How it ended; nothing of it is there at that moment."""
        out, _ = self.process.communicate(timeout=60)
        assert running(self.mark) == []
        found: dict[str, Any] = json.loads(out)
        assert found["survivors"] == 0
        return found


@pytest.mark.slow
def test_a_trial_that_ignores_term_and_hops_pids_leaves_nothing(tmp_path: Path) -> None:
    trials = [
        One(tmp_path / f"{n}", NASTY, "0" if n % 10 == 0 else "0.001", "stay") for n in range(20)
    ]
    for trial in trials:
        assert trial.outcome()["timed_out"]


@pytest.mark.slow
def test_a_daemon_is_gone_before_the_outcome_of_a_trial_that_ends_by_itself(tmp_path: Path) -> None:
    for n in range(10):
        outcome = One(tmp_path / f"{n}", NASTY, "0.001", "leave", timeout_s=20).outcome()
        assert outcome["exit_code"] == 0 and not outcome["timed_out"]


@pytest.mark.parametrize("stdio", ["open", "closed"])
def test_a_hundred_daemons_are_gone(tmp_path: Path, stdio: str) -> None:
    outcome = One(tmp_path / "one", HUNDRED, stdio, timeout_s=30).outcome()
    assert outcome["exit_code"] == 0


@pytest.mark.parametrize("sleep_s", ["0", "600"])
def test_a_trial_that_kills_its_launcher_is_void(tmp_path: Path, sleep_s: str) -> None:
    outcome = One(tmp_path / "one", HITS_THE_LAUNCHER, "SIGKILL", sleep_s, timeout_s=30).outcome()
    assert outcome["launcher_killed"] and outcome["seconds"] < 10


def test_a_stopped_launcher_keeps_the_deadline(tmp_path: Path) -> None:
    began = Reading.now()
    outcome = One(tmp_path / "one", HITS_THE_LAUNCHER, "SIGSTOP", "600").outcome()
    assert outcome["timed_out"] and Reading.now().since(began) < 8


def test_a_stopped_launcher_does_not_hold_up_ctrl_c(tmp_path: Path) -> None:
    began = Reading.now()
    given = {"timeout_s": 600, "stop_after_s": 0.5}
    outcome = One(tmp_path / "one", HITS_THE_LAUNCHER, "SIGSTOP", "600", **given).outcome()
    assert outcome["interrupted"] and Reading.now().since(began) < 5.5


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_of_a_trial_that_ignores_it_within_five_seconds(
    tmp_path: Path,
) -> None:
    began = Reading.now()
    outcome = One(
        tmp_path / "one", NASTY, "0.001", "stay", timeout_s=600, stop_after_s=0.5
    ).outcome()
    assert outcome["interrupted"] and Reading.now().since(began) < 5.5


@pytest.mark.slow
def test_ctrl_c_at_the_very_start_of_a_trial_is_not_lost(tmp_path: Path) -> None:
    """The order to stop may come with the order to go, or before the trial can hear of it."""
    for n in range(8):
        script = "import time\ntime.sleep(600)\n"
        outcome = One(tmp_path / f"{n}", script, timeout_s=600, stop_after_s=n / 100).outcome()
        assert outcome["interrupted"] and outcome["seconds"] < 2, n


@pytest.mark.slow
def test_a_trial_dies_with_its_supervisor(tmp_path: Path) -> None:
    trials = [One(tmp_path / f"{n}", NASTY, "0.001", "stay", timeout_s=600) for n in range(10)]
    for trial in trials:
        eventually(lambda trial=trial: trial.log.exists() and trial.log.stat().st_size)
        kill(trial.process)
    for trial in trials:
        eventually(lambda trial=trial: not running(trial.mark))


# -- end to end -------------------------------------------------------------------------------

EVIL = {
    "timeout": "import time\ntime.sleep(60)\n",
    "oom": 'raise MemoryError("no room")\n',
    "nan": 'print("val_bpb: nan")\n',
    "nan loss": 'import sys\nprint("step 7 loss: nan")\nsys.exit(1)\n',
    "no_summary": 'print("all went well")\n',
    "two_summaries": SUMMARY + SUMMARY,
    "exit": SUMMARY + "raise SystemExit(3)\n",
    "signal": SUMMARY + "import os\nos.kill(os.getpid(), 11)\n",
    "launcher": SUMMARY + "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(60)\n",
}
# A tracked file that is rewritten and put back byte for byte before the end can't be told apart
# afterwards: that is for a sandbox to forbid, and no test here claims it.
TAMPERED = {
    "rewritten": 'open("train.py", "a").write("#")\n',
    "frozen": 'open("program.md", "w").write("be kind")\n',
    "deleted": 'os.remove("program.md")\n',
    "symlink": 'os.rename("program.md", "elsewhere")\nos.symlink("elsewhere", "program.md")\n',
    "executable": 'os.chmod("train.py", 0o755)\n',
    "configuration": 'open("autoresearch.toml", "a").write("#")\n',
    "hard link": 'os.link("program.md", os.environ["TMPDIR"] + "/x")\n',
    "commit": (
        'os.system("git -c user.name=x -c user.email=x@y commit -q --allow-empty -m mine")\n'
    ),
    "branch": 'os.system("git checkout -q -b mine")\n',
    "git file": 'os.remove(".git")\nos.mkdir(".git")\n',
    "git elsewhere": 'os.remove(".git")\nos.system("git init -q .")\n',
    "input": 'os.chmod("data", 0o755)\nos.chmod("data/x", 0o644)\nopen("data/x", "a").write("!")\n',
    "input gone": 'os.chmod("data", 0o755)\nos.remove("data/x")\n',
    "input added": 'os.chmod("data", 0o755)\nopen("data/y", "w").write("!")\n',
    "worktree gone": 'os.chdir("/")\nimport shutil\nshutil.rmtree(__file__[:-9])\n',
}
PLAIN = 'print("val_bpb: 2.000000")\n'
BETTER = 'print("val_bpb: 1.000000")\n'


def tree_of(lab: Lab, folder: str) -> dict[str, tuple[bytes, int]]:
    return {
        str(p): (p.read_bytes(), p.stat().st_mode)
        for p in (lab.root / folder).rglob("*")
        if p.is_file()
    }


@pytest.mark.slow
def test_every_kind_of_crash_is_told_apart_and_the_run_goes_on(tmp_path: Path) -> None:
    answers = [whole(name, script, old=PLAIN) for name, script in EVIL.items()]
    for name, script in TAMPERED.items():
        answers.append(whole(f"tampered {name}", SUMMARY + "import os\n" + script, old=PLAIN))
    answers.append(whole("a good one", BETTER, old=PLAIN))
    lab = make_lab(
        tmp_path, PLAIN, 'inputs = ["data"]', scripted(tmp_path, answers),
        "[budget]\nconsecutive_failures = 0", {".gitignore": "data/\n"}, timeout_s=2,
    )  # fmt: skip
    (lab.root / "data").mkdir()
    (lab.root / "data" / "x").write_text("data")
    before = tree_of(lab, "data")
    lab.cli("run", timeout_s=120)
    kinds = [lab.record(n)["failure"] for n in range(1, len(answers) + 1)]
    expected = [*EVIL, *["tampered"] * len(TAMPERED), None]
    renamed = {"nan loss": "nan", "signal": "exit", "launcher": "tampered"}
    assert kinds == [renamed.get(kind, kind) for kind in expected]
    assert lab.statuses() == ["keep", *["crash"] * (len(answers) - 1), "keep"]
    assert all(row[1:3] == ["0.000000", "0.0"] for row in lab.rows()[1:-1])
    assert lab.branch() == ["the start", "a good one"]
    assert "signal 11" in lab.record(8)["reason"]
    assert tree_of(lab, "data") == before
    assert list(lab.temporary.iterdir()) == []
    # what a trial committed or branched is in nobody's way
    assert lab.git("status", "--porcelain") == ""
    assert lab.cli("run").returncode == 0


LOOKS = """\
import glob, json, os, sys
hits = []
for folder in glob.glob("/proc/[0-9]*"):
    for name in ("environ", "cmdline"):
        try:
            if b"sk-canary" in open(folder + "/" + name, "rb").read():
                hits.append(open(folder + "/cmdline").read())
        except OSError:
            pass
fds = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        fds[fd] = os.readlink("/proc/self/fd/" + fd)
    except OSError:
        pass
open(os.environ["TMPDIR"] + "/left", "w").write("x")
print("SEEN " + json.dumps({
    "env": dict(os.environ), "stdin": sys.stdin.read(), "fds": fds, "hits": hits,
    "cwd": os.getcwd(), "session": os.getsid(0) == os.getpid(),
}))
print("val_bpb: 1.000000")
"""


def seen(lab: Lab, number: int) -> dict[str, Any]:
    line = next(x for x in lab.file(number, "trial.log").splitlines() if x.startswith("SEEN "))
    found: dict[str, Any] = json.loads(line[5:])
    return found


def everywhere(lab: Lab) -> bytes:
    """Every byte that a run can have left: files of lab, home and temporary folder, git's objects."""
    found = b""
    for path in lab.root.parent.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found += path.read_bytes()
    objects = ["git", "cat-file", "--batch-all-objects", "--batch"]
    return found + subprocess.run(objects, cwd=lab.root, capture_output=True, check=True).stdout


@pytest.mark.slow
def test_what_a_trial_sees(tmp_path: Path) -> None:
    task = 'env_pass = ["MINE", "ABSENT"]'
    lab = make_lab(tmp_path, LOOKS, task, 'kind = "anthropic"')
    with Loopback([Text(whole("look again", LOOKS + "x = 1\n", old=LOOKS))]) as server:
        done = lab.cli(
            "run", "--max", "1", cold=True,  # what /proc shows of the tool's environment is its own
            ANTHROPIC_API_KEY=CANARY, ANTHROPIC_BASE_URL=server.url, OPENAI_API_KEY=CANARY + "o",
            ANTHROPIC_AUTH_TOKEN=CANARY + "t", HF_TOKEN=CANARY + "h", AWS_SECRET_ACCESS_KEY="no",
            MINE="passed", LC_TIME="C.UTF-8", CUDA_VISIBLE_DEVICES="", SSH_AUTH_SOCK="/x",
        )  # fmt: skip
        (request,) = server.requests
        shown = [value for value in request.headers.values() if "canary" in value]
        assert [value.removeprefix("Bearer ") for value in shown] == [CANARY]
        assert CANARY not in json.dumps(request.json)
    for number in (0, 1):
        saw = seen(lab, number)
        scratch = saw["env"]["AUTORESEARCH_SCRATCH"]
        assert saw["env"] == {
            "PATH": lab.env["PATH"],
            "LANG": "C.UTF-8",
            "LC_TIME": "C.UTF-8",
            "CUDA_VISIBLE_DEVICES": "",
            "MINE": "passed",
            "HOME": scratch,
            "TMPDIR": scratch,
            "PWD": str(lab.worktree),
            "PYTHONPYCACHEPREFIX": str(lab.state / "compiled" / "bytecode"),
            "AUTORESEARCH_SCRATCH": scratch,
            "AUTORESEARCH_SEED": "42",
            "AUTORESEARCH_EXPERIMENT": str(number),
            "AUTORESEARCH_CACHE": str(Path(lab.env["HOME"]) / ".cache" / "autoresearch"),
            # in the run's own folder, so that no trial compiles what one before it has compiled
            "TORCHINDUCTOR_CACHE_DIR": str(lab.state / "compiled" / "inductor"),
            "TRITON_CACHE_DIR": str(lab.state / "compiled" / "triton"),
            "CUDA_CACHE_PATH": str(lab.state / "compiled" / "cuda"),
            "FLASH_ATTENTION_CUTE_DSL_CACHE_DIR": str(lab.state / "compiled" / "flash-attention"),
            "FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED": "1",
        } | {k: v for k, v in saw["env"].items() if k == "LC_CTYPE"}  # Python's own, in C.UTF-8
        assert saw["stdin"] == "" and saw["fds"]["0"] == "/dev/null"
        assert saw["fds"]["1"] == saw["fds"]["2"] == str(lab.state / "running.log")
        assert set(saw["fds"]) == {"0", "1", "2"}
        assert saw["cwd"] == str(lab.worktree) and saw["session"]
        assert saw["hits"] == []
        assert not Path(scratch).exists()
    assert CANARY.encode() not in everywhere(lab)
    assert CANARY not in done.stdout + done.stderr


LEAVES = """\
import os
found = sorted(os.path.join(d, f) for d, _, names in os.walk(".") for f in names)
print("FOUND", found)
for name in ("left.txt", "a/b/deep.txt", "warm/kept.txt", "warm/old.ckpt", "data.pyc"):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "w").write("x")
os.symlink("/etc/hostname", "link")
os.mkfifo("pipe")
os.makedirs("closed/in")
os.chmod("closed/in", 0)
os.chmod("closed", 0)
print("val_bpb: 1.000000")
"""


def test_what_a_trial_leaves_is_gone_before_the_next(tmp_path: Path) -> None:
    task = 'caches = ["warm"]\nfresh = ["warm/*.ckpt"]'
    answers = scripted(tmp_path, [whole("again", LEAVES + "x = 1\n", old=LEAVES)])
    lab = make_lab(tmp_path, LEAVES, task, answers, files={".gitignore": "warm/\n*.pyc\n"})
    lab.cli("run")
    tracked = ["./.git", "./.gitignore", "./autoresearch.toml", "./program.md", "./train.py"]
    assert f"FOUND {tracked}\n" in lab.file(0, "trial.log")
    assert f"FOUND {[*tracked, './warm/kept.txt']}\n" in lab.file(1, "trial.log")


LINKS = """\
import os, shutil
shutil.rmtree("warm", ignore_errors=True)
os.symlink("OUTSIDE", "warm")
os.makedirs("cold/in", exist_ok=True)
if not os.path.lexists("cold/link"):
    os.symlink("OUTSIDE", "cold/link")
print("val_bpb: 1.000000")
"""


def test_a_cache_that_became_a_link_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.ckpt").write_text("mine")
    task = 'caches = ["warm/", "./cold"]\nfresh = ["warm/*.ckpt", "cold/link/*.ckpt"]'
    code = LINKS.replace("OUTSIDE", str(outside))
    answers = scripted(tmp_path, [whole("again", code + "x = 1\n", old=code)])
    lab = make_lab(tmp_path, code, task, answers, files={".gitignore": "warm\ncold\n"})
    lab.cli("run")
    assert lab.statuses() == ["keep", "discard"]
    assert (outside / "mine.ckpt").read_text() == "mine"
    assert (lab.worktree / "cold" / "in").is_dir(), "a cache outlives its trial"


DEEP = """\
import os
for root in (".", os.environ["TMPDIR"]):
    os.chdir(root)
    for _ in range(3000):
        os.mkdir("d", 0o700)
        os.chdir("d")
    open("file", "w").write("x")
    os.chdir(os.path.dirname(__file__))
print("val_bpb: 1.900000")
"""


@pytest.mark.slow
def test_a_tree_deeper_than_a_path_may_be_long_is_gone_too(tmp_path: Path) -> None:
    answers = scripted(tmp_path, [whole("deep", DEEP, old=PLAIN), whole("next", BETTER, old=DEEP)])
    lab = make_lab(tmp_path, PLAIN, "", answers)
    try:
        lab.cli("run")
        assert lab.statuses() == ["keep"] * 3
        assert list(lab.temporary.iterdir()) == []
        assert not (lab.worktree / "d").exists()
    finally:  # pytest can't remove such a tree either
        subprocess.run(["rm", "-rf", lab.temporary, lab.worktree], check=True)


@pytest.mark.slow
def test_a_log_without_end_is_a_crash_of_its_own_and_is_not_read(tmp_path: Path) -> None:
    """The file is sparse: its length alone is beyond the limit, by far."""
    grow = "import os, time\nos.ftruncate(1, 1 << 35)\n"
    answers = [
        whole("grows", grow + "time.sleep(60)\n", old=PLAIN),
        whole("grows and ends", grow + BETTER, old=PLAIN),
    ]
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, answers))
    lab.cli("run", timeout_s=30)
    assert [lab.record(n)["failure"] for n in (1, 2)] == ["log", "log"]
    assert len(lab.file(1, "trial.log")) < 2.1 * (1 << 20)


READS = """\
import os, stat
text = open("data/x").read() + open("single").read()
print("READ", text, oct(stat.S_IMODE(os.stat("data/x").st_mode)), os.stat("single").st_nlink)
print("val_bpb: 1.000000")
"""


def test_inputs_are_read_only_copies(tmp_path: Path) -> None:
    answers = scripted(tmp_path, [whole("again", READS + "x = 1\n", old=READS)])
    files = {".gitignore": "data/\nsingle\n"}
    lab = make_lab(tmp_path, READS, 'inputs = ["data", "single"]', answers, files=files)
    missing = lab.cli("run", code=1)
    assert "inputs: " in missing.stderr and "does not exist" in missing.stderr
    (lab.root / "data").mkdir()
    (lab.root / "data" / "x").write_text("one ")
    (lab.root / "data" / "dangling").symlink_to("nowhere")
    (lab.root / "single").write_text("two")
    lab.cli("run", "--max", "1")
    for number in (0, 1):
        assert "READ one two 0o444 1\n" in lab.file(number, "trial.log")
    assert (lab.root / "data" / "x").stat().st_mode & 0o200


@pytest.mark.slow
def test_a_changed_input_is_copied_again(tmp_path: Path) -> None:
    answers = scripted(tmp_path, [whole("again", READS + "x = 1\n", old=READS)])
    files = {".gitignore": "data/\nsingle\n"}
    lab = make_lab(tmp_path, READS, 'inputs = ["data", "single"]', answers, files=files)
    (lab.root / "data").mkdir()
    (lab.root / "data" / "x").write_text("one ")
    (lab.root / "single").write_text("two")
    lab.cli("baseline")
    (lab.root / "data" / "x").write_text("three ")
    lab.cli("run")
    assert "READ three two" in lab.file(1, "trial.log")


@pytest.mark.slow
def test_setup_comes_before_the_trial_and_under_the_same_deadline(tmp_path: Path) -> None:
    slow = "import time\ntime.sleep(1.4)\n"
    train, build = 'print("val_bpb:", open("built").read())\n', "echo building; echo 2.0 > built\n"
    slower = whole("", "sleep 1.2\n", "build.sh", build)
    answers = [
        whole("a failing build", "echo no compiler; exit 4\n", "build.sh", build),
        whole("a slow build", "sleep 60\n", "build.sh", build),
        whole("both slow", slow + BETTER, old=train) + slower.partition("\n")[2],
        whole("a build that tampers", "echo x >> program.md\n", "build.sh", build),
        whole("a daemon of the build", "(sleep 4711 &) ; echo 1.5 > built\n", "build.sh", build),
    ]  # fmt: skip
    lab = make_lab(
        tmp_path, train, 'setup = ["sh", "build.sh"]', scripted(tmp_path, answers),
        files={"build.sh": build}, timeout_s=2,
    )  # fmt: skip
    toml = (lab.root / "autoresearch.toml").read_text()
    lab.git("branch", "-D", "autoresearch/t")
    lab.commit(autoresearch__toml=toml.replace('["train.py"]\nt', '["train.py", "build.sh"]\nt'))
    lab.tag = "two"
    lab.cli("init", "two")
    lab.cli("run")
    kinds = [lab.record(n)["failure"] for n in range(len(answers) + 1)]
    assert kinds == [None, "setup", "timeout", "timeout", "tampered", None]
    assert lab.record(1)["reason"] == "setup exited with 4"
    assert "no compiler" in lab.file(1, "trial.log")
    assert lab.file(0, "trial.log").startswith("building\n")
    assert lab.statuses()[-1] == "keep"


FLOODS = {
    "lines": 'for n in range(700_000):\n    print("x" * 75)\n',
    "one line": 'import sys\nfor n in range(50):\n    sys.stdout.write("x" * 1_000_000)\nprint()\n',
    "binary": (
        "import os, sys\nsys.stdout.flush()\n"
        'os.write(1, os.urandom(5_000_000).replace(b"\\n", b"") + b"\\n")\n'
    ),
    "returns": (
        'import sys\nfor n in range(1_000_000):\n    sys.stdout.write("\\r%d %%" % n)\nprint()\n'
    ),
}


@pytest.mark.slow
def test_floods_are_capped_folded_and_still_measured(tmp_path: Path) -> None:
    head, end = 'print("the head", flush=True)\n', 'print("the end")\nprint("val_bpb: 1.5")\n'
    texts = {name: head + flood + end for name, flood in FLOODS.items()}
    first = next(iter(texts.values()))  # which is kept, and the others are equal
    answers = [
        whole(n, text, old=first if k else PLAIN) for k, (n, text) in enumerate(texts.items())
    ]
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, answers))
    lab.cli("run", timeout_s=120)
    assert [lab.record(n)["value"] for n in range(1, 5)] == [1.5] * 4
    for number in range(1, 5):
        log = lab.state / "experiments" / f"{number:04d}" / "trial.log"
        assert log.stat().st_size < 2.1 * (1 << 20)
        text = log.read_text(errors="replace")
        assert text.startswith("the head\n") and text.endswith("the end\nval_bpb: 1.5\n")
        assert "bytes left out" in text
    assert "\r" not in lab.file(4, "trial.log")
    assert len(lab.file(4, "trial.log")) < 2000


@pytest.mark.slow
def test_a_killed_supervisor_takes_the_trial_along_and_the_next_run_goes_on(tmp_path: Path) -> None:
    mark = f"AUTORESEARCH_SCRATCH={tmp_path}"
    stays = NASTY.replace("sys.argv[1]", "0.001").replace("sys.argv[2]", '"stay"')
    answers = scripted(
        tmp_path, [whole("stays", stays, old=PLAIN), whole("next", BETTER, old=PLAIN)]
    )
    lab = make_lab(tmp_path, PLAIN, "", answers, timeout_s=600)
    supervisor = lab.spawn("run")
    eventually(lambda: len(lab.records("trial")) == 2 and running(mark))
    kill(supervisor)
    eventually(lambda: not running(mark))
    again = lab.spawn("run")
    eventually(lambda: len(lab.records("trial")) == 3 and running(mark))
    kill(again)
    eventually(lambda: not running(mark))
    assert lab.rows() and lab.statuses() == ["keep"]


@pytest.mark.slow
def test_the_next_run_ends_what_a_trial_left_that_killed_launcher_and_supervisor(
    tmp_path: Path,
) -> None:
    murder = """\
import os, signal, time
with open("/proc/%d/stat" % os.getppid()) as file:
    supervisor = int(file.read().rpartition(")")[2].split()[1])
os.setsid() if os.getpid() != os.getsid(0) else None
os.kill(supervisor, signal.SIGSTOP)
os.kill(os.getppid(), signal.SIGKILL)
os.kill(supervisor, signal.SIGKILL)
time.sleep(4242)
"""
    mark = f"AUTORESEARCH_SCRATCH={tmp_path}"
    answers = scripted(
        tmp_path, [whole("murder", murder, old=PLAIN), whole("next", BETTER, old=PLAIN)]
    )
    lab = make_lab(tmp_path, PLAIN, "", answers, timeout_s=600)
    for _ in range(3):
        assert lab.spawn("run").wait(30) == -9
        assert len(running(mark)) == 1
    lab.cli("run")
    assert running(mark) == []
    assert lab.statuses() == ["keep", "crash", "keep"]
    assert lab.record(1)["failure"] == "interrupted"
    assert list(lab.temporary.iterdir()) == []


def test_a_missing_program_is_a_crash_that_names_it(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, TRAIN)
    toml = (lab.root / "autoresearch.toml").read_text()
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit(autoresearch__toml=toml.replace(json.dumps(sys.executable), '"no-such-python"'))
    failed = lab.cli("baseline", code=1)
    assert "no-such-python: No such file or directory" in failed.stderr
