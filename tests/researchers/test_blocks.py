"""The form of an answer, rule by rule, and what malformed answers do."""

from __future__ import annotations

import contextlib
import random
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.errors import BadAnswer
from autoresearch.records import Edit, Proposal
from autoresearch.researchers.blocks import parse
from autoresearch.researchers.lookalike import elides, is_numbered, like_divider, like_marker
from autoresearch.text import path_fault

TRAIN = b"import torch\n\nWIDTH = 64\nTOTAL_BATCH_SIZE = 2**19\n\n\ndef train():\n    pass\n"
FILES = {"train.py": TRAIN, "lib/model.py": b"x = 1\ny = 2\n", "Makefile": b"all:\n\ttrue\n"}
TREE = frozenset(FILES) | {"program.md", "autoresearch.toml", "prepare.py"}
CONTRACT = """\
description: halve the total batch size
hypothesis: more optimiser steps in the same time
lesson: the wider model lost because it made a third fewer steps

train.py
<<<<<<< SEARCH
TOTAL_BATCH_SIZE = 2**19
=======
TOTAL_BATCH_SIZE = 2**18
>>>>>>> REPLACE
"""


def block(search: str, replace: str, path: str = "train.py") -> str:
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def read(text: str, files: dict[str, bytes] | None = None) -> Proposal:
    files = FILES if files is None else files
    return parse(text, files, TREE | frozenset(files))


def one(text: str, files: dict[str, bytes] | None = None) -> bytes:
    """The new bytes of the only file that the answer edits."""
    (edit,) = read(text, files).edits
    assert edit.content is not None
    return edit.content


def refused(text: str, files: dict[str, bytes] | None = None) -> str:
    with pytest.raises(BadAnswer) as caught:
        read(text, files)
    return str(caught.value)


def test_the_contracts_example() -> None:
    assert read(CONTRACT) == Proposal(
        description="halve the total batch size",
        edits=(Edit("train.py", TRAIN.replace(b"2**19", b"2**18")),),
        hypothesis="more optimiser steps in the same time",
        lesson="the wider model lost because it made a third fewer steps",
    )


def test_crlf_and_a_byte_order_mark_in_the_answer_change_nothing() -> None:
    assert read("\ufeff" + CONTRACT.replace("\n", "\r\n")) == read(CONTRACT)
    assert read(CONTRACT.rstrip("\n")) == read(CONTRACT)


@pytest.mark.parametrize(
    "dress",
    [
        "`train.py`",
        "**train.py**",
        "**`train.py`**:",
        "train.py:",
        "### train.py",
        "File: train.py",
    ],
)
def test_a_path_may_be_dressed(dress: str) -> None:
    assert one(block("WIDTH = 64\n", "WIDTH = 96\n", dress)) == TRAIN.replace(b"64", b"96")
    whole = TRAIN.replace(b"64", b"96")
    assert one(f"{dress}\n```python\n{whole.decode()}```\n") == whole


@pytest.mark.parametrize("header", ["**Description:** d", "- description: d", "DESCRIPTION : d"])
def test_a_header_may_be_dressed(header: str) -> None:
    assert read(f"{header}\n\n" + block("WIDTH = 64\n", "WIDTH = 96\n")).description == "d"


def test_a_header_may_go_on_for_a_line_and_need_no_blank_behind_it() -> None:
    answer = "description: one\n  two\nhypothesis: three\nfour five\n"
    got = read(answer + block("WIDTH = 64\n", "WIDTH = 96\n"))
    assert (got.description, got.hypothesis) == ("one two", "three four five")


def test_a_missing_description_stays_empty() -> None:
    text = block("WIDTH = 64\n", "WIDTH = 96\n") + block("x = 1\n", "x = 2\n", "lib/model.py")
    assert read(text).description == ""


def test_descriptions_are_one_clean_bounded_line() -> None:
    head = "description: a\tb\x00c\u202ed\u2028e " + "é" * 500 + "\nlesson: " + "y" * 5000 + "\n"
    got = read(head + block("WIDTH = 64\n", "WIDTH = 96\n"))
    assert got.description.startswith("a b c d e éé")
    assert len(got.description) == 200
    assert len(got.lesson) == 1000


def test_blocks_apply_in_order_each_to_the_result_of_those_before() -> None:
    text = block("WIDTH = 64\n", "WIDTH = 96\n") + block("WIDTH = 96\n", "WIDTH = 128\n")
    assert one(text) == TRAIN.replace(b"64", b"128")


