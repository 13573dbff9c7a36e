"""What a candidate may change: every rule by itself."""

from __future__ import annotations

import ast
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.records import Edit
from autoresearch.rules.guard import Mutable, changes_code, never, printable_path, refusals

ALL = ("*",)


def refuse(
    *edits: Edit,
    mutable: tuple[str, ...] = ALL,
    protected: tuple[str, ...] = (),
    files: dict[str, bytes] | None = None,
    modes: dict[str, str] | None = None,
) -> list[str]:
    """The guard's answer on a tree with these files."""
    held = {"train.py": b"x = 1\n", **(files or {})}
    before = {**dict.fromkeys(held, "100644"), **(modes or {})}
    return refusals(edits, Mutable.of(mutable, protected), before, held.__getitem__)


# -- patterns, as in .gitignore ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "path", "allowed"),
    [
        (("train.py",), "train.py", True),
        (("train.py",), "sub/train.py", True),
        (("/train.py",), "sub/train.py", False),
        (("/train.py",), "train.py", True),
        (("train.py",), "train.pyx", False),
        (("train.py",), "Train.py", False),
        (("src/",), "src/a/b.py", True),
        (("src/",), "src2/a.py", False),
        (("src/*.py",), "src/a.py", True),
        (("src/*.py",), "src/sub/a.py", False),
        (("src/**/*.py",), "src/sub/deep/a.py", True),
        (("src/**/*.py",), "src/a.py", True),
        (("**/kernel.cu",), "a/b/kernel.cu", True),
        (("*.py", "!prepare.py"), "prepare.py", False),
        (("*.py", "!prepare.py"), "train.py", True),
        (("src/**", "!src/frozen/", "!src/frozen/**"), "src/frozen/a.py", False),
        (("a?.py",), "ab.py", True),
        (("a?.py",), "a/.py", False),
        (("[ab].py",), "b.py", True),
        (("[!ab].py",), "b.py", False),
        (("é*.py",), "élan.py", True),
        (("with space.py",), "with space.py", True),
        (("\\#odd.py",), "#odd.py", True),
        (("#odd.py",), "#odd.py", False),
    ],
)
def test_patterns(patterns: tuple[str, ...], path: str, allowed: bool) -> None:
    assert Mutable.of(patterns).names(path) is allowed
    found = refuse(Edit(path, b"new\n"), mutable=patterns)
    assert found == ([] if allowed else [f"{path}: not mutable"])


def test_new_and_deleted_files_follow_the_same_patterns() -> None:
    assert refuse(Edit("src/new.py", b""), mutable=("src/**",)) == []
    assert refuse(Edit("new.py", b""), mutable=("src/**",)) == ["new.py: not mutable"]
    assert refuse(Edit("train.py", None), mutable=("train.py",)) == []
    assert refuse(Edit("train.py", None), mutable=("src/**",)) == ["train.py: not mutable"]


def test_one_line_for_each_path_that_is_refused() -> None:
    found = refuse(Edit("a", b""), Edit("train.py", b""), Edit("b", b""), mutable=("train.py",))
    assert found == ["a: not mutable", "b: not mutable"]


# -- paths that are never a candidate's -------------------------------------------------------

NEVER = [
    "autoresearch.toml", "AUTORESEARCH.TOML", "autoresearch.toml.", "autoresearch.toml ",
    "program.md", "Program.MD", "program.md. .",
    ".git", ".git/config", ".GIT/hooks/pre-commit", ".git./config", ".git /config", "sub/.git/config",
    ".gitattributes", ".gitmodules", ".gitignore", "sub/.gitattributes", ".GitAttributes", ".git.",
    ".git::$INDEX_ALLOCATION/config", "git~1/config", "GIT~2", ".gitfoo", "a/b/.gitkeep",
    "musings.md", "Musings.md", "results.tsv", "RESULTS.tsv", "results-main.tsv", "results.3.tsv",
    "", "/etc/passwd", "../outside.py", "a/../b.py", "./train.py", "a//b.py", "a/", ".", "..",
    "a\\b.py", "..\\x", "a\nb.py", "a\tb", "a\0b", "a\x1b[31m.py", "a\x7f", "a\x85b",
    ".g\u200cit/config", "autoresearch\u200d.toml", "\ufeffprogram.md", "a\u202eyp.txt", "a\udce9.py",
]  # fmt: skip


