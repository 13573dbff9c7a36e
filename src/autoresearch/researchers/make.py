"""Which researcher a configuration and an environment mean, and how it is made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from autoresearch.config import ResearcherConfig
from autoresearch.errors import ResearcherError, UsageError
from autoresearch.researchers.agents import AGENTS, agent_of, command_of
from autoresearch.researchers.base import Researcher, Workbench
from autoresearch.researchers.command import CommandResearcher

KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


def kind_of(config: ResearcherConfig, env: Mapping[str, str]) -> str:
    """Returns the kind that is meant: for `auto` the server, the agent, the key, the command, else knobs."""
    if config.kind != "auto":
        return config.kind
    if config.base_url:
        return "openai"
    if config.agent:
        return "command"
    for kind, key in KEYS.items():
        if env.get(key, "").strip():
            return kind
    return "command" if config.command else "knobs"


def make(
    config: ResearcherConfig,
    kind: str,
    env: Mapping[str, str],
    root: Path,
    workbench: Workbench,
    usd_limited: bool = False,
    description: str | None = None,
) -> Researcher:
    """Returns the researcher; raises UsageError where the configuration can't mean one.

    A base_url of the configuration gets the key that key_env names, and no other. The root is the
    folder that a script of answers is named from; usd_limited says that dollars are limited, which
    needs a price.
    """
    if kind in KEYS:
        return _model(config, kind, env, usd_limited)
    if kind == "command":
        command = program_of(config)
        if not command:
            raise UsageError(
                "researcher.command is empty: the researcher `command` needs a program, or one of the "
                f"coding agents in researcher.agent: {', '.join(AGENTS)}"
            )
        if usd_limited:
            raise UsageError(
                "what the program of `command` spends is not known here, so a limit in dollars can't "
                "be kept; limit --max or --hours instead"
            )
        _check_installed(command, env)
        return CommandResearcher(workbench, command, config.timeout_s, description)
    if kind == "scripted":
        from autoresearch.researchers.scripted import ScriptedResearcher

        if not config.model:
            raise UsageError(
                "researcher.model is empty: for `scripted` it names the file of answers"
            )
        return ScriptedResearcher(root / config.model)
    if kind == "knobs":
        from autoresearch.researchers.knobs import KnobsResearcher

        return KnobsResearcher(config.knobs)
    known = "anthropic, openai, command, knobs, scripted, auto"
    raise UsageError(f"--researcher {kind}: there is no such researcher; there are {known}")


def program_of(config: ResearcherConfig) -> tuple[str, ...]:
    """Returns the command of the researcher `command`; () where the configuration names none."""
    return command_of(config.agent, config.model) if config.agent else tuple(config.command)


def _check_installed(command: Sequence[str], env: Mapping[str, str]) -> None:
    """Raises ResearcherError where a program is named that is not on PATH."""
    program, path = command[0], env.get("PATH")
    if "/" in program or not path or shutil.which(program, path=path):
        return
    known = agent_of(command)
    how = f"install it ({known.install})" if known else "install it"
    raise ResearcherError(f"the researcher's program {program} is not on PATH; {how}")


def _model(
    config: ResearcherConfig, kind: str, env: Mapping[str, str], usd_limited: bool
) -> Researcher:
    """Returns the researcher that asks a model; its SDK is not loaded yet."""
    key_name = config.key_env or ("" if config.base_url else KEYS[kind])
    key = env.get(key_name, "").strip() if key_name else ""
    if config.key_env and not key:
        raise UsageError(
            f"researcher.key_env: {config.key_env} is not set; export it, or leave key_env empty for "
            "a server that asks for no key"
        )
    from autoresearch.researchers.anthropic import AnthropicResearcher
    from autoresearch.researchers.openai import OpenAIResearcher

    known = {"anthropic": AnthropicResearcher, "openai": OpenAIResearcher}
    price = config.price_per_mtok
    made = known[kind](
        config.model,
        key,
        config.base_url,
        config.timeout_s,
        key_name or "researcher.key_env",
        (price[0], price[1]) if price else None,
    )
    if usd_limited and not made.price.known:
        raise UsageError(
            f"no price is known for the model {made.model!r}, so a limit in dollars can't be kept; "
            "set researcher.price_per_mtok = [input, output], in dollars per million tokens, or "
            "limit --max or --hours instead"
        )
    return made
