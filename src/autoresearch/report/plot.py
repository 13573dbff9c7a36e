"""A run as a picture: every experiment, the running best, the names of the largest gains."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autoresearch.errors import LabError, UsageError
from autoresearch.paths import write_durably
from autoresearch.records import Direction
from autoresearch.report.summary import Entry, Step, Summary, summarise
from autoresearch.report.table import number
from autoresearch.text import one_line

_INCHES, _DPI = (12.0, 7.0), 100  # 1200 x 700 pixels
_LABELS, _LABEL_CHARS = 14, 30
_Marks = tuple[list[Step], str, dict[str, Any]]  # where, what they are, how they look
_ANGLE, _LABEL_GAP_PX = 60.0, 13.0


def progress(entries: Iterable[Entry], metric: str, direction: Direction, path: Path) -> None:
    """Draws a run into a .png file, whole or not at all.

    Raises UsageError for another kind of file, LabError where it can't be written.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"--plot {path}: only .png is drawn now; name it {path.stem or 'run'}.png")
    if path.is_dir():
        raise LabError(f"--plot {path}: can't be written: it is a folder")
    summary = summarise(entries, metric, direction)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        picture = _draw(summary)
    try:
        write_durably(path, picture)
    except OSError as fault:
        raise LabError(f"--plot {path}: can't be written: {fault.strerror}") from None


def _draw(summary: Summary) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    last = max((step.number for step in summary.steps), default=0)
    axes.set_xlim(-0.06 * max(last, 5) - 0.5, max(last, 5) * 1.02 + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    axes.set_xlabel("experiment")
    better = "lower" if summary.direction == "minimize" else "higher"
    axes.set_ylabel(f"{one_line(summary.metric)} ({better} is better)", parse_math=False)
    axes.set_title(_title(summary), parse_math=False)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
    if summary.baseline is None:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no measurements yet", transform=axes.transAxes, ha="center")
    else:
        _points(axes, summary)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _title(summary: Summary) -> str:
    text = f"{summary.count} experiments, {summary.kept} kept"
    if summary.best is None or summary.best.value is None or summary.gain is None:
        return text
    best, gain = number(summary.best.value, summary.metric), number(summary.gain, summary.metric)
    return f"{text}, best {best} ({gain} better than the baseline)"


def _points(axes: Any, summary: Summary) -> None:
    """Draws dots, marks, the line and the labels, on a scale that far-off losers do not squeeze."""
    low, high, marks = _scale(summary)
    axes.set_ylim(low, high)
    keeps = [s for s in summary.steps if s.entry.status == "keep" and s.entry.value is not None]
    lost = [s for s in summary.steps if s.entry.status == "discard" and s.entry.value is not None]
    near = [s for s in lost if min(low, marks) <= _value(s) <= max(high, marks)]
    far = [s for s in lost if s not in near]
    crashes = [s for s in summary.steps if s.entry.status == "crash"]
    dots: tuple[_Marks, ...] = (
        (near, "discarded", {"s": 16, "color": "0.72"}),
        (keeps, "kept", {"s": 52, "color": "tab:green", "edgecolor": "white", "zorder": 4}),
    )
    for steps, label, style in dots:
        if steps:
            spots = [s.number for s in steps], [_value(s) for s in steps]
            axes.scatter(*spots, label=label, **style)
    edge = "^" if summary.direction == "minimize" else "v"
    off_scale: tuple[_Marks, ...] = (
        (far, "discarded, off the scale", {"marker": edge, "color": "0.6"}),
        (crashes, "crashed", {"marker": "x", "color": "tab:red"}),
    )
    for steps, label, style in off_scale:
        if steps:
            spots = [s.number for s in steps], [marks] * len(steps)
            axes.scatter(*spots, s=30, label=label, zorder=5, **style)
    line = [(s.number, s.best) for s in summary.steps if s.best is not None]
    best = {"where": "post", "color": "tab:green", "lw": 1.6, "label": "best so far"}
    axes.step(*zip(*line, strict=True), **best)
    axes.figure.legend(loc="outside lower center", ncols=5, frameon=False)
    _labels(axes, summary)


def _scale(summary: Summary) -> tuple[float, float, float]:
    """Returns bottom and top of the scale, and where marks that are off it stand.

    The better side has room for the labels.
    """
    kept = [step.entry for step in summary.steps if step.entry.status == "keep"]
    values = [entry.value for entry in kept if entry.value is not None]
    sign = 1.0 if summary.direction == "minimize" else -1.0
    best, first = min(sign * v for v in values), max(sign * v for v in values)
    lost = sorted(
        sign * _value(s)
        for s in summary.steps
        if s.entry.status == "discard" and s.entry.value is not None
    )
    usual = lost[int(0.9 * (len(lost) - 1))] if lost else first
    span = first - best
    end = min(max(first, usual), first + span) if span else max(first, usual)
    span = (end - best) or abs(best) * 0.01 or 1.0
    low, high, marks = best - 0.5 * span, end + 0.14 * span, end + 0.11 * span
    return (low, high, marks) if sign > 0 else (-high, -low, -marks)


def _labels(axes: Any, summary: Summary) -> None:
    """Writes names at the largest gains, on the side of the line where no point can lie.

    All run at one angle; of two whose lines would touch, the larger gain has its name.
    """
    minimize = summary.direction == "minimize"
    angle = math.radians(_ANGLE if minimize else -_ANGLE)
    wanted = [s for s in summary.steps if s.entry is summary.baseline]
    kept = [s for s in summary.steps if s.entry.status == "keep" and not s.entry.is_baseline]
    gains = [s for s in kept if s.gain is not None]
    wanted += sorted(gains, key=lambda s: -(s.gain or 0.0))
    taken: list[float] = []
    for step in wanted[:_LABELS]:
        x, y = axes.transData.transform((step.number, _value(step)))
        across = x * math.sin(angle) - y * math.cos(angle)
        if any(abs(across - other) < _LABEL_GAP_PX for other in taken):
            continue
        taken.append(across)
        axes.annotate(
            one_line(step.entry.description, _LABEL_CHARS),
            (step.number, _value(step)),
            xytext=(-3, -7 if minimize else 7),
            textcoords="offset points",
            rotation=math.degrees(angle),
            rotation_mode="anchor",
            ha="right",
            va="center",
            fontsize=8,
            color="0.25",
            parse_math=False,
        )


def _value(step: Step) -> float:
    assert step.entry.value is not None
    return step.entry.value
