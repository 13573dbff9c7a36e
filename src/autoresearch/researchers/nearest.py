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
_MOST_COMPARED = 1000
_FIRST = 3  # letters
_PREFIX_WEIGHT = (
    3.0  # a whole prefix counts as much as that many tokens that stand once in the file
)


def nearest(rows: Sequence[str], search: Sequence[str]) -> str:
    """Returns the place of the file that is nearest to the search, with numbers: one line at least.

    Near is what shares words and numbers, rare ones more than common ones, and begins alike.
    """
    if not any(row.strip() for row in rows):
        return "The file is empty."
    bare = [row.strip()[:_SHOWN_WIDTH] for row in rows[:_MOST_ROWS]]
    wanted = [line.strip()[:_SHOWN_WIDTH] for line in search[:_MOST_ROWS]]
    index = _Index(bare)
    order = sorted(range(len(wanted)), key=lambda n: (-index.weight(_tokens(wanted[n])), n))
    votes: Counter[int] = Counter()
    for offset in order[:_LOOKED_AT]:
        best, score = index.nearest(wanted[offset])
        votes[max(0, best - offset)] += int(1000 * score)
    start, score = min(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    why = "The nearest lines are:" if score else "Nothing in it is near; it begins:"
    shown = rows[start : start + min(_SHOWN_LINES, len(search) + 2)]
    numbered = [
        f"{start + n + 1:5d}  {printable(row)[:_SHOWN_WIDTH]}" for n, row in enumerate(shown)
    ]
    return "\n".join([why, *numbered])


class _Index:
    """The rows of a file by their words and by how they begin."""

    def __init__(self, rows: list[str]) -> None:
        self.rows = rows
        self.having: dict[str, list[int]] = {}  # rows by token, and by their first letters
        for n, row in enumerate(rows):
            for key in {*_tokens(row), f"^{row[:_FIRST]}"}:
                self.having.setdefault(key, []).append(n)

    def weight(self, tokens: frozenset[str]) -> float:
        """Returns how much the words of a line say about where it stands: rare ones more."""
        return sum(self._rarity(token) for token in tokens)

    def _rarity(self, token: str) -> float:
        if token not in self.having:
            return 0.0
        return (1.0 if token[0].isalnum() else 0.01) / len(self.having[token])

    def nearest(self, line: str) -> tuple[int, float]:
        """Returns the row that is nearest to a line, and how near it is (0: not at all)."""
        tokens = _tokens(line)
        keys = sorted([*tokens, f"^{line[:_FIRST]}"], key=lambda key: len(self.having.get(key, ())))
        seen: dict[int, None] = {}
        for key in keys:
            if len(seen) < _MOST_COMPARED:
                seen |= dict.fromkeys(self.having.get(key, ())[:_MOST_COMPARED])
        best, best_score = 0, 0.0
        for n in sorted(seen):
            row = self.rows[n]
            score = self.weight(tokens & _tokens(row))
            score += _PREFIX_WEIGHT * _prefix(row, line) / max(1, len(line))
            score /= 1 + 0.02 * abs(len(row) - len(line)) / max(1, len(line))
            if score > best_score:
                best, best_score = n, score
        return best, best_score


def _tokens(line: str) -> frozenset[str]:
    return frozenset(_TOKEN.findall(line))


def _prefix(one: str, other: str) -> int:
    """Returns how many characters two lines have in common at their beginning."""
    count = 0
    for a, b in zip(one, other):  # noqa: B905
        if a != b:
            break
        count += 1
    return count
