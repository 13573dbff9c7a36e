"""What an answer costs: by `researcher.price_per_mtok` where it is set, else by genai-prices' table.

The table comes with the package and is never fetched. It is an estimate for the budget, not an
invoice: batch and priority tariffs are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one answer; `fresh` are those of the input that no cache had or took."""

    fresh: int | None
    output: int | None
    cache_read: int = 0
    cache_write: int = 0

    @property
    def input(self) -> int | None:
        """Returns all of the input, the cached part included; None where nobody said."""
        return None if self.fresh is None else self.fresh + self.cache_read + self.cache_write


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model's tokens.

    provider is genai-prices' name of the provider that the SDK belongs to; url is the server's
    where it is another one. per_mtok is [input, output] in USD per million tokens, and goes before
    the table; it prices cached tokens as input.
    """

    provider: str
    model: str
    url: str | None = None
    per_mtok: tuple[float, float] | None = None

    @property
    def known(self) -> bool:
        """Whether an answer of this model has a price."""
        return self.usd(Tokens(1, 1)) is not None

    def usd(self, tokens: Tokens) -> float | None:
        """Returns the price of an answer; None where the model's is not known, or a count is not."""
        if tokens.input is None or tokens.output is None:
            return None
        if self.per_mtok is not None:
            input_usd, output_usd = self.per_mtok
            return (tokens.input * input_usd + tokens.output * output_usd) / 1e6
        from genai_prices import Usage, calc_price

        usage = Usage(
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
        )
        for where in self._sellers():
            try:
                return float(calc_price(usage, self.model, **where).total_price)
            except LookupError:
                continue
        return None

    def _sellers(self) -> Iterator[dict[str, Any]]:
        """Yields whose price lists to look into: the server's own, the SDK's maker's, the other's."""
        if self.url is not None:
            yield {"provider_api_url": self.url}
        yield {"provider_id": self.provider}
        yield {"provider_id": "openai" if self.provider == "anthropic" else "anthropic"}
