"""What a report says: the figures, the table at 80 columns and in a pipe, the JSON, the picture."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from autoresearch.errors import LabError, UsageError
from autoresearch.ledger import strangers
from autoresearch.records import Status
from autoresearch.report.plot import progress
from autoresearch.report.summary import Entry, filtered, summarise
from autoresearch.report.table import as_json, duration, number, render
from tests.labs import make_lab as made
from tests.labs import scripted, whole

# A run in the shape of a night's file, made up: 126 rows, 23 kept, 102 discarded, 1 crashed,
# 0.997900 -> 0.969686.
GAINS = [
    2500, 3100, 1200, 90, 2870, 410, 15, 1800, 660, 3344, 275, 120, 990, 54, 1430, 2065,
    330, 41, 1120, 780, 5002, 18,
]  # fmt: skip
IDEAS = ("smaller batch", "wider embedding", "longer warmdown", "rotary base", "narrow window")


def night() -> str:
    """The file: a keep after every four or five discards, and one row that ran out of memory."""
    assert sum(GAINS) == 997_900 - 969_686
    lines = ["commit\tval_bpb\tmemory_gb\tstatus\tdescription"]
    lines.append("0000000\t0.997900\t44.0\tkeep\tbaseline")
    best, gains = 997_900, iter(GAINS)
    for count in range(1, 126):
        idea = f"{IDEAS[count % 5]}, attempt {count}"
        if count == 60:
            lines.append(f"{count:07x}\t0.000000\t0.0\tcrash\ttwice the depth (out of memory)")
        elif count % 6 == 5 or count == 124:
            best -= next(gains)
            lines.append(f"{count:07x}\t{best / 1e6:.6f}\t44.{count % 10}\tkeep\t{idea}")
        else:
            lost = best + 37 * count % 4000 + 1
            lines.append(f"{count:07x}\t{lost / 1e6:.6f}\t44.2\tdiscard\t{idea}")
    assert next(gains, None) is None
    return "\n".join(lines) + "\n"


def entries_of(text: str) -> list[Entry]:
    return [
        Entry(None, r.commit, r.value, r.memory_gb, r.status, r.description)
        for r in strangers.read(text.encode(), "f").rows
    ]


def entry(status: Status, value: float | None, description: str = "idea", **more: object) -> Entry:
    given: dict[str, object] = {"number": None, "commit": "abcdef0", "memory_gb": 1.0}
    fields = {**given, **more, "status": status, "value": value, "description": description}
    return Entry(**fields)  # type: ignore[arg-type]


def shown(entries: list[Entry], of: list[Entry], width: int = 80, terminal: bool = True) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    render(summarise(of, "val_bpb", "minimize"), entries, console, "val_bpb")
    return out.getvalue()


# -- figures ----------------------------------------------------------------------------------


def test_a_whole_night() -> None:
    summary = summarise(entries_of(night()), "val_bpb", "minimize")
    assert (summary.count, summary.kept, summary.discarded, summary.crashed) == (126, 23, 102, 1)
    assert summary.baseline is not None and summary.baseline.value == 0.9979
    assert summary.best is not None and summary.best.value == 0.969686
    assert summary.gain == pytest.approx(0.028214)
    assert summary.gain_percent == pytest.approx(2.8273, abs=1e-4)
    assert (summary.won, summary.tried) == (22, 125)
    assert summary.keep_rate == pytest.approx(0.176)
    assert summary.crashes == {"": 1}
    assert [round((s.gain or 0) * 1e6) for s in summary.largest] == [5002, 3344, 3100, 2870, 2500]
    assert summary.seconds is None and summary.usd is None
    best = [step.best for step in summary.steps]
    assert best[0] == 0.9979 and best[-1] == 0.969686 and best == sorted(best, reverse=True)
    assert [step.number for step in summary.steps] == list(range(126))


def test_better_is_positive_both_ways() -> None:
    rows = [entry("keep", 2.0), entry("discard", 3.0), entry("keep", 1.0), entry("discard", 1.5)]
    down = summarise(rows, "loss", "minimize")
    assert [step.gain for step in down.steps] == [None, -1.0, 1.0, -0.5]
    assert (down.gain, down.gain_percent) == (1.0, 50.0)
    mirrored = [dataclasses.replace(row, value=-(row.value or 0.0)) for row in rows]
    up = summarise(mirrored, "score", "maximize")
    assert [step.gain for step in up.steps] == [None, -1.0, 1.0, -0.5]
    assert (up.gain, up.gain_percent) == (1.0, 50.0)


def test_a_crash_is_never_the_best() -> None:
    rows = [entry("crash", 0.0), entry("keep", 1.0), entry("crash", 0.0, failure="oom")]
    summary = summarise(rows, "val_bpb", "minimize")
    assert summary.baseline is summary.best is rows[1]
    assert [step.gain for step in summary.steps] == [None, None, None]
    assert summary.crashes == {"": 1, "oom": 1}
    assert (summary.won, summary.tried) == (0, 1)


def test_a_discard_is_never_the_best() -> None:
    rows = [entry("keep", 1.0), entry("discard", 0.5)]
    assert summarise(rows, "m", "minimize").best is rows[0]


def test_gains_are_over_the_incumbent_of_the_time() -> None:
    """A second baseline, after a person's commit, may be worse; what follows is measured on it."""
    rows = [entry("keep", 1.0), entry("keep", 1.2, "new baseline"), entry("keep", 1.1)]
    summary = summarise(rows, "m", "minimize")
    assert [step.gain for step in summary.steps] == pytest.approx([None, -0.2, 0.1], abs=1e-9)
    assert summary.best is rows[0] and summary.gain == 0.0
    assert [step.entry for step in summary.largest] == [rows[2]]