def test_several_blocks_may_follow_one_path_with_prose_between() -> None:
    text = (
        block("WIDTH = 64\n", "WIDTH = 96\n") + "Then:\n" + block("    pass\n", "    go()\n", "Ok.")
    )
    assert one(text) == TRAIN.replace(b"64", b"96").replace(b"pass", b"go()")


def test_all_or_none() -> None:
    text = block("WIDTH = 64\n", "WIDTH = 96\n") + block("DEPTH = 1\n", "DEPTH = 2\n")
    assert refused(text).startswith("block 2 (train.py): SEARCH is not in the file")


def test_fences_around_blocks_are_taken_off() -> None:
    inner = "<<<<<<< SEARCH\nWIDTH = 64\n=======\nWIDTH = 96\n>>>>>>> REPLACE\n"
    wanted = TRAIN.replace(b"64", b"96")
    assert one(f"train.py\n```python\n{inner}```\n") == wanted
    assert one(f"```\ntrain.py\n{inner}```\nThat is all.\n") == wanted
    assert one(f"```\ndescription: d\n\ntrain.py\n{inner}```\n") == wanted
    twice = f"train.py\n```\n{inner}```\nlib/model.py\n```diff\n"
    twice += "<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n```\n"
    assert [edit.path for edit in read(twice).edits] == ["train.py", "lib/model.py"]


def test_code_without_a_path_is_talk() -> None:
    text = "Consider this:\n\n```python\nWIDTH = 7\ndescription: no\n```\n\n" + CONTRACT
    assert read(text) == read(CONTRACT)


def test_a_fenced_file_replaces_the_whole_file() -> None:
    assert one("lib/model.py\n```python\nx = 1\n```\n") == b"x = 1\n"
    assert one("new.md\n\n````\n```\ninner\n```\n````\n") == b"```\ninner\n```\n"
    assert one("new.py\n```\nx = 1\n\n```\n") == b"x = 1\n\n"


def test_a_fence_that_is_left_open_or_ambiguous_is_an_error() -> None:
    assert "cut off" in refused("train.py\n```python\nprint(1)\n")
    assert "at least half of its 8 lines" in refused("train.py\n```python\nWIDTH = 96\n```\n")
    assert "more backticks" in refused("train.py\n```\na\n```python\nb\n```\nc\n```\n")


def test_an_empty_search_makes_a_file() -> None:
    assert read(block("", "a\nb\n", "new/thing.py")).edits == (Edit("new/thing.py", b"a\nb\n"),)
    assert read(block("", "", "empty.txt")).edits == (Edit("empty.txt", b""),)
    later = block("", "a\n", "new.py") + block("a\n", "b\n", "new.py")
    assert read(later).edits == (Edit("new.py", b"b\n"),)
    assert "exists" in refused(block("", "a\n"))
    assert "the same SEARCH" in refused(block("", "a\n", "new.py") + block("", "b\n", "new.py"))


def test_a_file_can_be_made_neither_in_a_file_nor_over_a_folder() -> None:
    assert "is a file" in refused(block("", "a\n", "train.py/x"))
    assert "folder" in refused(block("", "a\n", "`lib`"))


def test_search_must_fit_one_place() -> None:
    assert "lines 1, 2, 3" in refused(block("a\n", "b\n"), {"train.py": b"a\na\na\n"})
    assert "2 places" in refused(block("a\na\n", "b\n"), {"train.py": b"a\na\na\n"})
    assert one(block("a\na\na\n", "b\n"), {"train.py": b"a\na\na\n"}) == b"b\n"
    said = refused(block("x = 1\n", "b\n"), {"train.py": b"xx = 1\n"})
    assert "not in the file" in said, "whole lines, not parts of them"


def test_trailing_blanks_are_ignored_where_nothing_fits_exactly() -> None:
    assert one(block("a\n", "b\n"), {"train.py": b"a  \nc \t\n"}) == b"b\nc \t\n"
    assert one(block("a \n", "b\n"), {"train.py": b"a\n"}) == b"b\n"
    exact = {"train.py": b"a\na \n"}
    assert one(block("a\n", "b\n"), exact) == b"b\na \n", "an exact place comes first"
    assert "2 places" in refused(block("a\n", "b\n"), {"train.py": b"a \na\t\n"})


