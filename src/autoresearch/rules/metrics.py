"""The metrics in a trial's log, or the kind of crash that the trial was. Pure, but for reading the log.

A log is read as lines, where a carriage return ends a line too (progress bars), and without colours.
The metric must stand on exactly one line: its name, a `:` or `=`, an ASCII number that is finite, and
nothing more than a % sign or a remark in parentheses (`val_bpb: 0.997900`, `pass_rate = 68.6% (n=40)`).
With a pattern of the user's own exactly one line must match it; `take` chooses where there are several.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autoresearch.config import MetricConfig, Take
from autoresearch.records import Crash, Metrics, Outcome
from autoresearch.text import one_line, printable, without_colours

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE | re.ASCII)
_OOM = re.compile(r"out of memory|OutOfMemoryError|MemoryError|Cannot allocate memory|bad_alloc")
_NAN_LOSS = re.compile(r"\bloss\b.{0,40}\b(?:nan|inf)\b", re.IGNORECASE)
_SUMMARY = re.compile(r"([A-Za-z]\w{0,40}):[ \t]+(%s)[ \t]*" % _NUMBER.pattern, re.ASCII)  # noqa: UP031
_SUMMARY_MAX = 64
# A number with a % sign or a remark in parentheses after it.
_SHAPE = re.compile(
    rf"({_NUMBER.pattern}|(?i:{_NOT_FINITE.pattern}))[ \t]*(?:%[ \t]*)?(?:\([^()]*\))?"
)
_FINGERPRINT = re.compile(r"[ \t]+([0-9a-f]{16})[ \t]*", re.ASCII)
_DEVICE = re.compile(r"[ \t]+(.*)")
_DEVICE_MAX = 100
_LINE_MAX = 65_536
_LINE_ENDS = re.compile(rb"[\r\n]+")
_TAIL_LINES = 40


def lines(path: Path) -> Iterator[str]:
    """Yields the lines of a log, decoded with replacement; \\r ends a line, and most empty ones are left out.

    A line is cut at 64 KiB and then ends in an ellipsis, so that what is left of it is no number.
    """
    with path.open("rb") as file:
        rest, skipping = b"", False
        while chunk := file.read(1 << 20):
            *whole, rest = _LINE_ENDS.sub(b"\n", rest + chunk).split(b"\n")
            for line in whole:
                if not skipping:
                    yield _cut(line)
                skipping = False
            if len(rest) > _LINE_MAX:
                if not skipping:
                    yield _cut(rest)
                rest, skipping = b"", True
        if rest and not skipping:
            yield _cut(rest)


def _cut(line: bytes) -> str:
    text = line[:_LINE_MAX].decode("utf-8", "replace")
    return text if len(line) <= _LINE_MAX else text + "\u2026"


@dataclass(frozen=True, slots=True)
class ParsedLog:
    """What a log says of a trial; `claims` are the texts where the metric would stand, two at most."""

    claims: tuple[str, ...]
    memory_mb: float | None
    summary: dict[str, float]
    fingerprint: str | None
    device: str | None


def read(log: Iterable[str], config: MetricConfig) -> ParsedLog:
    """Returns what a log's lines say."""
    metric = _Claims(config)
    memory_line = _line_of(config.memory) if config.memory else None
    memory: list[str] = []
    texts: dict[str, list[str]] = {"fingerprint": [], "device": []}
    summary: dict[str, float | None] = {}  # None: the key stood there more than once
    for raw in log:
        if not config.pattern and ":" not in raw and "=" not in raw:
            continue  # most lines of a long log
        line = without_colours(raw)
        key, colon, rest = line.partition(":")
        if colon and key in texts:
            texts[key] = [*texts[key][:1], rest]
        elif (pair := _SUMMARY.fullmatch(line)) and (key in summary or len(summary) < _SUMMARY_MAX):
            summary[key] = None if key in summary else float(pair[2])
        metric.hear(line)
        if memory_line is not None and (found := memory_line.match(line)):
            memory.append(line[found.end() :].strip(" \t"))
            del memory[2:]  # a second one is enough to tell that it is not one
    known = {key: number for key, number in summary.items() if number is not None}
    device = _text(texts["device"], _DEVICE)
    return ParsedLog(
        tuple(metric.claims),
        _memory(memory),
        {key: number for key, number in known.items() if math.isfinite(number)},
        _text(texts["fingerprint"], _FINGERPRINT),
        None if device is None else one_line(device, _DEVICE_MAX) or None,
    )


def _line_of(name: str) -> re.Pattern[str]:
    """Returns what a line with a name's number begins with.

    After a = only what begins as a number does is one: logs have lines of source code too.
    """
    number = r"[ \t]*(?:[-+.]?[0-9]|[-+]?(?i:nan|inf))"
    return re.compile(rf"[ \t]*{re.escape(name)}[ \t]*(?::|=(?={number}))", re.ASCII)


