"""What stands between a trial and a keep: `evaluate`, limits, checks, files of metrics, several setups."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from autoresearch.config import parse
from autoresearch.lab.run import _frozen_or_default
from autoresearch.ratchet.planted import planted_file
from autoresearch.rules.advice import claim_notice
from tests.jailed import jail_of
from tests.labs import Lab, eventually, kill, make_lab, running, scripted, swap

PYTHON = json.dumps(sys.executable)

# It leaves its value in out/model.json, and prints what it likes.
TRAIN = """\
import json, os, pathlib
VALUE = 1.5
P95 = 10
pathlib.Path("out").mkdir(exist_ok=True)
pathlib.Path("out/model.json").write_text(json.dumps({"eval": [{"loss": VALUE}], "p95": P95}))
print("val_bpb: 0.000001")
print("tokens: 10")
print(f"p95_ms = {P95} (of 40)")
"""
JUDGE = """\
import json
print("val_bpb:", json.load(open("out/model.json"))["eval"][0]["loss"])
"""
EVALUATE = f'evaluate = [{PYTHON}, "judge.py"]'


def lab_of(
    folder: Path,
    changes: list[tuple[str, str]],
    task: str = EVALUATE,
    train: str = TRAIN,
    rest: str = "",
    timeout_s: float = 60,
    **files: str,
) -> Lab:
    """A lab whose proposals make these changes (old, new), each once the one before is judged."""
    answers = [swap(f"{old} -> {new}", old, new) for old, new in changes]
    named = {name.replace("__", "."): text for name, text in files.items()}
    everything = {"judge.py": JUDGE, **named}
    return make_lab(folder, train, task, scripted(folder, answers), rest, everything, timeout_s)


def values(lab: Lab) -> list[str]:
    return [row[1] for row in lab.rows()]


# -- evaluate -------------------------------------------------------------------------------------


def test_what_evaluate_prints_counts_and_not_what_the_trial_prints(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, [("VALUE = 1.5", "VALUE = 1.4"), ("VALUE = 1.4", "VALUE = 1.6")])
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep", "keep", "discard"]
    assert values(lab) == ["1.500000", "1.400000", "1.600000"]
    record = lab.record(1)
    assert (record["evidence"], record["claimed"]) == ("evaluated", 0.000001)
    assert record["summary"]["tokens"] == 10
    assert "val_bpb: 1.4" in lab.file(1, "evaluate.log")
    assert "0.000001" in lab.file(1, "trial.log")
    shown = lab.cli("show", "1").stdout
    assert "evaluated; the trial printed 0.000001" in shown
    assert "evaluate.log, its end:\nval_bpb: 1.4" in shown
    assert list(lab.temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("judge", "failure", "words"),
    [
        ("raise SystemExit('no such model')", "evaluate", "evaluate exited with 1: no such model"),
        ("print('val_bpb: 1')\nprint('val_bpb: 2')", "two_summaries", "evaluate's output has more"),
        ("print('loss 3')", "no_summary", "evaluate's output has no line with val_bpb"),
        ("print('val_bpb: nan')", "nan", "val_bpb is nan"),
        pytest.param(
            "import time\ntime.sleep(60)", "timeout", "evaluate was killed at 10 s", marks=pytest.mark.slow
        ),
        ("open('train.py', 'a').write('#')\nprint('val_bpb: 1')", "tampered", "evaluate changed train.py"),
        ("import os, signal\nos.kill(os.getppid(), 9)\nprint('val_bpb: 1')", "tampered", "evaluate killed"),
    ],
)  # fmt: skip
def test_evaluate_that_fails_on_a_candidate_is_a_crash(
    tmp_path: Path, judge: str, failure: str, words: str
) -> None:
    script = (
        "import json\nloss = json.load(open('out/model.json'))['eval'][0]['loss']\nif loss < 1.5:\n"
    )
    script += "".join(f"    {line}\n" for line in judge.splitlines())
    script += "else:\n    print('val_bpb:', loss)\n"
    changes = [("VALUE = 1.5", "VALUE = 1.4"), ("VALUE = 1.5", "VALUE = 1.6")]
    short = 10 if failure == "timeout" else 60
    lab = lab_of(tmp_path, changes, timeout_s=short, judge__py=script)
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep", "crash", "discard"]
    assert lab.record(1)["failure"] == failure and words in lab.record(1)["reason"]


BUSY = """\
import json, pathlib, sys
asked = pathlib.Path(sys.argv[1])
asked.write_text(asked.read_text() + "x" if asked.exists() else "x")
loss = json.load(open("out/model.json"))["eval"][0]["loss"]
if loss < 1.5 and len(asked.read_text()) < int(sys.argv[2]):
    sys.exit(print("rate limit") or 75)