def test_a_persons_new_baseline_is_no_keep_and_no_gain() -> None:
    rows = [
        entry("keep", 1.0, "baseline", is_baseline=True),
        entry("discard", 1.1),
        entry("keep", 0.5, "baseline: twice the data", is_baseline=True),
        entry("keep", 0.45),
    ]
    summary = summarise(rows, "m", "minimize")
    assert (summary.won, summary.tried) == (1, 2)
    assert [step.entry for step in summary.largest] == [rows[3]]
    assert summary.count == 4 and summary.best is rows[3]


@pytest.mark.slow
def test_a_new_baseline_counts_for_nothing_of_a_run(tmp_path: Path) -> None:
    """Neither for the keep rate nor for budget.experiments nor for what is too good to be true."""
    train = 'print("val_bpb: {}")\n'
    answers = [
        whole("a step", train.format(0.98), old=train.format(1.0)),
        whole("a leap", train.format(0.5), old=train.format(0.98)),
    ]
    lab = made(
        tmp_path, train.format(2.0), "", scripted(tmp_path, answers), "[budget]\nexperiments = 2\n"
    )
    lab.cli("baseline")
    lab.git("checkout", "-q", "autoresearch/t")
    lab.commit(train__py=train.format(1.0))
    lab.cli("baseline")
    lab.cli("run")
    assert lab.stopped() == "reached budget.experiments = 2"
    assert lab.statuses() == ["keep"] * 4
    assert lab.record(3)["flag"].startswith("too good to be true?")
    for arguments in (["report", "--json"], ["report", "--json", "--file", "results.tsv"]):
        found = json.loads(lab.cli(*arguments).stdout)
        assert found["keep_rate"] == 1.0 and found["experiments"] == 4
        assert [row["description"] for row in found["largest_gains"]] == ["a leap", "a step"]
    assert "2 experiments: 2 kept, 0 discarded" in lab.cli("status").stdout


