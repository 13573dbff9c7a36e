"""What a candidate's source may carry over a whole run."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path

import pytest

from autoresearch.rules import volume as volume_
from autoresearch.rules.volume import outgrown, volume

TEMPLATE = (Path(volume_.__file__).parents[1] / "template" / "train.py").read_bytes()
RNG = random.Random(0)
TABLE = RNG.randbytes(12 << 10)  # 16 KB as text
TEXT = base64.b64encode(TABLE).decode()
NUMBERS = [RNG.randrange(10) for _ in range(16 << 10)]
WORDS = ["".join(RNG.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(9)) for _ in range(1800)]


def lines(made: list[str]) -> bytes:
    return TEMPLATE + b"\n" + "\n".join(made).encode() + b"\n"


def chunks(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


DIGITS = "".join(map(str, NUMBERS))
LETTERS = TEXT.replace("/", "_").replace("+", "q")  # each a name

LINES: dict[str, list[str]] = {
    "many short strings": [f"w{n} = {c!r}" for n, c in enumerate(chunks(TEXT, 60))],
    "strings of one letter": [f"f({c!r})" for c in TEXT],
    "bytes": [f"w{n} = {TABLE[n : n + 40]!r}" for n in range(0, len(TABLE), 40)],
    "f-strings": [f"w{n} = f'{c}{{x}}'" for n, c in enumerate(chunks(TEXT, 60))],
    "numbers": [f"w{n} = 1{c}" for n, c in enumerate(chunks(DIGITS, 40))],
    "short lists": [f"w += {NUMBERS[n : n + 15]}" for n in range(0, len(NUMBERS), 15)],
    "lists of names": [f"w += [{','.join('a' + c for c in each)}]" for each in chunks(LETTERS, 99)],
    "arguments": [
        f"f({','.join('abcdefghij'[int(d)] for d in each)})" for each in chunks(DIGITS, 99)
    ],
    "comments": [f"# {c}" for c in chunks(TEXT, 80)],
    "digits in comments": [f"# {c}" for c in chunks(DIGITS, 80)],
    "docstrings": [f"def f{n}():\n    '''{c}'''" for n, c in enumerate(chunks(TEXT, 80))],
    "strings that stand alone": [f"'''{c}'''" for c in chunks(TEXT, 80)],
    "names": [f"{word} = 0" for word in WORDS],
    "attributes": [f"x.{word}" for word in WORDS],
    "words": [f"# {' '.join(WORDS[n : n + 8])}" for n in range(0, 1800, 8)],
}
FILES: dict[str, tuple[str, bytes]] = {
    "a file of data": ("table.bin", TABLE),
    "a file of JSON": ("table.json", json.dumps(NUMBERS).encode()),
    "a script that does not parse": ("table.py", b"!" + TEXT.encode()),
    "another language": ("k.cu", "\n".join(f'f("{c}");' for c in chunks(TEXT, 60)).encode()),
    "its comments": ("k.cu", "\n".join(f"// {c}" for c in chunks(TEXT, 60)).encode()),
}
CARRIERS: dict[str, dict[str, bytes]] = {
    **{name: {"train.py": lines(made)} for name, made in LINES.items()},
    **{name: {"train.py": TEMPLATE, path: content} for name, (path, content) in FILES.items()},
    "several files": {f"m{n}.py": f"w = {c!r}".encode() for n, c in enumerate(chunks(TEXT, 1000))},
}


@pytest.mark.parametrize("name", CARRIERS)
def test_a_table_of_16_kb_is_refused_in_any_dress(name: str) -> None:
    words = outgrown(CARRIERS[name], {"train.py": TEMPLATE})
    assert words is not None and " are the most" in words, volume(CARRIERS[name])


def test_the_numbers_are_told() -> None:
    words = outgrown({"train.py": lines([f"w = {'x' * 5000!r}"])}, {"train.py": TEMPLATE})
    assert words == (
        "over the baseline's the mutable files together have 5002 bytes of literals (numbers, texts, "
        "tables), and 4096 are the most: a script may learn, not carry; take out what is no longer needed"
    )


def function(number: int) -> str:
    return f'''
def block_{number}(x: Tensor, scale: float = 0.{number}) -> Tensor:
    """Mix the stream with its own past, and norm what comes out of it."""
    past = F.pad(x[:, :-1], (0, 0, 1, 0))  # one token earlier
    mixed = x + scale * past
    return F.rms_norm(mixed, (x.size(-1),))
'''


@pytest.mark.slow
def test_what_a_long_night_really_adds_is_not() -> None:
    honest = TEMPLATE + "".join(map(function, range(60))).encode()  # 17 KB in 60 functions
    assert len(honest) > len(TEMPLATE) + 16_000
    assert outgrown({"train.py": honest}, {"train.py": TEMPLATE}) is None
    assert outgrown({}, {"train.py": TEMPLATE}) is None
    assert outgrown({"model.py": TEMPLATE}, {}) is None, "a second file as large as the template"
    large = TEMPLATE + b"x = x + y\n" * (65 << 10)
    assert "bytes of source, and 65536" in (
        outgrown({"train.py": large}, {"train.py": TEMPLATE}) or ""
    )


def test_what_the_baseline_carries_is_its_owners() -> None:
    for name in ("many short strings", "comments", "a file of data"):
        files = CARRIERS[name]
        assert outgrown({**files, "train.py": files["train.py"] + b"\ny = 1\n"}, files) is None