print("val_bpb:", loss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("times", [3, 99])
def test_a_judge_that_can_not_judge_now_is_no_fault_of_the_candidates(
    tmp_path: Path, times: int
) -> None:
    """It is asked again twice; then the run stops, and the next call tries the same candidate."""
    asked = tmp_path / "asked"
    evaluate = f"evaluate = [{PYTHON}, 'judge.py', {json.dumps(str(asked))}, '{times}']"
    lab = lab_of(tmp_path, [("VALUE = 1.5", "VALUE = 1.4")], evaluate, judge__py=BUSY)
    ran = lab.cli("run", "--max", "1", code=0 if times == 3 else 1)
    assert "can't judge now (exit 75: rate limit); it is asked again in 1 s" in ran.stdout
    if times == 3:
        assert lab.statuses() == ["keep", "keep"]
        return
    assert "no fault of the candidate's" in ran.stderr and "run again" in ran.stderr
    assert lab.statuses() == ["keep"] and len(asked.read_text()) == 4
    asked.write_text("x" * 100)
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
    assert [record["n"] for record in lab.records("ask")] == [1]
    assert not lab.records("fault")


@pytest.mark.slow
def test_a_judge_that_does_not_start_is_no_fault_of_the_candidates(tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    judge.write_text(f"#!{sys.executable}\n{JUDGE}")
    judge.chmod(0o755)
    changes = [("VALUE = 1.5", "VALUE = 1.4"), ("VALUE = 1.4", "VALUE = 1.3")]
    lab = lab_of(tmp_path, changes, f"evaluate = [{json.dumps(str(judge))}]")
    lab.cli("run", "--max", "1")
    judge.rename(tmp_path / "gone")
    error = lab.cli("run", "--max", "1", code=1).stderr
    assert f"task.evaluate: {judge} could not be started" in error
    assert lab.statuses() == ["keep", "keep"]
    (tmp_path / "gone").rename(judge)
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep", "keep"]


@pytest.mark.slow
def test_evaluate_is_fixed_by_the_baseline(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, [("VALUE = 1.5", "VALUE = 1.4")])
    lab.cli("baseline")
    config = (lab.root / "autoresearch.toml").read_text()
    (lab.root / "autoresearch.toml").write_text(config.replace('"judge.py"', '"other.py"'))
    assert "task.evaluate changed since the baseline" in lab.cli("run", code=1).stderr
    (lab.root / "autoresearch.toml").write_text(
        config.replace("timeout_s", 'setup = ["true"]\ntimeout_s')
    )
    assert "task.setup changed since the baseline" in lab.cli("run", code=1).stderr


@pytest.mark.slow
def test_nothing_of_an_earlier_trial_is_evaluated(tmp_path: Path) -> None:
    """The judged file lies in a cache, and the next candidate writes none."""
    judge = "import os\nprint('val_bpb:', 1 if os.path.exists('evaluated') else 2)\nopen('evaluated', 'w')\n"
    lab = lab_of(tmp_path, [("P95 = 10", "P95 = 11"), ("P95 = 10", "P95 = 12")], judge__py=judge)
    lab.cli("run", "--max", "2")
    assert [row[1] for row in lab.rows()] == ["2.000000"] * 3


@pytest.mark.parametrize(
    ("task", "mutable", "words"),
    [
        ("", (), "val_bpb is what the trial prints of itself"),
        ('[task.metric]\nfile = "m.json:a"', (), "read from m.json, which the trial writes"),
        ('evaluate = ["python", "./judge.py"]', ("judge.py",), "evaluate runs ./judge.py, which a candidate"),
        ('evaluate = ["python", "judge.py"]', ("train.py",), None),
        ('exam = "bpb"', (), None),
    ],
)  # fmt: skip
def test_a_score_that_is_a_claim_is_said(
    task: str, mutable: tuple[str, ...], words: str | None
) -> None:
    config = parse(f'[task]\ncommand = ["x"]\nmutable = ["train.py"]\n{task}\n'.encode())
    said = claim_notice(config.task, mutable)
    assert said is None if words is None else said is not None and words in said


# -- in the jail ----------------------------------------------------------------------------------

HARD = """\
import json, os, pathlib, sys
for path in ("out/model.json", "train.py", "new.txt", "out/new.txt"):
    try:
        open(path, "a").write("x")
    except OSError:
        continue
    sys.exit(f"{path} can be written")
pathlib.Path(os.environ["AUTORESEARCH_SCRATCH"], "mine").write_text("x")
pathlib.Path(os.environ["HOME"], "mine").write_text("x")
print("val_bpb:", json.load(open("out/model.json"))["eval"][0]["loss"])
"""
# It leaves bytecode of its own for the judge's module, and a process that would write the score.
PLANT = (
    TRAIN
    + """\
import importlib.util, subprocess, sys
code = compile("def loss(): return 0.001", "helper.py", "exec")
import marshal, struct
info = os.stat("helper.py")
cached = pathlib.Path(importlib.util.cache_from_source("helper.py"))
cached.parent.mkdir(parents=True, exist_ok=True)
head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(info.st_mtime), info.st_size)
cached.write_bytes(head + marshal.dumps(code))
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(.2); open('out/late.txt', 'w')"])
"""
)
HELPED = """\
import helper, os, time
time.sleep(0.5)
assert not os.path.exists("out/late.txt")
print("val_bpb:", helper.loss())
"""


@pytest.mark.slow
@pytest.mark.parametrize("jail", ["bwrap", "landlock", "none"])
def test_the_trials_files_are_read_only_for_evaluate(tmp_path: Path, jail: str) -> None:
    jail_of(jail)
    judge = HARD if jail != "none" else JUDGE
    rest = f'[runner]\nsandbox = "{jail}"'
    lab = lab_of(tmp_path, [("VALUE = 1.5", "VALUE = 1.4")], rest=rest, judge__py=judge)
    lab.cli("run", "--max", "1")
    assert values(lab) == ["1.500000", "1.400000"]
    assert list(lab.temporary.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("jail", ["bwrap", "none"])
def test_a_trial_leaves_nothing_that_runs_in_evaluate(tmp_path: Path, jail: str) -> None:
    jail_of(jail)
    helper = "def loss():\n    import json\n    return json.load(open('out/model.json'))['eval'][0]['loss']\n"
    lab = lab_of(
        tmp_path, [("VALUE = 1.5", "VALUE = 1.4")], train=PLANT, rest=f'[runner]\nsandbox = "{jail}"',
        judge__py=HELPED, helper__py=helper,
    )  # fmt: skip
    lab.cli("run", "--max", "1")
    assert values(lab) == ["1.500000", "1.400000"]


@pytest.mark.parametrize(
    "left",
    [
        "json.py", "json/__init__.py", "json.cpython-311.so", "yaml.py", "pydantic/__init__.py",
        "helper/__init__.py", "helper.so", "sitecustomize.py", "conftest.py", "GNUmakefile", "tools/os.py",
    ],
)  # fmt: skip
def test_what_a_trial_lays_in_the_place_of_the_judges_files(tmp_path: Path, left: str) -> None:
    tree = dict.fromkeys(("judge.py", "helper.py", "Makefile", "tools/x.py"), ("100644", ""))
    (tmp_path / left).parent.mkdir(exist_ok=True)
    packages = tmp_path / "packages"
    for name in ("yaml", "pydantic", "pydantic-2.0.dist-info"):
        (packages / name).mkdir(parents=True)
    for name in (*tree, "out.json", "data.py", "numbers.txt", "model/x.bin", "types"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert planted_file(tmp_path, tree, lambda path: False, packages) is None
    (tmp_path / left).write_text("")
    found = planted_file(tmp_path, tree, lambda path: False, packages)
    assert found == left.removesuffix("/__init__.py")
    if "helper" in left:  # what a candidate may change it may also build
        assert planted_file(tmp_path, tree, lambda path: path == "helper.py", packages) is None


@pytest.mark.slow
def test_a_trial_that_lays_a_module_in_the_place_of_the_judges_is_a_crash(tmp_path: Path) -> None:
    fake = 'pathlib.Path("json.py").write_text("def load(file): return {}")'
    lab = lab_of(tmp_path, [('print("tokens: 10")', fake), ("VALUE = 1.5", "VALUE = 1.4")])
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep", "crash", "keep"]
    assert lab.record(1)["reason"] == "the trial changed what evaluate would load, by its json.py"


# -- checks ---------------------------------------------------------------------------------------

CHECK = """\
import sys, train
print("looking")
sys.exit("p95 is odd" if train.P95 % 2 else 0)
"""
CHECKS = f"checks = [['sh', '-c', 'test -e train.py'], [{PYTHON}, 'check.py']]"


def test_a_check_that_fails_is_a_discard_with_its_words(tmp_path: Path) -> None:
    changes = [
        ("VALUE = 1.5\nP95 = 10", "VALUE = 1.4\nP95 = 11"),
        ("VALUE = 1.5", "VALUE = 1.4"),
        ("VALUE = 1.4\nP95 = 10", "VALUE = 1.6\nP95 = 11"),
    ]
    lab = lab_of(tmp_path, changes, f"{EVALUATE}\n{CHECKS}", check__py=CHECK)
    lab.cli("run", "--max", "3")
    assert lab.statuses() == ["keep", "discard", "keep", "discard"]
    record = lab.record(1)
    assert record["failure"] == "check"
    assert record["reason"].endswith("check.py: p95_ms = 11 (of 40) / looking / p95 is odd")
    assert record["value"] == 1.4 and "looking" in lab.file(1, "checks.log")
    assert "worse by" in lab.record(3)["reason"]  # what would lose anyway is not checked
    assert [r["n"] for r in lab.records("check")] == [0, 0, 1, 1, 2, 2]
    assert list(lab.temporary.iterdir()) == []


@pytest.mark.slow
def test_checks_see_the_commit_after_setup_and_not_what_a_trial_left(tmp_path: Path) -> None:
    check = "import os\nassert os.path.exists('built') and not os.path.exists('out'), 'dirty'\n"
    more = f"setup = ['sh', '-c', 'echo >> built']\n{EVALUATE}\nchecks = [[{PYTHON}, 'check.py']]"
    lab = lab_of(tmp_path, [("VALUE = 1.5", "VALUE = 1.4")], more, check__py=check)
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]


def test_a_check_that_fails_on_the_code_as_it_is_stops_the_run(tmp_path: Path) -> None:
    task = f"{EVALUATE}\nchecks = [['sh', '-c', 'echo 3 tests failed; exit 1']]"
    lab = lab_of(tmp_path, [("VALUE = 1.5", "VALUE = 1.4")], task)
    error = lab.cli("run", code=1).stderr
    assert "the baseline failed (check)" in error and "3 tests failed" in error
    assert "checks.log" in error


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        pytest.param("sleep 60", "discard", "killed at 10 s", marks=pytest.mark.slow),
        ("echo '#' >> train.py", "crash", "a check changed train.py"),
        ("exit 3", "discard", "check.sh: exited with 3"),
        ("exit 127", "discard", "exited with 127"),
        ("kill -9 $$", "discard", "killed by signal 9"),
        ("nosuchprogram", "discard", "nosuchprogram"),
    ],
)
def test_how_a_check_can_fail(tmp_path: Path, body: str, status: str, words: str) -> None:
    script = f"grep -q 'VALUE = 1.5' train.py && exit 0\n{body}\n"
    task = f"{EVALUATE}\nchecks = [['echo', 'before'], ['sh', 'check.sh']]"
    short = 10 if "sleep" in body else 60
    lab = lab_of(
        tmp_path, [("VALUE = 1.5", "VALUE = 1.4")], task, timeout_s=short, check__sh=script
    )
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", status] and words in lab.record(1)["reason"]


@pytest.mark.slow
def test_a_check_that_can_not_start_is_no_fault_of_the_candidates(tmp_path: Path) -> None:
    check = tmp_path / "check"
    check.write_text("#!/bin/sh\n")
    check.chmod(0o755)
    task = f"{EVALUATE}\nchecks = [[{json.dumps(str(check))}]]"
    lab = lab_of(tmp_path, [("VALUE = 1.5", "VALUE = 1.4")], task)
    lab.cli("baseline")
    check.unlink()
    error = lab.cli("run", "--max", "1", code=1).stderr
    assert f"task.checks: {check} could not be started" in error and lab.statuses() == ["keep"]
    check.symlink_to("/bin/true")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"] and not lab.records("fault")


@pytest.mark.slow
def test_a_candidate_whose_check_is_not_built_stops_no_run(tmp_path: Path) -> None:
    """The program of the check is made by the candidate's own build."""
    setup = "grep -q BROKEN train.py || printf '#!/bin/sh\\n' > built; chmod +x built 2>&1; true"
    task = f"setup = ['sh', '-c', {json.dumps(setup)}]\n{EVALUATE}\nchecks = [['./built']]"
    changes = [("VALUE = 1.5", "BROKEN = 1\nVALUE = 1.4"), ("VALUE = 1.5", "VALUE = 1.3")]
    lab = lab_of(tmp_path, changes, task)
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep", "crash", "keep"]
    assert lab.record(1)["failure"] == "fault" and "./built" in lab.record(1)["reason"]


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_limit_that_is_exceeded_is_a_discard_and_one_that_is_absent_a_crash(
    tmp_path: Path,
) -> None:
    changes = [
        ("VALUE = 1.5\nP95 = 10", "VALUE = 1.4\nP95 = 12"),
        ("VALUE = 1.5\nP95 = 10", "VALUE = 1.4\nP95 = 11"),
        ('print(f"p95_ms = {P95} (of 40)")', 'print(f"latency = {P95} (of 40)")'),
        ("VALUE = 1.4\nP95 = 11", "VALUE = 1.3\nP95 = 0.1"),
    ]
    limits = 'limits = { p95_ms = "<= baseline * 1.1", tokens = ">= 10" }'
    lab = lab_of(tmp_path, changes, f"{EVALUATE}\n{limits}")
    lab.cli("run", "--max", "4")
    assert lab.statuses() == ["keep", "discard", "keep", "crash", "keep"]
    assert lab.record(1)["failure"] == "limit"
    assert "p95_ms is 12, and must be <= baseline * 1.1 (11)" in lab.record(1)["reason"]
    assert lab.record(3)["failure"] == "no_summary" and "p95_ms" in lab.record(3)["reason"]
    prompt = lab.file(1, "prompt.txt")
    assert (
        "limits, as lines of the log have them: p95_ms <= baseline * 1.1, tokens >= 10." in prompt
    )
    assert "judge.py` prints about what the trial leaves" in prompt
    assert lab.record(2)["summary"]["p95_ms"] == 11


@pytest.mark.slow
def test_a_limit_that_is_younger_than_the_baseline(tmp_path: Path) -> None:
    """What its log has is read again; a number that it has not is said."""
    lab = lab_of(tmp_path, [("VALUE = 1.5\nP95 = 10", "VALUE = 1.4\nP95 = 12")])
    lab.cli("baseline")
    config = (lab.root / "autoresearch.toml").read_text()

    def limited(name: str) -> None:
        limit = f'limits = {{ {name} = "<= baseline" }}\ntimeout_s'
        (lab.root / "autoresearch.toml").write_text(config.replace("timeout_s", limit, 1))

    limited("other")
    error = lab.cli("run", "--max", "1", code=1).stderr
    assert "task.limits.other compares with the baseline, #0, which has no number" in error
    limited("p95_ms")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "discard"] and lab.record(1)["failure"] == "limit"


