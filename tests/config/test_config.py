"""autoresearch.toml: the contract's example and its defaults, and what every fault is answered."""

from __future__ import annotations

import pytest

from autoresearch.config import Bound, bound, parse
from autoresearch.errors import NotYetError, UsageError

# The contract's example, every key with its default.
EXAMPLE = """\
[task]
command   = ["python", "train.py"]
setup     = []
mutable   = ["train.py"]
protected = []
inputs    = []
caches    = []
fresh     = []
timeout_s = 600
env       = {}
env_pass  = []
exam      = ""
evaluate  = []

[task.metric]
name      = "val_bpb"
direction = "minimize"
memory    = "peak_vram_mb"

[researcher]
kind  = "auto"
model = ""
base_url = ""
key_env = ""
price_per_mtok = []
retry_hours = 6
command = []
timeout_s = 1800

[keep]
rule = "strict"

[budget]
experiments = 0
hours = 0
usd = 0
consecutive_failures = 20

[runner]
kind     = "local"
slots    = 1
sandbox  = "auto"
readable = []
worktrees = ""

[harness]
budget     = ""
max_tflop  = 0
source     = "stdlib"
shards     = 0
vocab_size = 1024
seq_len    = 64
val_tokens = 131072
"""
SMALLEST = '[task]\ncommand = ["python", "train.py"]\nmutable = ["train.py"]\n'


def task(line: str) -> str:
    """A smallest file with one more line in [task]."""
    return SMALLEST + line + "\n"


def without(key: str) -> str:
    return "".join(line for line in SMALLEST.splitlines(True) if not line.startswith(key))


def replaced(key: str, value: str) -> str:
    return without(key) + f"{key} = {value}\n"


def section(name: str, line: str) -> str:
    return f"{SMALLEST}[{name}]\n{line}\n"


def test_the_example_is_all_defaults() -> None:
    assert parse(EXAMPLE.encode()) == parse(SMALLEST.encode())


def test_the_defaults() -> None:
    config = parse(SMALLEST.encode())
    assert config.model_dump() == {
        "task": {
            "command": ["python", "train.py"],
            "setup": [],
            "mutable": ["train.py"],
            "protected": [],
            "inputs": [],
            "caches": [],
            "fresh": [],
            "timeout_s": 600,
            "env": {},
            "env_pass": [],
            "exam": "",
            "evaluate": [],
            "checks": [],
            "limits": {},
            "metric": {
                "name": "val_bpb",
                "take": "only",
                "file": "",
                "direction": "minimize",
                "memory": "peak_vram_mb",
                "pattern": "",
            },
        },
        "task_name": None,
        "researcher": {
            "kind": "auto",
            "model": "",
            "base_url": "",
            "key_env": "",
            "price_per_mtok": [],
            "retry_hours": 6,
            "knobs": {},
            "agent": "",
            "command": [],
            "ignore": [],
            "timeout_s": 1800,
        },
        "keep": {"rule": "strict", "implausible": "flag"},
        "budget": {"experiments": 0, "hours": 0, "usd": 0, "consecutive_failures": 20},
        "runner": {"kind": "local", "slots": 1, "sandbox": "auto", "readable": [], "worktrees": ""},
        "harness": {
            "budget": "",
            "max_tflop": 0,
            "source": "stdlib",
            "shards": 0,
            "vocab_size": 1024,
            "seq_len": 64,
            "val_tokens": 131072,
        },
    }
    assert config.results_name == "results.tsv" and config.harness.environment() == {}