def test_nothing_is_none_and_never_zero() -> None:
    for rows in ([], [entry("crash", None)], [entry("discard", None)]):
        summary = summarise(rows, "m", "minimize")
        nothing = (summary.baseline, summary.best, summary.gain, summary.gain_percent)
        assert nothing == (None,) * 4
        assert summary.keep_rate is None and summary.seconds is None and summary.usd is None
    zero = summarise([entry("keep", 0.0), entry("keep", -1.0)], "loss", "minimize")
    assert zero.gain == 1.0 and zero.gain_percent is None
    tiny = summarise([entry("keep", 5e-324), entry("keep", -1.0)], "loss", "minimize")
    assert tiny.gain == 1.0 and tiny.gain_percent is None, "no number of per cent"


def test_time_and_money_are_what_is_known_or_what_is_given() -> None:
    rows = [entry("keep", 1.0, seconds=2.0), entry("keep", 1.0, seconds=3.0, usd=0.5)]
    summary = summarise(rows, "m", "minimize")
    assert (summary.seconds, summary.usd) == (5.0, 0.5)
    summary = summarise(rows, "m", "minimize", usd=2.0, seconds=100.0)
    assert (summary.seconds, summary.usd) == (100.0, 2.0)


# -- filters ----------------------------------------------------------------------------------


def test_filters() -> None:
    rows = entries_of(night())
    assert filtered(rows) == rows
    assert len(filtered(rows, kept_only=True)) == 23
    best = [row.value for row in filtered(rows, top=3)]
    assert best[0] == 0.969686 and best == sorted(best, key=lambda v: v or 0)
    assert all(row.status == "keep" for row in filtered(rows, kept_only=True, top=2))
    assert filtered(rows, top=1, direction="maximize")[0].value == max(r.value or 0 for r in rows)
    assert [r.description for r in filtered(rows, grep="OF depth Twice")] == [
        "twice the depth (out of memory)"
    ]
    assert filtered(rows, grep="depth rotary") == []
    assert filtered(rows, top=0) == []
    assert len(filtered(rows, top=1000)) == 125, "a crash has no value"


# -- the table --------------------------------------------------------------------------------

LONG = entry(
    "discard",
    1.1,
    "a description that is far too long for a line of eighty columns, with 日本語の言葉 in it",
    number=12,
    commit="0123456789abcdef",
    memory_gb=None,
)


def test_at_80_columns_only_the_description_folds() -> None:
    rows = [entry("keep", 1.0, "baseline"), LONG]
    text = shown(rows, rows)
    assert all(cell_len(line) <= 80 for line in text.splitlines())
    line = next(line for line in text.splitlines() if "0123456" in line)
    assert line.split()[:6] == ["12", "0123456", "1.100000", "-0.100000", "-", "discard"]
    joined = "".join(text.split())
    assert "".join(LONG.description.split()) in joined


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_every_width_says_everything(width: int) -> None:
    rows = entries_of(night())
    text = shown(rows, rows, width)
    for row in rows:
        assert row.commit in text
    assert "0.969686" in text


def test_in_a_pipe_a_row_is_a_line_without_colour() -> None:
    rows = [entry("keep", 1.0, "baseline"), LONG, entry("crash", None, "boom")]
    text = shown(rows, rows, terminal=False)
    assert "\x1b" not in text and text.isascii() is LONG.description.isascii()
    assert any(line.endswith(LONG.description) for line in text.splitlines())
    assert all(line == line.rstrip() for line in text.splitlines())
    crash = next(line for line in text.splitlines() if line.endswith("boom"))
    assert crash.split() == ["2", "abcdef0", "-", "-", "1.0", "crash", "boom"]


def test_the_lines_below() -> None:
    rows = entries_of(night())
    text = shown([], rows, width=200)
    assert text.startswith("no row is left by the filters\n\n")
    assert "126 rows: 23 kept, 102 discarded, 1 crashed" in text
    assert "val_bpb 0.969686 (000007d, experiment 125)" in text
    assert "0.028214 (2.83 %) over the baseline" in text
    assert "17.6 % (22 of 125 after the baseline)" in text
    assert "+0.005002" in text and "1 of unknown kind" in text
    assert "time" not in text.split() and "money" not in text.split()
    paid = [entry("keep", 1.0, seconds=3725.0, usd=1.234), entry("crash", None, failure="oom")]
    text = shown(paid, paid)
    assert "1 h 02 min" in text and "1.23 USD" in text and "1 oom" in text