def test_the_nearest_lines_are_shown() -> None:
    said = refused(block("TOTAL_BATCH_SIZE = 2**20\n", "x\n"))
    assert "    4  TOTAL_BATCH_SIZE = 2**19" in said
    assert "it begins:\n    1  import torch" in refused(block("qqqqqqqqqqqqqqq\n", "x\n"))
    many = {"train.py": b"\n".join(b"\x1b[31mlong line %d" % n for n in range(9999))}
    said = refused(block("long line 5000 and more\n" * 40, "x\n"), many)
    assert len(said.splitlines()) <= 12
    assert "\x1b" not in said


def test_line_ends_and_the_last_newline_stay_the_files_own() -> None:
    crlf = {"train.py": b"a\r\nb\r\nc"}
    assert one(block("b\n", "x\ny\n"), crlf) == b"a\r\nx\r\ny\r\nc"
    assert one(block("c\n", "x\ny\n"), crlf) == b"a\r\nb\r\nx\r\ny"
    assert one(block("c\n", ""), crlf) == b"a\r\nb"
    assert one(block("b\nc\n", "b\n"), crlf) == b"a\r\nb"
    assert one("train.py\n```\na\nb\n```\n", crlf) == b"a\r\nb"
    assert one(block("b\n", ""), {"train.py": b"a\nb\n"}) == b"a\n"
    assert one(block("a\n", ""), {"train.py": b"a"}) == b""
    mixed = {"train.py": b"a\r\nb\nc\r\n"}
    assert one(block("b\n", "x\n"), mixed) == b"a\r\nx\nc\r\n"
    assert one(block("a\nb\nc\n", "1\n2\n3\n"), mixed) == b"1\r\n2\n3\r\n"


def test_a_byte_order_mark_stays() -> None:
    marked = {"train.py": b"\xef\xbb\xbfa\nb\n"}
    assert one(block("a\n", "x\n"), marked) == b"\xef\xbb\xbfx\nb\n"
    assert one("train.py\n```\na\n```\n", marked) == b"\xef\xbb\xbfa\n"


def test_other_line_separators_are_content() -> None:
    odd = {"train.py": "a\x0cb\u2028c\x85d\n".encode() + b"e\rf\n"}
    assert one(block("a\x0cb\u2028c\x85d\n", "x\n"), odd) == b"x\ne\rf\n"


def test_a_file_that_is_not_utf8_fails_its_own_blocks_only() -> None:
    files = {"train.py": TRAIN, "data.py": b"\xff\n"}
    assert "UTF-8" in refused(block("a\n", "b\n", "data.py"), files)
    assert one(CONTRACT, files) == TRAIN.replace(b"2**19", b"2**18")


def test_a_marker_out_of_place_is_an_error_never_a_skip() -> None:
    head = "train.py\n<<<<<<< SEARCH\n"
    assert "no `=======`" in refused(head + "WIDTH = 64\n>>>>>>> REPLACE\n")
    assert "second `=======`" in refused(block("a\n", "b\n=======\nc\n"))
    assert "cut off" in refused(head + "WIDTH = 64\n")
    assert "block 1 (train.py): the answer ends" in refused(head + "WIDTH = 64\n=======\nx\n")
    assert "before `>>>>>>> REPLACE`" in refused(head + "a\n=======\nb\n")
    assert "block 2" in refused(CONTRACT + head + "a\n=======\n" + head + "b\n")
    for stray in (">>>>>>> REPLACE", "<<<<<<< HEAD", "  <<<<<<< SEARCH", ">>>>>>>"):
        assert "block 2" in refused(CONTRACT + stray + "\n")
        assert "block 1" in refused(head + "a\n=======\nb\n" + stray.strip() + " x\n")


def test_a_block_needs_a_path() -> None:
    body = "<<<<<<< SEARCH\nWIDTH = 64\n=======\nWIDTH = 96\n>>>>>>> REPLACE\n"
    assert "path" in refused(body)
    assert "path" in refused("Here is my change to it\n" + body)
    assert one("Makefile\n" + body.replace("WIDTH = 64", "all:")) == b"WIDTH = 96\n\ttrue\n"


