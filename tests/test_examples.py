"""Each example as a person uses it: a repository of its own, `init`, and one experiment that gains."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import tomlkit

from autoresearch import config
from tests.conftest import Lab
from tests.labs import scripted, swap
from tests.projects import project, reference, rust

EXAMPLES = Path(__file__).parents[1] / "examples"
LABS = sorted(file.parent.name for file in EXAMPLES.glob("*/autoresearch.toml"))

KERNEL = swap("a wider tile", "#define TILE 4", "#define TILE 64", "kernel.c")
WORDS = swap(
    "a Map instead of buckets",
    """\
  const buckets = Array.from({ length: BUCKETS }, () => []);
  for (const word of text.toLowerCase().split(/[^a-z]+/)) {
    if (word === "") continue;
    const bucket = buckets[bucketOf(word)];
    const known = bucket.find((entry) => entry.word === word);
    if (known) known.times += 1;
    else bucket.push({ word, times: 1 });
  }
  const found = buckets.flat();""",
    """\
  const times = new Map();
  for (const word of text.toLowerCase().split(/[^a-z]+/)) {
    if (word !== "") times.set(word, (times.get(word) ?? 0) + 1);
  }
  const found = [...times].map(([word, times]) => ({ word, times }));""",
    "src/frequent.js",
)
PROMPT = swap(
    "what people write about deliveries",
    "delivery: parcels",
    "delivery: parcels and shipments, the courier, tracking, what arrives late or is missing",
    "prompt.md",
)
FFN = swap(
    "a longer context",
    "const CONTEXT: usize = 4;",
    "const CONTEXT: usize = 8;",
    "src/language.rs",
)
WALKER = swap(
    "where it has been least",
    "        open.max_by_key(|&side| counts[side]).unwrap()",
    "        open.max_by_key(|&side| (std::cmp::Reverse(view.visits[side]), counts[side])).unwrap()",
    "src/mazes.rs",
)
COMPONENTS = "        PCA(n_components={}, random_state=seed),"
PIPELINE = swap("more components", COMPONENTS.format(6), COMPONENTS.format(30), "pipeline.py")


def example(name: str, folder: Path, answer: str) -> Lab:
    """The example in a repository of its own, with a researcher that has one answer."""
    for tool in {"c-kernel": ["make", "cc"], "node": ["node"]}.get(name, []):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on PATH: examples/{name} was not tried")
    there = EXAMPLES / name
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=there, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    names = [each for each in listed if each] or [
        str(file.relative_to(there)) for file in there.rglob("*") if file.is_file()
    ]
    files = {each: (there / each).read_text() for each in names}
    files["autoresearch.toml"] += f"\n[researcher]\n{scripted(folder, [answer])}\n"
    return project(folder / "lab", files)


@pytest.mark.parametrize("name", LABS)
def test_it_has_a_charter_and_few_lines_of_configuration(name: str) -> None:
    text = (EXAMPLES / name / "autoresearch.toml").read_text()
    for table in text.strip().split("\n\n"):
        header, *lines = table.splitlines()
        assert header.startswith("[task") and len(lines) <= 6, "at most six lines, or six a task"
    for task in tomlkit.parse(text).get("tasks", {None: None}):
        config.parse(text.encode(), task=task)
    charter = (EXAMPLES / name / "program.md").read_text()
    assert charter.startswith("# The charter") and "**Goal.**" in charter
    assert f"[{name}]({name}/)" in (EXAMPLES / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "answer", "gains"),
    [
        ("c-kernel", KERNEL, "gflops"),
        ("node", WORDS, "ms_per_text"),
        ("prompt", PROMPT, "accuracy"),
        ("sklearn", PIPELINE, "accuracy"),
    ],
)
def test_a_gain_is_kept(tmp_path: Path, name: str, answer: str, gains: str) -> None:
    if name == "sklearn" and importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed: examples/sklearn was not tried")
    lab = example(name, tmp_path, answer)
    lab.cli("init", "t")
    lab.cli("run", "--max", "1", timeout_s=300)
    assert lab.statuses() == ["keep", "keep"], lab.read("musings.md")
    assert lab.read("results.tsv").splitlines()[0].split("\t")[1] == gains
    assert lab.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_two_tasks_in_rust(tmp_path: Path) -> None:
    pytest.importorskip("tree_sitter_rust", reason="autoresearch[languages] is not installed")
    env = rust("the example in Rust")
    for task, answer, metric in (("language", FFN, "val_bpb"), ("mazes", WALKER, "error")):
        lab = example("rust-two-tasks", tmp_path / task, answer)
        lab.cli("init", "t", "--task", task, env=env)
        lab.cli("run", "--max", "1", env=env, timeout_s=300)
        results = f"results-{task}.tsv"
        assert [row[3] for row in lab.rows(results)] == ["keep", "keep"]
        assert lab.read(results).splitlines()[0].split("\t")[1] == metric
        assert (lab.worktree() / "target" / "release").is_dir(), "what was built stays"
        assert lab.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("task", "file", "old"),
    [
        ("language", "src/language.rs", "bits / (text.len() - 64) as f64"),
        ("mazes", "src/mazes.rs", "const STEPS: usize = CELLS * 2 / 3;"),
        ("mazes", "src/language.rs", "const LR: f32 = 0.02;"),
    ],
)
def test_what_scores_in_rust_stays_as_it_is(tmp_path: Path, task: str, file: str, old: str) -> None:
    pytest.importorskip("tree_sitter_rust", reason="autoresearch[languages] is not installed")
    lab = example("rust-two-tasks", tmp_path, FFN)
    lab.cli("init", "t", "--task", task)
    lab.git("checkout", "-q", "autoresearch/t")
    lab.write(
        file, lab.read(file).replace(old, old.replace("2", "3").replace("bits", "0.0 * bits"))
    )
    assert file in lab.cli("check", code=1).stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "old", "new", "why"),
    [
        ("c-kernel", "kernel.c", "= 0;", "= 1;", "a wrong product"),
        ("c-kernel", "kernel.c", "    for (int f", "    if (n < 300) return;\n    for (int f", "at n = 1"),
        ("node", "src/frequent.js", "b.times - a.times", "a.times - b.times", "strictly deep-equal"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_not_kept(
    tmp_path: Path, name: str, file: str, old: str, new: str, why: str
) -> None:
    gain = {
        "c-kernel": ("#define TILE 4", "#define TILE 64"),
        "node": ("BUCKETS = 4", "BUCKETS = 256"),
    }
    text = (EXAMPLES / name / file).read_text()
    both = text.replace(*gain[name]).replace(old, new, 1)
    lab = example(name, tmp_path, swap("faster, and wrong", text.rstrip(), both.rstrip(), file))
    lab.cli("init", "t")
    lab.cli("run", "--max", "1", timeout_s=300)
    assert lab.statuses()[0] == "keep" and lab.statuses()[1] != "keep"
    folder = lab.state() / "experiments" / "0001"
    assert any(why in log.read_text(errors="replace") for log in folder.iterdir() if log.is_file())


@pytest.mark.slow
def test_a_prompt_that_is_too_long_is_not_kept(tmp_path: Path) -> None:
    better = "delivery: parcels, the courier, tracking, a shipment, " + "what arrives late, " * 40
    lab = example("prompt", tmp_path, swap("longer", "delivery: parcels", better, "prompt.md"))
    lab.cli("init", "t")
    lab.cli("run", "--max", "1", timeout_s=300)
    assert lab.statuses() == ["keep", "discard"]
    assert "prompt_words" in lab.cli("show", "1").stdout.splitlines()[1]


def test_the_reference_by_its_one_command(tmp_path: Path, guard: Path) -> None:
    """The command of examples/reference/README.md, in a project of the same layout."""
    text = (EXAMPLES / "reference" / "README.md").read_text()
    (line,) = re.findall(r"^    (autoresearch init .*?)(?: *#.*)?$", text, re.M)
    lab = reference(tmp_path / "lab", guard)
    ran = lab.cli(*line.split()[1:])
    assert ran.stdout.startswith("recognised: karpathy/autoresearch")
    assert f"autoresearch/{line.split()[2]}" in ran.stdout
