"""Symbols in nine languages: where a definition stands, what its body is, and what changes its code."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from autoresearch.config import parse
from autoresearch.errors import UsageError
from autoresearch.records import Edit
from autoresearch.rules.guard import Mutable, changes_code, refusals, unknown_symbols
from autoresearch.rules.symbols import SymbolError, language_of

pytest.importorskip("tree_sitter")


@dataclass(frozen=True)
class Source:
    """A file of a language, and in it one function: what stands in its body, and what may stand there."""

    path: str
    symbol: str
    text: str  # BODY is the body of the symbol
    body: str
    other: str
    comment: str
    again: str  # a symbol with two definitions


SOURCES = [
    Source(
        "src/main.rs", "net::Model::forward",
        "mod net {\n    impl<T: Copy> Model<T> {\n        #[inline]\n"
        "        pub fn forward(&self, x: f32) -> f32 {BODY}\n    }\n"
        "    impl Drop for Model<f32> {\n        fn drop(&mut self) {}\n    }\n"
        "    impl Clone for Model<f32> {\n        fn drop(&mut self) {}\n    }\n}\n"
        "fn eval() -> f32 { 1.0 }\n",
        " x * 2.0 ", " let y = x; y * 3.0 ", "/* why */", "net::Model::drop",
    ),
    Source(
        "kernel.c", "gemm",
        "#include <stdio.h>\n#define N 64\nstatic float *gemm(const float *a, int n) {BODY}\n"
        "int main(void) { printf(\"%d\", N); return 0; }\n#if N\nint twice(void) { return 1; }\n#else\n"
        "int twice(void) { return 2; }\n#endif\n",
        " return (float *)a + n; ", " for (int i = 0; i < n; i++) { }\n return 0; ", "// why\n", "twice",
    ),
    Source(
        "net.cpp", "a::Model::step",
        "namespace a {\nclass Model {\n public:\n  int step(float x) const {BODY}\n"
        "  int twice(int a) { return 1; }\n  int twice(float a) { return 2; }\n};\n}\n"
        "int a::Model::eval() { return 0; }\n",
        " return 1; ", " auto f = [](int y) { return y; }; return f(2); ", "/* why */", "a.Model.twice",
    ),
    Source(
        "kernel.cu", "add",
        "template <int N>\n__global__ void __launch_bounds__(256) add(float *x) {BODY}\n"
        "__device__ float twice(float a) { return a; }\n__device__ float twice(int a) { return a; }\n"
        "int main() { add<4><<<1, 32>>>(nullptr); return 0; }\n",
        " x[threadIdx.x] += 1; ", " int i = threadIdx.x; if (i < N) { x[i] = 2; } ", "// why\n", "twice",
    ),
    Source(
        "net.go", "Model.Forward",
        "package net\n\ntype Model struct { w float64 }\n\n"
        "func (m *Model) Forward(x float64) float64 {BODY}\n\n"
        "func (m Model) Eval() float64 { return m.w }\nfunc twice() {}\nfunc twice() {}\n",
        " return m.w * x ", "\n\ty := x\n\treturn y\n", "// why\n", "twice",
    ),
    Source(
        "net.js", "Model.forward",
        "class Model extends Base {\n  constructor() { super(); }\n  async forward(x) {BODY}\n}\n"
        "module.exports.evaluate = function (x) { return x; };\nfunction twice() {}\nfunction twice() {}\n",
        " return x * 2; ", " const f = (y) => { return y; }; return f(x); ", "/* why */", "twice",
    ),
    Source(
        "net.ts", "A.Model.forward",
        "namespace A {\n  export abstract class Model<T> {\n    private forward(x: number): number {BODY}\n"
        "  }\n}\nexport function evaluate(x: string): string { return x; }\n"
        "function twice(): void {}\nfunction twice(): void {}\n",
        " return x; ", " let y: number = x; return y; ", "// why\n", "twice",
    ),
    Source(
        "src/Model.java", "Model.forward",
        "package p;\npublic class Model {\n  @Override\n  public double forward(double[] x) {BODY}\n"
        "  int twice(int a) { return 1; }\n  int twice(String a, int b) { return 2; }\n}\n",
        " return x[0]; ", " for (double y : x) { return y; } return 0; ", "/* why */", "Model.twice",
    ),
    Source(
        "net.jl", "Net.forward",
        "module Net\nfunction forward(m::Model, x) where T\nBODYend\nevaluate(x) = x + 1\n"
        "function twice(a::Int) a end\nfunction twice(a::Float64) a end\nend\n",
        "  x .* 2\n", "  y = x\n  if y > 1\n    y\n  end\n", "# why\n", "Net.twice",
    ),
]  # fmt: skip


def name(source: Source) -> str:
    return source.path


def filled(source: Source, body: str) -> bytes:
    return source.text.replace("BODY", body).encode()


def refused(source: Source, new: bytes, symbol: str | None = None) -> list[str]:
    old = filled(source, source.body)
    rules = Mutable.of([f"{source.path}::{symbol or source.symbol}"])
    return refusals([Edit(source.path, new)], rules, {source.path: "100644"}, lambda path: old)


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_the_body_may_change_and_nothing_around_it(source: Source) -> None:
    old = filled(source, source.body)
    assert refused(source, filled(source, source.other)) == []
    assert refused(source, filled(source, "\n")) == []
    head, tail = source.text.split("BODY")
    others = [
        (head.replace("x", "y"), tail),
        (head.replace("f", "g", 1), tail),
        (" " + head, tail),
        (head, tail + source.comment),
        (head, tail.replace("eval", "evil").replace("main", "mein")),
        (head, tail.replace("twice", "thrice", 1)),
    ]
    tried = [pair for pair in others if pair != (head, tail)]
    assert len(tried) >= 4
    for before, after in tried:
        assert refused(source, f"{before}{source.body}{after}".encode()), before + after
    assert old == f"{head}{source.body}{tail}".encode()


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_a_body_that_closes_itself_and_goes_on_is_refused(source: Source) -> None:
    closing = "end\n" if source.path.endswith(".jl") else "}"
    opening = "function other(x)\n" if source.path.endswith(".jl") else {
        ".rs": "fn other() -> f32 {", ".go": "func other() {", ".js": "other() {", ".ts": "other() {",
    }.get(source.path[-3:], "int other() {")  # fmt: skip
    assert refused(source, filled(source, f"{source.body}{closing} {opening}{source.body}"))


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_a_file_that_no_longer_parses_is_refused_with_its_place(source: Source) -> None:
    broken = filled(source, source.body.rstrip() + " ((( \n")
    (reason,) = refused(source, broken)
    assert " at line " in reason and "is no valid" in reason, reason


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_names_that_are_wrong_or_mean_two(source: Source) -> None:
    content = {source.path: filled(source, source.body)}
    assert unknown_symbols(Mutable.of([f"{source.path}::{source.symbol}"]), content.get) == []
    (missing,) = unknown_symbols(Mutable.of([f"{source.path}::{source.symbol}x"]), content.get)
    shown = source.symbol.replace("::", ".")
    assert "has 0 definitions of" in missing and shown in missing.partition("; there is")[2], (
        missing
    )
    (two,) = unknown_symbols(Mutable.of([], [f"{source.path}::{source.again}"]), content.get)
    assert "has 2 definitions of" in two and two.count(" at line ") == 2, two


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_comments_and_layout_are_no_change_of_code(source: Source) -> None:
    old = filled(source, source.body)
    commented = filled(source, source.comment + source.body)
    assert commented != old and not changes_code(source.path, old, commented)
    spaced = old.replace(b"\n", b"\n\n", 1).replace(b"return ", b"return   ")
    assert spaced != old and not changes_code(source.path, old, spaced)
    assert changes_code(source.path, old, filled(source, source.other))
    assert changes_code(source.path, old, old.replace(b"1", b"2", 1).replace(b"x", b"z", 1))
    assert changes_code(source.path, old, old + b"(((")


@pytest.mark.parametrize(
    ("path", "symbol", "chosen"),
    [
        ("net.cpp", "a.Model.twice(float a)", b"  int twice(float a) { return 2; }\n"),
        ("src/Model.java", "Model.twice( String a,int b )", b"  int twice(String a, int b) { return 2; }\n"),
        ("net.jl", "Net.twice(a::Int)", b"function twice(a::Int) a end\n"),
        ("src/main.rs", "net::<Model as Drop>::drop", b"        fn drop(&mut self) {}\n"),
        ("net.js", "evaluate", b"module.exports.evaluate = function (x) { return x; };\n"),
        ("net.cpp", "a::Model::eval", b"int a::Model::eval() { return 0; }\n"),
        ("net.go", "Model", b"type Model struct { w float64 }\n"),
        ("net.ts", "evaluate", b"export function evaluate(x: string): string { return x; }\n"),
        ("net.jl", "Net.evaluate", b"evaluate(x) = x + 1\n"),
    ],
)  # fmt: skip
def test_one_of_several(path: str, symbol: str, chosen: bytes) -> None:
    (source,) = (each for each in SOURCES if each.path == path)
    language = language_of(path)
    assert language is not None
    assert language.definition(filled(source, source.body), symbol) == chosen


def test_a_protected_definition_has_its_attributes_and_template() -> None:
    rust, cuda = language_of("a.rs"), language_of("a.cu")
    assert rust is not None and cuda is not None
    text = b"fn a() {}\n#[inline]\n#[cold]\nfn b() {\n    1\n}\n"
    assert rust.definition(text, "b") == b"#[inline]\n#[cold]\nfn b() {\n    1\n}\n"
    kernel = b"template <int N>\n__global__ void k() {\n}\nint x;\n"
    assert cuda.definition(kernel, "k") == b"template <int N>\n__global__ void k() {\n}\n"


@pytest.mark.parametrize(
    ("path", "trick"),
    [
        ("kernel.c", "\n#define main other\n return 0;"),
        ("kernel.c", "\n#undef N\n return 0;"),
        ("kernel.c", "\n  # define N \\\n 3\n return 0;"),
        ("kernel.c", "\n#if 0\n}\n#endif\n return 0;"),
        ("kernel.c", " return 0; %> int other(void) <% return 1;"),
        ("kernel.c", " // ??/\n return 0;"),
        ("net.cpp", "\n#include <evil.h>\n return 0;"),
        ("kernel.cu", "\n#pragma once\n"),
        ("src/Model.java", " // \\u000a } static { \n return 0;"),
        ("src/Model.java", " return 0; \\u007d int q() \\uu007b return 1;"),
    ],
)
def test_what_a_compiler_reads_otherwise_than_the_grammar_is_refused(path: str, trick: str) -> None:
    (source,) = (each for each in SOURCES if each.path == path)
    assert refused(source, filled(source, trick)), trick


def test_an_error_elsewhere_in_a_file_of_c_is_no_matter() -> None:
    odd = b"MACRO_THAT_IS(no grammar's) )\nint f(void) { return 1; }\n"
    rules = Mutable.of(["a.c::f"])
    new = odd.replace(b"return 1", b"return 2")
    assert refusals([Edit("a.c", new)], rules, {"a.c": "100644"}, lambda path: odd) == []


def test_orders_in_comments_of_go_are_code() -> None:
    old = b"package m\n\nfunc f() {}\n"
    assert changes_code("a.go", old, old.replace(b"func", b"//go:noinline\nfunc"))
    assert not changes_code("a.go", old, old.replace(b"func", b"// quick\nfunc"))


def test_blanks_in_a_string_are_code() -> None:
    for path, old in {
        "a.rs": b'fn f() { p("a  b"); }', "a.c": b'int f() { p("a  b"); }', "a.js": b"f(`a  b`)",
        "a.go": b'package m\nvar X = "a  b"\n', "a.java": b'class A { String x = "a  b"; }',
        "a.jl": b'x = "a  b"',
        "a.ts": b"f('a  b')", "a.cpp": b'auto x = R"(a  b)";', "a.cu": b'const char *x = "a  b";',
        "a.jsx": b"x = <p>a  b</p>",
    }.items():  # fmt: skip
        assert changes_code(path, old, old.replace(b"a  b", b"a b")), path


def test_without_the_package_it_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from autoresearch import grammars

    grammars._parser.cache_clear()
    monkeypatch.setitem(sys.modules, "tree_sitter_rust", None)
    language = language_of("src/main.rs")
    assert language is not None
    with pytest.raises(
        SymbolError, match=r"needs tree-sitter-rust .* pip install 'autoresearch\[languages\]'"
    ):
        language.definition(b"fn f() {}", "f")
    assert changes_code("src/main.rs", b"fn f() {}", b"fn f() { } // x"), (
        "unread, any change is one of code"
    )
    grammars._parser.cache_clear()


def test_the_configuration_takes_symbols_of_these_languages_and_no_others() -> None:
    base = '[task]\ncommand = ["x"]\nmutable = ["{}"]\n'
    for entry in ("isis/src/main.rs::learn_ffn", "a.cpp::a::B::f(int x)", "a.ts::A.b"):
        assert parse(base.format(entry).encode(), "autoresearch.toml", None).task.mutable == [entry]
    for entry in ("a.rb::f", "a.rs::", "a.rs::.", "./a.rs::f"):
        with pytest.raises(UsageError):
            parse(base.format(entry).encode(), "autoresearch.toml", None)