@pytest.mark.parametrize("path", NEVER)
def test_never(path: str) -> None:
    assert never(path)
    assert not Mutable.of(["*", "**", path or "*"]).names(path)
    for edit in (Edit(path, b"x"), Edit(path, None)):
        (reason,) = refuse(edit, files={path: b"y"})
        assert reason.endswith("never a candidate's to change")
        assert reason.isprintable()


@pytest.mark.parametrize(
    "path",
    ["train.py", "src/git.py", "a.git", "digit", "sub/results.tsv", "sub/program.md", "programme.md",
     "results.txt", "a b.py", "日本/x.py", "...", "a/...", ".env", "autoresearch.toml.bak"],
)  # fmt: skip
def test_not_never(path: str) -> None:
    assert never(path) is None
    assert refuse(Edit(path, b"x")) == []


@given(st.text(st.sampled_from(". gitGIT~1/\\"), max_size=8))
def test_nothing_that_git_could_take_for_its_own_passes(path: str) -> None:
    first = path.split("/")[0].rstrip(" .").lower()
    if first in (".git", "git~1"):
        assert never(path)


# -- kinds of files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "modes", "words"),
    [
        (Edit("link", b"/etc/passwd", "120000"), {}, "symlink"),
        (Edit("train.py", b"x", "120000"), {}, "symlink"),
        (Edit("link", b"plain", "100644"), {"link": "120000"}, "symlink"),
        (Edit("link", None), {"link": "120000"}, "symlink"),
        (Edit("sub", b"", "160000"), {}, "submodule"),
        (Edit("sub", None), {"sub": "160000"}, "submodule"),
        (Edit("sub/x.py", b""), {"sub": "160000"}, "where a folder is"),
        (Edit("link/x.py", b""), {"link": "120000"}, "where a folder is"),
        (Edit("odd", b"", "100664"), {}, "mode 100664"),
        (Edit("tree", b"", "040000"), {}, "mode 040000"),
    ],
)
def test_plain_files_only(edit: Edit, modes: dict[str, str], words: str) -> None:
    (reason,) = refuse(edit, modes=modes)
    assert words in reason


def test_a_mode_may_change_between_plain_and_executable() -> None:
    assert refuse(Edit("train.py", b"x = 1\n", "100755")) == []
    assert refuse(Edit("train.py", b"x = 1\n", "100644"), modes={"train.py": "100755"}) == []


def test_names_that_differ_in_case_alone() -> None:
    assert refuse(Edit("Train.py", b"")) == ["Train.py: differs from train.py in case alone"]
    renamed = refuse(Edit("train.py", None), Edit("TRAIN.py", b""))
    assert renamed == ["TRAIN.py: differs from train.py in case alone"]
    both = refuse(Edit("new.py", b""), Edit("New.py", b""))
    assert len(both) == 2
    assert refuse(Edit("STRASSE", b""), files={"straße": b""})
    assert refuse(Edit("e\u0301", b""), files={"\u00e9": b""}), "the same letter, composed"
    assert refuse(Edit("train.py", None)) == []


def test_files_and_folders() -> None:
    assert "where a folder is" in refuse(Edit("src", b""), files={"src/a.py": b""})[0]
    assert "where a folder is" in refuse(Edit("train.py/a", b""))[0]
    assert refuse(Edit("src/a.py", None), Edit("src", b""), files={"src/a.py": b""}) == []
    assert refuse(Edit("train.py", None), Edit("train.py/a", b"")) == []


def test_odd_paths_are_shown_on_one_line() -> None:
    assert printable_path("a\nb") == "'a\\nb'"
    assert printable_path("日本.py") == "日本.py"


# -- path::symbol, the body alone -------------------------------------------------------------

