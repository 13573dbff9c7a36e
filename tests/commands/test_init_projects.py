"""`init` in a project without a configuration: one that fits is written, committed, and said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autoresearch import config
from autoresearch.config import Config
from tests.conftest import Lab
from tests.projects import PREPARE, REFERENCE, RESULTS, TRAIN, project, reference, rust


def settings(lab: Lab) -> Config:
    return config.parse((lab.root / "autoresearch.toml").read_bytes())


def lower(lab: Lab, tag: str, old: str = "RATE = 0.5", new: str = "RATE = 0.25") -> None:
    """Edits train.py on the run's branch."""
    lab.git("checkout", "-q", f"autoresearch/{tag}")
    lab.write("train.py", lab.read("train.py").replace(old, new))


def test_reference_end_to_end(tmp_path: Path, guard: Path) -> None:
    lab = reference(tmp_path / "lab", guard)
    before = lab.head()
    ran = lab.cli("init", "apr19")
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("recognised: karpathy/autoresearch")
    assert all(name in lines[0] for name in ("train.py", "prepare.py", "program.md"))
    assert "600 s" in lines[1] and "val_bpb, lower is better" in lines[2]
    assert "peak_vram_mb" in lines[2] and "~/.cache/autoresearch" in lines[3]
    for name in ("prepare.py", "pyproject.toml", "uv.lock"):
        assert name in lines[3]
    assert "git checkout autoresearch/apr19" in ran.stdout
    found = settings(lab)
    assert found.task.mutable == ["train.py"] and found.task.timeout_s == 600
    assert found.task.metric.memory == "peak_vram_mb"
    assert lab.git("diff", "--name-only", before, "HEAD") == "autoresearch.toml"
    assert lab.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert lab.git("rev-parse", "HEAD~1") == before
    assert lab.head("autoresearch/apr19") == lab.head()
    assert lab.git("status", "--porcelain") == ""
    lab.cli("baseline")
    assert lab.rows()[0][1:4] == ["0.750000", "2.0", "keep"]
    lower(lab, "apr19")
    lab.cli("try", "-m", "a lower rate")
    assert lab.statuses() == ["keep", "keep"]


def test_the_prepared_data_of_the_harness_stays_hidden(tmp_path: Path, guard: Path) -> None:
    """The reference keeps its data in a folder of the same name as ours: only its part is opened."""
    asks = TRAIN + (
        "import glob, os\n"
        'print("sees", sorted(glob.glob(os.path.expanduser("~/.cache/autoresearch/*"))))\n'
    )
    lab = reference(tmp_path / "lab", guard, **{"train.py": asks})
    ours = guard / ".cache" / "autoresearch" / "0123456789abcdef"
    ours.mkdir()
    (ours / "manifest.json").write_text("{}")
    lab.cli("init", "t")
    lab.cli("baseline", env={"XDG_CACHE_HOME": str(guard / ".cache")})
    log = (lab.state() / "experiments" / "0000" / "trial.log").read_text()
    assert "autoresearch/data" in log
    if "bwrap" in lab.cli("show", "0").stdout:
        assert "0123456789abcdef" not in log


