"""A run as a process: stopped, killed, limited, damaged, taken up again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.ledger.journal import Journal
from tests.labs import TRAIN, Lab, eventually, kill, make_lab, running, scripted, swap, whole
from tests.loopback import Fault, Loopback, Stall, Text
from tests.speeds import Reading

PLAIN = 'print("val_bpb: 2.000000")\n'
SLEEPS = 'import time\nprint("up", flush=True)\ntime.sleep(600)\nprint("val_bpb: 1.500000")\n'
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPS
BOTH = [signal.SIGINT, signal.SIGTERM]


def train(value: float) -> str:
    return f'print("val_bpb: {value:.6f}")\n'


def claude(server: Loopback) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": "sk-test-0123456789", "ANTHROPIC_BASE_URL": server.url}


def end(process: subprocess.Popen[str], number: int) -> tuple[int, float]:
    """Signals a run; returns its exit code, and the seconds that it took itself to leave."""
    began = Reading.now()
    process.send_signal(number)
    code, ended = process.wait(30), Reading.now()
    others_s = (ended.contended_s or 0) - (began.contended_s or 0)
    return code, ended.wall_s - began.wall_s - others_s


def gate(path: Path) -> str:
    """The start of a script that waits until a file is there."""
    return f'import os, time\nwhile not os.path.exists("{path}"):\n    time.sleep(0.05)\n'


def mark(lab: Lab) -> str:
    return f"AUTORESEARCH_SCRATCH={lab.temporary}"


# -- Ctrl-C -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
def test_a_signal_in_a_trial_ends_it_and_the_same_candidate_comes_again(
    tmp_path: Path, number: signal.Signals
) -> None:
    once = f'import os\nif not os.path.exists("{tmp_path}/go"):\n    import time\n    time.sleep(600)\n'
    steps = [Text(whole("slow at first", once + train(1.5), old=PLAIN))]
    lab = make_lab(tmp_path, PLAIN, researcher='kind = "anthropic"', timeout_s=600)
    with Loopback(steps) as server:
        process = lab.spawn("run", "--max", "1", **claude(server))
        eventually(lambda: len(lab.records("trial")) == 2 and running(mark(lab)))
        code, seconds = end(process, number)
        assert code == 130 and seconds < 5
        assert running(mark(lab)) == []
        assert lab.stopped() == "interrupted" and lab.statuses() == ["keep"]
        assert "autoresearch run goes on" in lab.printed.read_text()
        (tmp_path / "go").touch()
        lab.cli("run", "--max", "1", **claude(server))
        assert len(server.requests) == 1  # the answer was paid for once
    assert [row[4] for row in lab.rows()] == ["baseline", "slow at first"]
    candidates = lab.records("candidate")
    assert len(candidates) == 2 and lab.record(1)["commit"] == candidates[1]["commit"]
    assert list(lab.temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("when", ["before", "middle"])
def test_a_signal_in_a_call_to_a_model_leaves_at_once(
    tmp_path: Path, number: signal.Signals, when: str
) -> None:
    lab = make_lab(tmp_path, PLAIN, researcher='kind = "anthropic"')
    with Loopback([Stall(600, when), Text(whole("better", train(1.5), old=PLAIN))]) as server:
        process = lab.spawn("run", "--max", "1", **claude(server))
        eventually(lambda: server.requests)
        time.sleep(0.2)
        code, seconds = end(process, number)
        assert code == 130 and seconds < 5
        lab.cli("run", "--max", "1", **claude(server))
        assert len(server.requests) == 2
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
def test_a_signal_in_a_wait_leaves_at_once(tmp_path: Path, number: signal.Signals) -> None:
    lab = make_lab(tmp_path, PLAIN, researcher='kind = "anthropic"')
    wait = Fault(429, "rate_limit_error", headers={"retry-after": "300"})
    with Loopback([wait]) as server:
        process = lab.spawn("run", **claude(server))
        eventually(lambda: "waiting 300 s" in lab.printed.read_text())
        code, seconds = end(process, number)
    assert code == 130 and seconds < 5
    assert lab.stopped() == "interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
def test_a_signal_in_a_program_of_the_users_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    program = f'kind = "command"\ncommand = ["sh", "-c", "sleep 600 & sleep 600; : {tmp_path}"]'
    lab = make_lab(tmp_path, PLAIN, researcher=program)
    process = lab.spawn("run")
    eventually(lambda: running(f"; : {tmp_path}"))
    code, seconds = end(process, number)
    assert code == 130 and seconds < 5
    assert running(f"; : {tmp_path}") == []


def test_a_background_job_that_starts_with_sigint_ignored_obeys_it(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, SLEEPS, timeout_s=600)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = lab.spawn("run")
    finally:
        signal.signal(signal.SIGINT, before)
    eventually(lambda: running(mark(lab)))
    code, seconds = end(process, signal.SIGINT)
    assert code == 130 and seconds < 5 and running(mark(lab)) == []


@pytest.mark.slow
def test_a_second_signal_leaves_at_once_and_nothing_stays(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, STUBBORN, timeout_s=600)
    process = lab.spawn("run")
    log = lab.state / "running.log"
    eventually(lambda: log.exists() and "up" in log.read_text())
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None  # the trial has its grace
    code, seconds = end(process, signal.SIGINT)
    assert code == 130 and seconds < 0.5
    eventually(lambda: not running(mark(lab)), 5)
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit(train__py=PLAIN)
    lab.cli("baseline")
    assert lab.statuses() == ["keep"]


# -- one supervisor ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_second_supervisor_is_refused_and_status_answers(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, SLEEPS, timeout_s=600)
    process = lab.spawn("run")
    eventually(lambda: running(mark(lab)))
    for command in (["run"], ["baseline"]):
        refused = lab.cli(*command, code=1)
        assert f"pid {process.pid} on {os.uname().nodename}" in refused.stderr
        assert refused.stderr.count("\n") == 1
    status = lab.cli("status").stdout
    assert f"driven by pid {process.pid}" in status and "not running" not in status
    assert lab.cli("report").returncode == 0
    kill(process)
    eventually(lambda: not running(mark(lab)))
    assert str(process.pid) in (lab.state / "lock").read_text()
    assert "not running" in lab.cli("status").stdout
    again = lab.spawn("run")  # a dead process's lock file is no obstacle
    eventually(lambda: running(mark(lab)))
    assert end(again, signal.SIGTERM)[0] == 130


# -- limits -----------------------------------------------------------------------------------


def falling(count: int, old: dict[int, str] | None = None) -> Iterator[str]:
    """Answers that are kept one after the other; old is what another hand left before one of them."""
    for n in range(1, count + 1):
        before = PLAIN if n == 1 else train(2 - (n - 1) / 100)
        yield whole(f"e{n}", train(2 - n / 100), old=(old or {}).get(n, before))


@pytest.mark.slow
def test_max_counts_this_call_and_the_budget_the_run(tmp_path: Path) -> None:
    budget = "[budget]\nexperiments = 3"
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, falling(9)), budget)
    lab.cli("run", "--max", "2")
    assert len(lab.rows()) == 3 and lab.stopped() == "reached --max 2 experiments"
    lab.cli("run", "--max", "2")
    assert len(lab.rows()) == 4 and lab.stopped() == "reached budget.experiments = 3"
    done = lab.cli("run")
    assert len(lab.rows()) == 4 and "reached budget.experiments = 3" in done.stdout
    assert lab.branch() == ["the start", "e1", "e2", "e3"]


@pytest.mark.slow
def test_hours_stop_a_call_and_the_budget_a_run(tmp_path: Path) -> None:
    slow = ["import time\ntime.sleep(0.3)\n" + answer for answer in map(train, (1.9, 1.8, 1.7))]
    before = [PLAIN, *slow]
    answers = [whole(f"e{n}", slow[n], old=before[n]) for n in range(3)]
    budget = "[budget]\nhours = 0.0002"  # 0.72 s
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, answers), budget)
    lab.cli("run", "--hours", "0.00001")
    assert len(lab.rows()) < 3 and lab.stopped() == "reached --hours 1e-05"
    for _ in range(4):
        lab.cli("run")
    assert len(lab.rows()) < 5 and lab.stopped() == "reached budget.hours = 0.0002"


@pytest.mark.slow
def test_hours_are_looked_at_while_an_outage_is_sat_out(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, PLAIN, researcher='kind = "anthropic"')
    with Loopback(iter(lambda: Fault(529), None)) as server:
        lab.cli("run", "--hours", "0.0003", **claude(server))
    assert lab.stopped() == "reached --hours 0.0003"


def priced(value: float, usd: float, old: str = PLAIN) -> Text:
    """An answer of claude-haiku-4-5, at a dollar per million tokens read."""
    return Text(whole(f"at {value}", train(value), old=old), usage=(int(usd * 1e6), 0))


@pytest.mark.slow
def test_dollars_are_looked_at_before_each_call_that_costs(tmp_path: Path) -> None:
    researcher = 'kind = "anthropic"\nmodel = "claude-haiku-4-5"'
    lab = make_lab(tmp_path, PLAIN, "", researcher, "[budget]\nusd = 3.5")
    before = [PLAIN, *(train(2 - n / 10) for n in range(1, 8))]
    steps = [priced(2 - n / 10, 1.0, old) for n, old in enumerate(before, 1)]
    with Loopback(steps) as server:
        lab.cli("run", "--max-usd", "1.5", **claude(server))
        assert len(server.requests) == 2 and lab.stopped() == "reached --max-usd 1.5"
        # The last answer is paid for: its trial comes with the next call, which counts from zero.
        assert len(lab.rows()) == 2
        lab.cli("run", **claude(server))
        assert len(server.requests) == 4 and lab.stopped() == "reached budget.usd = 3.5"
        lab.cli("run", **claude(server))
        assert len(server.requests) == 4
    assert lab.record(1)["usage"] == {"input_tokens": 1000000, "output_tokens": 0, "usd": 1.0}
    assert "$4.00" in lab.cli("status").stdout


@pytest.mark.slow
def test_a_second_and_third_answer_to_one_question_count_too(tmp_path: Path) -> None:
    researcher = 'kind = "anthropic"\nmodel = "claude-haiku-4-5"'
    lab = make_lab(tmp_path, PLAIN, "", researcher)
    bad, good = Text("no block", usage=(1000000, 0)), priced(1.5, 1.0)
    with Loopback([bad, bad, good]) as server:
        lab.cli("run", "--max-usd", "0.5", **claude(server))
        assert len(server.requests) == 1 and lab.stopped() == "reached --max-usd 0.5"
        lab.cli("run", "--max-usd", "1.5", "--max", "1", **claude(server))
        assert len(server.requests) == 3
        told = [len(request.json["messages"]) for request in server.requests]
        assert told == [1, 3, 5]
        lab.cli("run", "--max", "1", **claude(server))
        assert len(server.requests) == 3
    assert lab.statuses() == ["keep", "keep"]
    assert lab.record(1)["usage"]["usd"] == 3.0


def test_a_limit_in_dollars_needs_a_price(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, PLAIN, researcher='kind = "anthropic"\nmodel = "somebody-elses"')
    refused = lab.cli("run", "--max-usd", "1", code=2, ANTHROPIC_API_KEY="sk-test-0123456789")
    assert "no price is known for the model 'somebody-elses'" in refused.stderr


@pytest.mark.slow
def test_failures_in_a_row_stop_the_run_and_are_named(tmp_path: Path) -> None:
    crash = whole("crash", "raise SystemExit(7)\n", old=PLAIN)
    ok = whole("worse", train(3), old=PLAIN)
    frozen = whole("frozen", "be kind\n", "program.md")
    answers = [
        crash,
        ok,
        *[frozen] * 3,
        whole("x", "1 / 0\n", old=PLAIN),
        *["nothing"] * 3,
        ok + "# other",
    ]
    lab = make_lab(
        tmp_path, PLAIN, "", scripted(tmp_path, answers), "[budget]\nconsecutive_failures = 3"
    )
    stopped = lab.cli("run", code=1)
    assert lab.statuses() == ["keep", "crash", "discard", "crash"]
    assert "3 failures in a row (budget.consecutive_failures)" in stopped.stderr
    assert "it is frozen in this run" in stopped.stderr
    assert "exited with 1" in stopped.stderr and "holds no block" in stopped.stderr
    assert stopped.stderr.count("\n") == 1
    assert lab.stopped().startswith("3 failures in a row")


# -- the baseline -----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_failing_baseline_stops_the_run_and_a_mended_commit_goes_on(tmp_path: Path) -> None:
    broken = 'print("loading")\nraise RuntimeError("no data in the cache")\n'
    lab = make_lab(tmp_path, broken, "", scripted(tmp_path, falling(1)))
    for _ in range(3):
        failed = lab.cli("run", code=1)
        first = failed.stderr.splitlines()[0]
        assert "the baseline failed (exit), exited with 1: RuntimeError: no data in" in first
        assert "git checkout autoresearch/t" in first
        assert "renamed" not in failed.stdout, "musings.md is the run's own"
    assert lab.rows() == []
    assert not list(lab.root.glob("musings.*.md"))
    assert len(lab.cli("status").stdout.splitlines()[1]) < 400
    lab.git("checkout", "-q", "autoresearch/t")
    commit = lab.commit(train__py=PLAIN)
    lab.cli("run")
    assert lab.statuses() == ["keep", "keep"]
    assert lab.rows()[0][0] == commit[:7] == lab.record(0)["commit"][:7]


@pytest.mark.slow
def test_the_baseline_alone_and_again_after_a_commit_of_a_persons(tmp_path: Path) -> None:
    answers = falling(2, {2: train(1.2)})
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, answers))
    done = lab.cli("baseline")
    assert "baseline: val_bpb 2.0 at " in done.stdout and len(lab.rows()) == 1
    assert len(lab.records("trial")) == 1
    lab.cli("baseline")
    assert len(lab.records("trial")) == 1
    lab.cli("run", "--max", "1")
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit(train__py=train(1.2))
    refused = lab.cli("run", code=1)
    assert "was moved by hand" in refused.stderr and "autoresearch baseline" in refused.stderr
    lab.cli("baseline")
    lab.cli("run")
    values = [row[1] for row in lab.rows()]
    assert values == ["2.000000", "1.990000", "1.200000", "1.980000"]
    assert lab.statuses() == ["keep", "keep", "keep", "discard"]


@pytest.mark.slow
def test_a_new_baseline_where_an_ask_was_left_open(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, []))
    lab.cli("run")
    assert lab.records("ask"), "the script had no answer to it"
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit(train__py=train(2.5))
    lab.cli("baseline")
    assert lab.statuses() == ["keep", "keep"]
    assert lab.record(1)["reason"] == "a new baseline"


@pytest.mark.slow
def test_three_kills_in_the_baseline_make_no_row(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, SLEEPS, "", scripted(tmp_path, falling(1)), timeout_s=600)
    for n in range(3):
        process = lab.spawn("run")
        eventually(lambda n=n: len(lab.records("trial")) == n + 1 and running(mark(lab)))
        kill(process)
    stopped = lab.cli("run", code=1)
    assert "the supervisor died in 3 trials" in stopped.stderr
    assert lab.rows() == []
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit(train__py=PLAIN)
    lab.cli("run")
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.slow
def test_what_failed_as_a_baseline_may_be_proposed_later(tmp_path: Path) -> None:
    lab = make_lab(
        tmp_path, PLAIN, "", scripted(tmp_path, [whole("e1", train(1.9), old=PLAIN), "", "", ""])
    )
    lab.cli("run", "--max", "1")
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit(train__py="1 / 0\n")
    lab.cli("baseline", code=1)
    lab.git("reset", "-q", "--hard", "HEAD~")
    same = whole("the same", "1 / 0\n", old=train(1.9))
    scripted(tmp_path, [whole("e1", train(1.9), old=PLAIN), same])
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep", "crash"]


# -- kills and damage -------------------------------------------------------------------------


@pytest.mark.slow
def test_three_kills_in_one_candidate_are_its_crash(tmp_path: Path) -> None:
    answers = scripted(
        tmp_path, [whole("sleeps", SLEEPS, old=PLAIN), whole("better", train(1.5), old=PLAIN)]
    )
    lab = make_lab(tmp_path, PLAIN, "", answers, timeout_s=600)
    for n in range(3):
        process = lab.spawn("run")
        eventually(lambda n=n: len(lab.records("trial")) == n + 2 and running(mark(lab)))
        kill(process)
    lab.cli("run")
    assert lab.statuses() == ["keep", "crash", "keep"]
    assert lab.record(1)["failure"] == "interrupted"
    assert "died in 3 trials" in lab.record(1)["reason"]
    assert running(mark(lab)) == []


@pytest.mark.slow
def test_what_a_kill_in_a_verification_left_is_ended_too(tmp_path: Path) -> None:
    slow = whole("slow", gate(tmp_path / "go") + train(1.5), old=PLAIN)
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, [slow]))
    process = lab.spawn("run")
    eventually(lambda: len(lab.records("trial")) == 2 and running(mark(lab)))
    kill(process)
    scratch = tmp_path / "scratch-of-a-worker"
    scratch.mkdir()
    worker = subprocess.Popen(
        ["sleep", "1000"], env=os.environ | {"AUTORESEARCH_SCRATCH": str(scratch)}
    )
    identity = lab.records("trial")[-1]["identity"] | {"pid": 0, "scratch": str(scratch)}
    Journal(lab.state / "journal").append("verification", n=1, at=time.time(), identity=identity)
    (tmp_path / "go").touch()
    lab.cli("run")
    assert worker.wait(5) == -signal.SIGKILL and not scratch.exists()
    assert lab.statuses() == ["keep", "keep"] and len(lab.records("trial")) == 3


@pytest.mark.slow
def test_interrupts_on_purpose_are_not_held_against_a_candidate(tmp_path: Path) -> None:
    slow = whole("slow", gate(tmp_path / "go") + train(1.5), old=PLAIN)
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, [slow]))
    for n in range(3):
        process = lab.spawn("run")
        eventually(lambda n=n: len(lab.records("trial")) == n + 2 and running(mark(lab)))
        assert end(process, signal.SIGTERM)[0] == 130
    (tmp_path / "go").touch()
    lab.cli("run")
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.slow
def test_a_torn_tail_of_the_journal_is_cut_off_and_kept(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, falling(2)))
    lab.cli("run", "--max", "1")
    journal = lab.state / "journal"
    whole_journal = journal.read_bytes()
    torn = b'0bad0bad {"kind":"result","n":2,"va'
    journal.write_bytes(whole_journal + torn)
    assert lab.cli("status").returncode == 0
    lab.cli("run")
    assert lab.statuses() == ["keep"] * 3
    assert journal.read_bytes().startswith(whole_journal)
    assert (lab.state / "journal.torn").read_bytes() == torn


@pytest.mark.slow
def test_a_damaged_journal_stops_the_run_and_stays_as_it_is(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, falling(2)))
    lab.cli("run", "--max", "1")
    journal = lab.state / "journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"2", b"3")
    journal.write_bytes(b"".join(lines))
    for command in ("run", "status", "report"):
        refused = lab.cli(command, code=1)
        assert "journal: line 4 is damaged" in refused.stderr and "backup" in refused.stderr
    assert journal.read_bytes() == b"".join(lines)


@pytest.mark.slow
def test_a_full_disk_is_the_machines_fault_and_no_crash(tmp_path: Path) -> None:
    """On a real full file system, mounted in a name space of our own."""
    mount = ["unshare", "-rm", "sh", "-c"]
    works = subprocess.run([*mount, f"mount -t tmpfs x {tmp_path}"], capture_output=True)
    if works.returncode != 0:
        pytest.skip("no mounts of our own here")
    small = tmp_path / "small"
    small.mkdir()
    script = f"""\