@pytest.mark.parametrize(
    "path",
    [
        *("../x.py", "/etc/passwd", "a/../b.py", "././x.py", "a//b.py", "dir/", "lib\\new.py"),
        *("a/./b", "..", "x/..", "a\u202eb.py", "a\u200bb.py", "c/" * 600 + "b"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_paths_that_lead_elsewhere_are_refused(path: str, whole: bool) -> None:
    answer = f"`{path}`\n```\nx\n```\n" if whole else block("", "x\n", f"`{path}`")
    assert "the path" in refused(answer)


def test_frozen_and_unknown_files_are_refused() -> None:
    for path in ("program.md", "autoresearch.toml", "prepare.py"):
        assert "can't be changed" in refused(block("", "x\n", path))
        assert "can't be changed" in refused(block("a\n", "x\n", path))
        assert "can't be changed" in refused(f"{path}\n```\nx\n```\n")
    assert "no file of this name" in refused(block("WIDTH = 64\n", "x\n", "Train.py"))


def test_no_block_restates_the_form() -> None:
    for text in ("", "I can't help with that.", "description: nothing\n", "```python\nx\n```\n"):
        said = refused(text)
        assert "no block" in said
        assert "<<<<<<< SEARCH" in said


def test_an_answer_that_changes_nothing_is_refused() -> None:
    assert "changes nothing" in refused(block("WIDTH = 64\n", "WIDTH = 64\n"))
    there_and_back = block("WIDTH = 64\n", "WIDTH = 1\n") + block("WIDTH = 1\n", "WIDTH = 64\n")
    assert "changes nothing" in refused(there_and_back)
    both = block("WIDTH = 64\n", "WIDTH = 64\n") + block("x = 1\n", "x = 2\n", "lib/model.py")
    assert [edit.path for edit in read(both).edits] == ["lib/model.py"]


def test_half_a_character_and_nul_are_refused() -> None:
    assert "half a character" in refused(block("WIDTH = 64\n", "WIDTH = '\ud800'\n"))
    assert "NUL" in refused(block("WIDTH = 64\n", "WIDTH = '\0'\n"))


WORDS = [
    *("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "```", "````", "```python", "train.py"),
    *("description: x", "lesson:", "", " ", "\ufeff", "\u202e", "\x00", "\r", "WIDTH = 64"),
    *("../x", "/etc/passwd", ".git/config", "autoresearch.toml", "Train.py", "a\\b", "~/.ssh/id"),
    *("I'm sorry, but I can't help with that.", "<<<<<<< HEAD", "x" * 5000, "\ud800", "`a b`"),
]


def mutated(rng: random.Random) -> str:
    """The contract's answer, spoilt in one to six ways."""
    text = CONTRACT + block("x = 1\n", "x = 2\n", "`lib/model.py`") + "new.py\n```\nz = 1\n```\n"
    for _ in range(rng.randint(1, 6)):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        way = rng.randrange(10)
        if way == 0:
            text = text[: rng.randrange(len(text) + 1)]
        elif way == 1:
            lines.insert(at, rng.choice(WORDS))
        elif way == 2:
            lines[at] = rng.choice(WORDS)
        elif way == 3:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        elif way == 4:
            del lines[at]
        elif way == 5:
            lines[at] = rng.choice([" ", "\t", "> ", "+", "\u200b"]) + lines[at]
        elif way == 6:
            text = text.replace("\n", rng.choice(["\r\n", "\r", "\n\n"]))
        elif way == 7:
            text = text.replace("train.py", rng.choice(WORDS))
        elif way == 8:
            lines[at:at] = lines[at : at + rng.randint(1, 9)] * rng.choice([1, 2, 50])
        else:
            text = rng.choice(
                ["", "```\n" + text + "```", text.upper(), text[::-1], "\ufeff" + text]
            )
        if way in (1, 2, 3, 4, 5, 8):
            text = "\n".join(lines)
    return text


def check(text: str) -> bool:
    """Whether the answer is read; every path it edits is then a plain one."""
    said = ""
    try:
        proposal = read(text)
    except BadAnswer as err:
        said = str(err) or "nothing"
    if said:
        assert 20 < len(said) < 4000
        return False
    assert proposal.edits
    for edit in proposal.edits:
        assert path_fault(edit.path) is None
        assert edit.path in FILES or edit.path not in TREE
        assert edit.content is not None
        assert edit.content != FILES.get(edit.path)
    return True


def test_malformed_answers_are_refused_or_harmless() -> None:
    read_count = sum(check(mutated(random.Random(seed))) for seed in range(500))
    assert 20 < read_count < 450, "the mutations are neither all fatal nor all idle"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(max_size=20), max_size=30))
def test_no_text_raises_anything_else(lines: list[str]) -> None:
    check("\n".join(lines))


LINE = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=8)
PLAIN = LINE.filter(lambda line: not (like_marker(line) or like_divider(line)))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(PLAIN, min_size=1, max_size=8, unique_by=lambda line: line.rstrip(" \t")),
    st.lists(PLAIN, max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.data(),
)
def test_any_lines_can_be_replaced_by_any_others(
    rows: list[str], new: list[str], end: str, newline: bool, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(rows) - 1))
    stop = data.draw(st.integers(start + 1, len(rows)))

    def file(lines: list[str]) -> bytes:
        return (end.join(lines) + (end if newline and lines else "")).encode()

    if rows[0].startswith("\ufeff") or (not newline and (rows[-1] == "" or len(rows) == 1)):
        return  # such a file has other lines than these, or no line end of its own
    if not any(row.strip() for row in rows[start:stop]):
        return  # blank lines alone are no SEARCH
    text = block("".join(f"{row}\n" for row in rows[start:stop]), "".join(f"{n}\n" for n in new))
    wanted = file(rows[:start] + new + rows[stop:])
    known = {row.rstrip() for row in rows}
    left_out = [
        line
        for before, line in pairwise(["", *new])
        if elides(line, before) and line.rstrip() not in known
    ]
    if left_out:
        assert "seems to stand for others" in refused(text, {"train.py": file(rows)})
    elif is_numbered(new) and not is_numbered(rows[start:stop]):
        assert "begins with a number" in refused(text, {"train.py": file(rows)})
    elif wanted == file(rows):
        assert "changes nothing" in refused(text, {"train.py": file(rows)})
    else:
        assert one(text, {"train.py": file(rows)}) == wanted


