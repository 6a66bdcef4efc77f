"""What a call costs: dollars from tokens and a price table, and an upper bound before a call is made.

Pure. Prices are the user's ([llm.prices], USD per million tokens); there is none in the code. A model without a
price is counted as the dearest known one, so that a cap in dollars holds, and `Quote.note` says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from evolve.propose.operators import Usage
from evolve.sections import Price

MILLION = 1_000_000
BYTES_PER_TOKEN = (
    2.0  # fewer than any tokenizer's average on code, so that the estimate is an upper bound
)
# Of the input price, where a table gives no price for writing the cache.
CACHE_WRITE = 1.25
CACHE_WRITE_1H = 2.0
STALE = 90  # days after which a table is called old
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


def age_note(as_of: str, today: date) -> str:
    """A sentence when the price table of the day `as_of` (YYYY-MM-DD) is old by now; "" when it is not."""
    days = (today - date.fromisoformat(as_of)).days
    if days <= STALE:
        return ""
    return (
        f"The price table is of {as_of}, {days} days old; compare it with the provider's list, then write the prices "
        "under [llm.prices] and the day as llm.prices_as_of."
    )


def cost(usage: Usage, price: Price) -> float:
    """Dollars for what an answer consumed. Thinking is part of the output tokens."""
    hour = min(usage.cache_write_1h_tokens, usage.cache_write_tokens)
    dollars = (
        usage.input_tokens * price.input
        + usage.output_tokens * price.output
        + (usage.cache_write_tokens - hour) * _write(price)
        + hour * _write_1h(price)
        + usage.cache_read_tokens * (price.cache_read or price.input)
    )
    return dollars / MILLION


def estimate_tokens(text: str) -> int:
    """Tokens of a text, rather too many than too few: other scripts than Latin take up to one a byte."""
    plain = len(text.encode("ascii", "ignore"))
    rest = len(text.encode("utf-8", "replace")) - plain
    return math.ceil(plain / BYTES_PER_TOKEN) + rest


def input_bound(input_tokens: int, price: Price) -> float:
    """Dollars that so much input cannot exceed: all of it written to the cache for an hour."""
    return input_tokens * max(price.input, _write(price), _write_1h(price)) / MILLION


def upper_bound(input_tokens: int, max_tokens: int, price: Price) -> float:
    """Dollars that a call cannot exceed: its input at the dearest, the answer as long as it may be."""
    return input_bound(input_tokens, price) + max_tokens * price.output / MILLION


def affordable(dollars: float, input_tokens: int, price: Price) -> float:
    """Tokens of an answer that `dollars` still pay for, after the input; infinity where answers are free."""
    if not price.output:
        return math.inf if dollars >= input_bound(input_tokens, price) else 0.0
    room = (dollars - input_bound(input_tokens, price)) * MILLION / price.output
    # A millionth of a token less, so that no rounding makes the bound of so many tokens pass the dollars.
    return room if math.isinf(room) else max(0.0, math.floor(room - 1e-6))


def _write(price: Price) -> float:
    return price.cache_write or CACHE_WRITE * price.input


def _write_1h(price: Price) -> float:
    return price.cache_write_1h or CACHE_WRITE_1H * price.input
