"""Dollars come from tokens and the user's price table, and never exceed what was committed before the call."""

from __future__ import annotations

import math
from datetime import date

import pytest

from evolve.propose.operators import Usage
from evolve.propose.pricing import (
    affordable,
    age_note,
    cost,
    estimate_tokens,
    quote,
    upper_bound,
)
from evolve.sections import Llm, Price

TABLE = {
    "small": Price(input=1.0, output=5.0, cache_write=1.25, cache_read=0.1),
    "large": Price(input=10.0, output=50.0, cache_write=12.5, cache_read=0.25),
    "plain": Price(input=2.0, output=4.0),
}


def test_each_kind_of_token_has_its_price() -> None:
    usage = Usage(
        input_tokens=1000, output_tokens=2000, cache_read_tokens=3000, cache_write_tokens=4000
    )
    assert cost(usage, TABLE["small"]) == pytest.approx(
        (1000 * 1 + 2000 * 5 + 3000 * 0.1 + 4000 * 1.25) / 1e6
    )


def test_without_cache_prices_the_cache_is_counted_like_input_and_its_writing_a_quarter_more() -> (
    None
):
    usage = Usage(cache_read_tokens=1_000_000, cache_write_tokens=1_000_000)
    assert cost(usage, TABLE["plain"]) == pytest.approx(2.0 + 2.5)


def test_a_dated_name_has_the_price_of_its_model() -> None:
    assert quote("small-20251001", TABLE).price == TABLE["small"]
    assert quote("small", TABLE).note == ""


def test_an_unknown_model_is_counted_as_the_dearest_and_that_is_said() -> None:
    unknown = quote("llama", TABLE)
    assert unknown.price == TABLE["large"]
    assert "llama is not in [llm.prices]" in unknown.note
    assert "large" in unknown.note
    assert '"llama" = {' in unknown.note


def test_an_empty_table_counts_nothing_and_says_so() -> None:
    unknown = quote("llama", {})
    assert cost(Usage(input_tokens=10, output_tokens=10), unknown.price) == 0
    assert "count as $0" in unknown.note


def test_the_default_model_has_a_price() -> None:
    defaults = Llm()
    assert quote(defaults.model, defaults.prices).note == ""


@pytest.mark.parametrize("price", TABLE.values())
def test_no_call_costs_more_than_was_committed(price: Price) -> None:
    bound = upper_bound(9000, 4000, price)
    for split in ((9000, 0, 0), (0, 9000, 0), (0, 0, 9000), (3000, 3000, 3000)):
        fresh, read, write = split
        assert cost(Usage(fresh, 4000, read, write), price) <= bound


def test_the_estimate_of_tokens_errs_upwards() -> None:
    code = "x = self.attn(norm(x))\n" * 100
    assert estimate_tokens(code) > len(code) / 3.5
    assert estimate_tokens("\ud800 lone surrogates do no harm") > 0


def test_writing_for_an_hour_has_its_own_price() -> None:
    priced = Price(input=4.0, output=20.0, cache_write=5.0, cache_write_1h=8.0)
    usage = Usage(cache_write_tokens=3_000_000, cache_write_1h_tokens=2_000_000)
    assert cost(usage, priced) == pytest.approx(5.0 + 2 * 8.0)
    assert cost(usage, TABLE["plain"]) == pytest.approx(2.5 + 2 * 4.0)  # twice the input price


def test_what_dollars_still_pay_for_is_never_more_than_they_are() -> None:
    for price in TABLE.values():
        for dollars in (0.001, 0.05, 0.5):
            most = affordable(dollars, 1000, price)
            assert most >= 0
            if most:
                assert upper_bound(1000, int(most), price) <= dollars
                assert upper_bound(1000, int(most) + 1, price) > dollars - 1e-9


def test_without_a_cap_or_a_price_there_is_no_limit() -> None:
    assert affordable(math.inf, 1000, TABLE["small"]) == math.inf
    free = Price(input=0.0, output=0.0)
    assert affordable(0.0, 1000, free) == math.inf


def test_other_scripts_count_for_more_tokens_than_letters() -> None:
    assert estimate_tokens("狼" * 100) >= 300
    assert estimate_tokens("a" * 100) == 50
    assert estimate_tokens("") == 0


def test_a_table_older_than_ninety_days_is_called_old() -> None:
    assert age_note("2026-11-15", date(2027, 2, 13)) == ""
    old = age_note("2026-11-15", date(2027, 2, 14))
    assert "of 2026-11-15, 91 days old" in old
    assert "llm.prices_as_of" in old


def test_every_price_of_the_table_knows_both_caches() -> None:
    for name, price in Llm().prices.items():
        assert price.input < price.cache_write < price.cache_write_1h, name
        assert 0 < price.cache_read < price.input, name
