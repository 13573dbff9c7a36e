"""The fingerprint: one short name for data, tokenizer, byte table and the code that scores.

It covers what can move a score or the data, and nothing else, since a run ends where it changes.
So comments, docstrings and blank lines don't count; the modules that count are named here.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

# What trains, grants and scores: a change of these ends the runs that are under way.
SCORING = (
    "bpb.py",
    "budget.py",
    "cache.py",
    "clock.py",
    "exam/checking.py",
    "exam/checkpoint.py",
    "exam/examiner.py",
    "exam/granting.py",
    "exam/losses.py",
    "exam/plan.py",
    "exam/processor.py",
    "exam/questions.py",
    "exam/scorer.py",
    "exam/timekeeper.py",
    "loader.py",
    "names.py",
    "protocol.py",
    "rows.py",
    "trial/accelerator.py",
    "trial/answering.py",
    "trial/inference.py",
    "trial/probes.py",
    "trial/staging.py",
    "trial/tensors.py",
    "trial/warmup.py",
)
# What turns text into rows: when one of these changes, the data is made anew.
MAKING = (
    "data/build.py",
    "data/corpus.py",
    "data/formats.py",
    "data/library.py",
    "data/packing.py",
    "data/sources.py",
    "data/tokenizer.py",
)

# A docstring (a string in three quotes alone on its lines), any other string, or a comment. Not by
# Python's own tokens or trees, which differ between its versions, and cost ten times as much.
_PARTS = re.compile(
    r'^[ \t]*[rR]?"""(?:[^"\\]|\\.|"(?!""))*"""[ \t]*$'
    r'|("""(?:[^"\\]|\\.|"(?!""))*"""'
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'(?:[^'\\\n]|\\.)*')"
    r"|#[^\n]*",
    re.MULTILINE | re.DOTALL,
)


def code(text: str) -> str:
    """Returns Python source without comments, docstrings, blank lines and ends of blanks."""
    kept = _PARTS.sub(lambda part: part.group(1) or "", text)
    return "\n".join(line.rstrip() for line in kept.splitlines() if line.strip()) + "\n"


def code_digest(names: tuple[str, ...]) -> str:
    """Returns the SHA-256 of these modules of the harness, of what is code in them."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for name in names:
        text = code((folder / name).read_text(encoding="utf-8"))
        digest.update(f"{name}:{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
    return digest.hexdigest()


def fingerprint(digests: dict[str, str]) -> str:
    """Returns the fingerprint of data with these digests by file, scored by the code that runs."""
    whole = json.dumps([sorted(digests.items()), code_digest(SCORING)])
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
