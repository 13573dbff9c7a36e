"""Answers in the shapes that models give, each with what must come of it.

policy: `apply` must be applied exactly so; `either` is applied exactly so or refused; `whole` is
applied with all of its changes or refused; `refuse` must be refused. benchmarks/answers.py prints
what becomes of each shape.
"""

# ruff: noqa: E501
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Policy = Literal["apply", "either", "whole", "refuse"]

TRAIN = """\
import math

RATE = 0.1   # learning rate
DEPTH = 4
NOTE = "a < b && c"


def schedule(step, total):
    if step < 10:
        return step / 10
    return 1.0


def main():
    for step in range(50):
        loss = schedule(step, 50) * RATE
    print("val_bpb: 1.5")


if __name__ == "__main__":
    main()
"""
MODEL = "width = 8\nheads = 2\n"
FILES = {"train.py": TRAIN, "src/net/model.py": MODEL}
FROZEN = frozenset({"prepare.py", "program.md", "autoresearch.toml", "data/notes.txt"})

DEEPER = TRAIN.replace("DEPTH = 4", "DEPTH = 6")
HEADS = MODEL.replace("2", "4")
HEAD = "description: deeper\nhypothesis: more layers\n\n"


def lines(search: str = "DEPTH = 4", replace: str = "DEPTH = 6") -> str:
    """The lines between the path and the end of a block."""
    replace = f"{replace}\n" if replace else ""
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}>>>>>>> REPLACE\n"


BLOCK = lines()
GOOD = f"train.py\n{BLOCK}"
OTHER = f"src/net/model.py\n{lines('heads = 2', 'heads = 4')}"


@dataclass(frozen=True)
class Case:
    """One answer, and the files that it changes as they must be then; None where it must be refused."""

    shape: str
    name: str
    policy: Policy
    text: str
    want: dict[str, str] | None
    files: dict[str, str]


def case(
    shape: str,
    name: str,
    policy: Policy,
    text: str,
    want: dict[str, str] | None = None,
    files: dict[str, str] | None = None,
) -> Case:
    if want is None and policy != "refuse":
        want = {"train.py": DEEPER}
    return Case(shape, name, policy, text, want, files or FILES)


def paths() -> Iterator[Case]:
    """A path in whatever dress, before a good block."""
    dresses: list[tuple[str, Policy]] = [
        ("train.py", "apply"), ("`train.py`", "apply"), ("**train.py**", "apply"),
        ("**`train.py`**", "apply"), ("*train.py*", "apply"), ("## train.py", "apply"),
        ("### `train.py`", "apply"), ("#### **train.py**", "apply"), ("- train.py", "apply"),
        ("* `train.py`:", "apply"), ("1. train.py", "apply"), ("2) `train.py`", "apply"),
        ("### 2. `train.py`", "apply"), ("File: train.py", "apply"), ("file: `train.py`", "apply"),
        ("**File:** train.py", "either"), ("Path: train.py", "apply"), ("filename: train.py", "apply"),
        ("File path: `train.py`", "apply"), ("**Filename: train.py**", "either"),
        ("./train.py", "apply"), ("a/train.py", "apply"), ("b/train.py", "apply"),
        ("/train.py", "either"), ('"train.py"', "apply"), ("'train.py'", "apply"),
        ("# train.py", "apply"), ("// train.py", "apply"), ("-- train.py", "either"),
        ("; train.py", "either"), ("<!-- train.py -->", "either"), ("/* train.py */", "either"),
        ("[train.py](train.py)", "either"), ("train.py:", "apply"), ("train.py  ", "apply"),
        ("  train.py", "apply"), ("\u200btrain.py\u200b", "apply"), ("\ufefftrain.py", "apply"),
        ("train.py (modified)", "either"), ("`train.py` (lines 4-4)", "either"),
        ("Edit `train.py`:", "either"), ("In train.py:", "either"), ("Changes to train.py", "either"),
        ("We edit the file `train.py` so that it is deeper:", "either"), ("=== train.py ===", "either"),
        ("<file>train.py</file>", "either"), ("📄 train.py", "either"), (".\\train.py", "either"),
        ("Train.py", "refuse"), ("main.py", "refuse"), ("prepare.py", "refuse"),
        ("../train.py", "refuse"), ("/home/me/lab/train.py", "either"), ("In prepare.py:", "refuse"),
        ("Between train.py and src/net/model.py:", "either"), ("lab/train.py", "either"),
    ]  # fmt: skip
    for dress, policy in dresses:
        yield case("path", ascii(dress), policy, f"{HEAD}{dress}\n{BLOCK}")
    yield case("path", "a blank line behind it", "apply", f"{HEAD}train.py\n\n{BLOCK}")
    yield case("path", "two of them", "either", f"{HEAD}src/net/model.py\ntrain.py\n{BLOCK}")
    yield case("path", "a sentence behind it", "either", f"{HEAD}train.py\nOne line:\n{BLOCK}")
    yield case("path", "none, two files", "refuse", HEAD + "I go deeper.\n\n" + BLOCK)
    one = {"train.py": TRAIN}
    for talk in ("", "I go deeper.\n\n", "The change:\n"):
        yield case("path", f"none, one file: {talk!r}", "apply", HEAD + talk + BLOCK, files=one)
    yield case("path", "frozen, one file", "refuse", f"{HEAD}prepare.py\n{BLOCK}", files=one)
    yield case("path", "frozen in prose", "refuse", f"{HEAD}In `prepare.py`:\n{BLOCK}", files=one)
    name = "model.py\n" + lines("heads = 2", "heads = 4")
    yield case("path", "its name alone", "either", HEAD + name, {"src/net/model.py": HEADS})
    two = {**FILES, "src/old/model.py": MODEL}
    yield case("path", "its name, of two files", "refuse", HEAD + name, files=two)
    both = {"train.py": DEEPER, "src/net/model.py": HEADS}
    yield case("path", "two files", "apply", HEAD + GOOD + "\n" + OTHER, both)
    bare = lines("heads = 2", "heads = 4")
    yield case("path", "the second lacks its", "refuse", HEAD + GOOD + "\n" + bare)
    again = lines("RATE = 0.1   # learning rate", "RATE = 0.2")
    wanted = {"train.py": DEEPER.replace("RATE = 0.1   # learning rate", "RATE = 0.2")}
    yield case("path", "one for two blocks", "apply", HEAD + GOOD + again, wanted)
    said = f"{HEAD}{GOOD}And in `src/net/model.py`:\n{bare}"
    yield case("path", "the second in a sentence", "either", said, both)
    same = {"a.py": "x = 1\n", "b.py": "x = 1\ny = 2\n"}
    text = f"{HEAD}b.py\n{lines('y = 2', 'y = 3')}\nAnd lower x:\n{lines('x = 1', 'x = 0')}"
    yield case("path", "none, and it fits two files", "refuse", text, files=same)