GOOD = [
    task('mutable = ["*.py", "src/**", "!src/frozen.py", "model.py::Net.forward"]').replace(
        'mutable = ["train.py"]\n', ""
    ),
    task('protected = ["train.py::evaluate", "train.py::Net.loss"]'),
    task("timeout_s = 0.5"),
    task('env_pass = ["HF_HOME", "_X1"]'),
    task('env = { MINE = "x", HOME = "~", CUDA_HOME = "/opt/cuda" }'),
    task('inputs = ["data", "big/file.bin"]\ncaches = ["target/"]\nfresh = ["out/model.pt"]'),
    task('setup = ["cargo", "build", "--release"]'),
    section("task.metric", 'name = "loss"\ndirection = "maximize"\nmemory = ""'),
    section("task.metric", "pattern = '''^score = (?P<value>\\S+)$'''"),
    section("researcher", 'kind = "command"\ncommand = ["claude", "-p"]'),
    section("researcher", 'base_url = "http://127.0.0.1:8000/v1"\nkey_env = "LOCAL_KEY"'),
    section("researcher", "retry_hours = 0"),
    section("researcher", "price_per_mtok = [3, 0.5]"),
    section("budget", "experiments = 100\nhours = 8.5\nusd = 20\nconsecutive_failures = 0"),
    section("runner", 'sandbox = "none"\nreadable = ["/data"]'),
    section("harness", 'budget = "300s"\nmax_tflop = 1.3\nsource = "climbmix"\nshards = 10'),
    section("harness", "vocab_size = 257\nseq_len = 8\nval_tokens = 128"),
    section("harness", "vocab_size = 65536\nseq_len = 65536\nval_tokens = 1048576"),
    SMALLEST.replace("\n", "\r\n"),
]


@pytest.mark.parametrize("text", GOOD)
def test_good(text: str) -> None:
    parse(text.encode())


