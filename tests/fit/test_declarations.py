"""Constants in other languages than Python: found, ranged, and rewritten where they stand."""

from __future__ import annotations

import sys

import pytest

from autoresearch.config import parse
from autoresearch.errors import ResearcherError, UsageError
from autoresearch.fit import constants
from autoresearch.fit.declarations import knobs_in
from autoresearch.records import Answer
from autoresearch.researchers.knobs import KnobsResearcher
from tests.researchers.test_knobs import brief

pytest.importorskip("tree_sitter")

SOURCES = {
    "main.rs": (
        "const LR: f32 = 3e-4; // rate\nstatic WIDTH: usize = 1_024;\npub const DEPTH: u8 = 6u8;\n"
        "mod net { pub const BATCH: usize = 1 << 9; }\nconst NAME: &str = \"x\";\nconst SEED: u64 = 7;\n"
        "const BITS: u32 = 0x10;\nconst ON: bool = true;\nfn f() { const INNER: i32 = 3; let x = 4; }\n",
        {"LR": 3e-4, "WIDTH": 1024, "DEPTH": 6, "BATCH": 512},
        {"LR": 1e-3, "WIDTH": 2048, "BATCH": 128},
        "const LR: f32 = 0.001; // rate\nstatic WIDTH: usize = 2_048;\npub const DEPTH: u8 = 6u8;\n"
        "mod net { pub const BATCH: usize = 1 << 7; }\n",
    ),
    "kernel.c": (
        "#define LR 0.5f // rate\n#define TILE (1 << 4)\n#define VERSION \"1\"\n"
        "static const int K = 64, L = -3;\nstatic float scale = 2.5f;\nint plain = 3;\n"
        "#define MASK 0xFF\n#define OCTAL 017\n"
        "int f(void) { const int inner = 3; return inner; }\n#if K\n#define LATER 3\n#endif\n",
        {"LR": 0.5, "TILE": 16, "K": 64, "L": -3, "scale": 2.5},
        {"LR": 0.25, "TILE": 32, "L": -5},
        "#define LR 0.25f // rate\n#define TILE (1 << 5)\n#define VERSION \"1\"\n"
        "static const int K = 64, L = -5;\n",
    ),
    "net.cpp": (
        "namespace a { constexpr int W = 3; constexpr double LR = 1.5; }\n"
        "#define N 8\n#define N 9\nint x = 3;\n",
        {"W": 3, "LR": 1.5}, {"W": 5}, "namespace a { constexpr int W = 5;",
    ),
    "k.cu": ("constexpr int BLOCK = 256;\n", {"BLOCK": 256}, {"BLOCK": 512}, "constexpr int BLOCK = 512;"),
    "net.go": (
        "package m\nconst LR = 0.5\nconst (\n\tA int = 3\n\tB = 4 // four\n)\nvar V = 1\n",
        {"LR": 0.5, "A": 3, "B": 4}, {"B": 5},
        "package m\nconst LR = 0.5\nconst (\n\tA int = 3\n\tB = 5 // four",
    ),
    "net.js": (
        "const LR = 0.5;\nexport const WIDTH = 64;\nconst app = 3;\nlet DEPTH = 3;\nconst T = -1;\n",
        {"LR": 0.5, "WIDTH": 64, "T": -1}, {"WIDTH": 96}, "const LR = 0.5;\nexport const WIDTH = 96;",
    ),
    "net.ts": ("const LR: number = 0.5;\n", {"LR": 0.5}, {"LR": 1.0}, "const LR: number = 1.0;"),
    "Net.java": (
        "public class Net { static final double LR = 0.5; public static final int W = 64; int x = 3; }\n",
        {"LR": 0.5, "W": 64}, {"W": 32},
        "public class Net { static final double LR = 0.5; public static final int W = 32;",
    ),
    "net.jl": (
        "module A\nconst LR = 0.5\nconst W = 1 << 6\nx = 3\nconst F = 0.5f0\nend\n",
        {"LR": 0.5, "W": 64}, {"W": 128}, "module A\nconst LR = 0.5\nconst W = 1 << 7\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", SOURCES)
def test_numbers_are_found_and_rewritten_where_they_stand(path: str) -> None:
    text, values, new, wanted = SOURCES[path]
    source = f"{text}".encode()
    knobs = knobs_in(path, source)
    assert {name: knob.value for name, knob in knobs.items()} == values
    after = constants.rewrite(source, knobs, new)
    assert after.decode().startswith(wanted)
    assert {name: knob.value for name, knob in knobs_in(path, after).items()} == values | new
    assert after.decode().splitlines()[-1] == text.splitlines()[-1] or len(text.splitlines()) == 1


def test_a_file_of_no_known_language_has_none() -> None:
    assert knobs_in("a.rb", b"LR = 3\n") == {} and knobs_in("a.c", b"#define A 3 // \xff\n") == {}


def test_the_tuner_turns_them() -> None:
    files = {
        "src/main.rs": b"const WIDTH: usize = 64;\nfn main() {}\n",
        "k.c": b"#define TILE (1 << 4)\n",
    }
    researcher = KnobsResearcher()
    seen = set()
    for number in range(1, 12):
        told = brief(files, number)
        proposal = researcher.read(researcher.propose("", told, ()), told)
        seen |= {edit.path for edit in proposal.edits}
        assert (
            "WIDTH 64 -> " in proposal.description or "TILE 1 << 4 -> 1 << " in proposal.description
        )
    assert seen == files.keys()


def test_without_the_package_it_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from autoresearch import grammars

    grammars._parser.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter_rust", None)
    with pytest.raises(ResearcherError, match=r"src/main.rs needs tree-sitter-rust"):
        KnobsResearcher().propose("", brief({"src/main.rs": b"const W: i32 = 3;\n"}), ())
    grammars._parser.cache_clear()


def test_ranges_that_the_user_wrote() -> None:
    files = {"train.py": b"LR = 3e-4\nWIDTH = 64\nDEPTH = 6\nOFF = 0\nTEMPERATURE = -1.5\n"}
    ranges = {
        "LR": [1e-4, 1e-2],
        "WIDTH": [32, 128],
        "DEPTH": [4, 7],
        "OFF": [0, 2],
        "TEMPERATURE": [-2, 2],
    }
    researcher = KnobsResearcher(ranges)
    values: dict[str, set[float]] = {name: set() for name in ranges}
    for number in range(1, 120):
        told = brief(files, number)
        answer: Answer = researcher.propose("", told, ())
        (edit,) = researcher.read(answer, told).edits
        assert edit.content is not None
        for name, knob in constants.find(edit.content).items():
            values[name].add(knob.value)
    assert values["WIDTH"] <= {32, 64, 128} and len(values["WIDTH"]) == 3
    assert values["DEPTH"] == {4, 5, 6, 7} and values["OFF"] == {0, 1, 2}
    assert 1e-4 <= min(values["LR"]) < 1e-3 < max(values["LR"]) <= 1e-2
    assert -2 <= min(values["TEMPERATURE"]) < 0 < max(values["TEMPERATURE"]) <= 2


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({"LRR": [1, 2]}, r"researcher.knobs: LRR: no knob of this name .* there are BATCH, LR"),
        ({"BATCH": [100, 200]}, "BATCH is a power of two"),
        ({"BATCH": [0.5, 2.0]}, "BATCH is a whole number"),
    ],
)  # fmt: skip
def test_ranges_that_fit_no_knob(ranges: dict[str, list[float]], said: str) -> None:
    with pytest.raises(ResearcherError, match=said):
        KnobsResearcher(ranges).propose("", brief({"train.py": b"LR = 0.1\nBATCH = 2**7\n"}), ())


def test_ranges_in_the_configuration() -> None:
    base = '[task]\ncommand = ["x"]\nmutable = ["a.py"]\n[researcher.knobs]\n'
    read = parse((base + "LR = [1e-4, 1e-2]\nN = [1, 4]\n").encode())
    assert read.researcher.knobs == {"LR": [1e-4, 1e-2], "N": [1, 4]}
    for line in (
        "timeout_s = 60",
        'LR = ["a", "b"]',
        "LR = [2, 1]",
        "LR = [1]",
        "LR = [nan, 1]",
        "LR = [1, inf]",
    ):
        with pytest.raises(
            UsageError, match=r"researcher\.knobs.* stand above \[researcher\.knobs\]"
        ):
            parse((base + line + "\n").encode())