def markers() -> Iterator[Case]:
    """Markers of other signs, bare and in a fence."""
    forms: list[tuple[str, str, str, str, Policy]] = [
        ("5", "<<<<< SEARCH", "=====", ">>>>> REPLACE", "apply"),
        ("6", "<<<<<< SEARCH", "======", ">>>>>> REPLACE", "apply"),
        ("8", "<<<<<<<< SEARCH", "========", ">>>>>>>> REPLACE", "apply"),
        ("9", "<<<<<<<<< SEARCH", "=========", ">>>>>>>>> REPLACE", "apply"),
        ("mixed", "<<<<<<< SEARCH", "=====", ">>>>>>>>> REPLACE", "apply"),
        ("small", "<<<<<<< search", "=======", ">>>>>>> replace", "apply"),
        ("capital", "<<<<<<< Search", "=======", ">>>>>>> Replace", "apply"),
        (">", "<<<<<<< SEARCH>", "=======", ">>>>>>> REPLACE>", "apply"),
        (":", "<<<<<<< SEARCH:", "=======", ">>>>>>> REPLACE:", "either"),
        ("no blank", "<<<<<<<SEARCH", "=======", ">>>>>>>REPLACE", "either"),
        ("trailing blanks", "<<<<<<< SEARCH  ", "======= ", ">>>>>>> REPLACE\t", "apply"),
        ("4", "<<<< SEARCH", "====", ">>>> REPLACE", "either"),
        ("3", "<<< SEARCH", "===", ">>> REPLACE", "either"),
        ("12", "<" * 12 + " SEARCH", "=" * 12, ">" * 12 + " REPLACE", "either"),
        ("HEAD", "<<<<<<< HEAD", "=======", ">>>>>>> new", "refuse"),
        ("ORIGINAL", "<<<<<<< ORIGINAL", "=======", ">>>>>>> UPDATED", "either"),
        ("bare", "<<<<<<<", "=======", ">>>>>>>", "refuse"),
        ("diff3", "<<<<<<< SEARCH", "|||||||\n=======", ">>>>>>> REPLACE", "either"),
        ("dashes", "------- SEARCH", "=======", "+++++++ REPLACE", "either"),
        ("escaped", "&lt;&lt;&lt;&lt;&lt;&lt;&lt; SEARCH", "=======", "&gt;" * 7 + " REPLACE", "either"),
        ("wide", "＜＜＜＜＜＜＜ SEARCH", "=======", "＞＞＞＞＞＞＞ REPLACE", "either"),
        ("guillemets", "««««««« SEARCH", "=======", "»»»»»»» REPLACE", "either"),
        ("indented", " <<<<<<< SEARCH", " =======", " >>>>>>> REPLACE", "either"),
        ("quoted", "> <<<<<<< SEARCH", "> =======", "> >>>>>>> REPLACE", "either"),
        ("commented", "# <<<<<<< SEARCH", "# =======", "# >>>>>>> REPLACE", "either"),
        ("bold", "**<<<<<<< SEARCH**", "=======", "**>>>>>>> REPLACE**", "either"),
        ("ticked", "`<<<<<<< SEARCH`", "`=======`", "`>>>>>>> REPLACE`", "either"),
        ("swapped", ">>>>>>> SEARCH", "=======", "<<<<<<< REPLACE", "either"),
        ("turned", "<<<<<<< REPLACE", "=======", ">>>>>>> SEARCH", "refuse"),
        ("with the path", "<<<<<<< SEARCH train.py", "=======", ">>>>>>> REPLACE", "either"),
        ("words", "SEARCH:", "REPLACE:", "END", "either"),
        ("brackets", "[SEARCH]", "[REPLACE]", "[/REPLACE]", "either"),
        ("tags", "<search>", "</search>\n<replace>", "</replace>", "either"),
        ("no divider", "<<<<<<< SEARCH", "REPLACE", ">>>>>>> REPLACE", "refuse"),
        ("two dividers", "<<<<<<< SEARCH", "=======\n=======", ">>>>>>> REPLACE", "refuse"),
        ("closed by a divider", "<<<<<<< SEARCH", "=======", "=======", "refuse"),
        ("zero width", "\u200b<<<<<<< SEARCH", "\u200b=======", "\ufeff>>>>>>> REPLACE", "either"),
    ]  # fmt: skip
    for name, opening, divider, closing, policy in forms:
        body = f"{opening}\nDEPTH = 4\n{divider}\nDEPTH = 6\n{closing}\n"
        yield case("marker", name, policy, f"{HEAD}train.py\n{body}")
        yield case("marker in a fence", name, policy, f"{HEAD}train.py\n```python\n{body}```\n")
        both = {"train.py": DEEPER, "src/net/model.py": HEADS}
        mixed: Policy = "refuse" if policy == "refuse" else "whole"
        yield case("marker beside a block", name, mixed, f"{HEAD}train.py\n{body}\n{OTHER}", both)
    for token in (
        "<|im_end|>",
        "<|endoftext|>",
        "<|eot_id|>",
        "</s>",
        "```",
        "<｜end▁of▁sentence｜>",
        " <eos>",
    ):
        yield case("end token", token, "apply", HEAD + GOOD.rstrip("\n") + token)
        yield case("end token on its line", token, "apply", HEAD + GOOD + token)
    over = HEAD + GOOD.rstrip("\n") + "<|im_end|>\n<|im_start|>user\nthanks\n" + OTHER
    yield case("end token", "another turn behind it", "refuse", over)