@pytest.mark.parametrize(
    ("files", "metric", "direction", "memory", "timeout_s"),
    [
        (
            {"train.py": TRAIN.replace("peak_vram_mb", "peak_memory_mb")},
            "val_bpb", "minimize", "peak_memory_mb", 600,
        ),
        (
            {"train.py": TRAIN.replace("peak_vram_mb", "peak_memory_gb")},
            "val_bpb", "minimize", "", 600,
        ),
        (
            {
                "program.md": "Highest score wins. A run that takes more than 6 minutes: kill it.\n"
                "commit\tscore\tstatus\tdescription\n",
                "train.py": TRAIN.replace("val_bpb:  ", "score:  "),
                "prepare.py": PREPARE.replace("300", "120"),
            },
            "score", "maximize", "peak_vram_mb", 360,
        ),
        (
            {"program.md": "Go.\n", "prepare.py": PREPARE.replace("300", "15 * 60")},
            "val_bpb", "minimize", "peak_vram_mb", 1800,
        ),
        ({"requirements.txt": "torch\n"}, "val_bpb", "minimize", "peak_vram_mb", 600),
    ],
    ids=["mps", "mlx in GB", "another metric", "a longer budget", "no uv"],
)  # fmt: skip
def test_ports(
    tmp_path: Path, guard: Path, files: dict[str, str], metric: str, direction: str, memory: str,
    timeout_s: float,
) -> None:  # fmt: skip
    layout = REFERENCE | files
    if "requirements.txt" in files:
        layout = {k: v for k, v in layout.items() if k not in ("pyproject.toml", "uv.lock")}
    lab = project(tmp_path / "lab", layout)
    lab.cli("init", "t")
    task = settings(lab).task
    assert (task.metric.name, task.metric.direction) == (metric, direction)
    assert (task.metric.memory, task.timeout_s) == (memory, timeout_s)


@pytest.mark.parametrize(
    ("place", "readable"),
    [
        ('Path.home() / ".cache" / "other" / "shards"', ["~/.cache/other/shards"]),
        ('Path("~/data/text").expanduser()', ["~/data/text"]),
        ('os.environ.get("DATA", os.path.expanduser("~/.cache/port"))', ["~/.cache/port"]),
        ("f\"{os.path.expanduser('~')}/corpus\"", ["~/corpus"]),
        ('os.path.expanduser("~")', []),
        ('os.path.expanduser("~/.cache")', []),
        ('Path(__file__).parent / "data"', []),
    ],
)
def test_where_a_ports_data_lies(tmp_path: Path, place: str, readable: list[str]) -> None:
    script = f"import os\nfrom pathlib import Path\nROOT = {place}\n"
    lab = project(tmp_path / "lab", REFERENCE | {"prepare.py": script, ".gitignore": "data/\n"})
    lab.write("data/val.txt", "0.25\n")
    lab.cli("init", "t")
    found = settings(lab)
    assert found.runner.readable == readable
    assert found.task.inputs == (["data"] if "__file__" in place else [])
    assert ("HOME" in found.task.env) == bool(readable)


def test_results_from_before_are_kept_and_shown_as_history(tmp_path: Path, guard: Path) -> None:
    lab = reference(tmp_path / "lab", guard)
    lab.write("results.tsv", RESULTS)
    ran = lab.cli("init", "t")
    assert "renamed to results.1.tsv" in ran.stdout and "2 rows of results.tsv" in ran.stdout
    assert lab.read("results.1.tsv") == RESULTS and lab.rows() == []
    lab.cli("run", "--max", "1", "--researcher", "knobs")
    assert len(lab.rows()) == 2, "rows of the earlier file are never counted"
    from autoresearch.ledger import history

    told = history.lines(lab.state() / "history.json")
    assert told == (
        "val_bpb 0.9979 | keep | baseline", "val_bpb 0.996 | discard | a wider model"
    )  # fmt: skip


def test_tracked_results_stay_untouched(tmp_path: Path, guard: Path) -> None:
    files = {"results.tsv": RESULTS, "musings.md": "mine\n", ".gitignore": "__pycache__/\n"}
    lab = reference(tmp_path / "lab", guard, **files)
    ran = lab.cli("init", "t")
    assert "results-t.tsv" in ran.stdout and "2 rows of results.tsv" in ran.stdout
    lab.cli("baseline")
    assert lab.read("results.tsv") == RESULTS and lab.read("musings.md") == "mine\n"
    assert [row[3] for row in lab.rows("results-t.tsv")] == ["keep"]
    assert "# Musings" in lab.read("musings-t.md")
    assert lab.git("status", "--porcelain") == ""
    assert "results-t.tsv" not in lab.cli("baseline").stdout, "it is said once"


