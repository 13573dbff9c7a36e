"""A log -> metrics or a crash: the documented shape, every kind of crash, and 500 malformed logs."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.config import MetricConfig
from autoresearch.records import Crash, Metrics, Outcome
from autoresearch.rules import metrics
from autoresearch.rules.metrics import lines, metrics_of, parse, tail
from autoresearch.text import printable

BPB = MetricConfig()
SUMMARY = """\
---
val_bpb:          0.997900
training_seconds: 300.1
peak_vram_mb:     45060.2
total_tokens_M:   499.6
"""


def read(text: str, config: MetricConfig = BPB) -> Metrics | Crash:
    return parse(text.replace("\r", "\n").split("\n"), config)


def crash(text: str, config: MetricConfig = BPB) -> str:
    found = read(text, config)
    assert isinstance(found, Crash)
    assert found.reason
    return found.failure


def value(text: str, config: MetricConfig = BPB) -> float:
    found = read(text, config)
    assert isinstance(found, Metrics)
    return found.value


# -- the documented shape ---------------------------------------------------------------------


def test_a_summary() -> None:
    assert read(SUMMARY) == Metrics(
        0.9979,
        45060.2,
        {
            "val_bpb": 0.9979,
            "training_seconds": 300.1,
            "peak_vram_mb": 45060.2,
            "total_tokens_M": 499.6,
        },
    )


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("val_bpb: 0.997900", 0.9979),
        ("val_bpb:\t1", 1.0),
        ("val_bpb:  +1.5  ", 1.5),
        ("val_bpb: 9.979e-1", 0.9979),
        ("val_bpb: .5", 0.5),
        ("val_bpb: 5E+0\t", 5.0),
        ("val_bpb: 1e-300", 1e-300),
        ("val_bpb:0.9", 0.9),
        ("val_bpb : 0.9", 0.9),
        ("val_bpb = 0.9", 0.9),
        ("val_bpb=0.9", 0.9),
        ("\t val_bpb: 0.9", 0.9),
        ("val_bpb: 93.25%", 93.25),
        ("val_bpb: 93.25 % ", 93.25),
        ("val_bpb: 0.5 (n=40)", 0.5),
        ("val_bpb=50%(20 of 40)\t", 50.0),
        ("\x1b[1mval_bpb: 0.9\x1b[0m", 0.9),
        ("val_bpb: \x1b[32m0.9", 0.9),
        ("\x1b]0;title\x07val_bpb: 0.9\x1b(B\x1b[m", 0.9),
    ],
)
def test_numbers(line: str, number: float) -> None:
    assert value(line) == number


def test_other_text_around_it_does_not_matter() -> None:
    noise = "step 1\rstep 2\rloss: nan\nmy val_bpb: 4\nval_bpb 5\nval_bpb_ema: 6\nval_bpb2: 7\n"
    noise += "  val_bpb = evaluate(model)\nif val_bpb == 3:\nval_bpb == 3\n"
    assert value(noise + "val_bpb: 0.5\n" + noise) == 0.5


def test_memory_that_is_not_told_once_is_not_known() -> None:
    for text in ("", "peak_vram_mb: 1\npeak_vram_mb: 2", "peak_vram_mb: -1", "peak_vram_mb: many"):
        found = read(f"val_bpb: 1\n{text}")
        assert isinstance(found, Metrics) and found.memory_mb is None
    none = read("val_bpb: 1\n: 3\npeak_vram_mb: 1", MetricConfig(memory=""))
    assert isinstance(none, Metrics) and none.memory_mb is None


def test_the_summary_has_each_key_that_stands_there_once() -> None:
    text = "a: 1\nb: 2\nb: 3\nc: 1e999\nd: nan\ne : 4\nf:5\nval_bpb: 1"
    found = read(text)
    assert isinstance(found, Metrics) and found.summary == {"a": 1.0, "val_bpb": 1.0}


@pytest.mark.parametrize(
    ("text", "fingerprint", "device"),
    [
        ("fingerprint:      0123456789abcdef\ndevice:  H100, 80 GB \n", "0123456789abcdef", "H100, 80 GB"),
        ("fingerprint: 1234567890123456", "1234567890123456", ""),
        ("fingerprint: 0123456789ABCDEF\ndevice:cpu", "", ""),
        ("fingerprint: 0123456789abcde\ndevice: ", "", ""),
        ("fingerprint: 0123456789abcdef\nfingerprint: 0123456789abcdef\ndevice: a\ndevice: b", "", ""),
        ("fingerprint: 0123456789abcdef\nfingerprint: none", "", ""),
        (" fingerprint: 0123456789abcdef\nmy device: x\n: y", "", ""),
        ("device: \x1b[31mred\x1b[0m\u202e " + "x" * 200, "", "red " + "x" * 95 + "\u2026"),
    ],
)  # fmt: skip
def test_fingerprint_and_device_are_texts(text: str, fingerprint: str, device: str) -> None:
    found = read(f"val_bpb: 1\n{text}\n")
    assert isinstance(found, Metrics) and found.summary == {"val_bpb": 1.0}
    assert (found.fingerprint, found.device) == (fingerprint, device)


def test_a_summary_is_bounded() -> None:
    found = read("val_bpb: 1\n" + "".join(f"k{n}: {n}\n" for n in range(1000)))
    assert isinstance(found, Metrics) and len(found.summary) == 64


def test_a_pattern_of_the_users_own() -> None:
    config = MetricConfig(name="score", direction="maximize", pattern=r"got (?P<value>\S+) points")
    assert value("you got 17.5 points\nscore: 3\nscore: 4", config) == 17.5
    assert crash("you got 1 points\nyou got 2 points", config) == "two_summaries"
    assert crash("you got many points", config) == "no_summary"
    assert crash("you got \u0661 points", config) == "no_summary"
    assert crash("you got NaN points", config) == "nan"
    assert crash("", config) == "no_summary"


LOG = "loss: 3\nloss: 1\nnoise\nloss: nan\nloss: 2\n"


@pytest.mark.parametrize(
    ("log", "take", "direction", "found"),
    [
        (LOG, "last", "minimize", 2.0),
        (LOG, "best", "minimize", 1.0),
        (LOG, "best", "maximize", 3.0),
        (LOG + "loss: inf\n", "last", "minimize", "nan"),
        (LOG + "loss: soon\n", "last", "minimize", "no_summary"),
        (LOG + "loss: soon\n", "best", "minimize", "no_summary"),
        ("loss: soon\n" + LOG, "best", "maximize", "no_summary"),
        ("loss: soon\n" + LOG, "last", "maximize", 2.0),
        ("loss: nan\n", "best", "minimize", "nan"),
        ("loss: nan\nloss: 4", "best", "minimize", 4.0),
        ("", "last", "minimize", "no_summary"),
        (LOG, "only", "minimize", "two_summaries"),
    ],
)
def test_take(log: str, take: str, direction: str, found: float | str) -> None:
    config = MetricConfig(name="loss", take=take, direction=direction)  # type: ignore[arg-type]
    got = read(log, config)
    assert (got.failure if isinstance(got, Crash) else got.value) == found


def test_take_with_a_pattern() -> None:
    config = MetricConfig(name="loss", pattern=r"loss (?P<value>\S+)", take="last")
    assert value("step 1 loss 3\n\x1b[1mstep 2 loss\x1b[0m 2\n", config) == 2.0


def test_a_group_that_takes_no_part() -> None:
    assert (
        crash("score", MetricConfig(name="s", pattern=r"score(=(?P<value>\d+))?")) == "no_summary"
    )


def test_zero_and_below_are_values_of_other_metrics() -> None:
    loss = MetricConfig(name="loss")
    assert value("loss: -3.5", loss) == -3.5
    assert str(value("loss: -0.0", loss)) == "0.0"


# -- crashes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "no_summary"),
        ("val_bpb:", "no_summary"),
        ("val_bpb: ", "no_summary"),
        ("VAL_BPB: 0.9", "no_summary"),
        ("val_bpb: 0.9 bits", "no_summary"),
        ("val_bpb: 0,9", "no_summary"),
        ("val_bpb: 0.9 0.8", "no_summary"),
        ("val_bpb: 0.9 val_bpb: 0.5", "no_summary"),
        ("val_bpb: 0.9 (n=40", "no_summary"),
        ("val_bpb: 0.9 (a) (b)", "no_summary"),
        ("val_bpb: (0.9)", "no_summary"),
        ("val_bpb: % 0.9", "no_summary"),
        ("val_bpb: 0.9%%", "no_summary"),
        ("val_bpb2: 0.5", "no_summary"),
        ("val_bpb = ", "no_summary"),
        ("val_bpb := 0.9", "no_summary"),
        ("val_bpb = nan", "nan"),
        ("val_bpb: nan (n=40)", "nan"),
        ("val_bpb: 0.9\n  val_bpb = 0.9", "two_summaries"),
        ("val_bpb: 0_9", "no_summary"),
        ("val_bpb: 0x1p-1", "no_summary"),
        ("val_bpb: \u0661.5", "no_summary"),
        ("val_bpb:\u00a00.9", "no_summary"),
        ("val_bpb: 0.9\u00a0", "no_summary"),
        ("val_bpb: -0.9", "no_summary"),
        ("val_bpb: 0.000000", "no_summary"),
        ("val_bpb: -0.0", "no_summary"),
        ("val_bpb: nan", "nan"),
        ("val_bpb: -Inf", "nan"),
        ("val_bpb: infinity", "nan"),
        ("val_bpb: 1e999", "nan"),
        ("val_bpb: 1e-400", "nan"),
        ("val_bpb: 0.9\nval_bpb: 0.9", "two_summaries"),
        ("val_bpb: 0.9\nval_bpb: soon", "two_summaries"),
        ("val_bpb: 0.9\rval_bpb: 0.8", "two_summaries"),
        ("val_bpb: 0.9\0", "no_summary"),
        ("val_bpb: 0.\r997900", "no_summary"),
    ],
)
def test_what_is_no_metric(text: str, kind: str) -> None:
    assert crash(text) == kind


def outcome(**fields: object) -> Outcome:
    return Outcome(**{"seconds": 1.0, "exit_code": 0, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("how", "log", "kind", "words"),
    [
        (outcome(tampered="train.py", timed_out=True), SUMMARY, "tampered", "train.py"),
        (outcome(launcher_killed=True), SUMMARY, "tampered", "watches"),
        (outcome(timed_out=True, exit_code=None), SUMMARY, "timeout", "600 s"),
        (outcome(log_overflow=True, exit_code=-9), SUMMARY, "log", "1 GiB"),
        (outcome(exit_code=1), "torch.OutOfMemoryError: CUDA out of memory.\n", "oom", "memory"),
        (outcome(exit_code=1), "MemoryError\n", "oom", "memory"),
        (outcome(exit_code=1), "step 3 loss = nan\n", "nan", "loss"),
        (outcome(exit_code=1), SUMMARY, "exit", "exited with 1"),
        (outcome(exit_code=1), "info: the loss is infinitesimal\n", "exit", "exited with 1"),
        (outcome(exit_code=-9), "", "exit", "signal 9"),
        (outcome(exit_code=-11), "", "exit", "signal 11"),
        (outcome(exit_code=None), "", "exit", "never ended"),
        (outcome(exit_code=2, setup_failed=True), "", "setup", "exited with 2"),
        (outcome(), "", "no_summary", "val_bpb"),
        (outcome(), SUMMARY + SUMMARY, "two_summaries", "more than one"),
        (outcome(), "val_bpb: nan\n", "nan", "nan"),
    ],
)
def test_the_kinds_of_crash(how: Outcome, log: str, kind: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "trial.log"
    file.write_text(log)
    found = metrics_of(how, file, BPB, 600)
    assert isinstance(found, Crash)
    assert found.failure == kind and words in found.reason


def test_a_trial_that_ended_well(tmp_path: Path) -> None:
    file = tmp_path / "trial.log"
    file.write_text("MemoryError\nloss nan\n" + SUMMARY)
    assert isinstance(metrics_of(outcome(), file, BPB, 600), Metrics)


# -- 500 malformed logs -----------------------------------------------------------------------

DIGITS = ("٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗", "⁰¹²³⁴⁵⁶⁷⁸⁹")
SPACES = "\u00a0\u2003\u3000\u200b\ufeff\x0b\x0c\x85\u2028"


def _number(r: random.Random) -> str:
    return f"{r.uniform(0.5, 2):.{r.randint(1, 8)}f}"


def _digits(r: random.Random) -> bytes:
    text, alphabet = _number(r), r.choice(DIGITS)
    at = r.choice([i for i, c in enumerate(text) if c.isdigit()])
    return f"val_bpb: {text[:at]}{alphabet[int(text[at])]}{text[at + 1 :]}\n".encode()


def _separated(r: random.Random) -> bytes:
    whole, _, part = _number(r).partition(".")
    return f"val_bpb: {whole}{r.choice(['_', ',', '٫', '·', ' ', '..', '.-'])}{part}\n".encode()


def _underscore(r: random.Random) -> bytes:
    return f"val_bpb: {r.choice(['0_9', '1_0.5', '0.9_9', '_1', '1_', '1e_5'])}\n".encode()


def _space(r: random.Random) -> bytes:
    space, number = r.choice(SPACES), _number(r)
    shapes = (f"val_bpb:{space}{number}", f"val_bpb: {number}{space}", f"val_bpb: {space}{number}")
    return (r.choice(shapes) + "\n").encode()


def _not_finite(r: random.Random) -> bytes:
    word = r.choice(["nan", "inf", "infinity", "1.#IND", "1.#QNAN", "nan(ind)", "1e999", "-1e999"])
    word = "".join(r.choice((c.lower(), c.upper())) for c in word)
    return f"val_bpb: {r.choice(['', '+', '-'])}{word}\n".encode()


def _tiny(r: random.Random) -> bytes:
    return f"val_bpb: {r.randint(1, 9)}e-{r.randint(330, 9999)}\n".encode()


def _below(r: random.Random) -> bytes:
    return f"val_bpb: {r.choice(['-' + _number(r), '0', '-0', '0.000000', '0e5', '.0'])}\n".encode()


def _twice(r: random.Random) -> bytes:
    end = r.choice(["\n", "\r", "\r\n", "\n\n", "\nnoise\n"])
    return f"val_bpb: {_number(r)}{end}val_bpb: {_number(r)}{end}".encode()


def _returns(r: random.Random) -> bytes:
    number = _number(r)
    shapes = (
        f"val_bpb: \r{number}\n",
        f"val_bpb\r: {number}\n",
        f"val_bpb:\r {number}\n",
        f"val_bpb: -\r{number}\n",
        f"val_bpb: {number}\rval_bpb: {number}\n",
    )
    return r.choice(shapes).encode()


def _ansi(r: random.Random) -> bytes:
    escape = r.choice(["\x9b1m", "\x08", "\x07", "\u202e"])  # no colours of a terminal's today
    number = _number(r)
    shapes = (
        f"{escape}val_bpb: {number}",
        f"val_bpb: {escape}{number}",
        f"val_bpb: {number}{escape}",
    )
    return (r.choice(shapes) + "\n").encode()


def _nul(r: random.Random) -> bytes:
    text = f"val_bpb: {_number(r)}"
    at = r.randint(0, len(text))
    return (text[:at] + "\0" + text[at:] + "\n").encode()


def _binary(r: random.Random) -> bytes:
    return bytes(r.randrange(128, 256) for _ in range(r.randint(1, 3000)))


def _broken_text(r: random.Random) -> bytes:
    line = b"val_bpb: " + _number(r).encode()
    at = r.randint(0, len(line))
    return line[:at] + r.choice([b"\xff", b"\xc3", b"\xed\xa0\x80"]) + line[at:] + b"\n"


def _wide(r: random.Random) -> bytes:
    return f"val_bpb: {_number(r)}\n".encode(r.choice(["utf-16", "utf-32", "utf-16-be"]))


def _huge(r: random.Random) -> bytes:
    """Longer than a line may be: what is cut off must not leave a number behind."""
    size = r.choice([65_536 - 12, 65_536, 70_000, 1 << 20])
    shapes = (
        b"val_bpb: 0.5" + b" " * size + b"oops\n",
        b"x" * size + b"val_bpb: 0.5\n",
        b"val_bpb: 1" + b"0" * size + b"\n",
        b"val_bpb: 0." + b"9" * size + b"?\n",
    )
    return r.choice(shapes)


def _truncated(r: random.Random) -> bytes:
    start = "val_bpb: "[: r.randint(0, 9)]
    return (start if len(start) < 9 else start + r.choice(["+", "-", "0.", "1e", "1.5e-"])).encode()


def _more(r: random.Random) -> bytes:
    number = _number(r)
    shapes = (
        f"val_bpb: {number} ema", f"val_bpb: {number}f", f"val_bpb: {number}%%", f"val_bpb: ={number}",
        f"val_bpb: '{number}'", f"val_bpb: [{number}]", f"val_bpb == {number}", f"val_bpb\t{number}",
        f"val_bpb: tensor({number})", f"val_bpb: {number};", f"a val_bpb: {number}", f"val_bpb:({number})",
        f"val_bpb: --{number}", f"val_bpb: {number}e", f"val_bpb: 0x{number}", "val_bpb: None",
        f'{{"val_bpb": {number}}}', f"Val_bpb: {number}", f"val_bpb：{number}", "val_bpb: True",
    )  # fmt: skip
    return (r.choice(shapes) + "\n").encode()


MAKERS: list[Callable[[random.Random], bytes]] = [
    _digits, _separated, _underscore, _space, _not_finite, _tiny, _below, _twice, _returns,
    _ansi, _nul, _binary, _broken_text, _wide, _huge, _truncated, _more,
]  # fmt: skip


def test_500_malformed_logs_are_crashes(tmp_path: Path) -> None:
    file = tmp_path / "trial.log"
    for seed in range(500):
        r = random.Random(seed)
        maker = MAKERS[seed % len(MAKERS)]
        before, after = (r.choice([b"", b"step 1 | loss 3.2\n", b"\r", b"\n"]) for _ in range(2))
        content = maker(r)
        file.write_bytes(before + content + (after if content.endswith(b"\n") else b""))
        found = metrics_of(outcome(), file, BPB, 600)
        assert isinstance(found, Crash), (maker.__name__, seed, content[:100])
        assert found.failure in ("no_summary", "two_summaries", "nan"), (maker.__name__, seed)
        assert found.reason and "\n" not in found.reason


# -- properties -------------------------------------------------------------------------------

NOISE = st.text(st.characters(exclude_categories=("Cs",)), max_size=200).filter(
    lambda text: "val_bpb" not in text
)


@given(st.floats(min_value=1e-300, max_value=1e300), NOISE, NOISE)
def test_a_good_line_is_read_wherever_it_stands(number: float, before: str, after: str) -> None:
    assert value(f"{before}\nval_bpb: {number!r}\n{after}") == number


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 3), st.integers(0, 3))
def test_every_finite_number_of_another_metric(number: float, left: int, right: int) -> None:
    line = f"loss: {' ' * left}{number!r}{' ' * right}"
    assert value(line, MetricConfig(name="loss")) == number


@given(st.floats(min_value=0.1, max_value=9), st.floats(min_value=0.1, max_value=9), NOISE)
def test_two_good_lines_are_never_metrics(one: float, two: float, between: str) -> None:
    assert crash(f"val_bpb: {one}\n{between}\nval_bpb: {two}") == "two_summaries"


@given(st.text(max_size=300))
def test_any_text_gives_metrics_or_a_crash(text: str) -> None:
    assert isinstance(read(f"val_bpb: {text}"), Metrics | Crash)


@settings(deadline=None)
@given(st.binary(max_size=500))
def test_any_bytes_are_lines(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.log"
    file.write_bytes(content)
    expected = content.replace(b"\r", b"\n").split(b"\n")
    # Most empty lines are left out.
    assert [line for line in lines(file) if line] == [
        line.decode("utf-8", "replace") for line in expected if line
    ]


# -- what people are shown --------------------------------------------------------------------


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 65_536, 3 << 20])
def test_a_long_line_is_cut_and_the_next_is_whole(size: int, tmp_path: Path) -> None:
    file = tmp_path / "trial.log"
    file.write_bytes(b"first\n" + b"x" * size + b"\nlast")
    first, long, last = lines(file)
    assert (first, last) == ("first", "last")
    assert long == ("x" * size if size <= 65_536 else "x" * 65_536 + "…")


def test_a_tail_is_short_and_plain() -> None:
    log = ["", *(f"step {n}" for n in range(100)), "\x1b[31mred\x1b[0m \x1b]0;title\x07end\0", " "]
    shown = tail(log).splitlines()
    assert len(shown) == 40 and shown[-1] == "red end" and shown[0] == "step 61"
    assert len(tail(["x" * 10_000])) == 4_000


@given(st.text())
def test_printable_text_steers_no_terminal(text: str) -> None:
    shown = printable(text)
    assert not any((ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160 for c in shown)
    assert "\u202e" not in shown
    assert printable(shown) == shown


def test_plain_text_is_printed_as_it_is() -> None:
    assert printable("halve the batch: 2**18 → ½ 日本") == "halve the batch: 2**18 → ½ 日本"
    assert metrics.printable("a\x1b[2Jb\u202ec\x9b1md\u061ce") == "abc1mde"
    assert printable("\x1b[1mdone\x1b(B\x1b[m (B)\x1b%G") == "done (B)", "as tput sgr0 ends it"
