"""The files that a run leaves, made from its state: all of them can be deleted and come back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from autoresearch.ledger import results
from autoresearch.ledger.state import State
from autoresearch.paths import DECOY, MUSINGS, RunPaths, make_folder, open_plain, write_durably
from autoresearch.records import Experiment
from autoresearch.text import one_line

_EXCLUDED = (
    "/results.tsv", "/results-*.tsv", "/results.*.tsv", f"/{MUSINGS}", "/musings.*.md", "/musings-*.md",
    "/.results*.tmp", "/.musings*.tmp",
)  # fmt: skip
_LOG_PART = 1 << 20


class Files:
    """Writes what a person reads.

    root: the lab's folder in the checkout, in which results.tsv and musings.md lie; tracked: says whether
    git tracks a file there.
    """

    def __init__(
        self,
        paths: RunPaths,
        root: Path,
        results_name: str,
        metric: str,
        tracked: Callable[[str], bool],
    ) -> None:
        self._paths = paths
        self._root = root
        self._name = results_name
        self._metric = metric
        self._is_tracked = tracked
        self._tracked: dict[str, bool] = {}  # name -> whether, asked once

    def rebuild(self, state: State, patch: Callable[[str, str], bytes]) -> None:
        """Write what is missing of the experiments' files; patch: the diff between two commits.

        A trial's log can't be made again: it is on disk before its result is recorded.
        """
        for torn in (self._paths.state / "experiments").glob("*/*.tmp"):
            torn.unlink()
        answers = list(state.answers)
        for pending in state.open.values():
            candidate = pending.candidate
            if candidate is not None:
                self._patch(candidate.number, candidate.parent, candidate.commit, patch)
                answers += [(candidate.number, answer.text) for answer in pending.answers[-1:]]
        for experiment in state.experiments:
            self._patch(experiment.number, experiment.parent, experiment.commit, patch)
            accepted = state.held is not None and state.held.number == experiment.number
            if accepted or not (self._paths.experiment(experiment.number) / "record.json").exists():
                self.write_result(experiment)
        for number, answer in answers:
            if not (self._paths.experiment(number) / "answer.txt").exists():
                self.write_answer(number, answer)

    def _patch(
        self, number: int, parent: str, commit: str, patch: Callable[[str, str], bytes]
    ) -> None:
        if not (self._paths.experiment(number) / "candidate.patch").exists():
            self._write(number, "candidate.patch", patch(parent, commit))

    def write_tables(self, state: State) -> list[str]:
        """results.tsv and musings.md, with the journal and in the checkout."""
        notices = []
        earlier = state.before_acceptance()
        for own, name, made in (
            (self._paths.results, self._name, self._table),
            (self._paths.musings, MUSINGS, self._musings),
        ):
            shown = self._root / name
            if self.is_tracked(name):
                shown = shown.with_name(f"{shown.stem}-{self._paths.state.name}{shown.suffix}")
                if not shown.exists():
                    notices.append(
                        f"git tracks {name}, which stays as it is: this run's is {shown.name}"
                    )
            then = made(earlier).encode() if earlier else b""
            notices += self._write_table(own, shown, made(state).encode(), then)
        return notices

    def _table(self, state: State) -> str:
        return results.table(state.experiments, self._metric)

    def is_tracked(self, name: str) -> bool:
        """Says whether git tracks a file of the lab's folder, and so nothing is written there."""
        if name not in self._tracked:
            self._tracked[name] = self._is_tracked(name)
        return self._tracked[name]

    def earlier_results(self) -> list[Path]:
        """Returns the results files in the lab's folder that no run of the lab has written."""
        stem = Path(self._name).stem
        names = [self._root / self._name, *sorted(self._root.glob(f"{stem}.*.tsv"))]
        return [
            file
            for file in names
            if file.is_file()
            and not file.is_symlink()
            and (self.is_tracked(file.name) or not self._ours(file.read_bytes(), "results.tsv"))
        ]

    def _write_table(self, own: Path, shown: Path, content: bytes, then: bytes) -> list[str]:
        """The run's own file first: by it the next start knows which file in the checkout is ours.

        then: what it was before a person accepted an experiment, which is ours as well.
        """
        notices = []
        before = own.read_bytes() if own.exists() else None
        if before != content:
            make_folder(own.parent)
            write_durably(own, content)
        if shown.is_symlink() or (shown.exists() and not shown.is_file()):
            notices.append(self._make_way(shown))
        elif shown.exists():
            there = shown.read_bytes()
            if there == content:
                return []
            if there not in (before, then) and not self._ours(there, own.name):
                notices.append(self._make_way(shown))
        write_durably(shown, content, writer=self._paths.state.name)
        return notices

    def _ours(self, there: bytes, name: str) -> bool:
        """Whether a file in the checkout is one that a run of this lab wrote, now or earlier."""
        runs = self._paths.state.parent
        for own in runs.glob(f"*/{name}"):
            if own.read_bytes().startswith(there) and (there.endswith(b"\n") or not there):
                return True
        return False

    @staticmethod
    def _make_way(file: Path) -> str:
        """Rename a stranger's file; never overwrite one."""
        count = 1
        while (target := file.with_name(f"{file.stem}.{count}{file.suffix}")).exists():
            count += 1
        file.rename(target)
        return f"{file.name} was not this run's: renamed to {target.name}"

    def _musings(self, state: State) -> str:
        under_way = [each.candidate for each in state.open.values() if each.candidate]
        lessons = [e.lesson for e in state.experiments[1:]] + [c.lesson for c in under_way[:1]]
        text = f"# Musings of the run {one_line(state.tag)}\n"
        for experiment, lesson in zip(state.experiments, [*lessons, ""], strict=False):
            text += "\n" + results.musing(experiment, self._metric) + results.lesson(lesson)
        for candidate in under_way:
            text += "\n" + results.idea(
                candidate.number, candidate.description, candidate.hypothesis
            )
        return text

    # -- one experiment -----------------------------------------------------------------------

    def write_prompt(self, number: int, prompt: str) -> None:
        self._write(number, "prompt.txt", _bytes(prompt))

    def write_answer(self, number: int, answer: str) -> None:
        self._write(number, "answer.txt", _bytes(answer))

    def write_patch(self, number: int, patch: bytes) -> None:
        self._write(number, "candidate.patch", patch)

    def write_log(self, number: int, log: bytes, name: str = "trial.log") -> None:
        """Keep what a trial wrote, as `capped` gives it."""
        self._write(number, name, log)

    def write_fault(self, number: int, trace: str) -> None:
        """Keep where the tool failed at a trial, for whoever looks for the cause."""
        self._write(number, "fault.txt", _bytes(trace))

    def write_result(self, experiment: Experiment) -> None:
        record = json.dumps(asdict(experiment), indent=2, ensure_ascii=True) + "\n"
        metrics = {self._metric: experiment.value, "memory_mb": experiment.memory_mb}
        texts = {"fingerprint": experiment.fingerprint, "device": experiment.device}
        told = {key: text for key, text in texts.items() if text}
        shown = json.dumps({**experiment.summary, **metrics, **told}, indent=2) + "\n"
        self._write(experiment.number, "metrics.json", shown.encode())
        self._write(experiment.number, "record.json", record.encode())

    def _write(self, number: int, name: str, content: bytes) -> None:
        folder = self._paths.experiment(number)
        make_folder(folder)
        write_durably(folder / name, content)