def test_near_is_what_a_person_would_call_near() -> None:
    rows = [f"line_{n} = {n}" for n in range(40)]
    rows[7] = (
        "LR = 0.04   # learning rate of the matrices, as in the paper, and a long remark behind it"
    )
    rows[20] = "        self.scale = nn.Parameter(torch.ones(dim))"
    rows[30] = "WARMUP_STEPS = 200"
    files = {"train.py": "\n".join([*rows, ""]).encode()}
    for search, number in (
        ("LR = 0.04", 8),
        ("LR = 0.05", 8),
        ("LR=0.04", 8),
        ("self.scale = nn.Parameter(torch.zeros(dim))", 21),
        ("WARMUP_STEPS = 100", 31),
        ("warmup 200", 31),
        ("x\nWARMUP_STEPS = 100", 30),
    ):
        said = refused(block(f"{search}\n", "x\n"), files)
        assert f"\n{number:5d}  {rows[number - 1][:80]}" in said, search
    assert "    1  line_0 = 0" in refused(block("§§§\n", "x\n"), files), "one line at least"
    assert "is empty" in refused(block("a\n", "x\n"), {"train.py": b""})


def test_what_changes_nothing_beside_a_change_is_passed_over_aloud() -> None:
    both = block("WIDTH = 64\n", "WIDTH = 64\n") + block("x = 1\n", "x = 2\n", "lib/model.py")
    assert read(both).notes == ("block 1 (train.py) changes nothing and was passed over",)
    assert read(CONTRACT).notes == ()


def steps(text: str, files: dict[str, bytes]) -> int:
    """How many lines of Python the reading of an answer runs through."""
    count = 0

    def trace(*_: object) -> object:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        with contextlib.suppress(BadAnswer):
            parse(text, files, frozenset(files))
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "piece",
    [
        "a line of prose\n",
        "train.py\n",
        "Look:\n```\nstep 1\n```\n",
        "train.py\n<<<<<<< SEARCH\nline {}\n=======\nLINE {}\n>>>>>>> REPLACE\n",
        "description: x\n",
        "<think>\nhm\n</think>\n",
    ],
)
def test_twice_the_answer_takes_twice_the_steps(piece: str) -> None:
    """benchmarks/answers.py measures the time that the patterns take."""
    files = {"train.py": b"".join(b"line %d\n" % n for n in range(90)), "b.py": b"b\n"}
    once, twice = (
        steps("".join(piece.format(k, k) for k in range(n)) + CONTRACT, files) for n in (40, 80)
    )
    assert twice < 2.6 * once + 2000