@pytest.mark.slow
def test_a_baseline_beyond_a_limit_is_said(tmp_path: Path) -> None:
    task = f'{EVALUATE}\nlimits = {{ p95_ms = "<= 5" }}'
    changes = [("VALUE = 1.5", "VALUE = 1.4"), ("VALUE = 1.5\nP95 = 10", "VALUE = 1.6\nP95 = 4")]
    lab = lab_of(tmp_path, changes, task)
    assert "the baseline itself is beyond task.limits (p95_ms is 10" in lab.cli("baseline").stdout
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "discard"]


# -- a file of metrics, and several setups ----------------------------------------------------------

WRITES = TRAIN.splitlines()[4]
FILE = '[task.metric]\nfile = "out/model.json:eval.0.loss"'


@pytest.mark.slow
def test_the_metric_is_read_from_a_file_that_is_never_an_earlier_ones(tmp_path: Path) -> None:
    """Neither a cache nor git brings one back; the log's own line counts for nothing."""
    changes = [
        ("VALUE = 1.5", "VALUE = 1.4"),
        (WRITES, "x = 1"),
        (
            'pathlib.Path("out").mkdir(exist_ok=True)',
            "os.path.exists('out/link') or os.symlink('..', 'out/link')",
        ),
        ("VALUE = 1.4", "VALUE = float('nan')"),
    ]
    lab = lab_of(tmp_path, changes, f"caches = ['out']\n{FILE}")
    lab.cli("run", "--max", "4")
    assert lab.statuses() == ["keep", "keep", "crash", "discard", "crash"]
    assert "out/model.json, where val_bpb should be, is not there" in lab.record(2)["reason"]
    assert lab.record(4)["failure"] == "nan"
    assert (
        "the score is a claim: val_bpb is read from out/model.json" in lab.cli("init", "u").stdout
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left", "words"),
    [
        ("os.symlink('/etc/passwd', 'out/m.json')", "can't be read"),
        ("os.mkfifo('out/m.json')", "no plain file"),
        ("os.mkdir('out/m.json')", "no plain file"),
        ("os.rename('out', 'o'); os.symlink('o', 'out')", "can't be read"),
        ("open('out/m.json', 'w').truncate(1 << 30)", "too many"),
        ("open('out', 'w') if os.rmdir('out') is None else 0", "can't be read"),
    ],
)
def test_what_stands_in_the_place_of_the_file(tmp_path: Path, left: str, words: str) -> None:
    train = "import json, os\nVALUE = 1\nos.makedirs('out')\n"
    train += (
        "if VALUE:\n    json.dump({'a': VALUE}, open('out/m.json', 'w'))\nelse:\n    " + left + "\n"
    )
    lab = lab_of(
        tmp_path, [("VALUE = 1", "VALUE = 0")], '[task.metric]\nfile = "out/m.json:a"', train
    )
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "crash"] and words in lab.record(1)["reason"]


