"""Which researcher a configuration and an environment mean, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from autoresearch.config import ResearcherConfig
from autoresearch.errors import UsageError
from autoresearch.researchers import prices
from autoresearch.researchers.base import Researcher
from autoresearch.researchers.command import CommandResearcher, Ran

KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


def kind_of(config: ResearcherConfig, env: Mapping[str, str]) -> str:
    """The kind that is meant: for `auto` the server, the key, the command, else knobs."""
    if config.kind != "auto":
        return config.kind
    if config.base_url:
        return "openai"
    for kind, key in KEYS.items():
        if env.get(key, "").strip():
            return kind
    return "command" if config.command else "knobs"


def make(
    config: ResearcherConfig,
    kind: str,
    env: Mapping[str, str],
    root: Path,
    execute: Callable[[str], Ran],
    usd_limited: bool = False,
    description: str = "",
) -> Researcher:
    """The researcher; UsageError where the configuration can't mean one.

    A base_url of the configuration gets the key that key_env names, and no other.
    """
    if kind in KEYS:
        return _model(config, kind, env, usd_limited)
    if kind == "command":
        if not config.command:
            raise UsageError(
                "researcher.command is empty: the researcher `command` needs a program"
            )
        if usd_limited:
            raise UsageError(
                "what the program of `command` spends is not known here, so a limit in dollars can't "
                "be kept; limit --max or --hours instead"
            )
        return CommandResearcher(execute, description)
    if kind == "scripted":
        from autoresearch.researchers.scripted import ScriptedResearcher

        if not config.model:
            raise UsageError(
                "researcher.model is empty: for `scripted` it names the file of answers"
            )
        return ScriptedResearcher(root / config.model)
    if kind == "knobs":
        from autoresearch.researchers.knobs import KnobsResearcher

        return KnobsResearcher()
    known = "anthropic, openai, command, knobs, scripted, auto"
    raise UsageError(f"--researcher {kind}: there is no such researcher; there are {known}")


def _model(
    config: ResearcherConfig, kind: str, env: Mapping[str, str], usd_limited: bool
) -> Researcher:
    key_name = config.key_env or ("" if config.base_url else KEYS[kind])
    key = env.get(key_name, "").strip() if key_name else ""
    if config.key_env and not key:
        raise UsageError(
            f"researcher.key_env: {config.key_env} is not set; export it, or leave key_env empty for "
            "a server that asks for no key"
        )
    made: Researcher
    if kind == "anthropic":
        from autoresearch.researchers.anthropic import AnthropicResearcher

        anthropic = AnthropicResearcher(
            config.model, key, config.base_url, config.timeout_s, key_name or "researcher.key_env"
        )
        made, model = anthropic, anthropic.model
    else:
        from autoresearch.researchers.openai import OpenAIResearcher

        openai = OpenAIResearcher(
            config.model, key, config.base_url, config.timeout_s, key_name or "researcher.key_env"
        )
        made, model = openai, openai.model
    if usd_limited and not prices.known(model):
        raise UsageError(
            f"no price is known for the model {model!r}, so a limit in dollars can't be kept; "
            "limit --max or --hours instead"
        )
    return made