def fences() -> Iterator[Case]:
    """Fences around blocks, or around all of an answer."""
    forms: list[tuple[str, str, Policy]] = [
        ("path before", f"train.py\n```python\n{BLOCK}```\n", "apply"),
        ("path inside", f"```python\ntrain.py\n{BLOCK}```\n", "apply"),
        ("path in a comment inside", f"```python\n# train.py\n{BLOCK}```\n", "apply"),
        ("path behind", f"```python:train.py\n{BLOCK}```\n", "either"),
        ("path behind, a blank", f"```python train.py\n{BLOCK}```\n", "either"),
        ("path behind, alone", f"```train.py\n{BLOCK}```\n", "either"),
        ("path as a title", f'```python title="train.py"\n{BLOCK}```\n', "either"),
        ("tildes", f"train.py\n~~~\n{BLOCK}~~~\n", "apply"),
        ("four", f"train.py\n````diff\n{BLOCK}````\n", "apply"),
        ("of search-replace", f"train.py\n```search-replace\n{BLOCK}```\n", "apply"),
        ("indented", f"train.py\n  ```python\n{BLOCK}  ```\n", "either"),
        ("in a list", "- train.py\n  ```\n" + "".join(f"  {x}\n" for x in BLOCK.splitlines()) + "  ```\n", "either"),
        ("not closed", f"train.py\n```python\n{BLOCK}", "apply"),
        ("only closed", f"train.py\n{BLOCK}```\n", "apply"),
        ("text behind", f"train.py\n```\n{BLOCK}```\nThat is all.\n", "apply"),
        ("two paths that differ", f"src/net/model.py\n```python:train.py\n{BLOCK}```\n", "refuse"),
        ("answer tags", f"<answer>\ntrain.py\n{BLOCK}</answer>\n", "either"),
        ("source tags", f"train.py\n<source>\n{BLOCK}</source>\n", "either"),
    ]  # fmt: skip
    for name, text, policy in forms:
        yield case("fence", name, policy, HEAD + text)
    yield case("fence", "all of it", "apply", f"```\n{HEAD}{GOOD}```\n")
    yield case("fence", "all of it, as text", "apply", f"```text\n{HEAD}{GOOD}```\nDone.\n")
    yield case(
        "fence", "all of it, nested", "apply", f"```\n{HEAD}train.py\n```python\n{BLOCK}```\n```\n"
    )
    yield case(
        "fence", "all of it, four", "apply", f"````\n{HEAD}train.py\n```python\n{BLOCK}```\n````\n"
    )
    yield case("fence", "the header alone", "apply", f"```\n{HEAD.strip()}\n```\n\n{GOOD}")
    yield case("line ends", "CRLF", "apply", (HEAD + GOOD).replace("\n", "\r\n"))
    yield case("line ends", "CR", "apply", (HEAD + GOOD).replace("\n", "\r"))
    yield case("line ends", "no last one", "apply", (HEAD + GOOD).rstrip("\n"))
    quoted = "".join(f"> {line}\n" for line in (HEAD + GOOD).splitlines())
    yield case("quoted", "all of it", "either", quoted)
    both = {"train.py": DEEPER, "src/net/model.py": HEADS}
    said = "".join(f"> {line}\n" for line in GOOD.splitlines())
    yield case("quoted", "one of two", "whole", HEAD + OTHER + "\n" + said, both)
    numbered = "".join(f"{n:3d} {line}\n" for n, line in enumerate(GOOD.splitlines()))
    yield case("quoted", "numbered", "whole", HEAD + OTHER + "\n" + numbered, both)
    indented = "".join(f"    {line}\n" for line in GOOD.splitlines())
    yield case("quoted", "indented", "whole", HEAD + OTHER + "\n" + indented, both)


