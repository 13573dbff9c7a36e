"""Reads autoresearch.toml into frozen settings; a fault names the file, the key and what would be right."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from autoresearch.config.explanations import explain, line
from autoresearch.config.metric import MetricConfig
from autoresearch.config.types import (
    STRICT,
    Bounds,
    Budget,
    Checks,
    Count,
    Environment,
    Inside,
    Limit,
    Passed,
    Pattern,
    Ranges,
    Seconds,
    Setup,
    Symbol,
    Word,
    variable,
)
from autoresearch.errors import NotYetError, UsageError
from autoresearch.harness.names import BUDGET_VARIABLE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "autoresearch.toml"


class _Section(BaseModel):
    model_config = STRICT


class TaskConfig(_Section):
    """[task]: how a trial is run, what a candidate may change, where its metric comes from."""

    command: Annotated[list[Word], Field(min_length=1)]
    setup: Setup = []
    mutable: Annotated[list[Pattern], Field(min_length=1)]
    protected: list[Symbol] = []
    inputs: list[Inside] = []
    caches: list[Inside] = []
    fresh: list[Inside] = []
    timeout_s: Seconds = 600
    env: Environment = {}
    env_pass: list[Passed] = []
    exam: str = ""
    evaluate: list[Word] = []
    checks: Checks = []
    limits: Bounds = {}
    metric: MetricConfig = MetricConfig()

    def commands(self) -> list[list[str]]:
        """Returns the commands of a trial, in their order."""
        return [*self.setup, self.command]

    def judging(self) -> list[list[str]]:
        """Returns the commands that judge a trial, in their order."""
        return [*([self.evaluate] if self.evaluate else []), *self.checks]

    def all_commands(self) -> list[list[str]]:
        """Returns every command of the lab's own: of a trial, and of what judges it."""
        return [*self.commands(), *self.judging()]

    @model_validator(mode="after")
    def _check(self) -> TaskConfig:
        if self.exam not in ("", "bpb"):
            raise ValueError(f'exam: {self.exam!r} must be "" or "bpb"')
        if self.exam and (self.metric.name, self.metric.direction) != ("val_bpb", "minimize"):
            raise ValueError('exam: "bpb" measures val_bpb, and lower is better: see metric')
        if self.exam and self.caches:
            raise ValueError(
                'caches: with exam = "bpb" nothing may outlive a trial, which has seen the validation '
                "rows when it ends; leave it empty"
            )
        for key, written in (
            ("metric.pattern", self.metric.pattern),
            ("metric.take", self.metric.take != "only"),
            ("metric.file", self.metric.file),
            ("evaluate", self.evaluate),
        ):
            if self.exam and written:
                raise ValueError(f'exam: "bpb" reads no log and no file; leave {key} out')
        if self.evaluate and self.metric.file:
            raise ValueError(
                "evaluate: the metric is read from what that command prints, and metric.file from a file "
                "that the trial leaves; leave one of them out"
            )
        file = self.metric.file_path
        if file and any(f"{file}/".startswith(f"{name}/") for name in self.inputs):
            raise ValueError(f"metric.file: {file} lies in inputs, which no trial may change")
        return self


class ResearcherConfig(_Section):
    """[researcher]: who proposes."""

    kind: Literal["auto", "anthropic", "openai", "command", "knobs", "scripted"] = "auto"
    model: str = ""
    base_url: str = ""
    key_env: str = ""
    price_per_mtok: list[Limit] = []
    retry_hours: Limit = 6
    agent: Literal["", "claude", "codex", "aider", "opencode", "qwen", "mini"] = ""
    command: list[Word] = []
    ignore: list[Pattern] = []
    timeout_s: Seconds = 1800
    knobs: Ranges = {}

    @model_validator(mode="after")
    def _check(self) -> ResearcherConfig:
        if self.base_url and not re.match(r"https?://[^\s/]+", self.base_url):
            raise ValueError(f"base_url: {self.base_url!r} must begin with http:// or https://")
        if self.key_env:
            variable(self.key_env)
        if len(self.price_per_mtok) not in (0, 2):
            raise ValueError(
                f"price_per_mtok: {self.price_per_mtok} must be [input, output] in dollars per "
                "million tokens, as in [3, 15]"
            )
        if self.agent and self.command:
            raise ValueError(
                f'agent: "{self.agent}" brings its own command; leave agent or command out'
            )
        if self.agent and self.kind not in ("auto", "command"):
            raise ValueError(
                f'agent: "{self.agent}" is for kind = "command" (or "auto"), not "{self.kind}"'
            )
        if self.kind == "command" and not (self.command or self.agent):
            raise ValueError(
                'command: kind = "command" needs the program and its arguments, or agent = "claude" '
                "(codex, aider, opencode, qwen, mini)"
            )
        return self


class KeepConfig(_Section):
    """[keep]: when a candidate is kept."""

    rule: str = "strict"
    implausible: Literal["flag", "hold"] = "flag"

    @model_validator(mode="after")
    def _check(self) -> KeepConfig:
        if self.rule != "strict":
            raise NotYetError(f'rule = {self.rule!r} is not yet supported; "strict" is')
        return self


class BudgetConfig(_Section):
    """[budget]: limits of the whole run, where 0 is none."""

    experiments: Count = 0
    hours: Limit = 0
    usd: Limit = 0
    consecutive_failures: Count = 20


