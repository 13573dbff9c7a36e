"""The coding agents that the tool knows: the command that works for each, headless, and what it leaves.

What was seen of each, and of which version, stands in docs/agents.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

FILES = "{files}"  # in a command: the mutable files, a word each


@dataclass(frozen=True, slots=True)
class Agent:
    """A coding agent: its command, and how it is installed."""

    command: tuple[str, ...]
    install: str
    env: tuple[tuple[str, str], ...] = ()  # set where the user's environment does not say


AGENTS = {
    "claude": Agent(
        (
            "claude", "--print", "--permission-mode", "acceptEdits",
            "--allowedTools", "Read,Edit,MultiEdit,Write,Glob,Grep", "--no-session-persistence",
        ),
        "npm install -g @anthropic-ai/claude-code",
    ),
    "codex": Agent(
        (
            "codex", "exec", "--skip-git-repo-check", "--ephemeral", "--color", "never",
            "--dangerously-bypass-approvals-and-sandbox", "-",
        ),
        "npm install -g @openai/codex",
    ),
    "aider": Agent(
        (
            "aider", "--message-file", "{prompt_file}", "--yes-always", "--no-auto-commits",
            "--no-dirty-commits", "--no-gitignore", "--no-check-update", "--no-analytics",
            "--no-show-release-notes", "--no-show-model-warnings", "--no-suggest-shell-commands",
            "--no-detect-urls", "--no-pretty", "--no-stream", "--no-auto-lint", FILES,
        ),
        "pipx install aider-chat",
    ),
    "opencode": Agent(
        ("opencode", "run"),
        "npm install -g opencode-ai",
    ),
    "qwen": Agent(
        ("qwen", "--approval-mode", "auto-edit"),
        "npm install -g @qwen-code/qwen-code",
    ),
    "mini": Agent(
        ("mini", "--yolo", "--exit-immediately", "--task", "{prompt}"),
        "pipx install mini-swe-agent",
        (("MSWEA_CONFIGURED", "true"), ("MSWEA_COST_TRACKING", "ignore_errors")),
    ),
}  # fmt: skip

# What the agents leave in the folder that they work in, as in .gitignore: no part of any change.
BY_PRODUCTS = (
    ".aider*", ".claude/", ".claude.json*", ".codex/", ".opencode/", ".qwen/", ".agents/", ".mini-swe-agent/",
    ".mini.traj.json", "last_mini_run.traj.json",
)  # fmt: skip

_LASTING = re.compile(
    r"cannot be used with root|refus\w+ to run as root|(?:please )?run /login|not logged in"
    r"|(?:codex|auth|opencode|claude|qwen) (?:auth )?login|(?:invalid|incorrect|missing|no) api[ _-]?key"
    r"|api[ _-]?key (?:is )?(?:not (?:found|set)|missing|required|invalid)|x-api-key header is required"
    r"|authentication_?error|401 unauthorized|\b401\b.{0,40}(?:auth|key)|credit balance is too low"
    r"|insufficient_quota|exceeded your current quota",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"usage limit|hit your (?:\w+ )?limit|limit reached|rate[ _-]?limit|too many requests|\b429\b|overloaded"
    r"|\b(?:500|502|503|529)\b.{0,40}(?:error|unavailable|overloaded|gateway)|service unavailable"
    r"|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|connection (?:error|refused|reset)"
    r"|fetch failed|unable to connect|network error|stream disconnected|getaddrinfo",
    re.IGNORECASE,
)
_TAIL = 4000  # characters of what a program printed last that may say why it failed


def agent_of(command: Sequence[str]) -> Agent | None:
    """Returns the known agent that a command starts; None for another program."""
    name = PurePath(command[0]).name
    return next((agent for agent in AGENTS.values() if agent.command[0] == name), None)


def command_of(name: str, model: str) -> tuple[str, ...]:
    """Returns the headless command of an agent, with a model where one is named."""
    agent = AGENTS[name]
    chosen = ("--model", model) if model else ()  # the flag of each of them
    at = 2 if agent.command[1] in ("exec", "run") else 1
    return (*agent.command[:at], *chosen, *agent.command[at:])


def lasting_fault(printed: str) -> str | None:
    """Returns the line that says why a program fails which will fail again; None where none does."""
    return _line_of(_LASTING, printed)


def passing_fault(printed: str) -> str | None:
    """Returns the line that says that a provider is down or has enough for now; None where none does."""
    return _line_of(_PASSING, printed)


def _line_of(pattern: re.Pattern[str], printed: str) -> str | None:
    tail = printed[-_TAIL:].splitlines()
    return next((line.strip() for line in tail if pattern.search(line)), None)
