"""What a call costs: dollars from tokens and a price table, and an upper bound before a call is made.

Pure. Prices are the user's ([llm.prices], USD per million tokens); there is none in the code. A model without a
price is counted as the dearest known one, so that a cap in dollars holds, and `Quote.note` says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from evolve.propose.operators import Usage
from evolve.sections import Price

MILLION = 1_000_000
BYTES_PER_TOKEN = (
    2.0  # fewer than any tokenizer's average on code, so that the estimate is an upper bound
)
CACHE_WRITE = 1.25  # of the input price, where a table gives no price for writing the cache
_DATED = re.compile(r"[-@]20\d{6}$")  # claude-haiku-4-5-20251001


@dataclass(frozen=True, slots=True)
class Quote:
    """The price that a model's tokens are counted at."""

    price: Price
    note: str = ""  # a sentence for a person when the price is not the model's own; "" when it is


def quote(model: str, prices: Mapping[str, Price]) -> Quote:
    """The price of `model`: its own, that of its undated name, else the dearest known."""
    for name in (model, _DATED.sub("", model)):
        if name in prices:
            return Quote(prices[name])
    if not prices:
        return Quote(
            Price(input=0.0, output=0.0),
            f"No prices are set, so calls to {model} count as $0; set one under [llm.prices].",
        )
    dearest = max(prices, key=lambda name: (prices[name].output, prices[name].input))
    return Quote(
        prices[dearest],
        f"The price of {model} is not in [llm.prices], so it is counted as the dearest known, {dearest}; "
        f'add `"{model}" = {{ input = 0.0, output = 0.0 }}` with its price.',
    )


def cost(usage: Usage, price: Price) -> float:
    """Dollars for what an answer consumed."""
    dollars = (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + usage.cache_write_tokens * _write(price)
        + usage.cache_read_tokens * (price.cache_read or price.input)
    )
    return dollars / MILLION


def estimate_tokens(text: str) -> int:
    """Tokens of a text, rather too many than too few."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


def upper_bound(input_tokens: int, max_tokens: int, price: Price) -> float:
    """Dollars that a call cannot exceed: all input written to the cache, the answer as long as it may be."""
    return (input_tokens * max(price.input, _write(price)) + max_tokens * price.output) / MILLION


def _write(price: Price) -> float:
    return price.cache_write or CACHE_WRITE * price.input
