"""What becomes of answers in many shapes, and how the time to read one grows with its length.

python -m benchmarks.answers            the table of docs/edits.md
python -m benchmarks.answers --speed    answers of twice the length against answers of once, in one run
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable

from autoresearch.errors import BadAnswer
from autoresearch.researchers.blocks import parse
from tests.researchers.answer_cases import GOOD, HEAD, all_cases
from tests.researchers.test_answer_cases import outcome

LINES = 4_000
TIMES = 3


def table() -> None:
    """Prints how many answers of each shape are applied exactly, refused, or read wrongly."""
    count: Counter[tuple[str, str]] = Counter()
    shapes: list[str] = []
    for case in all_cases():
        shapes += [case.shape] if case.shape not in shapes else []
        count[case.shape, outcome(case)[0]] += 1
        count["all", outcome(case)[0]] += 1
    print("| shape | answers | applied exactly | refused | wrong |\n|---|---|---|---|---|")
    for shape in [*shapes, "all"]:
        row = [count[shape, how] for how in ("applied", "refused", "wrong")]
        print(f"| {shape} | {sum(row)} | {' | '.join(map(str, row))} |")


# What might take the square of its length: n is the number of lines, or of thousands of characters.
LONG: dict[str, Callable[[int], str]] = {
    "blocks": lambda n: "".join(
        f"c.py\n<<<<<<< SEARCH\nline {k}\n=======\nLINE\n>>>>>>> REPLACE\n" for k in range(n // 20)
    ),
    "one block that fits nowhere": lambda n: f"a.py\n<<<<<<< SEARCH\n{'line' + chr(10)}" * 1
    + "line 1\n" * n + "=======\nx\n>>>>>>> REPLACE\n",
    "prose": lambda n: "some words of prose.\n" * n + GOOD,
    "fences": lambda n: "Look:\n```\nstep 1\n```\n" * (n // 20) + GOOD,
    "a line of signs": lambda n: "= < > - * # `" * n + "\n" + GOOD,
    "a line of equals signs": lambda n: "=" * (10 * n) + "\n" + GOOD,
    "a line of blanks": lambda n: " " * (10 * n) + "x\n" + GOOD,
    "a line of letters": lambda n: "a" * (10 * n) + "\n" + GOOD,
    "a line of quotes": lambda n: "\"'[(" * n + "\n" + GOOD,
    "lines that fit many times": lambda n: f"b.py\n<<<<<<< SEARCH\n{'a' + chr(10)}" + "a\n" * (n // 2)
    + "=======\nx\n>>>>>>> REPLACE\n",
    "a whole file": lambda n: "a.py\n```\n" + "".join(f"line {k}\n" for k in range(n)) + "x\n```\n",
}  # fmt: skip


def speed() -> None:
    """Prints, for each kind of long answer, the time of twice the length over that of once."""
    for name, make in LONG.items():
        once, twice = (_seconds(make(n), n) for n in (LINES, 2 * LINES))
        print(f"{name:30} {1000 * once:8.1f} ms, twice as long takes {twice / once:.1f} times that")


def _seconds(body: str, n: int) -> float:
    """Returns the processor time of reading an answer, the least of several."""
    files = {
        "train.py": b"DEPTH = 4\nA = 1\n",
        "a.py": b"".join(b"line %d\n" % k for k in range(n)),
        "b.py": b"a\n" * n,
        "c.py": b"".join(b"line %d\n" % k for k in range(1000)),
    }
    least = float("inf")
    for _ in range(TIMES):
        began = time.process_time()
        with contextlib.suppress(BadAnswer):
            parse(HEAD + body, files, frozenset(files))
        least = min(least, time.process_time() - began)
    return least


if __name__ == "__main__":
    speed() if "--speed" in sys.argv else table()