def test_results_that_are_no_table_are_said_and_kept(tmp_path: Path, guard: Path) -> None:
    lab = reference(tmp_path / "lab", guard)
    lab.write("results.tsv", "thoughts\n")
    ran = lab.cli("init", "t")
    assert "no history is taken from results.tsv" in ran.stdout
    assert lab.read("results.1.tsv") == "thoughts\n"


# -- the commit -------------------------------------------------------------------------------


def test_what_is_staged_stays_staged(tmp_path: Path, guard: Path) -> None:
    lab = reference(tmp_path / "lab", guard)
    lab.write("notes.txt", "mine\n")
    lab.write("README.md", "staged\n")
    lab.git("add", "README.md")
    lab.cli("init", "t")
    assert lab.git("status", "--porcelain").splitlines() == ["A  README.md", "?? notes.txt"]
    assert lab.git("show", "--name-only", "--format=", "HEAD") == "autoresearch.toml"


@pytest.mark.parametrize("hook", ["pre-commit", "commit-msg"])
def test_hooks_run(tmp_path: Path, guard: Path, hook: str) -> None:
    lab = reference(tmp_path / "lab", guard)
    file = lab.write(f".git/hooks/{hook}", "#!/bin/sh\ntouch ran\necho no tabs here >&2\nexit 1\n")
    file.chmod(0o755)
    lab.write("README.md", "staged\n")
    lab.git("add", "README.md")
    before, status = lab.head(), lab.git("status", "--porcelain")
    ran = lab.cli("init", "t", code=1)
    assert "no tabs here" in ran.stderr and len(ran.stderr.splitlines()) == 1
    (lab.root / "ran").unlink()
    assert lab.head() == before and lab.git("status", "--porcelain") == status
    assert lab.git("for-each-ref", "refs/heads/autoresearch") == ""
    file.write_text("#!/bin/sh\ntouch ran\n")
    lab.cli("init", "t")
    assert (lab.root / "ran").exists()


def test_uncommitted_edits_of_mutable_files_are_refused(tmp_path: Path, guard: Path) -> None:
    lab = reference(tmp_path / "lab", guard)
    lab.write("train.py", TRAIN + "# edited\n")
    before = lab.head()
    ran = lab.cli("init", "t", code=1)
    assert "train.py" in ran.stderr and "git stash" in ran.stderr
    assert lab.head() == before and not (lab.root / "autoresearch.toml").exists()


@pytest.mark.parametrize("tag", ["two words", "taken"])
def test_a_tag_that_will_not_do_commits_nothing(tmp_path: Path, guard: Path, tag: str) -> None:
    lab = reference(tmp_path / "lab", guard)
    lab.git("branch", "autoresearch/taken")
    before = lab.head()
    lab.cli("init", tag, code=2 if " " in tag else 1)
    assert lab.head() == before and not (lab.root / "autoresearch.toml").exists()


def test_a_second_run_finds_the_configuration(tmp_path: Path, guard: Path) -> None:
    lab = reference(tmp_path / "lab", guard)
    lab.cli("init", "a")
    head = lab.head()
    ran = lab.cli("init", "b")
    assert lab.head() == head and "recognised" not in ran.stdout
    ran = lab.cli("init", "c", "--metric", "x", code=2)
    assert "autoresearch.toml" in ran.stderr and "edit" in ran.stderr


# -- flags ------------------------------------------------------------------------------------

SHELL = {"score.sh": 'read -r x < value.txt\necho "points: $x"\n', "value.txt": "3\n"}