def searches() -> Iterator[Case]:
    """What SEARCH holds, and where it fits."""
    sched = "    if step < 10:\n        return step / 10"
    done = {"train.py": TRAIN.replace("step / 10\n", "step / 20\n")}
    new = sched.replace("/ 10", "/ 20")
    tabbed = "\tif step < 10:\n\t\treturn step / 10"
    forms: list[tuple[str, str, str, Policy, dict[str, str] | None]] = [
        ("as it stands", sched, new, "apply", done),
        ("trailing blanks", sched.replace("\n", "  \n"), new, "apply", done),
        ("less indented", "if step < 10:\n    return step / 10", "if step < 10:\n    return step / 20", "apply", done),
        ("more indented", "      if step < 10:\n          return step / 10", "      if step < 10:\n          return step / 20", "apply", done),
        ("tabs", tabbed, tabbed.replace("/ 10", "/ 20"), "apply", done),
        ("indented unevenly", "if step < 10:\nreturn step / 10", "if step < 10:\nreturn step / 20", "refuse", None),
        ("blank lines behind", sched + "\n\n\n", new + "\n\n\n", "apply", done),
        ("blank lines before", "\n\n\n" + sched, new, "refuse", None),
        ("two places", "    main()\n", "    pass", "either", {"train.py": TRAIN.replace("    main()\n", "    pass\n")}),
        ("many places", "", "DEPTH = 6", "refuse", None),
        ("part of a line", "0.1", "0.2", "refuse", None),
        ("without its remark", "RATE = 0.1", "RATE = 0.2", "refuse", None),
        ("with line numbers", "4  DEPTH = 4", "4  DEPTH = 6", "either", None),
        ("line numbers in REPLACE", "DEPTH = 4", " 4 | DEPTH = 6", "refuse", None),
        ("elided", "def main():\n    ...\n    print(\"val_bpb: 1.5\")", "def main():\n    ...\n    print(2)", "refuse", None),
        ("elided in REPLACE", sched, "    # ... existing code ...\n    return 2.0", "refuse", None),
        ("unchanged in REPLACE", "DEPTH = 4", "DEPTH = 6\n# rest of the file unchanged", "refuse", None),
        ("a body of dots", "DEPTH = 4", "DEPTH = 6\ndef f():\n    ...", "apply", {"train.py": DEEPER.replace("DEPTH = 6\n", "DEPTH = 6\ndef f():\n    ...\n")}),
        ("smart quotes", "NOTE = “a < b && c”", "NOTE = “”", "refuse", None),
        ("escaped", "NOTE = &quot;a &lt; b &amp;&amp; c&quot;", "NOTE = 1", "refuse", None),
        ("nothing in REPLACE", "DEPTH = 4", "", "apply", {"train.py": TRAIN.replace("DEPTH = 4\n", "")}),
        ("the last lines", '    main()', "    main(1)", "apply", {"train.py": TRAIN.replace("    main()\n", "    main(1)\n")}),
        ("diff signs", "-DEPTH = 4", "+DEPTH = 6", "refuse", None),
        ("an underline in REPLACE", "DEPTH = 4", "DEPTH = 6\n# a\n# =======", "either", {"train.py": TRAIN.replace("DEPTH = 4\n", "DEPTH = 6\n# a\n# =======\n")}),
        ("a divider in REPLACE", "DEPTH = 4", 'X = """\nTitle\n=======\n"""', "refuse", None),
        ("a line of it", "DEPTH = 4", "=====\nDEPTH = 6", "refuse", None),
        ("a fence in REPLACE", "DEPTH = 4", 'X = """\n```\nrun\n```\n"""', "apply", {"train.py": TRAIN.replace("DEPTH = 4\n", 'X = """\n```\nrun\n```\n"""\n')}),
        ("two docstrings in REPLACE", "DEPTH = 4", 'X = """<think>"""', "apply", {"train.py": TRAIN.replace("DEPTH = 4\n", 'X = """<think>"""\n')}),
        ("not in the file", "WIDTH = 4", "WIDTH = 6", "refuse", None),
        ("of another file", "heads = 2", "heads = 4", "refuse", None),
        ("nothing changes", "DEPTH = 4", "DEPTH = 4", "refuse", None),
    ]  # fmt: skip
    for name, search, replace, policy, want in forms:
        yield case("search", name, policy, f"{HEAD}train.py\n{lines(search, replace)}", want)
    noop = f"{HEAD}train.py\n{lines('DEPTH = 4', 'DEPTH = 4')}\n"
    yield case(
        "search", "one of two changes nothing", "apply", noop + OTHER, {"src/net/model.py": HEADS}
    )
    yield case("search", "the same block twice", "refuse", HEAD + GOOD + "\n" + GOOD)
    grows = lines("DEPTH = 4", "DEPTH = 4\nDEPTH2 = 4")
    yield case(
        "search",
        "a block that fits twice, twice",
        "refuse",
        f"{HEAD}train.py\n{grows}train.py\n{grows}",
    )
    chain = f"{HEAD}{GOOD}train.py\n{lines('DEPTH = 6', 'DEPTH = 8')}"
    yield case(
        "search",
        "on the block before",
        "apply",
        chain,
        {"train.py": TRAIN.replace("DEPTH = 4", "DEPTH = 8")},
    )
    crlf = {**FILES, "train.py": TRAIN.replace("\n", "\r\n")}
    yield case(
        "line ends",
        "of the file",
        "apply",
        HEAD + GOOD,
        {"train.py": DEEPER.replace("\n", "\r\n")},
        crlf,
    )
    rst = {"notes.rst": "Title\n=======\ntext\n", "b.py": "x = 1\n"}
    text = "notes.rst\n<<<<<<< SEARCH\nTitle\n=======\ntext\nnew text\n>>>>>>> REPLACE\n"
    yield case("search", "an underline taken for the divider", "refuse", HEAD + text, files=rst)


