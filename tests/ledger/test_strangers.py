"""Anybody's results file: read with a notice of what is odd, or refused with the line and what would do."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.errors import ResultsError
from autoresearch.ledger.strangers import Row, read

HEADER = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
FIRST = "a1b2c3d\t1.5\t44.0\tkeep\tthe start\n"
CSV = HEADER.replace("\t", ",")
MARKDOWN = "| commit | val_bpb | memory_gb | status | description |\n|---|---:|---|:-:|---|\n"

Value = float | None


def values(text: str | bytes) -> list[tuple[Value, Value, str]]:
    """Value, memory and status of each row."""
    content = text.encode() if isinstance(text, str) else text
    return [(row.value, row.memory_gb, row.status) for row in read(content, "f").rows]


def notices(text: str | bytes) -> str:
    return "\n".join(read(text.encode() if isinstance(text, str) else text, "f").notices)


# -- what is read ---------------------------------------------------------------------------------

KEEP, DISCARD = (1.5, 44.0, "keep"), (1.4, 2.0, "discard")
CRASH = (None, None, "crash")

# name: (file, rows, words of the notice; "" where there is none)
READ: dict[str, tuple[str | bytes, list[tuple[Value, Value, str]], str]] = {
    "plain": (HEADER + FIRST, [KEEP], ""),
    "no rows yet": (HEADER, [], ""),
    "a blank line above": ("\n" + HEADER + FIRST, [KEEP], ""),
    "byte order mark, CRLF": (("\ufeff" + HEADER + FIRST).replace("\n", "\r\n"), [KEEP], ""),
    "CR alone": ((HEADER + FIRST + FIRST[1:]).replace("\n", "\r"), [KEEP, KEEP], ""),
    "line ends of all kinds": (HEADER + FIRST + FIRST[1:-1] + "\r" + FIRST[2:], [KEEP] * 3, ""),
    "no end of line": (HEADER + FIRST.rstrip(), [KEEP], ""),
    "blank lines": (HEADER + "\n" + FIRST + " \t \n\n", [KEEP], ""),
    "UTF-16 by its mark": ((HEADER + FIRST).encode("utf-16"), [KEEP], "UTF-16"),
    "UTF-16, the other end": (b"\xfe\xff" + (HEADER + FIRST).encode("utf-16-be"), [KEEP], "UTF-16"),
    "UTF-16 without a mark": ((HEADER + FIRST).encode("utf-16-le"), [KEEP], "UTF-16"),
    "UTF-32": ((HEADER + FIRST).encode("utf-32"), [KEEP], "UTF-32"),
    "Latin-1": ((HEADER + FIRST + FIRST[1:-1] + "\xe9\n").encode("latin-1"), [KEEP] * 2,
                "line 3: not UTF-8, and read as Latin-1"),
    "header twice": (HEADER + FIRST + HEADER + FIRST[1:], [KEEP, KEEP], "line 3: the header again"),
    "header in capitals": (HEADER.upper() + FIRST, [KEEP], ""),
    "header with blanks": ("Commit \tval_bpb\tMemory (GB)\tStatus\t Description\n" + FIRST, [KEEP], ""),
    "header as a comment": ("# " + HEADER + FIRST, [KEEP], ""),
    "header in quotes": (
        '"commit"\t"val_bpb"\t"memory_gb"\t"status"\t"description"\n"a1b2c3d"\t"1.5"\t"44.0"\t"keep"\t"x"\n',
        [KEEP], "in quotes"),
    "another order": ("status\tcommit\tdescription\tval_bpb\tmemory_gb\nkeep\ta1b2c3d\tx\t1.5\t44\n",
                      [KEEP], "another order: status, commit, description, val_bpb, memory_gb"),
    "further columns": ("commit\tval_bpb\tmemory_gb\tmfu\tstatus\tdescription\tseconds\n"
                        "a1b2c3d\t1.5\t44\t30\tkeep\tx\t300\n", [KEEP], "ignored: mfu, seconds"),
    "a number in front": ("#\tcommit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
                          "0\ta1b2c3d\t1.5\t44\tkeep\tx\n", [KEEP], "another order: commit"),
    "a row's number with its sign": ("no\tcommit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
                                     "#0\ta1b2c3d\t1.5\t44\tkeep\tx\n", [KEEP], "ignored: no"),
    "val_bpb before others": ("commit\tseconds\tval_bpb\tmemory_gb\tstatus\tdescription\n"
                              "a1b2c3d\t300\t1.5\t44\tkeep\tx\n", [KEEP], "ignored: seconds"),
    "no memory": ("commit\tval_bpb\tstatus\tdescription\na1b2c3d\t1.5\tkeep\tx\n",
                  [(1.5, None, "keep")], "no column memory_gb"),
    "memory in MB": ("commit\tval_bpb\tmemory_mb\tstatus\tdescription\na1b2c3d\t1.5\t45056\tkeep\tx\n",
                     [KEEP], "memory_mb is read as MB"),
    "no description column": ("commit\tval_bpb\tmemory_gb\tstatus\na1b2c3d\t1.5\t44\tkeep\n", [KEEP],
                              "no column description"),
    "a row without description": (HEADER + "a1b2c3d\t1.5\t44\tkeep\n" + FIRST[1:], [KEEP, KEEP],
                                  "line 2: fewer columns"),
    "tabs at the end": (HEADER + FIRST.rstrip() + "\t\t\n", [KEEP], ""),
    "tabs in the description": (HEADER + FIRST.rstrip() + "\tand\tmore\n", [KEEP], ""),
    "trailing tabs of a further column": (
        "commit\tval_bpb\tmemory_gb\tstatus\tdescription\tmfu\na1b2c3d\t1.5\t44\tkeep\tx\t3\t\t\n",
        [KEEP], "mfu"),
    "cut off in a number": (HEADER + FIRST + "b1b2c3d\t1.", [KEEP], "line 3: cut off in the middle"),
    "cut off in the status": (HEADER + FIRST + "b1b2c3d\t1.4\t2\tdis", [KEEP], "line 3: cut off"),
    "cut off after the status": (HEADER + FIRST + "b1b2c3d\t1.4\t2\tdiscard", [KEEP, DISCARD], "fewer"),
    "zeros of a power cut": (HEADER + FIRST + "\0\0\0\0\0\0", [KEEP], "line 3: nothing but zero bytes"),
    "zeros in a description": (HEADER + FIRST.rstrip() + "\0\0\n", [KEEP], ""),
    "comments": ("# a night\n" + HEADER + "# the first\n" + FIRST, [KEEP], "lines 1, 3: no row"),
    "a code fence": ("```tsv\n" + HEADER + FIRST + "```\n", [KEEP], "lines 1, 4: no row"),
    "commas": (CSV + 'a1b2c3d,1.5,44.0,keep,"a, b"\nb1b2c3d,1.4,2,discard,a, b\n', [KEEP, DISCARD],
               "separated by commas"),
    "semicolons": (CSV.replace(",", ";") + "a1b2c3d;1.5;44.0;keep;x\n", [KEEP], "by semicolons"),
    "Markdown": (MARKDOWN + "| a1b2c3d | **1.5** | 44.0 | keep | x \\| y |\n", [KEEP],
                 "the bars of a Markdown table"),
    "cells in quotes": (HEADER + '"a1b2c3d"\t"1.5"\t"44.0"\tkeep\t"x"\n', [KEEP], ""),
    "statuses in capitals": (HEADER + FIRST.replace("keep", "KEEP"), [KEEP], "'KEEP' is read as keep"),
    "statuses in another form": (
        HEADER + FIRST.replace("keep", "Kept") + FIRST[1:].replace("keep", "rejected"),
        [KEEP, (1.5, 44.0, "discard")], "'rejected' is read as discard"),
    "a status with an emoji": (HEADER + FIRST.replace("keep", "✅ keep"), [KEEP], "is read as keep"),
    "baseline and best": (HEADER + FIRST.replace("keep", "baseline") + FIRST[1:].replace("keep", "best"),
                          [KEEP, KEEP], "'best' is read as keep"),
    "revert": (HEADER + "b1b2c3d\t1.4\t2\trevert\tx\n", [DISCARD], "'revert' is read as discard"),
    "out of memory": (HEADER + "b1b2c3d\t-\t-\tOOM\tx\n", [CRASH], "'OOM' is read as crash"),
    "no status": (HEADER + "b1b2c3d\t1.4\t2\t\tx\nc1b2c3d\t1.4\t2\t-\tx\n", [DISCARD, DISCARD],
                  "lines 2, 3: no status: counted as discard"),
    "a crash as we write it": (HEADER + "b1b2c3d\t0.000000\t0.0\tcrash\tx\n", [CRASH], ""),
    "a crash with blanks": (HEADER + "b1b2c3d\t\t\tcrash\tx\n", [CRASH], "no val_bpb"),
    "a crash that is nan": (HEADER + "b1b2c3d\tnan\tnan\tcrash\tx\n", [CRASH], "'nan'"),
    "a crash with words": (HEADER + "b1b2c3d\tOOM\t?\tcrash\tx\n", [CRASH], "'oom'"),
    "a crash with a value": (HEADER + "b1b2c3d\t3.5\t1\tcrash\tx\n", [CRASH], "'3.5' as the val_bpb"),
    "a kept nothing": (HEADER + "b1b2c3d\t0.000000\t0.0\tkeep\tx\n", [CRASH], "none that can be"),
    "a discarded nothing": (HEADER + "b1b2c3d\t0\t0\tdiscard\tx\n", [CRASH], "none that can be"),
    "bits below nothing": (HEADER + "b1b2c3d\t-1\t0\tdiscard\tx\n", [CRASH], "none that can be"),
    "an accuracy of nothing": (HEADER.replace("val_bpb", "acc") + "b1b2c3d\t0.0\t2\tkeep\tx\n",
                               [(0.0, 2.0, "keep")], ""),
    "a kept nan": (HEADER + "b1b2c3d\tNaN\t2\tkeep\tx\n", [(None, 2.0, "keep")], "is NaN, which is no"),
    "infinity": (HEADER + "b1b2c3d\t-inf\t2\tdiscard\tx\n", [(None, 2.0, "discard")], "is -inf"),
    "a dash": (HEADER + "b1b2c3d\t–\t-\tdiscard\tx\n", [(None, None, "discard")], "no val_bpb"),
    "n/a": (HEADER + "b1b2c3d\t1.4\tN/A\tdiscard\tx\n", [(1.4, None, "discard")], "no memory"),
    "negative memory": (HEADER + "b1b2c3d\t1.4\t-1\tdiscard\tx\n", [(1.4, None, "discard")], "below 0"),
    "memory with GB": (HEADER + "b1b2c3d\t1.4\t2.0 GB\tdiscard\tx\n", [DISCARD], "its unit with it (GB)"),
    "memory with MiB": (HEADER + "b1b2c3d\t1.4\t2048MiB\tdiscard\tx\n", [DISCARD], "(MiB)"),
    "per cent": (HEADER.replace("val_bpb", "acc") + "b1b2c3d\t68.6%\t2\tkeep\tx\nc1b2c3d\t70 %\t2\tkeep\ty\n",
                 [(68.6, 2.0, "keep"), (70.0, 2.0, "keep")], "lines 2, 3: acc has a % sign"),
    "numbers as programs print them": (
        HEADER.replace("val_bpb", "x") + "".join(f"b1b2c3{n}\t{x}\t2\tkeep\tx\n" for n, x in
                                                 enumerate(("+1.5", ".5", "5.", "1e-3", "-2E+2"))),
        [(x, 2.0, "keep") for x in (1.5, 0.5, 5.0, 0.001, -200.0)], ""),
    "a whole id": (HEADER + FIRST.replace("a1b2c3d", "0123456789abcdef" * 2 + "01234567"), [KEEP],
                   "line 2: a commit's whole id"),
    "no id": (HEADER + FIRST.replace("a1b2c3d", "(dirty)"), [KEEP], "'(dirty)' is no commit's id"),
    "no commit": (HEADER + FIRST.replace("a1b2c3d", "-"), [KEEP], "'-' is no commit's id"),
    "the same row twice": (HEADER + FIRST + FIRST, [KEEP, KEEP], "line 3: the same as line 2"),
    "a long description": (HEADER + FIRST.rstrip() + "x" * 200_000 + "\n", [KEEP], ""),
    "emoji and other scripts": (HEADER + FIRST.rstrip() + " ReLU² → GELU 中文 🚀\n", [KEEP], ""),
    "a quote at the beginning": (HEADER + FIRST.replace("the", '"the'), [KEEP], ""),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name: str) -> None:
    text, rows, words = READ[name]
    assert values(text) == rows
    said = notices(text)
    assert words in said and (words or not said)
    assert said.replace("\n", "").isprintable()


# -- what is refused ------------------------------------------------------------------------------

# name: (file, its line, words)
REFUSED: dict[str, tuple[str | bytes, int, str]] = {
    "empty": ("", 1, "empty"),
    "blank": (" \n\n", 1, "empty"),
    "only comments": ("# a\n# b\n", 1, "no header and no row"),
    "blanks between columns": (HEADER.replace("\t", " ") + "a1b2c3d 1.5 44 keep x\n", 1, "sed -E"),
    "aligned columns": (HEADER.replace("\t", "   ") + "a1b2c3d   1.5  44 keep x\n", 1, "sed -E"),
    "no header": (FIRST, 1, "a row and no header"),
    "no header, with commas": (FIRST.replace("\t", ","), 1, "a row and no header"),
    "a header in other words": ("sha\tbpb\tgb\tverdict\tidea\n" + FIRST, 1, "names no commit and no status"),
    "no status": ("commit\tval_bpb\tmemory_gb\tdescription\n", 1, "names no status"),
    "no metric": ("commit\tmemory_gb\tstatus\tdescription\n", 1, "names no metric"),
    "no name of the metric": ("commit\t\tmemory_gb\tstatus\tdescription\n", 1, "names no metric"),
    "which is the metric": ("loss\tacc\tcommit\tstatus\tdescription\n", 1, "which of loss, acc"),
    "a column twice": (HEADER.rstrip() + "\tstatus\n", 1, "names status twice"),
    "something else": ("Dear reader,\n", 1, "not the header"),
    "JSON": ('{"commit": "a", "status": "keep"}\n', 1, "not the header"),
    "gzip": (b"\x1f\x8b\x08\0rest", 1, "zcat FILE"),
    "a spreadsheet": (b"PK\x03\x04rest", 1, "spreadsheet"),
    "UTF-16, cut off": (b"\xff\xfec\0o\0", 1, "UTF-16"),
    "conflict": (HEADER + "<<<<<<< HEAD\n" + FIRST + "=======\n>>>>>>> other\n", 2, "a conflict"),
    "conflict above the header": ("<<<<<<< HEAD\n" + HEADER, 1, "a conflict"),
    "another header": (HEADER + FIRST + HEADER.replace("val_bpb", "loss"), 3, "another header"),
    "too few columns": (HEADER + "b1b2c3d\t1.4\n" + FIRST, 2, "has 2 columns instead of 5"),
    "one column": (HEADER + FIRST + "\nnothing here\n", 4, "has 1 column instead of 5"),
    "blanks in one row": (HEADER + "b1b2c3d 1.4 2 keep x\n", 2, "has 1 column"),
    "too many columns": ("commit\tval_bpb\tmemory_gb\tstatus\tdescription\tmfu\n"
                         "a1b2c3d\t1.5\t44\tkeep\ta\tb\t30\n", 2, "has 7 columns instead of 6"),
    "a status of its own": (HEADER + FIRST.replace("keep", "maybe"), 2, "status 'maybe'"),
    "a status that could be two": (HEADER + FIRST.replace("keep", "failed"), 2, "status 'failed'"),
    "not kept": (HEADER + FIRST.replace("keep", "not keep"), 2, "status 'not keep'"),
    "a mark alone": (HEADER + FIRST.replace("keep", "✅"), 2, "status"),
    "columns shifted": (HEADER + "a1b2c3d\t1.5\tkeep\tx\ty\n", 2, "status 'x'"),
    "no number": (HEADER + FIRST.replace("1.5", "many"), 2, "'many' is not a number"),
    "no memory": (HEADER + FIRST.replace("44.0", "much"), 2, "memory 'much'"),
    "a unit": (HEADER + FIRST.replace("1.5", "1.5 bits"), 2, "'1.5 bits'"),
    "a remark": (HEADER + FIRST.replace("1.5", "1.5 (ema)"), 2, "not a number"),
    "a star": (HEADER + FIRST.replace("1.5", "1.5*"), 2, "not a number"),
    "decimal comma": (HEADER + FIRST.replace("1.5", "1,5"), 2, "write the number with a point"),
    "thousands": (HEADER + FIRST.replace("44.0", "45,060.2"), 2, "write the number with a point"),
    "semicolons, decimal commas": (CSV.replace(",", ";") + "a1b2c3d;1,5;44;keep;x\n", 2, "a comma"),
    "commas, decimal commas": (CSV + "a1b2c3d,1,5,44,0,keep,x\n", 2, "status '44'"),
    "underscore": (HEADER + FIRST.replace("1.5", "1_0"), 2, "not a number"),
    "hexadecimal": (HEADER + FIRST.replace("1.5", "0x1p3"), 2, "not a number"),
    "other digits": (HEADER + FIRST.replace("1.5", "١.٥"), 2, "not a number"),
    "another minus": (HEADER.replace("val_bpb", "x") + FIRST.replace("1.5", "−1.5"), 2, "not a number"),
    "too large": (HEADER + FIRST.replace("1.5", "1e999"), 2, "not a number"),
    "zeros in a number": (HEADER + FIRST.replace("1.5", "1\0.5"), 2, "not a number"),
    "percent and none": (HEADER.replace("val_bpb", "acc") + FIRST.replace("1.5", "60%") + FIRST, 3,
                         "without a % sign"),
    "a quote without end": (CSV + 'a1b2c3d,1.5,44,keep,"x\nb1b2c3d,1.4,2,keep,y"\n', 2, "a quote"),
    "a quoted line end": (CSV + 'a1b2c3d,1.5,44,keep,"x\ny"\n', 2, "on one line"),
    "cut off in the middle of the file": (HEADER + "b1b2c3d\t1.\n" + FIRST, 2, "has 2 columns"),
    "a sum below": (HEADER + FIRST + "total: 1\n", 3, "has 1 column"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    text, line, words = REFUSED[name]
    with pytest.raises(ResultsError) as caught:
        read(text.encode() if isinstance(text, str) else text, "some/results.tsv")
    message = str(caught.value)
    assert message.startswith(f"some/results.tsv: line {line}") and words in message
    assert message.isprintable() and caught.value.exit_code == 1


def test_rows_whole() -> None:
    text = (
        f"\ufeff{HEADER}"
        "a1b2c3d\t0.997900\t44.0\tkeep\tbaseline\n"
        "\n"
        "b2c3d4e\t 1.0 \t44\t discard \tword \u2028 with\ttabs \x1b[1mand more\n"
        "c3d4e5f\t0.000000\t0.0\tcrash\t"
    ).replace("\n", "\r\n")
    assert read(text.encode(), "f").rows == (
        Row("a1b2c3d", 0.9979, 44.0, "keep", "baseline", is_baseline=True),
        Row("b2c3d4e", 1.0, 44.0, "discard", "word with tabs and more"),
        Row("c3d4e5f", None, None, "crash", ""),
    )


def test_the_words_of_a_baseline() -> None:
    text = HEADER + FIRST.replace("keep", "baseline") + FIRST.replace("the start", "baseline: new")
    assert [row.is_baseline for row in read(text.encode(), "f").rows] == [True, True]


def test_many_lines_are_one_notice() -> None:
    text = HEADER + "".join(f"{n:07x}\t1.5\t-\tkeep\tx\n" for n in range(50))
    assert read(text.encode(), "f").notices == ("lines 2, 3, 4 and 47 more: no memory",)


@given(st.text() | st.binary())
def test_anything_is_rows_or_an_error_with_its_place(content: str | bytes) -> None:
    raw = content.encode() if isinstance(content, str) else content
    for text in (HEADER.encode() + raw, CSV.encode() + raw, MARKDOWN.encode() + raw):
        with contextlib.suppress(ResultsError):
            found = read(text, "f")
            assert found.metric == "val_bpb" and len(found.rows) <= len(raw) + 1
    with pytest.raises(ResultsError, match=r"^f: line \d+"):
        read(raw, "f")
