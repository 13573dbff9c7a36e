"""Explains what is wrong with a configuration: the file, the key, and what would be right."""

from __future__ import annotations

import re

from pydantic import BaseModel, ValidationError

_EXAMPLES = {"command": 'command = ["python", "train.py"]', "mutable": 'mutable = ["train.py"]'}


def explain(fault: ValidationError, config: type[BaseModel], where: str, task: str | None) -> str:
    """Returns one line: the file, the key, what is wrong and what would be right.

    `config` is the model that did not validate, `where` names the file, `task` the [tasks.NAME] chosen.
    """
    errors = fault.errors()
    error = errors[0]
    where_in = [str(part) for part in error["loc"]]
    if task and where_in and where_in[0] == "task":
        where_in[:1] = ["tasks", task]
    key = ".".join(where_in)
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = ", ".join(sorted(_siblings(config, where_in[:-1], task)))
        message = f"unknown key; known here: {known}"
    elif kind == "missing":
        example = _EXAMPLES.get(where_in[-1])
        message = "is missing" + (f", as in {example}" if example else "")
    elif kind == "value_error":
        message = str(context["error"])
        inner = re.match(r"(\w+): ", message)
        if inner and inner.group(1) in _siblings(config, where_in, task):
            key, message = f"{key}.{inner.group(1)}", message[inner.end() :]
    elif kind == "literal_error":
        message = f"{error['input']!r} is not one of {context['expected']}"
    else:
        plain = error["msg"].replace("Input should be", "must be")
        message = f"{plain[0].lower()}{plain[1:]}, not {_short(error['input'])}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {line(key)}: {line(message)}{more}"


def _siblings(config: type[BaseModel], parents: list[str], task: str | None) -> list[str]:
    """Returns the keys that a table may have."""
    model = config
    for part in parents[1:] if task and parents[:1] == ["tasks"] else parents:
        field = model.model_fields.get("task" if part == task else part)
        if field is not None and isinstance(field.annotation, type):
            model = field.annotation
    return [name for name in model.model_fields if name != "task_name"]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def line(text: str) -> str:
    """Returns the text on one line, without anything that a terminal would not show."""
    folded = " ".join(text.split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in folded)
