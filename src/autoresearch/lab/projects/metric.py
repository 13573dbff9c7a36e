"""Which number a program prints: found in its sources, as the reader of logs will find it in a log.

A line counts that begins with a name, then : or =, then a number that is filled in, and nothing more
(rules/metrics.py). Whether lower is better is told by the words of the name, else by a charter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from autoresearch.records import Direction

# In a string of any language: the name, the sign, and what is filled in ({x:.6f}, %.3f, ${x}, $x); or
# the string ends there, and the value follows (print("loss:", x), cout << "loss: " << x).
_PRINTED = re.compile(
    r"""(?P<quote>["'`])(?:\\[nrt]|[ \t])*(?P<name>[A-Za-z_][\w./-]{0,60})[ \t]*[:=](?:\\t|[ \t])*
    (?:
      (?: \$?\{[^{}"'`]*\} | \$?\{[^{}]*\} | %[-+\ #0-9.*]*(?:l|ll|z|h)?[dfgeiuEFG]
        | \$\w+ | \$\([^"'`\n]*\) )
      (?:%%|%(?!n)|\\%)?[ \t]*(?:\([^()"'`]*\))?(?:\\[nr]|%n|[ \t])*(?P=quote)
    | (?P=quote)[ \t\n]*(?:,|\+|<<|\.)
    )""",
    re.VERBOSE,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HIGHER = _words(
    "acc accuracy score f1 auc auroc auprc map precision recall r2 reward return throughput speedup "
    "gflops tflops flops ops qps rps tps fps gbps mbps bandwidth hits solved passed win wins sharpe "
    "bleu rouge correct elo iou dice ndcg mrr success coverage fitness profit rate mfu"
)
_LOWER = _words(
    "loss bpb bpc bpt ppl perplexity error errors err mse rmse mae mape nll cost time seconds secs sec "
    "ms us ns latency duration elapsed runtime wall bytes size cycles misses regret distance wer cer "
    "fid kl residual energy violations failures bits instructions allocs"
)
_TIMES = _words("time seconds secs sec s ms us ns latency duration elapsed runtime wall cycles")
_PER_SECOND = re.compile(r"(?:per|/)_?(?:s|sec|secs|second)s?$|(?:per|/)_(?:s|sec|second)(?:_|$)")
# Names of what is told beside the metric: never the metric itself.
_BESIDE = re.compile(
    r"(?:num|n|peak|total|training|train|startup|setup|warmup)_.*|.*_(?:count|m|mb|gb|"
    r"percent|steps)|steps?|epochs?|iters?|iterations?|seed|params?|parameters|depth|width|device|version|"
    r"error|errors|err|exception|warning|failed|failure|fatal|note|info|debug|lr|lrm|dt|mfu|memory|mem|vram|rss|threads?|workers|batch|batch_size|model|config|path|file|usage|args?"
)
# What stands before a text that does not go to the log's lines as it is: messages and complaints.
_ELSEWHERE = re.compile(
    r"stderr|eprint|console\.(?:error|warn|debug)|perror|\blog(?:ging|ger)?\.|\braise\b|\bthrow\b|panic|"
    r"\bassert|\b(?:Error|Exception|bail|anyhow)\b|^\s*(?:#|//|\*)"
)
_TESTED = re.compile(r"(?:val|valid|validation|test|eval|final|held_?out)_")


@dataclass(frozen=True)
class Metric:
    """A metric, and how it is known: `why` is a few words, "" where a flag said it."""

    name: str
    direction: Direction
    why: str = ""


@dataclass(frozen=True)
class Found:
    """The metric of a project, None where that is for a person to say, and the names that were found."""

    metric: Metric | None
    names: tuple[str, ...] = ()


def printed(text: str) -> list[str]:
    """Returns the names of the numbers that a source prints on lines of their own, in order."""
    names: dict[str, None] = {}
    for found in _PRINTED.finditer(text):
        before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        if not _ELSEWHERE.search(before):
            names[found["name"]] = None
    return list(names)


def direction_of(name: str) -> Direction | None:
    """Returns which way is better, by the words of a name; None where they don't tell, or disagree."""
    folded = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    if _PER_SECOND.search(folded):
        return "maximize"
    words = [word for word in re.split(r"[^a-z0-9]+", folded) if word]
    lower = any(word in _LOWER for word in words)
    higher = any(word in _HIGHER and word != "rate" for word in words)
    if not lower and not higher:
        higher = "rate" in words
    return None if lower == higher else "minimize" if lower else "maximize"


def described(name: str, text: str) -> Direction | None:
    """Returns which way is better by what a text for people says of a name; None where it doesn't."""
    word = rf"[`*_\"']{{0,3}}{re.escape(name)}\b"
    for direction, verbs in (
        ("minimize", r"lowest|lower|minimi[sz]e|smallest|reduce|least"),
        ("maximize", r"highest|higher|maximi[sz]e|largest|biggest|most|increase"),
    ):
        near = rf"(?:{verbs})(?:\s+(?:possible|the|your|value|of)){{0,3}}\s+{word}"
        after = rf"{word}[`*_\"']{{0,3}}[^\n.]{{0,30}}?\b(?:{verbs})\s+is\s+better"
        if re.search(f"{near}|{after}", text, re.IGNORECASE):
            return direction  # type: ignore[return-value]
    return None


def found_in(texts: Iterable[tuple[str, str]], charter: str = "") -> Found:
    """Returns the metric that sources print, where one name among those that they print stands out.

    texts: (path, source), those that are run first before others; charter: what is written for
    people, which is believed of the direction.
    """
    names: dict[str, str] = {}
    for path, text in texts:
        for name in printed(text):
            names.setdefault(name, path)
    said = {name: described(name, charter) for name in names}
    ranks = {name: _rank(name, said[name] is not None) for name in names}
    best = [name for name in names if ranks[name] == min(ranks.values())]
    if len(best) != 1 or (ranks[best[0]] >= _UNSURE and len(names) > 1):
        return Found(None, tuple(names))
    direction = said[best[0]] or direction_of(best[0])
    if direction is None and ranks[best[0]] == _BESIDE_IT:
        return Found(None, tuple(names))
    metric = Metric(best[0], direction or "minimize", f"printed by {names[best[0]]}")
    return Found(metric, tuple(names))


_UNSURE, _BESIDE_IT = 4, 5


def _rank(name: str, described: bool) -> int:
    """Returns how likely a name is the metric's: 0 most; names of one rank are told apart by a person."""
    folded, direction = name.lower(), direction_of(name)
    if described or folded == "val_bpb":
        return 0
    if _BESIDE.fullmatch(folded):
        return _BESIDE_IT
    if direction is None:
        return _UNSURE
    if _TESTED.match(folded):
        return 1
    return 3 if direction == "minimize" and _TIMES & {*re.split(r"[^a-z0-9]+", folded)} else 2