# (what is wrong, the file's text, words that must stand in the message)
BAD: list[tuple[str, str, tuple[str, ...]]] = [
    # no TOML
    ("open string", '[task]\ncommand = ["python\n', ("line 2",)),
    ("no value", "[task]\ncommand =\n", ("line 2",)),
    ("key twice", SMALLEST + 'mutable = ["a"]\n', ("line 4",)),
    ("table twice", SMALLEST + "[task]\n", ("line 4",)),
    ("yaml", "task:\n  command: python\n", ("line 1",)),
    ("json", '{"task": 1}', ("line 1",)),
    ("control character", SMALLEST + 'exam = "\x01"\n', ("line 4",)),
    ("a number of 5000 digits", task("timeout_s = " + "9" * 5000), ()),
    ("brackets without end", task("fresh = " + "[" * 5000), ("not TOML",)),
    # the task's table
    ("empty file", "", ("[task]", "command", "mutable")),
    ("no task", "[keep]\nrule = 'strict'\n", ("[task]", "is missing")),
    ("task is a number", "task = 3\n", ("task", "[task]")),
    ("task is a list", "[[task]]\ncommand = ['a']\n", ("task", "[task]")),
    ("both kinds", SMALLEST + "[tasks.a]\n", ("[task]", "[tasks.")),
    ("tasks is a text", "tasks = 'a'\n", ("tasks", "[tasks.NAME]")),
    ("tasks is empty", "[tasks]\n", ("tasks", "[tasks.NAME]")),
    ("a task that is no table", "[tasks]\na = 1\n", ("tasks", "[tasks.NAME]")),
    ("a task's name", '[tasks."a/b"]\ncommand = ["x"]\n', ("a/b", "letters")),
    ("task_name is ours", "task_name = 'x'\n" + SMALLEST, ("task_name", "unknown key")),
    # missing and unknown keys
    ("no command", without("command"), ("task.command", "missing")),
    ("no mutable", without("mutable"), ("task.mutable", "missing")),
    ("unknown in task", task("timeout = 60"), ("task.timeout", "unknown key", "timeout_s")),
    ("unknown, of two lines", task('"a\\nb\\u001b" = 1'), ("task.a b\\x1b", "unknown key")),
    ("unknown table", SMALLEST + "[research]\n", ("research", "unknown key", "researcher")),
    ("unknown in metric", section("task.metric", "nam = 1"), ("task.metric.nam", "direction")),
    (
        "unknown in researcher",
        section("researcher", "api_key = 'x'"),
        ("researcher.api_key", "key_env"),
    ),
    ("unknown in keep", section("keep", "rules = 'strict'"), ("keep.rules", "rule")),
    ("unknown in budget", section("budget", "max = 1"), ("budget.max", "experiments")),
    ("unknown in runner", section("runner", "slot = 1"), ("runner.slot", "slots")),
    # the command
    ("command is a text", replaced("command", '"python train.py"'), ("task.command", "list")),
    ("command is empty", replaced("command", "[]"), ("task.command", "at least 1")),
    ("an empty argument", replaced("command", '["python", ""]'), ("task.command.1", "non-empty")),
    ("a number as argument", replaced("command", '["python", 3]'), ("task.command.1", "string")),
    ("NUL in an argument", replaced("command", '["python", "\\u0000"]'), ("task.command.1",)),
    ("setup is a text", task('setup = "make"'), ("task.setup", "list")),
    # what may change
    ("mutable is a text", replaced("mutable", '"train.py"'), ("task.mutable", "list")),
    ("mutable is empty", replaced("mutable", "[]"), ("task.mutable", "at least 1")),
    ("an empty pattern", replaced("mutable", '[""]'), ("task.mutable.0", "non-empty")),
    ("out of the lab", replaced("mutable", '["../x.py"]'), ("task.mutable.0", "inside the lab")),
    ("two lines", replaced("mutable", '["a\\nb"]'), ("task.mutable.0", "inside the lab")),
    ("bare !", replaced("mutable", '["!"]'), ("task.mutable.0", ".gitignore")),
    ("no symbol", replaced("mutable", '["a.py::"]'), ("task.mutable.0", "path::function")),
    ("no identifier", replaced("mutable", '["a.py::a-b"]'), ("task.mutable.0", "path::function")),
    ("two ::", replaced("mutable", '["a.py::a::b"]'), ("task.mutable.0", "path::function")),
    ("symbol in .git", replaced("mutable", '[".git/a.py::f"]'), ("task.mutable.0", "git's own")),
    ("absolute symbol", replaced("mutable", '["/a.py::f"]'), ("task.mutable.0", "inside the lab")),
    ("protected in no plain path", task('protected = ["./a.py::f"]'), ("task.protected.0", "./")),
    ("protected path", task('protected = ["train.py"]'), ("task.protected.0", "path::symbol")),
    ("protected is a text", task('protected = "a.py::f"'), ("task.protected", "list")),
    # folders and files
    ("absolute input", task('inputs = ["/data"]'), ("task.inputs.0", "relative")),
    ("input above", task('inputs = ["data/../../x"]'), ("task.inputs.0", "inside the lab")),
    ("the lab itself", task('inputs = ["."]'), ("task.inputs.0", "inside the lab")),
    ("git as cache", task('caches = [".git/x"]'), ("task.caches.0", "git's own")),
    ("git as cache, in capitals", task('caches = ["a/.GIT"]'), ("task.caches.0", "git's own")),
    ("a number as fresh", task("fresh = [1]"), ("task.fresh.0", "string")),
    # numbers
    ("no time", task("timeout_s = 0"), ("task.timeout_s", "greater than 0")),
    ("negative time", task("timeout_s = -1"), ("task.timeout_s", "greater than 0", "-1")),
    ("endless time", task("timeout_s = inf"), ("task.timeout_s", "finite")),
    ("no number at all", task("timeout_s = nan"), ("task.timeout_s",)),
    ("time as text", task('timeout_s = "600"'), ("task.timeout_s", "number", "'600'")),
    ("time as truth", task("timeout_s = true"), ("task.timeout_s", "number")),
    (
        "negative budget",
        section("budget", "usd = -1"),
        ("budget.usd", "greater than or equal to 0"),
    ),
    ("endless budget", section("budget", "hours = inf"), ("budget.hours", "finite")),
    (
        "half an experiment",
        section("budget", "experiments = 1.5"),
        ("budget.experiments", "integer"),
    ),
    (
        "negative count",
        section("budget", "consecutive_failures = -1"),
        ("consecutive_failures", "0"),
    ),
    ("budget as text", section("budget", 'usd = "5"'), ("budget.usd", "number")),
    ("no slots", section("runner", "slots = 0"), ("runner.slots", "greater than or equal to 1")),
    ("negative waiting", section("researcher", "retry_hours = -1"), ("researcher.retry_hours",)),
    (
        "one price",
        section("researcher", "price_per_mtok = [3]"),
        ("researcher.price_per_mtok", "[input, output]", "[3, 15]"),
    ),
    (
        "three prices",
        section("researcher", "price_per_mtok = [3, 15, 0.3]"),
        ("researcher.price_per_mtok", "[input, output]"),
    ),
    (
        "negative price",
        section("researcher", "price_per_mtok = [3, -1]"),
        ("researcher.price_per_mtok.1", "greater than or equal to 0"),
    ),
    (
        "endless price",
        section("researcher", "price_per_mtok = [inf, 1]"),
        ("researcher.price_per_mtok.0", "finite"),
    ),
    (
        "price as text",
        section("researcher", 'price_per_mtok = ["3", "15"]'),
        ("researcher.price_per_mtok.0", "number"),
    ),
    ("no waiting for an answer", section("researcher", "timeout_s = 0"), ("researcher.timeout_s",)),
    # words
    (
        "budget in minutes",
        section("harness", 'budget = "5m"'),
        ("harness.budget", "'5m'", "300s", "600steps", "614400tokens"),
    ),
    ("budget of nothing", section("harness", 'budget = "0s"'), ("harness.budget", "0s")),
    ("budget as number", section("harness", "budget = 300"), ("harness.budget", "string")),
    ("small vocabulary", section("harness", "vocab_size = 256"), ("harness.vocab_size", "257")),
    ("large vocabulary", section("harness", "vocab_size = 65537"), ("harness.vocab_size", "65536")),
    ("short rows", section("harness", "seq_len = 7"), ("harness.seq_len", "8")),
    ("long rows", section("harness", "seq_len = 65537"), ("harness.seq_len", "65536")),
    (
        "few rows",
        section("harness", "val_tokens = 1023"),
        ("harness.val_tokens", "1024", "16 rows"),
    ),
    ("shards below none", section("harness", "shards = -1"), ("harness.shards", "0")),
    ("negative work", section("harness", "max_tflop = -1"), ("harness.max_tflop", "0")),
    ("endless work", section("harness", "max_tflop = inf"), ("harness.max_tflop", "finite")),
    ("no source", section("harness", 'source = ""'), ("harness.source", "non-empty")),
    ("variable with =", task('env_pass = ["A=1"]'), ("task.env_pass.0", "environment variable")),
    ("HOME passed", task('env_pass = ["HOME"]'), ("task.env_pass.0", "no effect", "env = { HOME")),
    ("TMPDIR passed", task('env_pass = ["A", "TMPDIR"]'), ("task.env_pass.1", "no effect")),
    ("PATH written", task('env = { PATH = "/bin" }'), ("task.env", "PATH")),
    ("PWD written", task('env = { PWD = "/" }'), ("task.env", "PWD")),
    ("ours written", task('env = { AUTORESEARCH_SEED = "1" }'), ("task.env", "AUTORESEARCH_SEED")),
    ("number written", task("env = { A = 1 }"), ("task.env.A", "string")),
    ("name written", task('env = { "A-B" = "1" }'), ("task.env", "environment variable")),
    ("exam", task('exam = "vibes"'), ("task.exam", '"bpb"')),
    ("exam with caches", task('exam = "bpb"\ncaches = ["kept"]'), ("caches", "outlive")),
    (
        "exam of another metric",
        task('exam = "bpb"') + '[task.metric]\nname = "loss"\n',
        ("task", "val_bpb"),
    ),
    (
        "direction",
        section("task.metric", 'direction = "down"'),
        ("task.metric.direction", "minimize"),
    ),
    (
        "metric of two words",
        section("task.metric", 'name = "val bpb"'),
        ("task.metric.name", "one word"),
    ),
    ("metric with colon", section("task.metric", 'name = "a:b"'), ("task.metric.name", "one word")),
    ("metric empty", section("task.metric", 'name = ""'), ("task.metric.name", "non-empty")),
    ("metric as column", section("task.metric", 'name = "status"'), ("task.metric.name", "status")),
    (
        "memory of two words",
        section("task.metric", 'memory = "a b"'),
        ("task.metric.memory", "one word"),
    ),
    ("broken pattern", section("task.metric", "pattern = '('"), ("task.metric.pattern", "regular")),
    (
        "no group",
        section("task.metric", "pattern = 'a(.*)'"),
        ("task.metric.pattern", "(?P<value>"),
    ),
    ("metric is a text", task('metric = "loss"'), ("task.metric",)),
    (
        "researcher",
        section("researcher", 'kind = "gemini"'),
        ("researcher.kind", "anthropic", "knobs"),
    ),
    ("no program", section("researcher", 'kind = "command"'), ("researcher.command", "program")),
    (
        "base_url",
        section("researcher", 'base_url = "localhost:1"'),
        ("researcher.base_url", "http://"),
    ),
    (
        "a key as name",
        section("researcher", 'key_env = "sk-1"'),
        ("researcher", "environment variable"),
    ),
    ("model", section("researcher", "model = 4"), ("researcher.model", "string")),
    ("runner", section("runner", 'kind = "k8s"'), ("runner.kind", "'local'")),
    ("sandbox", section("runner", 'sandbox = "docker"'), ("runner.sandbox", "'auto'")),
    ("sandbox as truth", section("runner", "sandbox = false"), ("runner.sandbox", "'none'")),
    ("readable", section("runner", 'readable = [""]'), ("runner.readable.0", "non-empty")),
    ("researcher is a text", 'researcher = "claude"\n' + SMALLEST, ("researcher",)),
    ("keep is a list", "keep = []\n" + SMALLEST, ("keep",)),
    ("rule as number", section("keep", "rule = 1"), ("keep.rule", "string")),
]