@pytest.mark.slow
def test_a_file_of_metrics_that_git_tracks_may_be_written(tmp_path: Path) -> None:
    train = "import json\nVALUE = 1.5\njson.dump({'a': VALUE}, open('o/m.json', 'w'))\n"
    changes = [
        ("VALUE = 1.5", "VALUE = 1.4"),
        ("json.dump({'a': VALUE}, open('o/m.json', 'w'))", "VALUE = 1"),
    ]
    lab = lab_of(
        tmp_path,
        changes,
        '[task.metric]\nfile = "o/m.json:a"',
        train,
        **{"o/m__json": '{"a": 0.1}'},
    )
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep", "keep", "crash"]
    assert lab.git("status", "--porcelain") == ""
    (lab.root / "o" / "m.json").write_text("{}")  # as a trial of the person's own leaves it
    assert "ok: nothing changed" in lab.cli("check").stdout


@pytest.mark.slow
def test_several_setups_come_before_the_trial_in_their_order(tmp_path: Path) -> None:
    second = "cat a a > b; ! grep -q BROKEN train.py || exit 4"
    setups = f"setup = [['sh', '-c', 'echo 1 > a'], ['sh', '-c', '{second}']]"
    train = "VALUE = 1.5\nassert open('b').read() == '1\\n1\\n'\nprint('val_bpb:', VALUE)\n"
    changes = [("VALUE = 1.5", "VALUE = 1.4"), ("VALUE = 1.4", "BROKEN = VALUE = 1")]
    lab = lab_of(tmp_path, changes, setups, train)
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep", "keep", "crash"]
    assert lab.record(2)["failure"] == "setup"