SOURCE = '''\
import math


@decorated(size=3)
def loss(x: int = 1, *, scale=lambda v: {"a": v}, **rest: dict[str, int]) -> "list[int]":  # note
    """What it does."""
    y = x * 2
    return [y]
    # a comment at the end of the body

# a comment after it


class Net(Base, metaclass=Meta):
    width = 3

    @staticmethod
    def forward(x):
        return x

    async def later(self): return {1: 2}


def other():
    return 1
'''


def body(new: str, *symbols: str, old: str = SOURCE) -> list[str]:
    """The guard's answer where only these symbols' bodies are mutable."""
    edit = Edit("train.py", new.encode())
    mutable = tuple(f"train.py::{symbol}" for symbol in symbols)
    return refuse(edit, mutable=mutable, files={"train.py": old.encode()})


@pytest.mark.parametrize(
    ("symbol", "old", "new"),
    [
        ("loss", "y = x * 2", "y = x * 3"),
        ("loss", "    return [y]\n", "    if y:\n        return [y]\n    return []\n"),
        ("loss", '    """What it does."""\n', ""),
        ("loss", "  # note", "  # another"),
        ("loss", "    # a comment at the end of the body\n", ""),
        ("loss", "of the body", "of the body\n    # and one more"),
        ("loss", "    y = x * 2\n", "    def inner(a=1):\n        return a\n    y = inner()\n"),
        ("loss", "    y = x * 2\n", "    s = '''\nnot indented\n'''\n    y = 1\n"),
        ("Net", "width = 3", "width = 4"),
        ("Net", "    @staticmethod\n", ""),
        ("Net.forward", "return x\n", "return x + 1\n"),
        ("Net.later", "return {1: 2}", "return {1: 3}"),
        ("Net.later", "return {1: 2}", "x = 1; return x"),
        ("Net.later", " return {1: 2}\n", "\n        y = 1\n        return y\n"),
        ("other", "return 1", "return 'é日本'"),
    ],
)
def test_a_body_may_change(symbol: str, old: str, new: str) -> None:
    assert old in SOURCE
    assert body(SOURCE.replace(old, new, 1), symbol) == []


@pytest.mark.parametrize(
    ("symbol", "old", "new"),
    [
        ("loss", "size=3", "size=4"),
        ("loss", "@decorated(size=3)\n", ""),
        ("loss", "@decorated", "@evil\n@decorated"),
        ("loss", "x: int = 1", "x: int = 2"),
        ("loss", "x: int = 1", "x: float = 1"),
        ("loss", "scale=lambda v", "scale=lambda w"),
        ("loss", '"list[int]"', '"list[str]"'),
        ("loss", ' -> "list[int]"', ""),
        ("loss", "**rest", "**others"),
        ("loss", "def loss", "async def loss"),
        ("loss", "def loss", "def  loss"),
        ("loss", "def loss", "def gain"),
        ("loss", "import math", "import math, os"),
        ("loss", "# a comment after it", "# another"),
        ("loss", "    return [y]\n", "    return [y]\nimport os\n"),
        ("loss", "    return [y]\n", "    return [y]\n\n\ndef extra():\n    pass\n"),
        ("loss", "return 1", "return 2"),
        ("Net.forward", "@staticmethod", "@classmethod"),
        ("Net.forward", "forward(x)", "forward(x, y=1)"),
        ("Net.forward", "width = 3", "width = 4"),
        ("Net.forward", "        return x\n", "        return x\n\n    sneaky = 1\n"),
        ("Net.forward", "        return x\n", "        return x\n\n    def more(self): ...\n"),
        ("Net", "Base", "Other"),
        ("Net", "Meta", "Mega"),
        ("Net.later", "async def", "def"),
        ("other", "    return 1\n", "    return 1\nother = print\n"),
        ("other", "    return 1\n", "    return 1\ndef other():\n    return 2\n"),
    ],
)
def test_the_rest_may_not(symbol: str, old: str, new: str) -> None:
    assert old in SOURCE
    (reason,) = body(SOURCE.replace(old, new, 1), symbol)
    assert reason.startswith("train.py: ") and reason.endswith(
        f"only the body of {symbol} is mutable"
    )


