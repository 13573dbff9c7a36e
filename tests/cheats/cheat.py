"""What a cheat is, and the whole train.py that is made of it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path

BASE = (Path(__file__).parent / "base.py").read_text()
PLACES = ("before", "start", "trained", "scored", "end")  # comments of base.py
BWRAP, LANDLOCK, NONE = 4, 3, 1  # levels of the jail
LEVELS = (BWRAP, LANDLOCK, NONE)

# Outcomes besides "crash:WORD".
HONEST = "honest"  # discarded, with the very value that the honest script has
REFUSED = "refused"  # never became an experiment
KEPT = "keep"
OTHER = "discard"  # with a value of its own


@dataclass(frozen=True)
class Cheat:
    """One cheat. Code is put in at the places of base.py; `swap` replaces its lines.

    layer: who must stop it first: DG the guard of diffs, FE the examiner in a process of its own, CP
    its probes before a keep, SB the jail, HV digests, RT the supervisor, PO rules of keeping.
    ends: its outcomes where it is stopped, at any level. harm: the name of what is
    looked at from outside afterwards, in harms.py. gains: whether it would lower the score of a loop
    that trusts what is printed. miss: why a level does not stop it.
    """

    number: str
    name: str
    layer: str
    ends: tuple[str, ...] = ()
    before: str = ""
    start: str = ""
    trained: str = ""
    scored: str = ""
    end: str = ""
    forward: str = ""
    swap: tuple[tuple[str, str], ...] = ()
    answer: str = ""  # instead of a train.py: the whole answer
    gains: bool = False
    harm: str = ""
    jail: bool = False  # whether the level matters, so that it is run at each
    fresh: bool = False  # needs a process that has not imported the harness yet
    miss: dict[int, str] = field(default_factory=dict)
    needs: str = ""  # the number of a cheat that must have been tried before
    unproved: str = ""  # why it is not tried on an unprotected loop

    def script(self) -> str:
        """The whole train.py."""
        text = BASE
        for place in PLACES:
            code = getattr(self, place)
            if code:
                text = _behind(text, f"# {place}", textwrap.dedent(code).strip())
        if self.forward:
            body = textwrap.indent(textwrap.dedent(self.forward).strip(), " " * 8)
            text = _replaced(text, "        return logits", f"{body}\n        return logits")
        for old, new in self.swap:
            text = _replaced(text, old, new)
        return text


def _behind(text: str, anchor: str, code: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(anchor)]
    return _replaced(text, f"{line}\n", f"{line}\n{code}\n")


def _replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)