def exclude(file: Path, folder: str = "") -> None:
    """Sees that git never offers the run's files for a commit; folder: the lab's, from the top."""
    there = file.read_text() if file.exists() else ""
    above = re.sub(r"([\\*?\[])", r"\\\1", f"/{folder}") if folder else ""
    wanted = (*(above + pattern for pattern in _EXCLUDED), f"/{DECOY}*")
    missing = [pattern for pattern in wanted if pattern not in there.splitlines()]
    if missing:
        make_folder(file.parent)
        glue = "" if not there or there.endswith("\n") else "\n"
        write_durably(file, (there + glue + "\n".join(missing) + "\n").encode())


def capped(log: Path) -> bytes | None:
    """The head and the tail of a log, 1 MiB each, progress bars folded to their last state.

    None where there is no plain file.
    """
    opened = open_plain(log)
    if opened is None:
        return None
    with opened as file:
        size = os.fstat(file.fileno()).st_size
        if size <= 2 * _LOG_PART:
            return _fold(file.read())
        head = file.read(_LOG_PART)
        file.seek(size - _LOG_PART)
        tail = file.read()
    left_out = size - 2 * _LOG_PART
    return _fold(head) + f"\n[... {left_out} bytes left out ...]\n".encode() + _fold(tail)


def _fold(text: bytes) -> bytes:
    """Each line as a terminal would show it after its carriage returns."""
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    return b"\n".join(line.rstrip(b"\r").rpartition(b"\r")[2] for line in lines)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
