"""Labs in a folder of a repository: all that they name and leave is relative to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CONFIG, FILES, Lab
from tests.labs import swap
from tests.projects import project, reference

INPUTS = 'inputs = ["data"]\ncaches = ["warm"]\nfresh = ["old*.txt"]\n'


def monorepo(folder: Path, config: str = CONFIG, inside: str = "apps/one") -> Lab:
    """A repository with a lab in a folder of it, and with files of others beside that."""
    top = Lab(folder)
    folder.mkdir()
    top.git("init", "-q")
    top.write("README.md", "everybody's\n")
    top.write("value.txt", "the top's own\n")
    top.write("apps/two/value.txt", "another's\n")
    return project(folder, {**FILES, "autoresearch.toml": config}, inside)


def state(lab: Lab, tag: str = "t") -> Path:
    return Path(lab.git("rev-parse", "--path-format=absolute", "--git-common-dir")) / (
        f"autoresearch/{tag}"
    )


def test_init_run_check_report(tmp_path: Path) -> None:
    lab = monorepo(tmp_path / "repo")
    deep = lab.write("notes/mine.txt", "x\n").parent
    lab.commit("notes")
    ran = lab.cli("init", "t", cwd=deep)
    assert "mutable: code.py, value.txt" in ran.stdout
    lab.cli("run", "--max", "2")
    assert lab.statuses() == ["keep"] * 3
    assert sorted(p.name for p in lab.root.parent.parent.iterdir()) == [
        ".git", "README.md", "apps", "value.txt"
    ]  # fmt: skip
    assert lab.git("show", "autoresearch/t:apps/one/value.txt").splitlines()[0] == "98"
    assert lab.git("show", "autoresearch/t:value.txt") == "the top's own"
    assert lab.git("status", "--porcelain") == "", "results and musings are no changes"
    assert "98" in lab.cli("show", "2").stdout
    patch = (state(lab) / "experiments" / "0002" / "candidate.patch").read_text()
    assert "+++ b/value.txt" in patch
    assert "148" in lab.cli("report", cwd=deep).stdout
    assert lab.cli("check").stdout == "ok: nothing changed\n"


def test_what_lies_outside_is_never_mutable(tmp_path: Path) -> None:
    lab = monorepo(tmp_path / "repo", CONFIG.replace('"value.txt"', '"value.txt", "*.md"'))
    lab.cli("init", "t")
    lab.write("../../README.md", "edited\n")
    lab.write("../two/new.txt", "untracked\n")
    lab.write("value.txt", "90\n50\nspare\n")
    ran = lab.cli("check", code=1)
    lines = ran.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["../../README.md", "../two/new.txt"]
    ran = lab.cli("try", "-m", "mine", code=1)
    assert "../../README.md" in ran.stderr


@pytest.mark.slow
def test_try_on_the_runs_branch(tmp_path: Path) -> None:
    lab = monorepo(tmp_path / "repo")
    lab.cli("init", "t")
    lab.git("checkout", "-q", "autoresearch/t")
    lab.write("value.txt", "90\n50\nspare\n")
    lab.cli("try", "-m", "lower")
    lab.write("value.txt", "95\n50\nspare\n")
    lab.cli("try", "-m", "higher", "--rewind")
    assert lab.statuses() == ["keep", "keep", "discard"]
    assert lab.read("value.txt").startswith("90\n") and lab.git("status", "--porcelain") == ""
    assert lab.git("symbolic-ref", "HEAD") == "refs/heads/autoresearch/t"
    lab.cli("run", "--max", "1")
    assert lab.read("value.txt").startswith("89\n"), "the checkout goes along with the keep"
    assert lab.git("status", "--porcelain") == ""


def test_inputs_caches_and_fresh_files_are_the_labs_own(tmp_path: Path) -> None:
    config = CONFIG.replace("timeout_s", f"{INPUTS}timeout_s")
    lab = monorepo(tmp_path / "repo", config)
    trial = "pwd\ncat data/x.txt\nls\ntest -f warm/x && echo warm\nmkdir -p warm && touch warm/x old1.txt\n"
    lab.write("data/x.txt", "the data\n")
    lab.write(".gitignore", "data/\nwarm/\nold*\n")
    lab.commit("a trial that looks", trial__sh=trial + lab.read("trial.sh"))
    lab.cli("init", "t")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
    log = (state(lab) / "experiments" / "0001" / "trial.log").read_text().splitlines()
    assert log[0].endswith("/apps/one") and str(tmp_path / "repo" / "apps") not in log[0]
    assert "the data" in log and "warm" in log and "old1.txt" not in log


@pytest.mark.slow
def test_two_labs_in_one_repository(tmp_path: Path) -> None:
    one = monorepo(tmp_path / "repo")
    two = Lab(one.root.parent / "two")
    for name, text in FILES.items():
        two.write(name, text)
    two.commit("a second lab")
    one.cli("init", "a")
    two.cli("init", "b")
    assert "exists already" in two.cli("init", "a", code=1).stderr, "tags are the repository's"
    one.cli("run", "--max", "1")
    two.cli("baseline")
    assert one.statuses() == ["keep", "keep"] and two.statuses() == ["keep"]
    assert one.cli("status").stdout.startswith("run a,")
    ran = two.cli("baseline", "--tag", "a", code=1)
    assert "apps/one" in ran.stderr
    two.git("checkout", "-q", "autoresearch/a")
    assert two.cli("status").stdout.startswith("run b,"), "a run of another lab's is not this one's"


def test_a_lab_whose_folder_holds_odd_characters(tmp_path: Path) -> None:
    lab = monorepo(tmp_path / "repo", inside="a [b] *c/ümlaut")
    lab.cli("init", "t")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"] and lab.git("status", "--porcelain") == ""


def test_a_project_in_a_folder_becomes_a_lab_there(tmp_path: Path, guard: Path) -> None:
    top = Lab(tmp_path / "repo")
    top.root.mkdir()
    top.git("init", "-q")
    top.write("README.md", "everybody's\n")
    lab = reference(top.root, guard, "research/gpt")
    lab.cli("init", "t")
    assert top.git("show", "--name-only", "--format=", "HEAD") == ("research/gpt/autoresearch.toml")
    lab.cli("baseline")
    assert lab.statuses() == ["keep"]
    record = json.loads((state(lab) / "experiments" / "0000" / "record.json").read_text())
    assert record["value"] == 0.75


@pytest.mark.parametrize("kind", ["scripted"])
def test_what_a_model_is_shown_and_answers(tmp_path: Path, kind: str) -> None:
    answers = tmp_path / "answers.txt"
    answers.write_text(f"--- answer ---\n{swap('lower', '100', '60', 'value.txt')}\n")
    config = CONFIG.replace('kind = "command"', f'kind = "{kind}"').replace(
        'command = ["sh", "propose.sh"]', f'model = "{answers}"'
    )
    lab = monorepo(tmp_path / "repo", config)
    lab.cli("init", "t")
    lab.cli("run", "--max", "1")
    assert lab.statuses() == ["keep", "keep"]
    prompt = (state(lab) / "experiments" / "0001" / "prompt.txt").read_text()
    assert "apps/" not in prompt and "../" not in prompt and "trial.sh" in prompt


def test_a_lab_of_its_own_below_another(tmp_path: Path) -> None:
    top = project(tmp_path / "repo", {**FILES, "tool/score.sh": "cat value.txt\n"})
    inner = Lab(top.root / "tool")
    inner.write("value.txt", "points: 3\n")
    top.commit("a tool")
    flags = ("--command", "sh score.sh", "--mutable", "value.txt", "--metric", "points")
    inner.cli("init", "t", *flags)
    inner.cli("baseline")
    assert inner.statuses() == ["keep"] and not (top.root / "results.tsv").exists()
    top.cli("init", "u")
    assert top.cli("status").stdout.startswith("run u,")
    assert inner.cli("status").stdout.startswith("run t,")
