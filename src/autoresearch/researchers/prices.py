"""What a model's tokens cost, in USD per million.

From the providers' public price pages (platform.claude.com/docs/en/about-claude/pricing and
openai.com/api/pricing), standard tier, as of November 2026. An estimate for the budget, not an
invoice: batch, priority and long-context tariffs are left out. A model that is not here has no price.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Price:
    """USD per million tokens; a read from the cache and a write into it have their own."""

    input: float
    output: float
    cache_read: float
    cache_write: float


def _claude(input_usd: float, output_usd: float, read: float = 0.1) -> _Price:
    """Anthropic's rule: a cache read is a share of the input price, a write for 5 minutes 1.25."""
    return _Price(input_usd, output_usd, input_usd * read, input_usd * 1.25)


def _gpt(input_usd: float, output_usd: float, cached_usd: float) -> _Price:
    return _Price(input_usd, output_usd, cached_usd, input_usd)


_PRICES = {
    "claude-fable-5-1": _claude(10, 50, 0.025),
    "claude-fable-5": _claude(10, 50),
    "claude-opus-5-5": _claude(4, 20, 0.05),
    "claude-opus-5": _claude(5, 25),
    "claude-opus-4-8": _claude(5, 25),
    "claude-opus-4-7": _claude(5, 25),
    "claude-opus-4-6": _claude(5, 25),
    "claude-opus-4-5": _claude(5, 25),
    "claude-opus-4-1": _claude(15, 75),
    "claude-opus-4": _claude(15, 75),
    "claude-sonnet-5-5": _claude(2, 10, 0.05),
    "claude-sonnet-5": _claude(2, 10),
    "claude-sonnet-4-6": _claude(3, 15),
    "claude-sonnet-4-5": _claude(3, 15),
    "claude-sonnet-4": _claude(3, 15),
    "claude-3-7-sonnet": _claude(3, 15),
    "claude-haiku-5-5": _claude(0.5, 2.5),  # 0.1 and 0.5 for prompts of 100k tokens and less
    "claude-haiku-4-5": _claude(1, 5),
    "claude-3-5-haiku": _claude(0.8, 4),
    "gpt-6-astra": _gpt(10, 50, 1),
    "gpt-6.1-sol": _gpt(2, 10, 0.1),
    "gpt-6-sol": _gpt(2, 10, 0.2),
    "gpt-6-luna": _gpt(0.1, 0.5, 0.01),
    "gpt-5.6-sol": _gpt(4, 20, 0.4),
    "gpt-5.6-terra": _gpt(2, 12, 0.2),
    "gpt-5.6-luna": _gpt(0.2, 1.2, 0.02),
    "gpt-5.5": _gpt(5, 30, 0.5),
    "gpt-5.4": _gpt(2.5, 15, 0.25),
    "gpt-5.4-mini": _gpt(0.75, 4.5, 0.075),
    "gpt-5.4-nano": _gpt(0.2, 1.25, 0.02),
    "gpt-5.2": _gpt(1.75, 14, 0.175),
    "gpt-5.1": _gpt(1.25, 10, 0.125),
    "gpt-5": _gpt(1.25, 10, 0.125),
    "gpt-5-mini": _gpt(0.25, 2, 0.025),
    "gpt-5-nano": _gpt(0.05, 0.4, 0.005),
    "gpt-4.1": _gpt(2, 8, 0.5),
    "gpt-4.1-mini": _gpt(0.4, 1.6, 0.1),
    "gpt-4.1-nano": _gpt(0.1, 0.4, 0.025),
    "gpt-4o": _gpt(2.5, 10, 1.25),
    "gpt-4o-mini": _gpt(0.15, 0.6, 0.075),
    "o3": _gpt(2, 8, 0.5),
    "o3-mini": _gpt(1.1, 4.4, 0.55),
    "o4-mini": _gpt(1.1, 4.4, 0.275),
    "o1": _gpt(15, 60, 7.5),
}

# What a snapshot's name may have behind the model's: a date, or "latest".
_SNAPSHOT = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2}|latest|0)")


def _price(model: str) -> _Price | None:
    names = [
        name
        for name in _PRICES
        if model == name or (model.startswith(name) and _SNAPSHOT.fullmatch(model[len(name) :]))
    ]
    return _PRICES[max(names, key=len)] if names else None


def known(model: str) -> bool:
    """Whether the model has a price here."""
    return _price(model) is not None


def usd(
    model: str,
    input_tokens: int,
    output_tokens: int,
    cache_read: int = 0,
    cache_write: int = 0,
) -> float | None:
    """The price of an answer; None for a model that is not known.

    input_tokens are those outside the cache; cache_read and cache_write come on top of them.
    """
    price = _price(model)
    if price is None:
        return None
    total = input_tokens * price.input + output_tokens * price.output
    total += cache_read * price.cache_read + cache_write * price.cache_write
    return total / 1e6
