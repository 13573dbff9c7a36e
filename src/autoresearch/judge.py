"""When a candidate is kept. Pure."""

from __future__ import annotations

from autoresearch.records import Direction, Metrics, Verdict


def improves(value: float, incumbent: float, direction: Direction) -> bool:
    """Whether a value is strictly better than the incumbent's."""
    return value < incumbent if direction == "minimize" else value > incumbent


def strict(
    metrics: Metrics, incumbent: float | None, direction: Direction, deletes_only: bool
) -> Verdict:
    """The rule `strict`: better than the incumbent, else discard.

    A tie is discarded too, unless the change only deletes lines: the reference's simplicity
    criterion (karpathy/autoresearch, program.md: equal with less code is a gain).
    """
    if incumbent is None:
        return Verdict("keep", "the baseline")
    if improves(metrics.value, incumbent, direction):
        gain = abs(metrics.value - incumbent)
        return Verdict("keep", f"better by {_number(gain)}")
    if metrics.value == incumbent:
        if deletes_only:
            return Verdict("keep", "equal with less code")
        return Verdict("discard", "equal, and not simpler")
    loss = abs(metrics.value - incumbent)
    return Verdict("discard", f"worse by {_number(loss)}")


def _number(value: float) -> str:
    return f"{value:.6f}" if value >= 1e-6 else f"{value:.3g}"