def test_two_symbols_of_one_file() -> None:
    new = SOURCE.replace("x * 2", "x * 3").replace("return 1", "return 2")
    assert body(new, "loss", "other") == []
    assert body(new, "loss") and body(new, "other")
    assert body(new.replace("width = 3", "width = 4"), "loss", "other")


def test_a_symbol_that_is_not_there_or_twice() -> None:
    assert "0 definitions of nothing" in body(SOURCE + "\n", "nothing")[0]
    assert "0 definitions of Net.nothing" in body(SOURCE + "\n", "Net.nothing")[0]
    twice = "def f():\n    return 1\n\n\ndef f():\n    return 2\n"
    assert "2 definitions of f" in body(twice.replace("1", "3"), "f", old=twice)[0]


def test_symbols_inside_one_another() -> None:
    assert "inside one another" in body(SOURCE.replace("x\n", "y\n"), "Net", "Net.forward")[0]


@pytest.mark.parametrize(
    "new", ["def loss(:", "\0", "x = (", "def f():\n\tx\n        y\n", "é" + "(" * 300]
)
def test_what_is_no_python_is_refused(new: str) -> None:
    assert "is no valid Python" in body(new, "loss")[0]


def test_a_file_with_symbols_stays_and_keeps_its_mode() -> None:
    mutable = ("train.py::f",)
    source = b"def f():\n    pass\n"
    files = {"train.py": source}
    for edit in (Edit("train.py", None), Edit("train.py", source, "100755")):
        assert "only the body of f" in refuse(edit, mutable=mutable, files=files)[0]
    assert refuse(Edit("train.py", source, "100644"), mutable=mutable, files=files) == []
    assert "only the body" in refuse(Edit("new.py", source), mutable=("new.py::f",))[0]


def test_a_whole_file_wins_over_its_symbols() -> None:
    assert refuse(Edit("train.py", b"y"), mutable=("train.py", "train.py::f")) == []


@pytest.mark.parametrize(
    "source",
    [
        "def f():\r\n    return 1\r\n\r\nx = 1\r\n",
        "def f():\n\treturn 1\n\t# c\nx = 1\n",
        "# é日本𝟘\ndef f(a='é', b={'日': 1}):\n    return 1\nx = 'é'\n",
        "class A:\n  def f(self, é=(1, {2: 3}), *a: lambda: 0):\n    return 1\nx = 1\n",
        "def f(\n    a=1,\n    # a comment: here\n    b={1: 2},\n) -> (\n    int\n):\n    return 1\nx = 1\n",
        "def f() -> lambda: 0: return 1\nx = 1\n",
        "def f(a=[1][0:1]): return 1\nx = 1\n",
        "def f(\\\n): return 1\nx = 1\n",
        "def f(a='''\n:\n'''): return 1\nx = 1\n",
        "\ufeffdef f():\n    return 1\nx = 1\n",
        "@d(lambda: 1)\nasync def f():\n    return 1\nx = 1\n",
    ],
)
def test_shapes_of_signatures(source: str) -> None:
    symbol = "A.f" if source.startswith("class") else "f"
    assert body(source.replace("return 1", "return 22"), symbol, old=source) == []
    assert body(source.replace("x = ", "y = "), symbol, old=source)
    assert body(source.replace("f(", "f(z=0, ", 1), symbol, old=source)


def test_other_encodings() -> None:
    old = "# coding: latin-1\ndef f(a='é'):\n    return 'é'\n".encode("latin-1")
    files, mutable = {"train.py": old}, ("train.py::f",)
    good, bad = old.replace(b"return '", b"return 'x"), old.replace(b"a='", b"a='x")
    assert refuse(Edit("train.py", good), mutable=mutable, files=files) == []
    assert refuse(Edit("train.py", bad), mutable=mutable, files=files)


def test_the_last_line_need_not_end() -> None:
    assert body("def f():\n    return 2", "f", old="def f():\n    return 1") == []
    assert body("def f():\n    return 2\nx", "f", old="def f():\n    return 1")