@pytest.mark.parametrize(("text", "words"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text.encode(), "lab/autoresearch.toml")
    message = str(caught.value)
    assert message.isprintable(), "one line"
    assert "lab/autoresearch.toml" in message
    assert not isinstance(caught.value, NotYetError)
    for word in words:
        assert word in message


def test_there_are_enough_of_them() -> None:
    assert len(BAD) >= 60


NOT_YET = [
    ("runner.kind", section("runner", 'kind = "slurm"')),
    ("runner.slots", section("runner", "slots = 2")),
    ("rule", section("keep", 'rule = "significant"')),
]


@pytest.mark.parametrize(("key", "text"), NOT_YET)
def test_not_yet(key: str, text: str) -> None:
    with pytest.raises(NotYetError) as caught:
        parse(text.encode())
    message = str(caught.value)
    assert message.startswith("autoresearch.toml: ") and message.isprintable()
    assert key in message and "not yet" in message


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(UsageError, match=r"autoresearch\.toml: not UTF-8 at byte 7"):
        parse(b"[task]\n\xff\xfe")


def test_the_first_of_several_faults_and_how_many_more() -> None:
    with pytest.raises(UsageError, match=r"task\.timeout_s.*\(and 1 more\)"):
        parse(task("timeout_s = 0\nenv_pass = ['a b']").encode())


TWO = """\
[tasks.gpt]
command = ["python", "train.py"]
mutable = ["train.py"]
[tasks.sort]
command = ["./sort"]
mutable = ["sort.c"]
timeout_s = 5
[tasks.sort.metric]
name = "seconds"
"""


def test_tasks_by_name() -> None:
    config = parse(TWO.encode(), task="sort")
    assert config.task.metric.name == "seconds"
    assert (config.task_name, config.results_name) == ("sort", "results-sort.tsv")


def test_one_named_task_is_the_one() -> None:
    config = parse(SMALLEST.replace("[task]", "[tasks.only]").encode())
    assert config.results_name == "results-only.tsv"


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (TWO, None, ("--task", "gpt, sort")),
        (TWO, "nope", ("--task nope", "gpt, sort")),
        (SMALLEST, "nope", ("--task nope", "[task]")),
        (TWO.replace("timeout_s = 5", "timeout_s = 0"), "sort", ("tasks.sort.timeout_s",)),
        (TWO.replace("timeout_s", "timeout"), "sort", ("tasks.sort.timeout", "timeout_s")),
        (TWO.replace('name = "sec', 'nam = "sec'), "sort", ("tasks.sort.metric.nam", "direction")),
        (TWO.replace('["sort.c"]', "3"), "sort", ("tasks.sort.mutable", "list")),
    ],
)
def test_faults_of_named_tasks(text: str, name: str | None, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text.encode(), task=name)
    for word in ("autoresearch.toml", *words):
        assert word in str(caught.value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(UsageError) as caught:
        parse(task(f'timeout_s = "{"x" * 500}"').encode())
    assert len(str(caught.value)) < 200


# -- gates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('["make"]', [["make"]]),
        ('["make", "-j"]', [["make", "-j"]]),
        ('[["make"], ["cargo", "build"]]', [["make"], ["cargo", "build"]]),
        ("[]", []),
    ],
)
def test_setup_is_one_command_or_several(written: str, read: list[list[str]]) -> None:
    assert parse(task(f"setup = {written}").encode()).task.setup == read