def thoughts() -> Iterator[Case]:
    """Reasoning with code in it, before an answer or around it."""
    draft = f"train.py\n{lines('DEPTH = 4', 'DEPTH = 99')}"
    for opening, closing in (
        ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"),
        ("<THINK>", "</THINK>"), ("<thought>", "</thought>"), ("<scratchpad>", "</scratchpad>"),
        ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"), ("<reflection>", "</reflection>"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"), ("&lt;think&gt;", "&lt;/think&gt;"),
        ('<thinking mode="long">', "</thinking>"),
    ):  # fmt: skip
        text = f"{opening}\nPerhaps\n{draft}no.\n{closing}\n\n{HEAD}{GOOD}"
        yield case("thought", opening, "apply", text)
        yield case(
            "thought",
            f"{opening} not opened",
            "apply",
            f"Perhaps\n{draft}no.\n{closing}\n{HEAD}{GOOD}",
        )
        yield case(
            "thought", f"{opening} not closed", "refuse", f"{opening}\nPerhaps\n{HEAD}{GOOD}"
        )
        yield case("thought", f"{opening} is all", "refuse", f"{opening}\n{draft}\n{closing}\n")
    yield case("thought", "on one line", "apply", f"<think>too low</think>{HEAD}{GOOD}")
    yield case("thought", "empty", "apply", f"<think>\n\n</think>\n\n{HEAD}{GOOD}")
    yield case(
        "thought", "twice", "apply", f"<think>a</think>\n<think>\n{draft}</think>\n{HEAD}{GOOD}"
    )
    yield case(
        "thought",
        "between blocks",
        "apply",
        f"{HEAD}{GOOD}<think>\nand the heads\n</think>\n{OTHER}",
        {"train.py": DEEPER, "src/net/model.py": HEADS},
    )
    yield case(
        "thought",
        "says its own tag",
        "either",
        f"<think>\nI close with </think> then.\n{draft}</think>\n{HEAD}{GOOD}",
    )
    yield case(
        "thought", "opened in mid-line", "apply", f"Well. <think>\n{draft}</think>\n{HEAD}{GOOD}"
    )
    yield case("thought", "behind the answer", "apply", f"{HEAD}{GOOD}\n<think>\ndone\n</think>\n")
    yield case(
        "thought", "an answer that ends in its closing", "refuse", f"{HEAD}{GOOD}\n</think>\n"
    )
    yield case(
        "thought",
        "half a draft",
        "either",
        f"<think>\ntrain.py\n<<<<<<< SEARCH\nDEPTH\n</think>\n{HEAD}{GOOD}",
    )
    yield case(
        "thought",
        "a patch in it",
        "apply",
        f"<think>\n--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n</think>\n{HEAD}{GOOD}",
    )
    yield case(
        "thought",
        "in a block",
        "refuse",
        f"{HEAD}train.py\n{lines('DEPTH = 4', '<think>' + chr(10) + 'DEPTH = 5' + chr(10) + '</think>' + chr(10) + 'DEPTH = 6')}",
    )
    channels = (
        f"<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>"
    )
    yield case("thought", "channels", "apply", f"{channels}{HEAD}{GOOD}<|return|>")
    yield case(
        "thought",
        "channels without a final one",
        "refuse",
        f"<|channel|>analysis<|message|>{HEAD}{GOOD}",
    )
    quoted = "I took the `<think>` tags out of my answer.\n"
    yield case("thought", "talk about tags", "apply", f"{HEAD}{quoted}\n{GOOD}")


