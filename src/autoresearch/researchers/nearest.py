"""The lines of a file that a search may have meant, for a model that has to mend it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from autoresearch.text import printable

_SHOWN_LINES = 10
_SHOWN_WIDTH = 160
_LOOKED_AT = 4  # the rarest lines of a search say most about where it stands
_MOST_ROWS = 50_000
_TOKEN = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?|[^\W\d]\w*|[^\w\s]", re.IGNORECASE)
_PREFIX_WEIGHT = (
    3.0  # a whole prefix counts as much as that many tokens that stand once in the file
)


def nearest(rows: Sequence[str], search: Sequence[str]) -> str:
    """Returns the place of the file that is nearest to the search, with numbers: one line at least.

    Near is what shares words and numbers, rare ones more than common ones, and begins alike.
    """
    if not any(row.strip() for row in rows):
        return "The file is empty."
    count = min(_SHOWN_LINES, len(search) + 2)
    bare = [row.strip()[:_SHOWN_WIDTH] for row in rows[:_MOST_ROWS]]
    wanted = [line.strip()[:_SHOWN_WIDTH] for line in search]
    tokens = [frozenset(_TOKEN.findall(row)) for row in bare]
    often = Counter(token for row in tokens for token in row)
    looked_at = sorted(range(len(wanted)), key=lambda n: (-_weight(wanted[n], often), n))[
        :_LOOKED_AT
    ]
    votes: Counter[int] = Counter()
    for offset in looked_at:
        if wanted[offset]:
            best, score = _nearest_row(bare, tokens, often, wanted[offset])
            votes[max(0, best - offset)] += int(1000 * score)
    start, score = min(votes.items(), key=lambda vote: (-vote[1], vote[0])) if votes else (0, 0)
    why = "The nearest lines are:" if score else "Nothing in it is near; it begins:"
    shown = rows[start : start + count]
    numbered = [
        f"{start + n + 1:5d}  {printable(row)[:_SHOWN_WIDTH]}" for n, row in enumerate(shown)
    ]
    return "\n".join([why, *numbered])


def _weight(line: str, often: Counter[str]) -> float:
    """Returns how much the words of a line say about where it stands."""
    return sum(1 / often[token] if token in often else 0.1 for token in set(_TOKEN.findall(line)))


def _nearest_row(
    rows: list[str], tokens: list[frozenset[str]], often: Counter[str], line: str
) -> tuple[int, float]:
    """Returns the index of the row that is nearest to a line, and how near it is (0: not at all)."""
    own = set(_TOKEN.findall(line))
    best, best_score = 0, -1.0
    for n, row in enumerate(rows):
        shared = own & tokens[n]
        prefix = _prefix(row, line)
        score = sum((1 / often[token] if token[0].isalnum() else 0.01) for token in shared)
        score += _PREFIX_WEIGHT * prefix / len(line)
        score /= 1 + 0.02 * abs(len(row) - len(line)) / max(1, len(line))
        if score > best_score:
            best, best_score = n, score
    return best, best_score


def _prefix(one: str, other: str) -> int:
    """Returns how many characters two lines have in common at their beginning."""
    count = 0
    for a, b in zip(one, other):  # noqa: B905
        if a != b:
            break
        count += 1
    return count
