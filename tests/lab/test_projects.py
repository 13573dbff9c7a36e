"""Which number a project prints, and the constants of a script, by their sources alone."""

from __future__ import annotations

import pytest

from autoresearch.lab.projects.constants import constants_of
from autoresearch.lab.projects.metric import described, direction_of, found_in, printed


@pytest.mark.parametrize(
    "line",
    [
        'print(f"score: {x:.6f}")',
        'print(f"score = {x}")',
        "print('score:', x)",
        'print("score: %.3f" % x)',
        'print("score: {:.3f}".format(x))',
        'print("\\nscore:      {}".format(x))',
        'print(f"score: {x:.1f}%")',
        'print(f"score: {x:.3f} (n=40)")',
        'println!("score: {:.6}", x);',
        'println!("score: {x}");',
        'printf("score: %.3f\\n", x);',
        'printf("score: %lf%%\\n", x);',
        'std::cout << "score: " << x << std::endl;',
        'fmt.Printf("score: %.2f\\n", x)',
        'fmt.Println("score:", x)',
        "console.log(`score: ${x.toFixed(3)}`);",
        'console.log("score: " + x);',
        'System.out.println("score: " + x);',
        'System.out.printf("score: %.3f%n", x);',
        'println("score: $x")',
        'println("score: $(round(x, digits = 3))")',
        'echo "score: $x"',
        'std::print("score: {}\\n", x);',
    ],
)
def test_a_number_on_a_line_of_its_own(line: str) -> None:
    assert printed(line) == ["score"]


@pytest.mark.parametrize(
    "line",
    [
        'print(f"step {i} score: {x}")',
        'print(f"score: {x} | lr: {y}")',
        'parser.add_argument("--score", help="the score: a number")',
        'eprintln!("score: {}", x);',
        'fprintf(stderr, "score: %f\\n", x);',
        "console.error(`score: ${x}`);",
        'raise ValueError(f"score: {x}")',
        '# print(f"score: {x}")',
        '{"score": x}',
    ],
)
def test_what_is_no_such_line(line: str) -> None:
    assert printed(line) == []


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["val_bpb", "accuracy"], "val_bpb"),
        (["loss", "val_loss"], "val_loss"),
        (["accuracy", "time_ms", "peak_vram_mb", "num_steps"], "accuracy"),
        (["ns_per_op"], "ns_per_op"),
        (["total_ns"], "total_ns"),
        (["widgets"], "widgets"),
        (["error", "accuracy"], "accuracy"),
        (["accuracy", "f1"], None),
        (["widgets", "gadgets"], None),
        (["seed"], None),
        ([], None),
    ],
)
def test_which_of_several_counts(names: list[str], chosen: str | None) -> None:
    text = "".join(f'print(f"{name}: {{x}}")\n' for name in names)
    found = found_in([("train.py", text)])
    assert (found.metric and found.metric.name) == chosen
    assert found.names == tuple(names)


def test_a_charter_decides() -> None:
    text = 'print(f"alpha: {x}")\nprint(f"beta: {y}")\n'
    found = found_in([("a.py", text)], "Get the highest `beta` that you can.")
    assert found.metric is not None
    assert (found.metric.name, found.metric.direction) == ("beta", "maximize")


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("val_loss", "minimize"),
        ("ns_per_op", "minimize"),
        ("tokens_per_sec", "maximize"),
        ("ops/s", "maximize"),
        ("opsPerSec", "maximize"),
        ("testAccuracy", "maximize"),
        ("pass_rate", "maximize"),
        ("error_rate", "minimize"),
        ("GFLOPS", "maximize"),
        ("widgets", None),
    ],
)
def test_the_direction_by_the_name(name: str, direction: str | None) -> None:
    assert direction_of(name) == direction


def test_the_direction_by_a_text_for_people() -> None:
    assert described("score", "Get the lowest possible score.") == "minimize"
    assert described("score", "`score`: higher is better") == "maximize"
    assert described("score", "the highest accuracy and a score") is None


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('os.path.join(os.path.expanduser("~"), ".cache", "x")', "~/.cache/x"),
        ('Path.home() / ".cache" / "x"', "~/.cache/x"),
        ('Path("~/x").expanduser().resolve()', "~/x"),
        ('os.getenv("X", "~/x")', "~/x"),
        ('os.environ.get("X") or "~/x"', "~/x"),
        ('f"{HOME}/x"', "~/x"),
        ('os.path.join(os.path.dirname(__file__), "data")', "./data"),
        ('str(Path(__file__).resolve().parent / "data")', "./data"),
        ("5 * 60", 300),
        ("open('x')", None),
        ("os.environ['X']", None),
    ],
)
def test_constants(expression: str, value: str | int | None) -> None:
    source = f'import os\nHOME = os.path.expanduser("~")\nX = {expression}\n'
    assert constants_of(source).get("X") == value


def test_what_is_no_python_has_no_constants() -> None:
    assert constants_of("def (:\n") == {} and constants_of("\0") == {}