def test_any_other_project_by_its_flags(tmp_path: Path) -> None:
    lab = project(tmp_path / "lab", SHELL | {"a b.txt": "x\n"})
    flags = ["--command", "sh score.sh 'an argument'", "--mutable", "value.txt"]
    flags += ["--mutable", "a b.txt", "--metric", "points", "--maximize"]
    ran = lab.cli("init", "t", *flags)
    task = settings(lab).task
    assert task.command == ["sh", "score.sh", "an argument"]
    assert task.mutable == ["value.txt", "a b.txt"]
    assert (task.metric.name, task.metric.direction) == ("points", "maximize")
    assert "points, higher is better" in ran.stdout and "read-only: score.sh" in ran.stdout
    lab.cli("baseline")
    lab.git("checkout", "-q", "autoresearch/t")
    lab.write("value.txt", "4\n")
    lab.cli("try", "-m", "one more")
    assert lab.statuses() == ["keep", "keep"]


@pytest.mark.parametrize("pattern", ["valu.txt", "src/**", "value.txt::f.py", "program.md"])
def test_a_pattern_without_a_file_is_named(tmp_path: Path, pattern: str) -> None:
    lab = project(tmp_path / "lab", SHELL | {"program.md": "charter\n"})
    flags = ("--command", "sh score.sh", "--metric", "points")
    ran = lab.cli("init", "t", *flags, "--mutable", "value.txt", "--mutable", pattern, code=None)
    assert ran.code in (1, 2) and pattern in ran.stderr and len(ran.stderr.splitlines()) == 1
    assert not (lab.root / "autoresearch.toml").exists()
    assert lab.git("for-each-ref", "refs/heads/autoresearch") == ""


def test_a_file_that_git_does_not_track_is_named_as_such(tmp_path: Path) -> None:
    lab = project(tmp_path / "lab", SHELL)
    lab.write("new.txt", "x\n")
    flags = ("--command", "sh score.sh", "--metric", "points", "--mutable", "new.txt")
    assert "git add" in lab.cli("init", "t", *flags, code=1).stderr


def test_a_pattern_of_a_lab_that_names_nothing(tmp_path: Path) -> None:
    toml = '[task]\ncommand = ["sh", "score.sh"]\nmutable = ["valeu.txt"]\n'
    lab = project(tmp_path / "lab", SHELL | {"autoresearch.toml": toml})
    assert "valeu.txt" in lab.cli("init", "t", code=1).stderr
    toml = toml.replace('["valeu.txt"]', '["valeu.txt", "value.txt"]')
    lab.commit(autoresearch__toml=toml)
    assert "valeu.txt" in lab.cli("init", "t").stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), ("--command", "--mutable", "--metric")),
        (("--command", "sh score.sh"), ("--mutable", "--metric")),
        (("--metric", "points", "--mutable", "value.txt"), ("--command",)),
    ],
)
def test_an_unknown_layout_says_which_flags_would_do(
    tmp_path: Path, flags: tuple[str, ...], words: tuple[str, ...]
) -> None:
    lab = project(tmp_path / "lab", SHELL)
    ran = lab.cli("init", "t", *flags, code=1)
    assert "no autoresearch.toml" in ran.stderr and len(ran.stderr.splitlines()) == 1
    assert all(word in ran.stderr for word in words)
    assert f"{', '.join(words)} would say" in ran.stderr


def test_flags_that_a_shell_could_not_read(tmp_path: Path) -> None:
    lab = project(tmp_path / "lab", SHELL)
    for command in ("sh 'score.sh", ""):
        flags = ("--command", command, "--metric", "points", "--mutable", "value.txt")
        assert "--command" in lab.cli("init", "t", *flags, code=2).stderr


# -- other layouts ----------------------------------------------------------------------------