class _Claims:
    """The texts where the metric would stand: by `take` all (two at most), the last or the best."""

    def __init__(self, config: MetricConfig) -> None:
        self.claims: list[str] = []
        self.config = config
        self._pattern = re.compile(config.pattern, re.ASCII) if config.pattern else None
        self._line = _line_of(config.name)

    def hear(self, line: str) -> None:
        """Takes up what a line says of the metric."""
        if self._pattern is not None:
            for match in self._pattern.finditer(line):
                self._add((match.group("value") or "").strip(" \t"))
        elif found := self._line.match(line):
            self._add(line[found.end() :])

    def _add(self, text: str) -> None:
        take = self.config.take
        if take == "only":
            self.claims = [*self.claims[:1], text]
        elif take == "last" or not self.claims or self._better(text, self.claims[0]):
            self.claims = [text]

    def _better(self, text: str, best: str) -> bool:
        """Says whether a claim is better than the best one yet; one that is no number stays in sight."""
        value, other = (_value((each,), self.config) for each in (text, best))
        malformed = [isinstance(v, Crash) and v.failure != "nan" for v in (value, other)]
        if any(malformed):
            return malformed[0]
        if isinstance(value, Crash) or isinstance(other, Crash):
            return isinstance(other, Crash)
        return value > other if self.config.direction == "maximize" else value < other


def parse(log: Iterable[str], config: MetricConfig) -> Metrics | Crash:
    """Returns the metrics in a log's lines, or the crash that their absence is."""
    parsed = read(log, config)
    value = _value(parsed.claims, config)
    if isinstance(value, Crash):
        return value
    return Metrics(
        value, parsed.memory_mb, parsed.summary, parsed.fingerprint or "", parsed.device or ""
    )


def claimed(parsed: ParsedLog, config: MetricConfig) -> float | None:
    """Returns the value that a log claims; None where it claims none, or several."""
    value = _value(parsed.claims, config)
    return None if isinstance(value, Crash) else value


def numbers(
    log: Iterable[str], names: Iterable[str], take: Take = "only"
) -> dict[str, float | Crash]:
    """Returns the number that a log has for each name, read as the metric is, or the crash that it lacks."""
    wanted = {name: _Claims(MetricConfig.model_construct(name=name, take=take)) for name in names}
    for raw in log if wanted else ():
        if ":" in raw or "=" in raw:
            line = without_colours(raw)
            for claims in wanted.values():
                claims.hear(line)
    return {name: _value(tuple(c.claims), c.config) for name, c in wanted.items()}


def _value(claims: tuple[str, ...], config: MetricConfig) -> float | Crash:
    if len(claims) > 1:
        return Crash("two_summaries", f"the log has more than one line with {config.name}")
    if not claims:
        return Crash("no_summary", f"the log has no line with {config.name}")
    text = claims[0].strip(" \t")
    if not config.pattern and (shape := _SHAPE.fullmatch(text)):
        text = shape[1]
    if _NOT_FINITE.fullmatch(text):
        return Crash("nan", f"{config.name} is {text}")
    if not _NUMBER.fullmatch(text):
        return Crash("no_summary", f"the log's line with {config.name} is malformed")
    value = float(text)
    if not math.isfinite(value):
        return Crash("nan", f"{config.name} is too large for a number")
    if value == 0.0 and re.search(r"[1-9]", re.split(r"[eE]", text)[0]):
        return Crash("nan", f"{config.name} is too small for a number")
    if config.name == "val_bpb" and value <= 0.0:
        return Crash("no_summary", f"val_bpb is {text}, and bits per byte are above zero")
    return value + 0.0


def _text(claims: list[str], shape: re.Pattern[str]) -> str | None:
    found = shape.fullmatch(claims[0]) if len(claims) == 1 else None
    return found[1] if found else None


def _memory(claims: list[str]) -> float | None:
    if len(claims) != 1 or not _NUMBER.fullmatch(claims[0]):
        return None
    value = float(claims[0])
    return value if math.isfinite(value) and value >= 0 else None


def metrics_of(
    outcome: Outcome, log: Path, config: MetricConfig, timeout_s: float
) -> Metrics | Crash:
    """Returns the metrics of a trial that ended, or the kind of its crash."""
    return crash_of(outcome, log, timeout_s) or parse(lines(log), config)


def crash_of(outcome: Outcome, log: Path, timeout_s: float) -> Crash | None:
    """Returns how a trial failed, whatever it printed, by the worst of its faults; None where it did not."""
    if outcome.tampered:
        return Crash("tampered", f"the trial changed {outcome.tampered}")
    if log.is_symlink() or not log.is_file():
        return Crash("tampered", "the trial removed its own log")
    if outcome.launcher_killed:
        return Crash("tampered", "the trial killed the process that watches it")
    if outcome.timed_out:
        return Crash("timeout", f"killed at {timeout_s:g} s")
    if outcome.log_overflow:
        return Crash("log", "killed: the log outgrew 1 GiB")
    if outcome.exit_code != 0:
        last = _last(lines(log), _TAIL_LINES)
        if any(_OOM.search(line) for line in last):
            return Crash("oom", "out of memory")
        if any(_NAN_LOSS.search(line) for line in last):
            return Crash("nan", "the loss was not finite")
        how = exit_text(outcome.exit_code)
        if outcome.setup_failed:
            return Crash("setup", f"setup {how}")
        return Crash("exit", how)
    return None


def exit_text(code: int | None) -> str:
    """Returns in words how a process ended by its exit code, negative for a signal."""
    if code is None:
        return "never ended"
    if code == -9:
        return "killed by signal 9 (often the kernel, out of memory)"
    return f"killed by signal {-code}" if code < 0 else f"exited with {code}"


def _last(items: Iterable[str], count: int) -> list[str]:
    return list(deque(items, maxlen=count))


def tail(log: Iterable[str], max_lines: int = _TAIL_LINES, max_chars: int = 4_000) -> str:
    """Returns the end of a log for people and prompts: printable, bounded, progress bars folded."""
    kept = _last((printable(line) for line in log if line.strip()), max_lines)
    return "\n".join(kept)[-max_chars:]
