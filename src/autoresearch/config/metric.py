"""[task.metric]: what is read from a trial's log, or from a file that it leaves."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, model_validator

from autoresearch.config.types import STRICT, Word, inside
from autoresearch.records import Direction

Take = Literal["only", "last", "best"]

_COLUMNS = ("commit", "memory_gb", "status", "description")


class MetricConfig(BaseModel):
    """[task.metric]: what is read from a trial's log or from its file, and which way is better."""

    model_config = STRICT

    name: Word = "val_bpb"
    take: Take = "only"
    file: str = ""
    direction: Direction = "minimize"
    memory: str = "peak_vram_mb"
    pattern: str = ""

    @property
    def file_path(self) -> str:
        """The JSON file that a trial leaves, below the lab's folder; "" where the metric is in a log."""
        return self.file.partition(":")[0]

    @property
    def file_key(self) -> str:
        """Where in that file the number stands, as in `eval.loss`."""
        return self.file.partition(":")[2]

    @model_validator(mode="after")
    def _check(self) -> MetricConfig:
        if re.search(r"[\s:]", self.name) or self.name in _COLUMNS:
            raise ValueError(
                f"name: {self.name!r} must be one word without colons, and none of "
                + ", ".join(_COLUMNS)
            )
        if re.search(r"[\s:]", self.memory):
            raise ValueError(f"memory: {self.memory!r} must be one word without colons")
        if self.pattern:
            try:
                groups = re.compile(self.pattern, re.ASCII).groupindex
            except re.error as fault:
                raise ValueError(f"pattern: no regular expression: {fault}") from None
            if "value" not in groups:
                raise ValueError("pattern: must have a group (?P<value>...)")
        if self.file:
            self._check_file()
        return self

    def _check_file(self) -> None:
        """Raises ValueError where `file` names no number of a file below the lab's folder."""
        if not self.file_path or not all(self.file_key.split(".")):
            raise ValueError(
                f"file: {self.file!r} must be a JSON file and a place in it, as in "
                '"out/metrics.json:eval.loss"'
            )
        try:
            inside(self.file_path)
        except ValueError as fault:
            raise ValueError(f"file: {fault}") from None
        if self.pattern or self.take != "only":
            raise ValueError(
                "file: the metric is read from that file, and from no log; leave "
                f"{'pattern' if self.pattern else 'take'} out"
            )
