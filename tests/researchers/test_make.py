"""Which researcher is made, with which key and under which limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.config import ResearcherConfig
from autoresearch.errors import UsageError
from autoresearch.researchers.command import Ran
from autoresearch.researchers.make import kind_of, make

NOTHING = Ran("", "", ())


def made(config: ResearcherConfig, kind: str, usd_limited: bool = False) -> object:
    env = {"OPENAI_API_KEY": "sk-not-for-strangers"}
    return make(config, kind, env, Path(), lambda prompt: NOTHING, usd_limited)


def test_a_key_that_is_named_must_be_there() -> None:
    config = ResearcherConfig(base_url="http://127.0.0.1:9/v1", key_env="MY_KEY")
    with pytest.raises(UsageError, match="MY_KEY is not set"):
        made(config, "openai")


def test_dollars_can_not_be_limited_for_a_program() -> None:
    config = ResearcherConfig(kind="command", command=["true"])
    made(config, "command")
    with pytest.raises(UsageError, match="limit in dollars"):
        made(config, "command", usd_limited=True)


@pytest.mark.parametrize(
    ("config", "env", "kind"),
    [
        ({}, {}, "knobs"),
        ({"command": ["x"]}, {}, "command"),
        ({"command": ["x"]}, {"OPENAI_API_KEY": "k"}, "openai"),
        ({}, {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}, "anthropic"),
        ({}, {"ANTHROPIC_API_KEY": "  "}, "knobs"),
        ({"base_url": "http://127.0.0.1:9"}, {"ANTHROPIC_API_KEY": "k"}, "openai"),
        ({"kind": "knobs"}, {"ANTHROPIC_API_KEY": "k"}, "knobs"),
    ],
)
def test_what_auto_means(config: dict[str, object], env: dict[str, str], kind: str) -> None:
    assert kind_of(ResearcherConfig(**config), env) == kind  # type: ignore[arg-type]