# -- cut off --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("where", ["evaluate", "checks"])
def test_a_kill_while_it_is_judged_is_taken_up_without_a_second_row(
    tmp_path: Path, where: str
) -> None:
    """The judge that the killed supervisor left is ended, and the candidate is tried again."""
    waiting = tmp_path / "waiting"
    slow = f"""\
import pathlib, sys, time
mark = pathlib.Path({str(waiting)!r})
if "VALUE = 1.4" in open("train.py").read() and not mark.exists():
    mark.write_text("x")
    time.sleep(600)
"""
    judge = slow + JUDGE if where == "evaluate" else JUDGE
    task = f"{EVALUATE}\nchecks = [[{PYTHON}, 'check.py']]"
    lab = lab_of(
        tmp_path, [("VALUE = 1.5", "VALUE = 1.4")], task, judge__py=judge,
        check__py=slow if where == "checks" else "",
    )  # fmt: skip
    lab.cli("baseline")
    process = lab.spawn("run", "--max", "1")
    eventually(waiting.exists)
    kill(process)
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"] and len(lab.records("result")) == 2
    assert len(lab.records("ask")) == 1
    assert running(str(lab.root)) == [] and list(lab.temporary.iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_while_it_is_judged_ends_the_judge(tmp_path: Path) -> None:
    waiting = tmp_path / "waiting"
    judge = f"import os, time\nopen({str(waiting)!r}, 'a').write('x')\n"
    judge += "if 'VALUE = 1.4' in open('train.py').read():\n    time.sleep(600)\n" + JUDGE
    lab = lab_of(tmp_path, [("VALUE = 1.5", "VALUE = 1.4")], judge__py=judge)
    process = lab.spawn("run", "--max", "1")
    eventually(lambda: waiting.exists() and waiting.read_text() == "xx")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert lab.statuses() == ["keep"] and lab.records("pause")
    assert list(lab.temporary.iterdir()) == []


def test_a_setup_that_an_older_release_journaled_is_the_same_command() -> None:
    assert _frozen_or_default({"setup": ["make", "-j"]})["setup"] == [["make", "-j"]]
    assert _frozen_or_default({"setup": [["a"], ["b"]]})["setup"] == [["a"], ["b"]]
    assert _frozen_or_default({})["setup"] == []
