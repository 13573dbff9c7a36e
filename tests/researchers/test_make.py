"""Which researcher is made, with which key and under which limits."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.config import ResearcherConfig
from autoresearch.errors import ResearcherError, UsageError
from autoresearch.researchers.base import ProgramRun
from autoresearch.researchers.make import kind_of, make
from tests.researchers.test_command import BRIEF, Bench

NOTHING = ProgramRun(None, "", ())


def made(config: ResearcherConfig, kind: str, usd_limited: bool = False) -> object:
    env = {"OPENAI_API_KEY": "sk-not-for-strangers"}
    return make(config, kind, env, Path(), Bench(NOTHING), usd_limited)


def test_a_key_that_is_named_must_be_there() -> None:
    config = ResearcherConfig(base_url="http://127.0.0.1:9/v1", key_env="MY_KEY")
    with pytest.raises(UsageError, match="MY_KEY is not set"):
        made(config, "openai")


def test_dollars_can_not_be_limited_for_a_program() -> None:
    config = ResearcherConfig(kind="command", command=["true"])
    made(config, "command")
    with pytest.raises(UsageError, match="limit in dollars"):
        made(config, "command", usd_limited=True)


def test_what_an_agent_is_called_with() -> None:
    bench = Bench(ProgramRun(None, "", ()))
    config = ResearcherConfig(agent="codex", model="gpt-9")
    make(config, "command", {}, Path(), bench).propose("", BRIEF, ())
    (words, _, _), *_ = bench.ran
    assert words[:4] == ("codex", "exec", "--model", "gpt-9") and words[-1] == "-"
    brief = replace(BRIEF, files={"b.py": b"", "a.py": b""})
    make(ResearcherConfig(agent="aider"), "command", {}, Path(), bench).propose("", brief, ())
    assert bench.ran[-1][0][-2:] == ("a.py", "b.py")


def test_a_program_that_is_not_on_path_is_told() -> None:
    for config in (ResearcherConfig(command=["nowhere-9"]), ResearcherConfig(agent="qwen")):
        with pytest.raises(ResearcherError, match="is not on PATH; install it"):
            make(config, "command", {"PATH": "/nowhere"}, Path(), Bench(NOTHING))


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
def test_dollars_can_be_limited_for_a_model_with_a_price(kind: str) -> None:
    url = "http://127.0.0.1:9/v1"
    made(ResearcherConfig(base_url=url, model="mine-7b"), kind)
    with pytest.raises(UsageError, match=r"researcher\.price_per_mtok = \[input, output\]"):
        made(ResearcherConfig(base_url=url, model="mine-7b"), kind, usd_limited=True)
    for price in ([0.5, 2.0], [0, 0]):
        config = ResearcherConfig(base_url=url, model="mine-7b", price_per_mtok=price)
        made(config, kind, usd_limited=True)
    made(ResearcherConfig(base_url=url, model="gpt-5"), kind, usd_limited=True)


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
def test_a_key_or_a_url_that_is_none_is_refused_before_the_sdk_is_loaded(kind: str) -> None:
    code = f"""
import sys
from autoresearch.config import ResearcherConfig
from autoresearch.errors import ResearcherError
from autoresearch.researchers.make import make
name = {kind.upper()!r} + "_API_KEY"
for key, url in (("", ""), ("no key at all", ""), ("sk-1", "http://u:p@host/v1")):
    try:
        make(ResearcherConfig(base_url=url, key_env=name if url else ""), {kind!r}, {{name: key}}, None, None)
    except ResearcherError:
        continue
    raise SystemExit("it was taken")
make(ResearcherConfig(), {kind!r}, {{name: "sk-1"}}, None, None)
assert {kind!r} not in sys.modules and "genai_prices" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": os.environ["PATH"]})


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
        ({"agent": "claude"}, {"ANTHROPIC_API_KEY": "k"}, "command"),
        ({"agent": "aider", "base_url": "http://127.0.0.1:9"}, {}, "openai"),
    ],
)
def test_what_auto_means(config: dict[str, object], env: dict[str, str], kind: str) -> None:
    assert kind_of(ResearcherConfig(**config), env) == kind  # type: ignore[arg-type]