def others() -> Iterator[Case]:
    """Changes in other forms: alone they must be refused, and beside a good block not dropped."""
    patch = "--- a/train.py\n+++ b/train.py\n@@ -4,1 +4,1 @@\n-DEPTH = 4\n+DEPTH = 6\n"
    hunk = "@@ def main @@\n-DEPTH = 4\n+DEPTH = 6\n"
    forms = {
        "unified diff": patch,
        "unified diff in a fence": f"```diff\n{patch}```\n",
        "unified diff below its path": f"train.py\n```diff\n{patch}```\n",
        "unified diff without names": f"train.py\n```diff\n{hunk}```\n",
        "signs alone": "```diff\n-DEPTH = 4\n+DEPTH = 6\n```\n",
        "signs alone, no fence": "-DEPTH = 4\n+DEPTH = 6\n",
        "git's diff": f"diff --git a/train.py b/train.py\nindex 0123456..89abcde 100644\n{patch}",
        "apply_patch": "*** Begin Patch\n*** Update File: train.py\n@@\n-DEPTH = 4\n+DEPTH = 6\n*** End Patch\n",
        "apply_patch in a fence": "```\n*** Begin Patch\n*** Update File: train.py\n-DEPTH = 4\n+DEPTH = 6\n*** End Patch\n```\n",
        "apply_patch deletes": "*** Begin Patch\n*** Delete File: train.py\n*** End Patch\n",
        "context diff": "*** train.py\tnow\n--- train.py\tthen\n***************\n! DEPTH = 6\n",
        "rename": "diff --git a/train.py b/go.py\nrename from train.py\nrename to go.py\n",
        "SEARCH: words": "train.py\nSEARCH:\n```python\nDEPTH = 4\n```\nREPLACE:\n```python\nDEPTH = 6\n```\n",
        "**Search** words": "train.py\n**Search**\n```python\nDEPTH = 4\n```\n**Replace with**\n```python\nDEPTH = 6\n```\n",
        "Find and replace": "Find:\n```python\nDEPTH = 4\n```\nReplace with:\n```python\nDEPTH = 6\n```\n",
        "words between fences": "In train.py replace\n```python\nDEPTH = 4\n```\nwith\n```python\nDEPTH = 6\n```\n",
        "before and after": "train.py before:\n```python\nDEPTH = 4\n```\nafter:\n```python\nDEPTH = 7\n```\n",
        "JSON": '{"path": "train.py", "search": "DEPTH = 4", "replace": "DEPTH = 6"}\n',
        "JSON in a fence": '```json\n{"edits": [{"path": "train.py", "old_string": "DEPTH = 4", "new_string": "DEPTH = 6"}]}\n```\n',
        "tool_call": '<tool_call>\n{"name": "edit", "arguments": {"path": "train.py"}}\n</tool_call>\n',
        "function_calls": '<function_calls>\n<invoke name="edit">\n<parameter name="old_str">DEPTH = 4</parameter>\n</invoke>\n</function_calls>\n',
        "function=": "<function=edit>\n<parameter=path>train.py</parameter>\n</function>\n",
        "edit tags": "<edit>\n<path>train.py</path>\n<old>DEPTH = 4</old>\n<new>DEPTH = 6</new>\n</edit>\n",
        "file tag": f'<file path="train.py">\n{DEEPER}</file>\n',
        "TOOL_CALLS": '[TOOL_CALLS] [{"name": "edit_file"}]\n',
        "a call": 'edit_file("train.py", "DEPTH = 4", "DEPTH = 6")\n',
        "sed": "```bash\nsed -i 's/DEPTH = 4/DEPTH = 6/' train.py\n```\n",
        "heredoc": "```bash\ncat > helper.py <<'EOF'\nA = 1\nEOF\n```\n",
        "git mv": "```sh\ngit mv train.py go.py\n```\n",
        "a snippet below its path": "train.py\n```python\nDEPTH = 6\n```\n",
        "a snippet in a sentence": "In `train.py`, set:\n```python\nDEPTH = 6\n```\n",
        "a snippet to add": "Add this at the top:\n```python\nSEED = 7\n```\n",
        "a snippet without a word": "```python\nSEED = 7\n```\n",
        "a fence that is cut off": "train.py\n```python\n" + DEEPER[:200],
    }  # fmt: skip
    for name, text in forms.items():
        yield case("another form", name, "refuse", HEAD + text)
        both = {"train.py": DEEPER, "src/net/model.py": HEADS}
        yield case("another form beside a block", name, "whole", f"{HEAD}{text}\n{OTHER}", both)
        yield case("another form behind a block", name, "whole", f"{HEAD}{OTHER}\n{text}", both)
    naming = {
        "a comment": "```python\n# helper.py\nA = 1\n```\n",
        "a comment with a folder": "```js\n// src/helper.js\nlet a = 1\n```\n",
        "HTML's comment": "```html\n<!-- page.html -->\n<p>\n```\n",
        "bold, a remark": "**helper.py** (new file)\n```python\nA = 1\n```\n",
        "behind the fence": "```python:helper.py\nA = 1\n```\n",
        "behind the fence, a blank": "```python helper.py\nA = 1\n```\n",
        "a title": '```python title="helper.py"\nA = 1\n```\n',
        "filename=": "```python filename=helper.py\nA = 1\n```\n",
        "a sentence": "Create `helper.py`:\n```python\nA = 1\n```\n",
        "a sentence, no ticks": "I also add helper.py with this:\n```python\nA = 1\n```\n",
        "New file:": "New file helper.py:\n```python\nA = 1\n```\n",
        "a tag": '<file name="helper.py">\nA = 1\n</file>\n',
        "create tag": "<create_file>\nhelper.py\nA = 1\n</create_file>\n",
        "a docstring": '```python\n"""helper.py"""\nA = 1\n```\n',
    }
    for name, text in naming.items():
        new = {"helper.py": "A = 1\n", "train.py": DEEPER}
        yield case("a new file's name", name, "whole", f"{HEAD}{text}\n{GOOD}", new)
        yield case("a new file's name behind", name, "whole", f"{HEAD}{GOOD}\n{text}", new)
    made = {"helper.py": "A = 1\n", "train.py": DEEPER}
    empty = "helper.py\n<<<<<<< SEARCH\n=======\nA = 1\n>>>>>>> REPLACE\n"
    yield case("a new file", "an empty SEARCH", "apply", f"{HEAD}{empty}\n{GOOD}", made)
    yield case(
        "a new file",
        "a fence below its path",
        "apply",
        f"{HEAD}helper.py\n```python\nA = 1\n```\n\n{GOOD}",
        made,
    )
    yield case(
        "a new file",
        "a name that another has",
        "apply",
        HEAD + empty.replace("helper.py", "model.py"),
        {"model.py": "A = 1\n"},
    )
    yield case("a new file", "over a file", "refuse", HEAD + empty.replace("helper.py", "train.py"))
    yield case(
        "a new file",
        "a blank SEARCH over a file",
        "refuse",
        HEAD + "train.py\n" + lines("", "A = 1"),
    )