def test_an_empty_report() -> None:
    assert " ".join(shown([], []).split()) == "experiments 0 rows: 0 kept, 0 discarded, 0 crashed"


def test_no_text_of_a_file_steers_a_terminal_or_the_markup() -> None:
    rows = [entry("keep", 1.0, "[red]not markup[/] [/bold] \x1b[2J\x1b]0;title\x07 \u202e tail")]
    text = shown(rows, rows, width=120)
    assert "[red]not markup[/] [/bold]" in text
    assert "\x1b[2J" not in text and "\u202e" not in text


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.9979, "val_bpb", "0.997900"),
        (0.1 + 0.2, "loss", "0.3"),
        (123456789.0, "score", "1.2345679e+08"),
        (17.0, "score", "17"),
    ],
)
def test_numbers(value: float, metric: str, text: str) -> None:
    assert number(value, metric) == text


def test_durations() -> None:
    assert [duration(s) for s in (0.25, 59.0, 61.0, 3599.7, 90_000.0)] == [
        "0.2 s", "59.0 s", "1 min 01 s", "1 h 00 min", "25 h 00 min",
    ]  # fmt: skip


# -- JSON -------------------------------------------------------------------------------------


def test_json() -> None:
    rows = entries_of(night())
    summary = summarise(rows, "val_bpb", "minimize")
    data = json.loads(json.dumps(as_json(summary, filtered(rows, grep="depth")), allow_nan=False))
    assert data["experiments"] == 126 and data["kept"] == 23
    assert data["crashes"] == {"unknown": 1}
    assert data["best"]["value"] == 0.969686 and data["best"]["best_so_far"] == 0.969686
    assert data["usd"] is None and data["seconds"] is None
    (crash,) = data["rows"]
    assert crash["value"] is None and crash["memory_gb"] is None and crash["gain"] is None
    empty = as_json(summarise([], "m", "maximize"), [])
    assert empty["best"] is None and empty["keep_rate"] is None and empty["rows"] == []


