"""autoresearch.toml -> frozen settings; every fault names the key, the file and what would be right."""

from __future__ import annotations

import math
import re
import sys
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pathspec import GitIgnoreSpec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from autoresearch.errors import NotYetError, UsageError
from autoresearch.records import Direction

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "autoresearch.toml"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SYMBOL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_EXAMPLES = {"command": 'command = ["python", "train.py"]', "mutable": 'mutable = ["train.py"]'}
_COLUMNS = ("commit", "memory_gb", "status", "description")


def _word(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("must be a non-empty text")
    return text


def _variable(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of an environment variable")
    return text


def _inside(text: str) -> str:
    path = PurePosixPath(_word(text))
    if path.is_absolute() or ".." in path.parts or path.as_posix() == ".":
        raise ValueError(f"{text!r} must be a path inside the lab, relative to its root")
    if any(part.lower().startswith(".git") for part in path.parts):
        raise ValueError(f"{text!r} is git's own")
    return path.as_posix()


def _pattern(text: str) -> str:
    path, separator, symbol = _word(text).partition("::")
    if "\n" in text or ".." in PurePosixPath(path).parts:
        raise ValueError(f"{text!r} must be a path inside the lab, as in .gitignore")
    if separator:
        if not path.endswith(".py"):
            raise NotYetError(
                f"task.mutable, task.protected: {text!r}: symbols in files other than Python are not "
                "yet supported"
            )
        if not _SYMBOL.fullmatch(symbol):
            raise ValueError(f"{text!r} must be path::function or path::Class.method")
        if _inside(path) != path:
            raise ValueError(f"{text!r}: write the path as git does, without ./ and //")
    else:
        try:
            GitIgnoreSpec.from_lines([text])
        except ValueError as fault:  # pathspec's own error for a broken glob is a ValueError
            raise ValueError(f"{text!r} is no pattern as in .gitignore: {fault}") from None
    return text


def _symbol(text: str) -> str:
    if "::" not in text:
        raise ValueError(f"{text!r} must be path::symbol")
    return _pattern(text)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


Word = Annotated[str, AfterValidator(_word)]
Seconds = Annotated[float, Field(gt=0), AfterValidator(_finite)]
Limit = Annotated[float, Field(ge=0), AfterValidator(_finite)]
Count = Annotated[int, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MetricConfig(_Section):
    """What is read from a trial's log, and which way is better."""

    name: Word = "val_bpb"
    direction: Direction = "minimize"
    memory: str = "peak_vram_mb"
    pattern: str = ""

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
        return self


class TaskConfig(_Section):
    """One task: how a trial is run, what a candidate may change, how it is measured."""

    command: Annotated[list[Word], Field(min_length=1)]
    setup: list[Word] = []
    mutable: Annotated[list[Annotated[str, AfterValidator(_pattern)]], Field(min_length=1)]
    protected: list[Annotated[str, AfterValidator(_symbol)]] = []
    inputs: list[Annotated[str, AfterValidator(_inside)]] = []
    caches: list[Annotated[str, AfterValidator(_inside)]] = []
    fresh: list[Annotated[str, AfterValidator(_inside)]] = []
    timeout_s: Seconds = 600
    env_pass: list[Annotated[str, AfterValidator(_variable)]] = []
    exam: str = ""
    evaluate: list[Word] = []
    metric: MetricConfig = MetricConfig()

    @model_validator(mode="after")
    def _check(self) -> TaskConfig:
        if self.exam not in ("", "bpb"):
            raise ValueError(f'exam: {self.exam!r} must be "" or "bpb"')
        if self.exam:
            raise NotYetError('task.exam = "bpb" is not yet supported; leave it empty')
        if self.evaluate:
            raise NotYetError("task.evaluate is not yet supported; leave it empty")
        return self


class ResearcherConfig(_Section):
    """Who proposes."""

    kind: Literal["auto", "anthropic", "openai", "command", "knobs", "scripted"] = "auto"
    model: str = ""
    base_url: str = ""
    key_env: str = ""
    retry_hours: Limit = 6
    command: list[Word] = []
    timeout_s: Seconds = 1800

    @model_validator(mode="after")
    def _check(self) -> ResearcherConfig:
        if self.base_url and not re.match(r"https?://[^\s/]+", self.base_url):
            raise ValueError(f"base_url: {self.base_url!r} must begin with http:// or https://")
        if self.key_env:
            _variable(self.key_env)
        if self.kind == "command" and not self.command:
            raise ValueError('command: kind = "command" needs the program and its arguments')
        return self


class KeepConfig(_Section):
    """When a candidate is kept."""

    rule: str = "strict"

    @model_validator(mode="after")
    def _check(self) -> KeepConfig:
        if self.rule != "strict":
            raise NotYetError(f'rule = {self.rule!r} is not yet supported; "strict" is')
        return self


class BudgetConfig(_Section):
    """Limits of the whole run; 0 = no limit."""

    experiments: Count = 0
    hours: Limit = 0
    usd: Limit = 0
    consecutive_failures: Count = 20


class RunnerConfig(_Section):
    """Where trials run."""

    kind: Literal["local", "slurm"] = "local"
    slots: Annotated[int, Field(ge=1)] = 1
    sandbox: Literal["auto", "bwrap", "landlock", "none"] = "auto"
    readable: list[Word] = []

    @model_validator(mode="after")
    def _check(self) -> RunnerConfig:
        if self.kind == "slurm":
            raise NotYetError('runner.kind = "slurm" is not yet supported; "local" is')
        if self.slots > 1:
            raise NotYetError(f"runner.slots = {self.slots} is not yet supported; 1 is")
        if self.sandbox in ("bwrap", "landlock"):
            raise NotYetError(f'runner.sandbox = "{self.sandbox}" is not yet supported; "none" is')
        return self


class Config(_Section):
    """The whole file, one task of it chosen. task_name is None for a plain [task]."""

    task: TaskConfig
    task_name: str | None = None
    researcher: ResearcherConfig = ResearcherConfig()
    keep: KeepConfig = KeepConfig()
    budget: BudgetConfig = BudgetConfig()
    runner: RunnerConfig = RunnerConfig()

    @property
    def results_name(self) -> str:
        """results.tsv, or results-NAME.tsv for a named task."""
        return f"results-{self.task_name}.tsv" if self.task_name else "results.tsv"


def parse(text: bytes, where: str = FILE, task: str | None = None) -> Config:
    """The settings in the bytes of an autoresearch.toml; UsageError with one clear line."""
    try:
        data: dict[str, Any] = tomllib.loads(text.decode())
    except UnicodeDecodeError as fault:
        raise UsageError(f"{where}: not UTF-8 at byte {fault.start}") from None
    except (ValueError, RecursionError) as fault:  # tomllib's own is a ValueError, int's limit too
        raise UsageError(f"{where}: not TOML: {_line(str(fault))}") from None
    section, chosen = _choose(data, where, task)
    data[section[0]] = chosen
    try:
        return Config.model_validate({**data, "task_name": section[1]} | {"task": chosen})
    except NotYetError as fault:
        raise NotYetError(f"{where}: {fault}") from None
    except ValidationError as fault:
        raise UsageError(_explain(fault, where, section[1])) from None


def _choose(
    data: dict[str, Any], where: str, name: str | None
) -> tuple[tuple[str, str | None], dict[str, Any]]:
    """The task's table, and where it stands; data loses [tasks]."""
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
        return ("task", None), data["task"]
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
    return ("task", name), tasks[name]


def _explain(fault: ValidationError, where: str, task: str | None) -> str:
    """One line: the file, the key, what is wrong and what would be right."""
    errors = fault.errors()
    error = errors[0]
    where_in = [str(part) for part in error["loc"]]
    if task and where_in and where_in[0] == "task":
        where_in[:1] = ["tasks", task]
    key = ".".join(where_in)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = ", ".join(sorted(_siblings(where_in[:-1], task)))
        message = f"unknown key; known here: {known}"
    elif kind == "missing":
        example = _EXAMPLES.get(where_in[-1])
        message = "is missing" + (f", as in {example}" if example else "")
    elif kind == "value_error":
        message = str(context["error"])
        inner = re.match(r"(\w+): ", message)
        if inner and inner.group(1) in _siblings(where_in, task):
            key, message = f"{key}.{inner.group(1)}", message[inner.end() :]
    elif kind == "literal_error":
        message = f"{error['input']!r} is not one of {context['expected']}"
    else:
        plain = error["msg"].replace("Input should be", "must be")
        message = f"{plain[0].lower()}{plain[1:]}, not {_short(error['input'])}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {_line(key)}: {_line(message)}{more}"


def _siblings(parents: list[str], task: str | None) -> list[str]:
    """The keys that a table may have."""
    model: type[BaseModel] = Config
    for part in parents[1:] if task and parents[:1] == ["tasks"] else parents:
        field = model.model_fields.get("task" if part == task else part)
        if field is not None and isinstance(field.annotation, type):
            model = field.annotation
    return [name for name in model.model_fields if name != "task_name"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _line(text: str) -> str:
    folded = " ".join(text.split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in folded)