def wholes() -> Iterator[Case]:
    """Whole files in a fence."""
    fence = f"```python\n{DEEPER}```\n"
    one = {"train.py": TRAIN}
    forms: list[tuple[str, str, Policy, dict[str, str] | None]] = [
        ("below its path", f"train.py\n{fence}", "apply", FILES),
        ("a blank line between", f"train.py\n\n{fence}", "either", FILES),
        ("bold", f"**train.py**\n{fence}", "apply", FILES),
        ("a heading", f"### `train.py`\n{fence}", "apply", FILES),
        ("path behind the fence", f"```python:train.py\n{DEEPER}```\n", "either", FILES),
        ("a sentence", f"Here is all of `train.py`:\n{fence}", "either", FILES),
        ("no path, one file", f"Here it is:\n{fence}", "apply", one),
        ("no path, two files", f"Here it is:\n{fence}", "refuse", FILES),
        ("frozen", f"prepare.py\n{fence}", "refuse", FILES),
        ("less than half", "train.py\n```python\n" + DEEPER[:70] + "\n```\n", "refuse", FILES),
        ("less than half, no path, one file", "```python\nDEPTH = 6\n```\n", "refuse", one),
        ("other text", "train.py\n```python\nprint(1)\n```\n", "refuse", FILES),
        ("a command", "train.py\n```bash\npython train.py\n```\n", "refuse", FILES),
        ("elided", "train.py\n```python\n" + DEEPER.replace("    return 1.0\n", "    # ... rest of schedule unchanged\n") + "```\n", "refuse", FILES),
        ("elided by dots", "train.py\n```python\n" + DEEPER.replace("    return 1.0\n", "...\n") + "```\n", "refuse", FILES),
        ("not closed", f"train.py\n```python\n{DEEPER}", "refuse", FILES),
        ("closed on its last line", f"train.py\n```python\n{DEEPER.rstrip()}```\n", "refuse", FILES),
        ("a fence in it", "train.py\n```python\n" + DEEPER.replace("import math\n", 'import math\nX = """\n```\nrun\n```\n"""\n') + "```\n", "refuse", FILES),
        ("a fence near its end", "train.py\n```python\n" + DEEPER.replace("    main()\n", '    main()\nX = """\n```\nrun\n```\n"""\n') + "```\n", "refuse", FILES),
        ("a longer fence", f"train.py\n````python\n{DEEPER}````\n", "apply", FILES),
        ("a divider in it", "train.py\n```python\n" + DEEPER.replace("import math\n", "import math\n=======\n") + "```\n", "refuse", FILES),
        ("markers in it", "train.py\n```python\n" + DEEPER.replace("DEPTH = 6\n", BLOCK.replace("<<<<<<< SEARCH", "<<<<<<< HEAD")) + "```\n", "refuse", FILES),
        ("line numbers", "train.py\n```python\n" + "".join(f"{n:4d}  {x}\n" for n, x in enumerate(DEEPER.splitlines())) + "```\n", "refuse", FILES),
        ("unchanged", f"train.py\n```python\n{TRAIN}```\n", "refuse", FILES),
        ("twice", f"train.py\n{fence}\ntrain.py\n{fence}", "refuse", FILES),
        ("all of the answer fenced", f"````\ntrain.py\n{fence}````\n", "either", FILES),
        ("as it was, then a block", f"train.py\n```python\n{TRAIN}```\n\n{GOOD}", "either", FILES),
        ("a block, then as it becomes", f"{GOOD}\ntrain.py\n{fence}", "either", FILES),
        ("a block, then as it was", f"{GOOD}\ntrain.py\n```python\n{TRAIN}```\n", "refuse", FILES),
    ]  # fmt: skip
    for name, text, policy, files in forms:
        yield case("whole file", name, policy, HEAD + text, files=files)


