"""`check`: the guard alone, against any commit."""

from __future__ import annotations

import os

import pytest

from tests.conftest import CONFIG, Lab, MakeLab

PYTHON = """\
import math


def step(x, y=1):
    return x + y


def other(x):
    return x
"""


def refused(lab: Lab, *arguments: str) -> list[str]:
    """The lines of a refusal."""
    ran = lab.cli("check", *arguments, code=1)
    assert ran.stderr == ""
    return ran.stdout.splitlines()


def test_nothing_changed(lab: Lab) -> None:
    assert lab.cli("check").stdout == "ok: nothing changed\n"


def test_without_a_run(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.write("value.txt", "1\n1\n")
    assert lab.cli("check").stdout == "ok: 1 changed, all mutable\n"


def test_mutable_and_not(lab: Lab) -> None:
    lab.write("value.txt", "1\n1\n")
    lab.write("new/deep/file.txt", "x\n")
    lab.cli("check")
    lab.write("other.txt", "x\n")
    (lab.root / "trial.sh").unlink()
    assert refused(lab) == ["other.txt: not mutable", "trial.sh: not mutable"]


def test_against_a_revision(lab: Lab) -> None:
    first = lab.head()
    lab.commit("second", other__txt="changed\n")
    lab.write("value.txt", "1\n1\n")
    lab.cli("check")
    assert refused(lab, first) == ["other.txt: not mutable"]
    assert refused(lab, "HEAD~1") == ["other.txt: not mutable"]
    assert "no such commit" in lab.cli("check", "nowhere", code=1).stderr


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("autoresearch.toml", "the configuration"),
        ("program.md", "the charter"),
        (".gitignore", "git's own"),
        ("new/.gitattributes", "git's own"),
        ("results.x.tsv", "the tool's own file"),
    ],
)
def test_never(lab: Lab, path: str, reason: str) -> None:
    there = lab.read(path) if (lab.root / path).exists() else ""
    lab.write(path, there + "# more\n")
    lab.git("add", "--force", path)
    [line] = refused(lab)
    assert line.startswith(f"{path}: {reason}")


def test_untracked_and_ignored(lab: Lab) -> None:
    lab.write("stray.txt", "x\n")
    assert refused(lab) == ["stray.txt: not mutable"]
    with (lab.root / ".git" / "info" / "exclude").open("a") as file:
        file.write("stray.txt\n")
    lab.cli("check")


def test_renamed(lab: Lab) -> None:
    lab.git("mv", "code.py", "moved.py")
    assert refused(lab) == ["moved.py: not mutable"]
    lab.git("mv", "moved.py", "new.py")
    lab.git("reset", "-q", "--hard")
    (lab.root / "new").mkdir()
    lab.git("mv", "code.py", "new/code.py")
    assert lab.cli("check").stdout == "ok: 2 changed, all mutable\n"


def test_added_and_deleted_again(lab: Lab) -> None:
    file = lab.write("stray.txt", "x\n")
    lab.git("add", "stray.txt")
    file.unlink()
    assert lab.cli("check").stdout == "ok: nothing changed\n"


def test_mode(lab: Lab) -> None:
    (lab.root / "other.txt").chmod(0o755)
    assert refused(lab) == ["other.txt: not mutable"]


def test_symlinks(lab: Lab) -> None:
    (lab.root / "new").mkdir()
    (lab.root / "new" / "link").symlink_to("/etc/passwd")
    assert refused(lab)[0].startswith("new/link: a symlink")
    (lab.root / "new" / "link").unlink()
    (lab.root / "value.txt").unlink()
    (lab.root / "value.txt").symlink_to("other.txt")
    assert refused(lab)[0].startswith("value.txt: a symlink")


def test_a_folder_that_became_a_symlink(make_lab: MakeLab) -> None:
    lab = make_lab({"new/file.txt": "x\n", "away/file.txt": "x\n"})
    (lab.root / "new" / "file.txt").unlink()
    (lab.root / "new").rmdir()
    (lab.root / "new").symlink_to("away")
    assert any(line.startswith("new: ") for line in refused(lab))