@pytest.mark.parametrize(
    ("text", "operator", "number", "of_baseline"),
    [
        ("<= 39000", "<=", 39000, False),
        ("<39e3", "<", 39000, False),
        ("> -.5", ">", -0.5, False),
        (">= baseline", ">=", 1, True),
        ("<= baseline * 1.01", "<=", 1.01, True),
        ("<= baseline*2", "<=", 2, True),
    ],
)
def test_bounds(text: str, operator: str, number: float, of_baseline: bool) -> None:
    assert parse(task(f'limits = {{ a = "{text}" }}').encode()).task.limits == {"a": text}
    assert bound(text) == Bound(operator, number, of_baseline)


@pytest.mark.parametrize(
    "text",
    ["39000", "== 3", "<= 1.01 * baseline", "<= baseline + 1", "<= 1e999", "<= nan", "<= 1_000", "=< 3",
     "<= baseline * ", "<= other * 2", ""],
)  # fmt: skip
def test_what_is_no_bound(text: str) -> None:
    with pytest.raises(ValueError, match="baseline"):
        bound(text)


def metric(text: str, more: str = "") -> str:
    return task(f"{more}\n[task.metric]\n{text}")


GATES_BAD = [
    ("checks is one command", task('checks = ["pytest"]'), ("task.checks", '[["pytest", "-q"]]')),
    ("checks is empty", task("checks = [[]]"), ("task.checks",)),
    ("setup is mixed", task('setup = ["make", ["x"]]'), ("task.setup",)),
    ("a limit is a number", task("limits = { a = 3 }"), ("task.limits", "a = ", '"<= 39000"')),
    ("a limit of two words", task('limits = { "a b" = "< 3" }'), ("task.limits", "one word")),
    (
        "a file without a place",
        metric('file = "m.json"'),
        ("task.metric.file", "metrics.json:eval.loss"),
    ),
    ("a file outside", metric('file = "../m.json:a"'), ("task.metric.file", "inside the lab")),
    ("a file of git's", metric('file = ".git/m.json:a"'), ("task.metric.file", "git's own")),
    ("a place with a hole", metric('file = "m.json:a..b"'), ("task.metric.file",)),
    ("file and take", metric('file = "m.json:a"\ntake = "last"'), ("file", "leave take out")),
    (
        "file and pattern",
        metric("file = 'm.json:a'\npattern = '(?P<value>x)'"),
        ("leave pattern out",),
    ),
    (
        "file and evaluate",
        metric('file = "m.json:a"', 'evaluate = ["x"]'),
        ("evaluate", "metric.file"),
    ),
    (
        "file in inputs",
        metric('file = "data/m.json:a"', 'inputs = ["data"]'),
        ("metric.file", "inputs"),
    ),
    ("exam and evaluate", task('exam = "bpb"\nevaluate = ["x"]'), ("exam", "evaluate")),
    ("exam and take", metric('take = "best"', 'exam = "bpb"'), ("exam", "metric.take")),
    ("exam and file", metric('file = "m.json:a"', 'exam = "bpb"'), ("exam", "metric.file")),
    (
        "exam and pattern",
        metric("pattern = '(?P<value>x)'", 'exam = "bpb"'),
        ("exam", "metric.pattern"),
    ),
    ("implausible", section("keep", 'implausible = "drop"'), ("keep.implausible", "hold")),
]


@pytest.mark.parametrize(
    ("text", "words"), [b[1:] for b in GATES_BAD], ids=[b[0] for b in GATES_BAD]
)
def test_gates_that_are_refused(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text.encode())
    message = str(caught.value)
    assert caught.value.exit_code == 2 and message.isprintable()
    assert all(word in message for word in words), message