class RunnerConfig(_Section):
    """[runner]: where trials run."""

    kind: Literal["local", "slurm"] = "local"
    slots: Annotated[int, Field(ge=1)] = 1
    sandbox: Literal["auto", "bwrap", "landlock", "none"] = "auto"
    readable: list[Word] = []
    worktrees: str = ""

    @model_validator(mode="after")
    def _check(self) -> RunnerConfig:
        if self.kind == "slurm":
            raise NotYetError('runner.kind = "slurm" is not yet supported; "local" is')
        if self.slots > 1:
            raise NotYetError(f"runner.slots = {self.slots} is not yet supported; 1 is")
        return self


class HarnessConfig(_Section):
    """[harness]: what `prepare` makes for the template, and how long a trial trains.

    An empty budget is the device's own: 300s on a GPU, 614400tokens on a CPU. max_tflop was a cap on the
    operations that a trial counted; it is accepted, and limits nothing. With 0 shards the source's
    default is fetched.
    """

    budget: Budget = ""
    max_tflop: Limit = 0
    source: Word = "stdlib"
    shards: Count = 0
    vocab_size: Annotated[int, Field(ge=257, le=65_536)] = 1024
    seq_len: Annotated[int, Field(ge=8, le=65_536)] = 64
    val_tokens: Annotated[int, Field(ge=1)] = 131_072

    @model_validator(mode="after")
    def _check(self) -> HarnessConfig:
        least = 16 * self.seq_len
        if self.val_tokens < least:
            raise ValueError(
                f"val_tokens: {self.val_tokens} must be at least {least}, which are 16 rows of seq_len"
            )
        return self

    def environment(self) -> dict[str, str]:
        """Returns the variables that a trial's clock reads; what is not set is left out."""
        return {BUDGET_VARIABLE: self.budget} if self.budget else {}


class Config(_Section):
    """The whole file with one of its tasks chosen; task_name is None for a plain [task]."""

    task: TaskConfig
    task_name: str | None = None
    researcher: ResearcherConfig = ResearcherConfig()
    keep: KeepConfig = KeepConfig()
    budget: BudgetConfig = BudgetConfig()
    runner: RunnerConfig = RunnerConfig()
    harness: HarnessConfig = HarnessConfig()

    @property
    def results_name(self) -> str:
        """results.tsv, or results-NAME.tsv for a named task."""
        return f"results-{self.task_name}.tsv" if self.task_name else "results.tsv"


def tables(text: bytes, where: str = FILE) -> dict[str, Any]:
    """Returns the tables of an autoresearch.toml, unchecked; raises UsageError where it is no TOML."""
    try:
        data: dict[str, Any] = tomllib.loads(text.decode())
    except UnicodeDecodeError as fault:
        raise UsageError(f"{where}: not UTF-8 at byte {fault.start}") from None
    except (ValueError, RecursionError) as fault:  # tomllib's own is a ValueError, int's limit too
        raise UsageError(f"{where}: not TOML: {line(str(fault))}") from None
    return data


def parse(text: bytes, where: str = FILE, task: str | None = None) -> Config:
    """Returns the settings in the bytes of an autoresearch.toml; raises UsageError with one clear line."""
    data = tables(text, where)
    name, chosen = _choose(data, where, task)
    data["task"] = chosen
    try:
        return Config.model_validate({**data, "task_name": name})
    except NotYetError as fault:
        raise NotYetError(f"{where}: {fault}") from None
    except ValidationError as fault:
        raise UsageError(explain(fault, Config, where, name)) from None


def _choose(
    data: dict[str, Any], where: str, name: str | None
) -> tuple[str | None, dict[str, Any]]:
    """Returns the chosen task's name, if any, and its table; takes [tasks] out of data."""
    tasks = data.pop("tasks", None)
    if tasks is None:
        if "task_name" in data:
            raise UsageError(f"{where}: task_name: unknown key; tasks have names in [tasks.NAME]")
        if "task" not in data:
            raise UsageError(
                f"{where}: [task] is missing: it needs at least command and mutable, "
                'as in command = ["python", "train.py"]'
            )
        if name is not None:
            raise UsageError(f"--task {name}: {where} has one [task] and no [tasks.{name}]")
        if not isinstance(data["task"], dict):
            raise UsageError(f"{where}: task must be a table: [task]")
        return None, data["task"]
    if "task" in data:
        raise UsageError(f"{where}: both [task] and [tasks.*]: name them all, as in [tasks.main]")
    if (
        not isinstance(tasks, dict)
        or not tasks
        or not all(isinstance(t, dict) for t in tasks.values())
    ):
        raise UsageError(f"{where}: tasks must be tables, as in [tasks.NAME]")
    for each in tasks:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", each):
            raise UsageError(f"{where}: tasks.{each!r}: a name is letters, digits, - and _")
    names = ", ".join(tasks)
    if name is None:
        if len(tasks) > 1:
            raise UsageError(
                f"{where} has several tasks: choose one with autoresearch init --task, of {names}"
            )
        name = next(iter(tasks))
    if name not in tasks:
        raise UsageError(f"--task {name}: {where} has no [tasks.{name}], but {names}")
    return name, tasks[name]