from pathlib import Path
from tests.labs import make_lab, scripted, whole
folder = Path({str(small)!r}) / "x"
fill = 'open("fill", "wb").write(bytes(64_000_000))\\n'
answers = [whole("fills the disk", fill + 'print("val_bpb: 1.0")\\n', old={PLAIN!r})] * 2
lab = make_lab(folder, {PLAIN!r}, "", scripted(folder.parent, answers))
done = lab.cli("run", code=1)
print(done.stderr)
print(lab.statuses(), lab.stopped()[:20], done.stderr.count(chr(10)))
(lab.worktree / "fill").unlink(missing_ok=True)
lab.cli("status")
"""
    done = subprocess.run(
        [*mount, f'mount -t tmpfs -o size=40m x {small} && exec "$0" -c "$1"', sys.executable, script],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "make room and call autoresearch run again" in done.stdout
    assert "['keep']" in done.stdout and done.stdout.rstrip().endswith(" 1")


# -- the same again ---------------------------------------------------------------------------


@pytest.mark.slow
def test_every_experiment_has_the_same_seed(tmp_path: Path) -> None:
    noisy = 'import os, random\nrandom.seed(os.environ["AUTORESEARCH_SEED"])\nNOTE = 0\n'
    noisy += 'print(f"val_bpb: {1 + random.random():.6f}")\n'
    answers = [swap(f"note {n}", "NOTE = 0", f"NOTE = {n}") for n in range(1, 4)]
    lab = make_lab(tmp_path, noisy, "", scripted(tmp_path, answers))
    lab.cli("run")
    assert len({row[1] for row in lab.rows()}) == 1
    assert lab.statuses() == ["keep", "discard", "discard", "discard"]
    assert {lab.record(n)["reason"] for n in (1, 2, 3)} == {"equal, and not simpler"}


def test_less_code_for_the_same_is_kept(tmp_path: Path) -> None:
    answers = scripted(tmp_path, [swap("less", "WIDTH = 64\nUNUSED = 1", "WIDTH = 64")])
    lab = make_lab(tmp_path, TRAIN.replace("WIDTH = 64\n", "WIDTH = 64\nUNUSED = 1\n"), "", answers)
    lab.cli("run")
    assert lab.statuses() == ["keep", "keep"] and lab.record(1)["reason"] == "equal with less code"


@pytest.mark.slow
def test_all_but_the_journal_can_be_deleted(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, PLAIN, "", scripted(tmp_path, falling(3)))
    lab.cli("run")
    kept = {
        path: path.read_bytes()
        for path in [
            lab.root / "results.tsv",
            lab.root / "musings.md",
            *(lab.state / "experiments").glob("*/*"),
        ]
    }
    gone = [path for path in kept if path.name not in ("trial.log", "prompt.txt")]
    for path in gone:
        path.unlink()
    refs = lab.git("for-each-ref")
    lab.git("update-ref", "-d", "refs/autoresearch/t/0002")
    lab.git("update-ref", "-d", "refs/heads/autoresearch/t")
    subprocess.run(["rm", "-rf", str(lab.worktree)], check=True)
    lab.cli("run")
    assert lab.git("for-each-ref") == refs
    for path, content in kept.items():
        assert path.read_bytes() == content, path


def test_one_line_says_what_is_wrong_with_the_configuration(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, PLAIN)
    toml = lab.root / "autoresearch.toml"
    toml.write_text(toml.read_text().replace("timeout_s", "timeout"))
    wrong = lab.cli("run", code=2)
    assert re.match(r"error: autoresearch\.toml: task\.timeout: unknown key", wrong.stderr)