@settings(deadline=None)
@given(st.text(st.sampled_from("abx=1 :#\n\r\t()'\"\\é;@,"), max_size=40))
def test_whatever_is_put_into_a_body_the_rest_stays(new: str) -> None:
    """Any text in place of a body: where it passes, what is around it is still defined the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, after = "K = 1\n\ndef f(a, b=2):\n    ", "\n\nL = 3\n"
        source = f"{before}{new}{after}"
        if body(source, "f", old=f"{before}return 1{after}") == []:
            tree = ast.parse(source.encode())
            names = [type(node).__name__ for node in tree.body]
            assert names == ["Assign", "FunctionDef", "Assign"]
            assert ast.unparse(tree).startswith("K = 1\n") and ast.unparse(tree).endswith("L = 3")
            function = tree.body[1]
            assert isinstance(function, ast.FunctionDef)
            assert ast.unparse(function.args) == "a, b=2" and not function.decorator_list


# -- protected --------------------------------------------------------------------------------


def protect(new: str | None, *symbols: str, old: str = SOURCE) -> list[str]:
    edit = Edit("train.py", None if new is None else new.encode())
    names = tuple(f"train.py::{symbol}" for symbol in symbols)
    return refuse(edit, mutable=("train.py",), protected=names, files={"train.py": old.encode()})


def test_protected_symbols_stay_byte_for_byte() -> None:
    assert protect(SOURCE.replace("return 1", "return 2"), "loss", "Net.forward") == []
    for old, new in (
        ("size=3", "size=4"),
        ("x * 2", "x  * 2"),
        ("What it does", "What"),
        ("def loss", "def gain"),
        ("  # note", ""),
    ):
        (reason,) = protect(SOURCE.replace(old, new), "loss")
        assert reason.endswith("loss is protected and must stay byte for byte")
    assert protect(SOURCE.replace("        return x\n", "        return -x\n"), "Net.forward")
    assert protect(SOURCE.replace("        return x\n", "        return -x\n"), "Net.later") == []


def test_a_protected_symbol_may_move_but_not_go() -> None:
    moved = "import math\n\n\ndef other():\n    return 1\n"
    assert protect(f"X = 1\n{moved}", "other", old=f"{moved}\n\nY = 2\n") == []
    assert protect(None, "other")
    assert protect("", "other")
    assert protect(SOURCE + "\n\ndef other():\n    return 2\n", "other"), "nor come twice"
    assert protect("x = (", "other")


def test_protected_inside_a_mutable_class() -> None:
    def change(new: str) -> list[str]:
        return refuse(
            Edit("train.py", new.encode()),
            mutable=("train.py::Net",),
            protected=("train.py::Net.forward",),
            files={"train.py": SOURCE.encode()},
        )

    assert change(SOURCE.replace("width = 3", "width = 4")) == []
    assert "Net.forward is protected" in change(SOURCE.replace("return x\n", "return 0\n"))[0]
    assert "only the body of Net" in change(SOURCE.replace("return 1", "return 2"))[0]


# -- comments alone ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (b"x = 1\n", b"x = 1\n", False),
        (b"x = 1\n", b"x  =  1  # one\n\n\n", False),
        (b"x = (1)\n", b"x = 1\r\n", False),
        (b"x = 1\n", b"x = 2\n", True),
        (b"def f():\n    'a'\n", b"def f():\n    'b'\n", True),
        (b"x = 1\n", b"x = (\n", True),
        (b"x = (\n", b"x = 1\n", True),
        (b"x = '\\d'\n", b"x = '\\d'  # digits\n", False),
        (None, b"", True),
        (b"", None, True),
        (None, None, False),
    ],
)
def test_comment_only(old: bytes | None, new: bytes | None, changes: bool) -> None:
    assert changes_code("train.py", old, new) is changes


def test_of_other_files_every_byte_counts() -> None:
    assert changes_code("train.sh", b"int x; // 1", b"int x; // 2")
    assert not changes_code("train.sh", b"int x;", b"int x;")


@pytest.mark.parametrize("terms", [500, 1100, 2000, 50_000])
def test_deep_sources_are_no_fault_of_ours(terms: int) -> None:
    assert changes_code("train.py", b"x = 1\n", ("x = " + "+".join("1" * terms)).encode())