def talk() -> Iterator[Case]:
    """Prose and code that is only shown, around a good block."""
    forms: list[tuple[str, str, Policy]] = [
        ("code as it becomes", f"{GOOD}\nThis gives:\n```python\nDEPTH = 6\n```\n", "apply"),
        ("code as it is", f"Now it says:\n```python\nDEPTH = 4\n```\n\n{GOOD}", "apply"),
        ("code that was thought of", f"I looked at this idea too:\n```python\nDEPTH = 7\n```\n\n{GOOD}", "either"),
        ("a command", f"{GOOD}\nRun it:\n```bash\npython train.py\n```\n", "apply"),
        ("a log", f"The log said:\n```\nstep 10 loss 3.1\n```\n\n{GOOD}", "apply"),
        ("a formula", f"{GOOD}\nBecause\n```math\nL = a / N\n```\n", "apply"),
        ("inline code", f"I raise `DEPTH` from `4` to `6`, see `schedule()`.\n\n{GOOD}", "apply"),
        ("a list", f"- more layers\n- the same rate\n+ nothing else\n\n{GOOD}", "apply"),
        ("a table", f"| a | b |\n|---|---|\n| 1 | 2 |\n\n{GOOD}", "apply"),
        ("a rule", f"---\n\n{GOOD}\n---\n", "apply"),
        ("a heading", f"## SEARCH/REPLACE block\n\n{GOOD}", "apply"),
        ("the word search", f"A search over depths, then replace the best:\n\n{GOOD}", "apply"),
        ("greater than", f"If a > b >> c then 4 < 6 << 9.\n\n{GOOD}", "apply"),
        ("a quotation", f"> Be bold.\n\n{GOOD}", "apply"),
        ("no changes elsewhere", f"src/net/model.py (no changes needed)\n\n{GOOD}", "apply"),
        ("a frozen file named", f"`prepare.py` stays as it is.\n\n{GOOD}", "apply"),
        ("a path behind it", f"{GOOD}\ntrain.py\n", "apply"),
        ("thanks", f"Sure! Here is the change.\n\n{GOOD}\nLet me know how it goes!\n", "apply"),
        ("a command with the file's name", f"{GOOD}\nThen run `train.py`:\n```bash\nuv run train.py\n```\n", "apply"),
        ("a script to be made", f"{GOOD}\nCreate `run.sh`:\n```bash\npython train.py\n```\n", "refuse"),
        ("a text to be made", f"{GOOD}\nSave as new.txt:\n```text\nhello\n```\n", "refuse"),
        ("the file as it becomes", f"{GOOD}\n`train.py` now has:\n```python\nDEPTH = 6\nNOTE = \"a < b && c\"\n```\n", "apply"),
        ("a deletion in words", f"{GOOD}\nDelete `src/net/model.py`.\n", "refuse"),
        ("a renaming in words", f"{GOOD}\n- Rename src/net/model.py to src/net/net.py\n", "refuse"),
        ("a removal from a file", f"Remove the old depth from train.py:\n\n{GOOD}", "apply"),
        ("let me reduce", f"Let me reduce it.\n\n{GOOD}\nLet me reduce the rest too, the final change:\n\ntrain.py\n{lines('DEPTH = 6', 'DEPTH = 6  # deep')}", "either"),
        ("a retraction", f"{GOOD}\nWait, that is too deep. Final answer:\n\ntrain.py\n{lines('RATE = 0.1   # learning rate', 'RATE = 0.2')}", "refuse"),
        ("another option", f"{GOOD}\nAlternatively:\n\n{OTHER}", "refuse"),
        ("options", f"Option A:\n\n{GOOD}\nOption B:\n\n{OTHER}", "refuse"),
        ("actually", f"{GOOD}\nActually, let me use 8.\n\ntrain.py\n{lines('DEPTH = 6', 'DEPTH = 8')}", "refuse"),
        ("a revision", f"{GOOD}\ntrain.py\n{lines('DEPTH = 4', 'DEPTH = 8')}", "refuse"),
        ("two proposals", f"{GOOD}\ndescription: more heads\n\n{OTHER}", "refuse"),
    ]  # fmt: skip
    for name, text, policy in forms:
        want = (
            {"train.py": DEEPER.replace("= 6", "= 6  # deep")} if name == "let me reduce" else None
        )
        yield case("talk", name, policy, HEAD + text, want)
    yield case("header", "behind the block", "apply", GOOD + "\n" + HEAD)
    yield case(
        "header",
        "bold, in a list",
        "apply",
        "- **description**: deeper\n- **hypothesis**: more\n\n" + GOOD,
    )
    yield case("header", "none", "apply", GOOD)
    yield case("header", "colours", "apply", "description: \x1b[31mred\x1b[0m\n\n" + GOOD)
    yield case(
        "header",
        "names a file",
        "apply",
        "description: change train.py, not src/net/model.py\n\n" + GOOD,
    )
    yield case("nothing", "empty", "refuse", "")
    yield case("nothing", "a header", "refuse", HEAD)
    yield case("nothing", "a refusal", "refuse", "I can't help with that.")


def cuts() -> Iterator[Case]:
    """A good block, and behind it one that was cut off."""
    second = OTHER.rstrip("\n")
    start = second.index("<")
    stops = [*range(start + 1, start + 16), second.index("heads"), second.index("====") + 3]
    stops += [second.index("====") + 7, *range(len(second) - 14, len(second))]
    for stop in sorted(set(stops)):
        yield case(
            "cut off", f"at {stop} of {len(second)}", "refuse", f"{HEAD}{GOOD}\n{second[:stop]}"
        )
    for stop in (3, 40, 120):
        text = f"{HEAD}{GOOD}\nsrc/net/model.py\n```python\n{('x = 1' + chr(10)) * 40}"
        yield case(
            "cut off", f"a whole file at {stop}", "refuse", text[: text.index("x = 1") + stop]
        )


def all_cases() -> list[Case]:
    """Returns every case, each name once."""
    makers = (paths, markers, fences, searches, thoughts, others, wholes, talk, cuts)
    return [found for maker in makers for found in maker()]