RUST = {
    "Cargo.toml": '[package]\nname = "toy"\nversion = "0.1.0"\nedition = "2021"\n',
    "src/main.rs": 'mod step;\nfn main() { println!("val_loss: {:.6}", step::loss()); }\n',
    "src/step.rs": "pub fn loss() -> f64 { 0.5 }\n",
    ".gitignore": "target/\n",
}
NODE = {
    "package.json": '{"name": "toy", "scripts": {"bench": "node bench.js", "test": "node t.js"}}\n',
    "bench.js": 'const f = require("./src/f.js");\nconsole.log(`ops_per_sec: ${f()}`);\n',
    "src/f.js": "module.exports = () => 5;\n",
    "src/f.test.js": "x\n",
}
C = {
    "Makefile": "bench: bench.c kernel.c\n\tcc -O2 -o b bench.c kernel.c && ./b\n",
    "kernel.c": "int kernel(void) { return 7; }\n",
    "kernel.h": "int kernel(void);\n",
    "bench.c": (
        '#include <stdio.h>\n#include "kernel.h"\n'
        'int main(void) { printf("gflops: %.3f\\n", kernel() * 1.0); return 0; }\n'
    ),
    ".gitignore": "b\n",
}
UV = {
    "pyproject.toml": '[project]\nname = "toy"\nversion = "0"\n[tool.uv]\n',
    "main.py": 'import work\nprint("accuracy:", work.accuracy())\n',
    "work.py": "def accuracy():\n    return 0.5\n",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "kind", "command", "mutable", "metric", "tool", "value"),
    [
        (RUST, "cargo", ["cargo", "run"], ["src/**/*.rs"], ("val_loss", "minimize"), "cargo", "0.5"),
        (
            NODE, "npm", ["npm", "run"], ["src/**/*.js", "!src/f.test.js"],
            ("ops_per_sec", "maximize"), "npm", "5.0",
        ),
        (C, "make", ["make", "-s"], ["kernel.c", "kernel.h"], ("gflops", "maximize"), "make", "7.0"),
        (UV, "uv", ["python", "main.py"], ["main.py"], ("accuracy", "maximize"), "python3", "0.5"),
    ],
    ids=["cargo", "npm", "make", "uv"],
)  # fmt: skip
def test_other_layouts(
    tmp_path: Path, guard: Path, files: dict[str, str], kind: str, command: list[str],
    mutable: list[str], metric: tuple[str, str], tool: str, value: str,
) -> None:  # fmt: skip
    lab = project(tmp_path / "lab", files)
    ran = lab.cli("init", "t")
    task = settings(lab).task
    assert f"a project of {kind}" in ran.stdout.splitlines()[0]
    assert task.command[:2] == command and task.mutable == mutable
    assert (task.metric.name, task.metric.direction) == metric
    program = shutil.which(tool)
    if program is None:
        pytest.skip(f"{tool} is not installed: the trial itself was not tried")
    env: dict[str, str | None] = {"AUTORESEARCH_TEST": "1"}
    if tool == "cargo":
        env |= rust("the trial itself")
    toml = lab.read("autoresearch.toml")
    lab.commit(autoresearch__toml=toml + '\n[runner]\nsandbox = "none"\n')
    lab.cli("init", "u", env=env)
    lab.cli("baseline", env=env)
    assert float(lab.rows()[0][1]) == float(value)


def test_a_known_layout_whose_metric_is_not_plain(tmp_path: Path) -> None:
    main = 'fn main() { println!("alpha: {}", 1); println!("beta: {}", 2); }\n'
    lab = project(tmp_path / "lab", RUST | {"src/main.rs": main})
    ran = lab.cli("init", "t", code=1)
    assert "alpha, beta" in ran.stderr and "--metric NAME" in ran.stderr
    lab.cli("init", "t", "--metric", "beta", "--maximize")
    metric = settings(lab).task.metric
    assert (metric.name, metric.direction) == ("beta", "maximize")
    assert settings(lab).task.mutable == ["src/**/*.rs"]


def test_a_metric_that_sounds_the_other_way_is_doubted_aloud(tmp_path: Path) -> None:
    lab = project(tmp_path / "lab", RUST)
    ran = lab.cli("init", "t", "--metric", "accuracy")
    assert "is higher not better?" in ran.stdout