ROWS = st.lists(
    st.builds(
        entry,
        st.sampled_from(["keep", "discard", "crash"]),
        st.none() | st.floats(-1e6, 1e6),
        st.text(max_size=30),
        seconds=st.none() | st.floats(0, 1e6),
        failure=st.sampled_from([None, "oom", "exit"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(ROWS, st.sampled_from(["minimize", "maximize"]))
def test_any_rows_make_a_report(rows: list[Entry], direction: str) -> None:
    summary = summarise(rows, "loss", direction)  # type: ignore[arg-type]
    assert summary.kept + summary.discarded + summary.crashed == summary.count == len(rows)
    assert summary.keep_rate is None or 0 <= summary.keep_rate <= 1
    assert summary.gain is None or summary.gain >= 0
    json.dumps(as_json(summary, rows), allow_nan=False)
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, width=80, force_terminal=terminal, color_system=None)
        render(summary, rows, console, "loss")
        if terminal:
            assert all(cell_len(line) <= 80 for line in out.getvalue().splitlines())


def test_long_numbers_fit_into_80_columns() -> None:
    rows = [
        entry("keep", value, "0" * 40) for value in (-2.5073308667873066e-149, 0.0, 1 / 3e200)
    ] * 4
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    render(summarise(rows, "loss", "minimize"), rows, console, "loss")
    assert "-2.507e-149" in out.getvalue()
    assert all(cell_len(line) <= 80 for line in out.getvalue().splitlines())


# -- the picture ------------------------------------------------------------------------------


def size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n") and content.rstrip().endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def test_a_picture_of_a_night(tmp_path: Path) -> None:
    path = tmp_path / "run.png"
    path.write_bytes(b"an older picture")
    progress(entries_of(night()), "val_bpb", "minimize", path)
    assert size(path) == (1200, 700)
    assert [file.name for file in tmp_path.iterdir()] == ["run.png"]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [entry("crash", None)],
        [entry("keep", 1.0)],
        [entry("keep", 1.0), entry("discard", 1.0), entry("crash", None)],
        [entry("keep", 0.0), entry("discard", 1e300), entry("keep", -5.0)],
        [entry("keep", 1.0), entry("keep", 2.0, "new baseline"), entry("keep", 1.5)],
        [entry("keep", 1.0, "cost $x^2 and $\\frac{1"), entry("keep", 0.5, "日本 🎉 _{a} %")],
    ],
)
def test_pictures_of_odd_runs(rows: list[Entry], tmp_path: Path) -> None:
    for direction in ("minimize", "maximize"):
        progress(rows, "$metric_{", direction, tmp_path / "odd.PNG")  # type: ignore[arg-type]
        assert size(tmp_path / "odd.PNG") == (1200, 700)


def test_what_can_not_be_drawn(tmp_path: Path) -> None:
    for name in ("run.svg", "run", "run.png.txt"):
        with pytest.raises(UsageError, match=r"only \.png"):
            progress([], "m", "minimize", tmp_path / name)
    file = tmp_path / "file"
    file.write_text("")
    for path in (file / "run.png", tmp_path / "none" / "run.png"):
        with pytest.raises(LabError, match="can't be written") as caught:
            progress([], "m", "minimize", path)
        assert str(caught.value).isprintable()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(LabError, match="can't be written"):
        progress([], "m", "minimize", tmp_path / "folder.png")
    assert not list(tmp_path.glob("*.tmp"))


# -- anybody's file ---------------------------------------------------------------------------

STRANGE = """\
commit\tval_acc\tmemory_gb\tmfu\tstatus\tdescription
aaaaaaa\t0.5\t-\t30\tbaseline\tthe start
bbbbbbb\t0.6\t0.0\t31\tKEEP\ta wider layer
ccccccc\t0.7\t0.0\t31\tkeep\tand a deeper one
"""


def report_of(text: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "autoresearch", "report", "--file", "-", *arguments],
        input=text, capture_output=True, timeout=60,
    )  # fmt: skip
    out, err = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


@pytest.mark.slow
def test_standard_input_with_notices_and_the_other_direction() -> None:
    done = report_of(STRANGE.encode())
    assert done.returncode == 0
    assert "val_acc rises from keep to keep: higher is better? --maximize" in done.stdout
    for words in (
        "further columns are ignored: mfu",
        "line 2: no memory",
        "'KEEP' is read as keep",
    ):
        assert words in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    done = report_of(STRANGE.encode(), "--maximize", "--json")
    found = json.loads(done.stdout)
    assert found["best"]["value"] == 0.7 and found["baseline"]["value"] == 0.5
    assert len(found["notices"]) == 4 and not any("maximize" in text for text in found["notices"])
    falling = STRANGE.replace("0.6", "0.4").replace("0.7", "0.3").encode()
    assert "leave --maximize out" in report_of(falling, "--maximize").stdout
    assert "better?" not in report_of(falling).stdout


def test_a_file_that_can_not_be_read_is_the_users_to_mend() -> None:
    done = report_of(b"commit val_bpb memory_gb status description\n")
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard input: line 1 is a header with blanks")
    assert done.stderr.count("\n") == 1 and done.stdout == ""


def test_the_direction_that_values_go() -> None:
    up = [entry("keep", 1.0), entry("discard", 0.5), entry("keep", 1.5), entry("keep", 2.0)]
    assert summarise(up, "m", "minimize").goes_backwards
    assert not summarise(up, "m", "maximize").goes_backwards
    assert not summarise(up[:1], "m", "minimize").goes_backwards
    new = entry("keep", 9.0, "baseline: more", is_baseline=True)
    down = [entry("keep", 1.0), entry("keep", 0.5), new, entry("keep", 8.0)]
    assert not summarise(down, "m", "minimize").goes_backwards