def test_a_file_that_became_a_folder(make_lab: MakeLab) -> None:
    lab = make_lab()
    (lab.root / "value.txt").unlink()
    lab.write("value.txt/inside.txt", "x\n")
    assert lab.cli("check").stdout == "ok: 2 changed, all mutable\n"
    (lab.root / "other.txt").unlink()
    lab.write("other.txt/inside.txt", "x\n")
    assert refused(lab) == ["other.txt: not mutable", "other.txt/inside.txt: not mutable"]


def test_a_fifo_does_not_hang(lab: Lab) -> None:
    (lab.root / "value.txt").unlink()
    os.mkfifo(lab.root / "value.txt")
    assert "value.txt" in lab.cli("check", code=1, timeout_s=20).stdout


def test_case_alone(lab: Lab) -> None:
    lab.write("new/File.txt", "x\n")
    lab.write("new/file.txt", "y\n")
    assert "in case alone" in refused(lab)[0]


def test_a_repository_inside(lab: Lab) -> None:
    inner = Lab(lab.root / "new" / "inner")
    inner.root.mkdir(parents=True)
    inner.git("init", "-q")
    inner.write("file.txt", "x\n")
    inner.commit()
    assert "new/inner" in refused(lab)[0]


def symbols(make_lab: MakeLab) -> Lab:
    mutable = '["model.py::step"]\nprotected = []'
    config = CONFIG.replace('["value.txt", "code.py", "new/**"]', mutable)
    return make_lab({"model.py": PYTHON, "autoresearch.toml": config})


def test_the_body_of_a_symbol(make_lab: MakeLab) -> None:
    lab = symbols(make_lab)
    lab.write("model.py", PYTHON.replace("return x + y", "z = x * y\n    return z"))
    lab.cli("check")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("y=1", "y=2"),
        ("    return x\n", "    return 0\n"),
        ("import math", "import os"),
        ("def step", "def walk"),
    ],
)
def test_outside_of_the_body(make_lab: MakeLab, old: str, new: str) -> None:
    lab = symbols(make_lab)
    lab.write("model.py", PYTHON.replace(old, new))
    assert "only the body of step is mutable" in refused(lab)[0]


def test_a_file_of_symbols_that_is_deleted(make_lab: MakeLab) -> None:
    lab = symbols(make_lab)
    (lab.root / "model.py").unlink()
    assert "only the body" in refused(lab)[0]


def test_protected(make_lab: MakeLab) -> None:
    config = CONFIG.replace("timeout_s", 'protected = ["code.py::keep"]\ntimeout_s')
    code = "def keep():\n    return 1\n\n\ny = 1\n"
    lab = make_lab({"code.py": code, "autoresearch.toml": config})
    lab.write("code.py", code.replace("y = 1", "y = 2"))
    lab.cli("check")
    lab.write("code.py", code.replace("return 1", "return 2"))
    assert "protected" in refused(lab)[0]


def test_from_a_subfolder(make_lab: MakeLab) -> None:
    lab = make_lab({"sub/file.txt": "x\n"})
    lab.write("sub/file.txt", "y\n")
    lab.write("other.txt", "y\n")
    assert lab.cli("check", cwd=lab.root / "sub", code=1).stdout.splitlines() == [
        "other.txt: not mutable",
        "sub/file.txt: not mutable",
    ]


def test_it_writes_nothing(lab: Lab) -> None:
    lab.write("value.txt", "1\n1\n")
    lab.git("add", "value.txt")
    before = lab.picture()
    lab.cli("check")
    assert lab.picture() == before


def test_an_unborn_repository(make_lab: MakeLab) -> None:
    lab = make_lab(tag=None)
    lab.git("checkout", "-q", "--orphan", "empty")
    assert "no such commit" in lab.cli("check", code=1).stderr
