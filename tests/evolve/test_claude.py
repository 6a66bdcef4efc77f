"""The language model as a proposer, against a server on loopback: every answer paid for, every fault in words."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evolve.context import Context
from evolve.journal import Journal
from evolve.ledger import JournalLedger
from evolve.model import Operator
from evolve.propose.claude import ClaudeProposer, LlmConfig
from evolve.propose.operators import (
    Attempt,
    Brief,
    ParentView,
    ProposalFailed,
    ProposalRefused,
    ProposerUnavailable,
)
from evolve.sections import Llm, Price, Settings
from tests.evolve.fake_anthropic import Answer, FakeAnthropic, Fault, Raw, opening, stream
from tests.evolve.workbench import begin, open_journal

KEY = "sk-ant-api03-a-very-secret-key-0123456789"
PRICE = Price(input=4.0, output=20.0, cache_write=5.0, cache_read=0.2)
SOURCE = """\
from prepare import make_dataloader, evaluate_bpb

DEPTH = 8
MATRIX_LR = 0.04

loader = make_dataloader(None, 1, 1, "train")
print("val_bpb:", evaluate_bpb(None, None, 1))
"""
HEADER = "Title: Raise the Muon rate\nCategory: optimizer\nHypothesis: It was too low.\n\n"
EDIT = "<<<<<<< SEARCH\nMATRIX_LR = 0.04\n=======\nMATRIX_LR = 0.05\n>>>>>>> REPLACE\n"
MISFIT = EDIT.replace("0.04", "0.4")
FILE = f"```python\n{SOURCE.replace('8', '9')}```\n"

pytestmark = pytest.mark.timeout(60)


class Bench:
    """A server, a journal and what connects a proposer to them."""

    def __init__(self, server: FakeAnthropic, journal: Journal) -> None:
        self.server, self.journal, self.settings = server, journal, Settings()
        self.plan = server.plan

    def config(self, **given: Any) -> LlmConfig:
        plain = LlmConfig(
            model="claude-opus-5-5",
            api_key=KEY,
            base_url=self.server.url,
            extras=True,
            cache_ttl="1h",
            prices={"claude-opus-5-5": PRICE},
            retries=0,
            timeout=20.0,
        )
        return replace(plain, **given)

    def proposer(self, **given: Any) -> ClaudeProposer:
        room = cast(Context, SimpleNamespace(journal=self.journal, settings=self.settings))
        return ClaudeProposer(self.config(**given), JournalLedger(room))

    def calls(self) -> list[sqlite3.Row]:
        """Every call as the journal has it on disk."""
        database = sqlite3.connect(self.journal.path)
        database.row_factory = sqlite3.Row
        try:
            return list(database.execute("SELECT * FROM llm_call ORDER BY id"))
        finally:
            database.close()

    def only_call(self) -> sqlite3.Row:
        (call,) = self.calls()
        return call

    def everything(self) -> str:
        """All text of the journal."""
        database = sqlite3.connect(self.journal.path)
        try:
            return "\n".join(database.iterdump())
        finally:
            database.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    journal = open_journal(tmp_path)
    begin(journal)
    with FakeAnthropic() as server:
        yield Bench(server, journal)
    journal.close()


def brief(operator: Operator = Operator.MUTATE, **given: Any) -> Brief:
    parent = ParentView(id=1, source=SOURCE, mean_bpb=1.0, scores=(1.0,))
    other = replace(parent, id=2, source=SOURCE.replace("DEPTH = 8", "DEPTH = 10"))
    two = operator is Operator.CROSSOVER
    plain = Brief(
        operator=operator,
        parents=(parent, other) if two else (parent,),
        ancestor=parent if two else None,
        program="Be brief.",
        history=(Attempt(1, (1,), Operator.TUNE, "less", "size", (), "rejected", 0.001),),
        seed=1,
        sigma=0.001,
        budget="300 seconds on NVIDIA H200",
    )
    return replace(plain, **given)


# ---- good answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "change", "expected"),
    [
        (Operator.MUTATE, EDIT, "MATRIX_LR = 0.05"),
        (Operator.TUNE, EDIT, "MATRIX_LR = 0.05"),
        (Operator.REPAIR, EDIT, "MATRIX_LR = 0.05"),
        (Operator.CROSSOVER, EDIT, "MATRIX_LR = 0.05"),
        (Operator.CROSSOVER, FILE, "DEPTH = 9"),
        (Operator.REWRITE, FILE, "DEPTH = 9"),
    ],
    ids=["mutate", "tune", "repair", "crossover by edits", "crossover by file", "rewrite"],
)
async def test_every_operator_makes_a_child(
    bench: Bench, operator: Operator, change: str, expected: str
) -> None:
    bench.plan += [Answer(HEADER + change)]
    child = await bench.proposer().propose(brief(operator))
    assert expected in child.source
    assert child.title == "Raise the Muon rate"
    assert child.category == "optimizer"
    assert child.hypothesis == "It was too low."
    assert child.operator is operator
    assert child.parents == ((1, 2) if operator is Operator.CROSSOVER else (1,))
    assert child.changes == (("MATRIX_LR: 0.04 -> 0.05",) if change == EDIT else ("DEPTH: 8 -> 9",))
    assert (child.proposer, child.model, len(child.prompt_version)) == (
        "claude",
        "claude-opus-5-5",
        12,
    )
    assert child.calls == (bench.only_call()["id"],)
    assert operator in bench.proposer().operators()


async def test_tokens_cache_hits_and_dollars_are_recorded(bench: Bench) -> None:
    bench.plan += [
        Answer(
            HEADER + EDIT, input_tokens=300, output_tokens=700, cache_read=9000, cache_write=1000
        )
    ]
    await bench.proposer().propose(brief())
    call = bench.only_call()
    tokens = [call[f"{kind}_tokens"] for kind in ("input", "output", "cache_read", "cache_write")]
    assert tokens == [300, 700, 9000, 1000]
    assert call["dollars"] == pytest.approx((300 * 4 + 700 * 20 + 9000 * 0.2 + 1000 * 5) / 1e6)
    assert (call["status"], call["stop_reason"]) == ("answered", "end_turn")
    assert call["response"] == HEADER + EDIT


async def test_money_is_committed_before_the_server_hears_anything(bench: Bench) -> None:
    seen: list[sqlite3.Row] = []

    def look(_: object) -> Answer:
        seen.append(bench.only_call())
        return Answer(HEADER + EDIT)

    bench.plan += [look]
    await bench.proposer().propose(brief())
    assert seen[0]["status"] == "reserved"
    assert seen[0]["dollars"] > 32_000 * 20 / 1e6
    assert bench.only_call()["dollars"] < 0.01


async def test_a_spent_budget_stops_the_call_before_it_is_made(bench: Bench) -> None:
    bench.settings = Settings.model_validate({"stop": {"dollars": 0.1}})
    with pytest.raises(ProposerUnavailable, match=r"of \$0.10 is spent"):
        await bench.proposer().propose(brief())
    assert bench.server.requests == []
    assert bench.calls() == []


async def test_anthropic_gets_effort_and_cache_marks_and_nothing_that_models_reject(
    bench: Bench,
) -> None:
    bench.plan += [Answer(HEADER + EDIT)]
    await bench.proposer(api_version="2023-06-01").propose(brief())
    (request,) = bench.server.requests
    assert request.path == "/v1/messages"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.body["stream"] is True
    assert request.body["output_config"] == {"effort": "medium"}
    assert request.body["system"][-1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    # A parent is seldom asked about twice within the hour, and an hour costs twice the price to write.
    assert "cache_control" not in str(request.body["messages"])
    for name in ("temperature", "top_p", "top_k", "tool_choice", "tools", "thinking"):
        assert name not in request.body
    assert request.body["messages"][-1]["role"] == "user"


async def test_other_servers_get_plain_strings_without_extras_or_a_key_from_elsewhere(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    bench.plan += [Answer(HEADER + EDIT)]
    llm = Llm(base_url=bench.server.url, model="llama")
    config = LlmConfig.from_settings(llm, api_key=None, auth_token=None)
    await bench.proposer(
        **{name: getattr(config, name) for name in ("model", "api_key", "extras")}
    ).propose(brief())
    (request,) = bench.server.requests
    assert set(request.body) == {"model", "max_tokens", "system", "messages", "stream"}
    assert isinstance(request.body["system"], str)
    assert isinstance(request.body["messages"][0]["content"], str)
    assert bench.server.lookups == []
    assert KEY not in str(request.headers)


async def test_effort_is_left_out_for_a_model_that_has_none_and_asked_about_once(
    bench: Bench,
) -> None:
    bench.server.models = {"claude-opus-5-5": {"capabilities": {"effort": {"supported": False}}}}
    bench.plan += [Answer(HEADER + EDIT), Answer(HEADER + EDIT)]
    proposer = bench.proposer()
    await proposer.propose(brief())
    await proposer.propose(brief())
    assert all("output_config" not in request.body for request in bench.server.requests)
    assert len(bench.server.lookups) == 1


async def test_two_proposals_at_once_do_not_mix(bench: Bench) -> None:
    def echo(request: Any) -> Answer:
        depth = "21" if "SECOND" in str(request.body["system"]) else "11"
        return Answer(
            f"Title: {depth}\n<<<<<<< SEARCH\nDEPTH = 8\n=======\nDEPTH = {depth}\n>>>>>>> REPLACE"
        )

    bench.plan += [echo, echo]
    proposer = bench.proposer()
    one, two = await asyncio.gather(
        proposer.propose(brief()), proposer.propose(brief(program="SECOND"))
    )
    assert "DEPTH = 11" in one.source
    assert "DEPTH = 21" in two.source
    assert {*one.calls, *two.calls} == {1, 2}


async def test_a_hostile_title_becomes_plain_text(bench: Bench) -> None:
    bench.plan += [
        Answer(f"Title: \x1b[2J\x1b]0;x\x07[red]boo\u202e{'y' * 300}\nCategory: \x00\n{EDIT}")
    ]
    child = await bench.proposer().propose(brief())
    assert child.title.startswith("[red]booy")
    assert len(child.title) == 72
    assert child.title.isprintable()
    assert child.category == "other"


async def test_text_that_no_database_takes_is_mended_before_it_is_stored(bench: Bench) -> None:
    bench.plan += [Answer(f"Title: half \ud800 a pair\x00\n{EDIT}")]
    assert (await bench.proposer().propose(brief())).title == "half ? a pair"
    assert bench.only_call()["status"] == "answered"


# ---- one correction ----------------------------------------------------------------------------------------


async def test_edits_that_do_not_fit_are_corrected_once(bench: Bench) -> None:
    bench.plan += [Answer(HEADER + MISFIT), Answer(HEADER + EDIT)]
    child = await bench.proposer().propose(brief())
    assert "MATRIX_LR = 0.05" in child.source
    assert child.calls == (1, 2)
    first, second = bench.server.requests
    assert second.body["messages"][0] == first.body["messages"][0]
    assert [message["role"] for message in second.body["messages"]] == ["user", "assistant", "user"]
    asked = second.body["messages"][2]["content"][0]["text"]
    assert "not in the file" in asked
    assert "MATRIX_LR = 0.04" in asked


async def test_edits_that_do_not_fit_twice_make_no_child(bench: Bench) -> None:
    bench.plan += [Answer(HEADER + MISFIT), Answer(HEADER + EDIT + MISFIT)]
    with pytest.raises(ProposalFailed, match="did not fit, and the corrected ones neither"):
        await bench.proposer().propose(brief())
    assert [call["status"] for call in bench.calls()] == ["answered", "answered"]


# ---- answers that are none ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why", "stop"),
    [
        (Answer("I would rather talk about it."), "no edit", "end_turn"),
        (Answer(""), "empty", "end_turn"),
        (
            Answer(HEADER + EDIT, stop_reason="max_tokens"),
            "cut off after 32,000 tokens",
            "max_tokens",
        ),
        (Answer(HEADER + "x" * 5_000_000), "came to cost more than", "overdrawn"),
        (Answer("\x00\u202e\x1b[2J" * 50), "no edit", "end_turn"),
        (
            Answer(HEADER + EDIT, stop_reason="model_context_window_exceeded"),
            "too long",
            "model_context_window_exceeded",
        ),
    ],
)
async def test_answers_without_a_child_are_paid_recorded_and_not_asked_again(
    bench: Bench, answer: Answer, why: str, stop: str
) -> None:
    bench.plan += [answer]
    with pytest.raises(ProposalFailed, match=why):
        await bench.proposer().propose(brief())
    call = bench.only_call()
    assert why in call["outcome"]  # no later engine tries it again
    assert (call["status"], call["stop_reason"]) == ("answered", stop)
    assert call["dollars"] > 0
    assert len(call["response"]) < 1_000_000


async def test_a_refusal_is_recorded_as_one_and_not_sent_again(bench: Bench) -> None:
    bench.plan += [Answer("", stop_reason="refusal", category="frontier_llm")]
    with pytest.raises(
        ProposalFailed, match=r"claude-opus-5-5 refused this request \(frontier_llm\)"
    ):
        await bench.proposer().propose(brief())
    call = bench.only_call()
    assert call["status"] == "refused"
    assert "frontier_llm" in call["error"]
    assert call["dollars"] > 0
    assert len(bench.server.requests) == 1


async def test_a_model_that_refuses_three_times_in_a_row_is_left_alone(bench: Bench) -> None:
    bench.plan += [Answer("", stop_reason="refusal")] * 3
    proposer = bench.proposer()
    for program in ("one", "two"):
        with pytest.raises(ProposalRefused):
            await proposer.propose(brief(program=program))
    with pytest.raises(ProposerUnavailable, match="refused 3 requests in a row") as caught:
        await proposer.propose(brief(program="three"))
    assert caught.value.retry_after is None
    assert "asked no more" in bench.everything()
    with pytest.raises(ProposerUnavailable, match="refused 3 requests in a row"):
        await proposer.propose(brief(program="four"))
    assert len(bench.server.requests) == 3


async def test_an_answer_between_them_forgives_refusals(bench: Bench) -> None:
    refusal = Answer("", stop_reason="refusal")
    bench.plan += [refusal, refusal, Answer(HEADER + EDIT), refusal]
    proposer = bench.proposer()
    for program in ("one", "two", "three", "four"):
        if program == "three":
            await proposer.propose(brief(program=program))
        else:
            with pytest.raises(ProposalRefused):
                await proposer.propose(brief(program=program))


async def test_a_refused_request_is_not_sent_to_that_model_again_whatever_engine_runs(
    bench: Bench,
) -> None:
    bench.plan += [Answer("", stop_reason="refusal", category="frontier_llm")]
    with pytest.raises(ProposalRefused):
        await bench.proposer().propose(brief())
    later = bench.proposer(max_tokens=16_000, effort="low")  # a restarted engine, set otherwise
    with pytest.raises(ProposalRefused, match="refused this very request before"):
        await later.propose(brief())
    assert len(bench.server.requests) == len(bench.calls()) == 1
    bench.plan += [Answer(HEADER + EDIT), Answer(HEADER + EDIT)]
    await later.propose(brief(program="Something else."))
    await bench.proposer(model="claude-haiku-5-5").propose(brief())
    assert [request.body["model"] for request in bench.server.requests] == [
        "claude-opus-5-5",
        "claude-opus-5-5",
        "claude-haiku-5-5",
    ]


# ---- the model that is asked instead -----------------------------------------------------------------------


def with_fallback(bench: Bench) -> ClaudeProposer:
    bench.server.models = {
        "claude-opus-5-5": {},
        "small": {"capabilities": {"effort": {"supported": False}}},
    }
    prices = {"claude-opus-5-5": PRICE, "small": Price(input=1.0, output=2.0)}
    return bench.proposer(fallback_model="small", prices=prices)


async def test_what_a_model_refuses_is_asked_of_the_fallback_at_its_own_price(bench: Bench) -> None:
    bench.plan += [
        Answer("", stop_reason="refusal", category="frontier_llm"),
        Answer(HEADER + EDIT, input_tokens=1000, output_tokens=500),
    ]
    child = await with_fallback(bench).propose(brief())
    assert child.model == "small"
    refused, answered = bench.calls()
    assert (refused["status"], refused["category"]) == ("refused", "frontier_llm")
    assert (answered["status"], answered["model"]) == ("answered", "small")
    assert answered["dollars"] == pytest.approx((1000 * 1 + 500 * 2) / 1e6)
    assert child.calls == (answered["id"],)
    first, second = (request.body for request in bench.server.requests)
    assert first["messages"] == second["messages"]
    assert ("output_config" in first, "output_config" in second) == (True, False)


async def test_the_same_brief_goes_to_the_fallback_alone_the_next_time(bench: Bench) -> None:
    bench.plan += [Answer("", stop_reason="refusal")] + [Answer(HEADER + EDIT)] * 2
    proposer = with_fallback(bench)
    await proposer.propose(brief())
    await proposer.propose(brief())
    models = [request.body["model"] for request in bench.server.requests]
    assert models == ["claude-opus-5-5", "small", "small"]


async def test_a_correction_goes_to_whoever_answered(bench: Bench) -> None:
    bench.plan += [
        Answer("", stop_reason="refusal"),
        Answer(HEADER + MISFIT),
        Answer(HEADER + EDIT),
    ]
    child = await with_fallback(bench).propose(brief())
    assert child.calls == (2, 3)
    models = [request.body["model"] for request in bench.server.requests]
    assert models == ["claude-opus-5-5", "small", "small"]


async def test_a_model_that_rests_leaves_the_work_to_the_fallback(bench: Bench) -> None:
    proposer = with_fallback(bench)
    for program in ("one", "two", "three"):
        bench.plan += [Answer("", stop_reason="refusal"), Answer(HEADER + EDIT)]
        await proposer.propose(brief(program=program))
    bench.plan += [Answer(HEADER + EDIT), Answer("", stop_reason="refusal")]
    assert (await proposer.propose(brief(program="four"))).model == "small"
    with pytest.raises(ProposalRefused, match="small refused"):
        await proposer.propose(brief(program="five"))
    models = [request.body["model"] for request in bench.server.requests]
    assert models == ["claude-opus-5-5", "small"] * 3 + ["small", "small"]


async def test_the_check_at_the_start_asks_about_the_fallback_too(bench: Bench) -> None:
    proposer = with_fallback(bench)
    assert await proposer.check() is None
    assert [look.path.rpartition("/")[2] for look in bench.server.lookups] == [
        "claude-opus-5-5",
        "small",
    ]


# ---- money -------------------------------------------------------------------------------------------------


def capped(bench: Bench, dollars: float) -> None:
    bench.settings = Settings.model_validate({"stop": {"dollars": dollars}})


async def test_the_last_dollars_buy_a_shorter_answer_and_never_more_than_they_are(
    bench: Bench,
) -> None:
    capped(bench, 0.30)
    committed: list[float] = []

    def look(_: object) -> Answer:
        committed.append(bench.only_call()["dollars"])
        return Answer(HEADER + EDIT)

    bench.plan += [look]
    await bench.proposer().propose(brief())
    (request,) = bench.server.requests
    assert 4096 <= request.body["max_tokens"] < 15_000  # of 32,000
    assert 0.299 < committed[0] <= 0.30
    assert json.loads(bench.only_call()["request"])["max_tokens"] == request.body["max_tokens"]
    assert bench.journal.dollars_committed() < 0.01


async def test_with_too_little_left_for_a_useful_answer_the_model_rests(bench: Bench) -> None:
    capped(bench, 0.10)
    with pytest.raises(ProposerUnavailable, match="one more call may cost") as caught:
        await bench.proposer().propose(brief())
    assert caught.value.retry_after is None
    assert bench.server.requests == []
    # Somebody's own short answers are useful to them.
    bench.plan += [Answer(HEADER + EDIT)]
    await bench.proposer(max_tokens=1024).propose(brief())


async def test_what_a_call_under_way_may_free_is_waited_for(bench: Bench) -> None:
    """Two calls at once, the scratchpad's and a child's: the cap is not reached before both have ended."""
    capped(bench, 0.75)
    bench.plan += [Answer(HEADER + EDIT, hang=True)]
    first = asyncio.create_task(bench.proposer().propose(brief()))
    await asyncio.to_thread(bench.server.hanging.wait, 20)
    with pytest.raises(ProposerUnavailable, match="The language model rests") as caught:
        await bench.proposer().propose(brief())
    assert caught.value.retry_after == 30
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    bench.plan += [Answer(HEADER + EDIT)]
    await bench.proposer().propose(brief())


async def test_an_answer_cut_by_the_cap_says_so(bench: Bench) -> None:
    capped(bench, 0.30)
    bench.plan += [Answer(HEADER + EDIT, stop_reason="max_tokens")]
    with pytest.raises(ProposalFailed, match=r"which is what the cap of stop\.dollars had left"):
        await bench.proposer().propose(brief())


async def test_an_answer_is_closed_before_it_costs_more_than_was_committed(bench: Bench) -> None:
    """A server that does not keep to max_tokens, and an SDK that would read on."""
    capped(bench, 0.30)
    bench.plan += [Answer(HEADER + "x" * 400_000, output_tokens=200_000, input_tokens=3000)]
    with pytest.raises(ProposalFailed, match="came to cost more than the"):
        await bench.proposer().propose(brief())
    call = bench.only_call()
    assert call["stop_reason"] == "overdrawn"
    assert len(call["response"]) < 40_000
    assert 0.25 < call["dollars"] <= 0.30


async def test_counts_on_the_way_stop_an_answer_too(bench: Bench) -> None:
    """Thinking that is not shown costs all the same: the server's counts tell."""
    capped(bench, 0.30)
    thinking = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 40_000}}
    bench.plan += [stream(opening(), thinking, *[thinking] * 50)]
    with pytest.raises(ProposalFailed, match="came to cost more than the"):
        await bench.proposer().propose(brief())
    assert bench.only_call()["output_tokens"] == 40_000


async def test_what_a_call_that_broke_off_consumed_is_booked_in_tokens_and_dollars(
    bench: Bench,
) -> None:
    bench.plan += [
        Answer("y" * 6000, cut=True, input_tokens=100, cache_read=2000, cache_write=500),
    ]
    with pytest.raises(ProposerUnavailable, match="broke off"):
        await bench.proposer().propose(brief())
    call = bench.only_call()
    assert call["status"] == "failed"
    assert call["response"] == "y" * 3000
    assert (call["input_tokens"], call["cache_read_tokens"]) == (100, 2000)
    assert call["cache_write_tokens"] == 500
    assert call["output_tokens"] == 1500  # an estimate, rather too many
    assert call["dollars"] == pytest.approx((100 * 4 + 2000 * 0.2 + 500 * 5 + 1500 * 20) / 1e6)


async def test_a_refusal_is_paid_for_as_far_as_it_went(bench: Bench) -> None:
    refusal = Answer("no", stop_reason="refusal", input_tokens=900, output_tokens=3, cache_read=100)
    bench.plan += [refusal]
    with pytest.raises(ProposalRefused):
        await bench.proposer().propose(brief())
    call = bench.only_call()
    assert call["dollars"] == pytest.approx((900 * 4 + 3 * 20 + 100 * 0.2) / 1e6)
    assert bench.journal.call_figures()[0].refused == 1


async def test_a_cache_kept_for_an_hour_is_counted_at_its_price(bench: Bench) -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 1,
        "cache_creation_input_tokens": 3000,
        "cache_creation": {"ephemeral_1h_input_tokens": 2000, "ephemeral_5m_input_tokens": 1000},
    }
    said = {"type": "text_delta", "text": HEADER + EDIT}
    bench.plan += [
        stream(
            opening(usage=usage),
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": ""},
            },
            {"type": "content_block_delta", "index": 0, "delta": said},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 60},
            },
            {"type": "message_stop"},
        )
    ]
    await bench.proposer().propose(brief())
    dollars = (10 * 4 + 60 * 20 + 1000 * 5 + 2000 * 8) / 1e6
    assert bench.only_call()["dollars"] == pytest.approx(dollars)


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": -5, "output_tokens": -7},
        {"input_tokens": "many", "output_tokens": None},
        {"input_tokens": 1e300, "output_tokens": 10**30},
        {"input_tokens": {"a": 1}, "output_tokens": [], "cache_read_input_tokens": True},
        None,
        "free",
    ],
)
async def test_counts_that_are_none_are_replaced_by_an_estimate(bench: Bench, usage: Any) -> None:
    bench.plan += [stream(opening(usage=usage))]
    with pytest.raises(ProposerUnavailable):
        await bench.proposer().propose(brief())
    call = bench.only_call()
    assert call["status"] == "failed"
    assert 1000 < call["input_tokens"] < 20_000  # of the prompt
    assert 0 < call["dollars"] < 0.2


# ---- the cache ---------------------------------------------------------------------------------------------


async def test_calls_of_a_run_begin_with_the_same_bytes(bench: Bench) -> None:
    """Rules, known negatives and directions; whatever the operator, the parents and the history are."""
    bench.plan += [Answer(HEADER + EDIT), Answer(HEADER + FILE), Answer(HEADER + EDIT)]
    proposer = bench.proposer()
    await proposer.propose(brief())
    await proposer.propose(brief(Operator.REWRITE, seed=7, history=(), scratchpad="Less is more."))
    await proposer.propose(brief(Operator.CROSSOVER, sigma=0.002, recommendation="Go small."))
    starts = [json.dumps(request.body["system"]) for request in bench.server.requests]
    assert starts[0] == starts[1] == starts[2]
    last = bench.server.requests[0].body["system"][-1]
    assert last["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert "Be brief." in last["text"]


async def test_with_short_trainings_a_parent_is_kept_for_minutes_and_shared_by_operators(
    bench: Bench,
) -> None:
    bench.plan += [Answer(HEADER + EDIT)] * 2
    proposer = bench.proposer(cache_ttl="5m")
    await proposer.propose(brief())
    await proposer.propose(brief(Operator.TUNE, seed=7, history=()))
    one, two = (request.body["messages"][0]["content"][0] for request in bench.server.requests)
    assert one == two
    assert one["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert "MATRIX_LR = 0.04" in one["text"]


async def test_cache_hits_are_summed_by_model(bench: Bench) -> None:
    bench.plan += [
        Answer(HEADER + EDIT, input_tokens=100, cache_write=900),
        Answer(HEADER + EDIT, input_tokens=100, cache_read=900, output_tokens=70),
    ]
    proposer = bench.proposer()
    await proposer.propose(brief())
    await proposer.propose(brief())
    (figures,) = bench.journal.call_figures()
    assert (figures.model, figures.calls, figures.answered) == ("claude-opus-5-5", 2, 2)
    assert (figures.input_tokens, figures.cached_tokens) == (2000, 900)
    assert (figures.output_tokens, figures.cached_share) == (120, 0.45)
    assert figures.dollars == pytest.approx(bench.journal.run().dollars)


# ---- faults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (
            Fault(401, "authentication_error", f"invalid key {KEY}"),
            "did not accept the key in ANTHROPIC_API_KEY",
        ),
        (Fault(403, "permission_error"), "may not use the model claude-opus-5-5"),
        (Fault(404, "not_found_error"), "knows no model claude-opus-5-5"),
        (
            Fault(400, "invalid_request_error", "effort: bad"),
            r"rejected the request \(400: effort: bad\)",
        ),
        (
            Answer(HEADER + EDIT, error="authentication_error"),
            "did not accept the key in ANTHROPIC_API_KEY",
        ),
    ],
)
async def test_faults_that_stay_are_named_with_what_to_do(
    bench: Bench, fault: Fault | Answer, why: str
) -> None:
    bench.plan += [fault]
    with pytest.raises(ProposerUnavailable, match=why) as caught:
        await bench.proposer(retries=2).propose(brief())
    assert caught.value.retry_after is None
    assert bench.only_call()["status"] == "failed"
    assert (bench.only_call()["dollars"] > 0) is isinstance(fault, Answer)
    assert KEY not in str(caught.value)


async def test_a_missing_key_is_named_before_anything_is_sent(bench: Bench) -> None:
    with pytest.raises(ProposerUnavailable, match="ANTHROPIC_API_KEY is not set") as caught:
        await bench.proposer(api_key=None, base_url="", extras=False).propose(brief())
    assert caught.value.retry_after is None


async def test_a_mistyped_model_is_told_the_nearest_name(bench: Bench) -> None:
    bench.plan += [Fault(404, "not_found_error")]
    with pytest.raises(ProposerUnavailable, match=r"Did you mean claude-opus-5-5\?"):
        await bench.proposer(model="claude-opus-55").propose(brief())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(413, "request_too_large"),
        Fault(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    ],
)
async def test_a_request_that_is_too_large_fails_this_brief_only(
    bench: Bench, fault: Fault
) -> None:
    bench.plan += [fault]
    with pytest.raises(ProposalFailed, match="too large"):
        await bench.proposer().propose(brief())


async def test_a_rate_limit_tells_when_to_ask_again_and_is_not_slept_through(bench: Bench) -> None:
    bench.plan += [Fault(429, "rate_limit_error", headers={"retry-after": "120"})]
    with pytest.raises(ProposerUnavailable, match="limits the rate") as caught:
        await bench.proposer(retries=2).propose(brief())
    assert caught.value.retry_after == 120
    assert len(bench.server.requests) == 1


async def test_a_short_wait_is_waited_and_every_request_is_a_call_of_its_own(bench: Bench) -> None:
    bench.plan += [
        Fault(429, "rate_limit_error", headers={"retry-after-ms": "20"}),
        Answer(HEADER + EDIT),
    ]
    child = await bench.proposer(retries=1).propose(brief())
    assert "MATRIX_LR = 0.05" in child.source
    assert [call["status"] for call in bench.calls()] == ["failed", "answered"]
    assert child.calls == (2,)
    assert "claude-opus-5-5 answered again after 1 failed call in" in bench.everything()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(402, "billing_error"),
        Fault(400, "invalid_request_error", "Your credit balance is too low to access the API."),
    ],
)
async def test_an_empty_account_is_looked_at_again_within_the_hour(
    bench: Bench, fault: Fault
) -> None:
    bench.plan += [fault]
    with pytest.raises(ProposerUnavailable, match="no credit left") as caught:
        await bench.proposer(retries=2).propose(brief())
    assert caught.value.retry_after == 3600
    assert len(bench.server.requests) == 1


async def test_in_an_outage_one_request_is_made_where_three_were_made_at_its_start(
    bench: Bench,
) -> None:
    hurry = Fault(529, "overloaded_error", headers={"retry-after-ms": "10"})
    bench.plan += [hurry] * 4
    proposer = bench.proposer(retries=2)
    for heard in (3, 4):
        with pytest.raises(ProposerUnavailable):
            await proposer.propose(brief())
        assert len(bench.server.requests) == heard


async def test_an_overloaded_server_is_retried_and_then_given_longer_and_longer(
    bench: Bench,
) -> None:
    hurry = {"retry-after-ms": "10"}
    bench.plan += [Fault(529, "overloaded_error", headers=hurry)] * 2 + [
        Fault(529, "overloaded_error")
    ]
    proposer = bench.proposer(retries=2)
    with pytest.raises(ProposerUnavailable, match="cannot answer now") as first:
        await proposer.propose(brief())
    assert len(bench.server.requests) == 3
    bench.plan += [Fault(500, headers={"x-should-retry": "false"})]
    with pytest.raises(ProposerUnavailable) as second:
        await proposer.propose(brief())
    assert (first.value.retry_after, second.value.retry_after) == (30, 60)
    bench.plan += [Answer(HEADER + EDIT), Fault(503, headers={"x-should-retry": "false"})]
    await proposer.propose(brief())
    with pytest.raises(ProposerUnavailable) as third:
        await proposer.propose(brief())
    assert third.value.retry_after == 30


async def test_silence_ends_at_the_timeout_and_what_was_consumed_is_booked(bench: Bench) -> None:
    bench.plan += [Answer(HEADER + EDIT, hang=True, input_tokens=1000)]
    with pytest.raises(ProposerUnavailable, match=r"did not answer within 0\.5 s") as caught:
        await bench.proposer(timeout=0.5).propose(brief())
    assert caught.value.retry_after == 30
    assert bench.only_call()["status"] == "failed"
    assert bench.only_call()["dollars"] > 1000 * 4 / 1e6


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Answer(HEADER + EDIT, cut=True), "broke off its answer"),
        (Answer(HEADER + EDIT, error="overloaded_error"), r"cannot answer now \(529: busy\)"),
        (Raw(b""), "broke off its answer"),
        (Raw(b"event: message_start\ndata: {not json\n\n"), "no proper stream"),
        (
            Raw(b'event: content_block_stop\ndata: {"type": "content_block_stop", "index": 3}\n\n'),
            "broke off|no proper",
        ),
        (Raw(b"<html>hello</html>", "text/html"), "broke off|no proper"),
        (Raw(b"event: message_start\ndata: \xff\xfe\n\n"), "no proper stream"),
        (Raw(b'{"type": "message", "content": []}', "application/json"), "broke off|no proper"),
        (Raw(b"\x00" * 100_000), "broke off|no proper"),
        (stream({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}), "529"),
        (stream({"type": "error", "error": "what"}), "cannot answer now|no proper"),
        (stream({"type": "message_start", "message": None}), "broke off"),
        (stream({"type": "message_start", "message": {}}), "broke off"),
        (stream(opening(), {"type": "content_block_delta", "index": 5, "delta": {}}), "broke off"),
        (stream(opening(), {"type": "message_delta", "delta": None, "usage": {}}), "broke off"),
        (
            stream(
                opening(),
                {
                    "type": "content_block_start",
                    "index": 0,
                    "content_block": {"type": "text", "text": ""},
                },
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": 7},
                },
            ),
            "broke off",
        ),
        (
            stream(opening(), {"type": "message_delta", "delta": {"stop_reason": 7}, "usage": {}}),
            "broke off",
        ),
        (stream({"type": "surprise"}, opening(content="text")), "broke off|no proper"),
    ],
)
async def test_a_stream_that_breaks_is_a_passing_fault(
    bench: Bench, entry: Answer | Raw, why: str
) -> None:
    bench.plan += [entry]
    with pytest.raises(ProposerUnavailable, match=why) as caught:
        await bench.proposer().propose(brief())
    assert caught.value.retry_after == 30
    assert bench.only_call()["status"] == "failed"


async def test_no_server_at_all_is_a_passing_fault(bench: Bench) -> None:
    with pytest.raises(ProposerUnavailable, match=r"127\.0\.0\.1:9 cannot be reached") as caught:
        await bench.proposer(base_url="http://me:passwordpassword@127.0.0.1:9").propose(brief())
    assert "passwordpassword" not in str(caught.value)


async def test_a_call_that_is_cancelled_frees_its_money(bench: Bench) -> None:
    bench.plan += [Answer(HEADER + EDIT, hang=True)]
    task = asyncio.create_task(bench.proposer().propose(brief()))
    await asyncio.to_thread(bench.server.hanging.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.only_call()["status"] == "failed"
    assert "stopped before the answer" in bench.only_call()["error"]


async def test_a_persons_broken_template_is_their_fault_in_words(bench: Bench) -> None:
    with pytest.raises(ProposerUnavailable, match=r"lacks \{parents\}"):
        await bench.proposer().propose(brief(templates={"mutate": "improve it"}))
    assert bench.calls() == []


# ---- the key -----------------------------------------------------------------------------------------------


async def test_the_key_is_nowhere_but_in_the_header(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proposer = bench.proposer()
    bench.plan += [
        Answer(f"Title: {KEY}\nHypothesis: {KEY}\n{EDIT}# {KEY}"),
        Fault(401, "authentication_error", f"bad key {KEY}"),
        Fault(400, KEY, KEY),
    ]
    said = [repr(proposer), repr(bench.config()), repr(await proposer.propose(brief()))]
    for _ in range(2):
        with pytest.raises(ProposerUnavailable) as caught:
            await proposer.propose(brief())
        error: BaseException | None = caught.value
        while error is not None:
            said += [str(error), repr(error), str(vars(error))]
            error = error.__cause__ or error.__context__
    assert KEY not in "\n".join(said)
    assert KEY not in bench.everything()
    assert KEY not in caplog.text
    assert all(KEY in request.headers["authorization"] for request in bench.server.requests)


async def test_half_a_key_at_the_end_of_a_broken_answer_is_none(bench: Bench) -> None:
    """What is kept of an answer that broke off may end anywhere."""
    half = KEY[: len(KEY) // 2]
    bench.plan += [
        Answer("a" * 50 + half + "b" * (50 + len(half)), cut=True),
        Fault(400, "invalid_request_error", "x" * 150 + KEY),  # would be cut after 160 characters
        Raw(f"event: message_start\ndata: {KEY}\n\n".encode()),
    ]
    for _ in range(3):
        with pytest.raises(ProposerUnavailable) as caught:
            await bench.proposer().propose(brief())
        assert KEY[:12] not in str(caught.value)
    assert KEY[:12] not in bench.everything()


# ---- the check at the start --------------------------------------------------------------------------------


async def test_the_check_is_content_with_a_good_key_and_model(bench: Bench) -> None:
    assert await bench.proposer().check() is None
    assert bench.server.requests == []


@pytest.mark.parametrize(
    ("models", "given", "why"),
    [
        (Fault(401, "authentication_error"), {}, "did not accept the key"),
        (
            {"claude-opus-5-5": {}},
            {"model": "claude-opus-6", "base_url": ""},
            "Did you mean claude-opus-5-5",
        ),
        ({}, {"api_key": None, "base_url": ""}, "ANTHROPIC_API_KEY is not set"),
        ({}, {"base_url": "http://127.0.0.1:9"}, "127.0.0.1:9 cannot be reached"),
    ],
)
async def test_the_check_says_what_is_wrong(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, models: Any, given: dict[str, Any], why: str
) -> None:
    # Without a base_url of its own a proposer goes where the SDK goes.
    monkeypatch.setenv("ANTHROPIC_BASE_URL", bench.server.url)
    bench.server.models = models
    assert why in str(await bench.proposer(**given).check())


@pytest.mark.parametrize(
    "models",
    [{}, Fault(501), Fault(529, "overloaded_error"), Fault(429, headers={"retry-after": "90"})],
)
async def test_the_check_lets_pass_what_only_the_first_call_can_tell(
    bench: Bench, models: Any
) -> None:
    bench.server.models = models
    assert await bench.proposer(extras=False).check() is None


# ---- settings ----------------------------------------------------------------------------------------------


def test_the_configuration_follows_the_settings_and_the_key_wins_over_the_token() -> None:
    both = LlmConfig.from_settings(Llm(), api_key="key", auth_token="token")
    assert (both.api_key, both.auth_token, both.key_name, both.extras) == (
        "key",
        None,
        "ANTHROPIC_API_KEY",
        True,
    )
    token = LlmConfig.from_settings(Llm(), api_key=None, auth_token="token")
    assert (token.auth_token, token.key_name) == ("token", "ANTHROPIC_AUTH_TOKEN")
    assert (
        LlmConfig.from_settings(
            Llm(base_url="http://localhost:11434"), api_key=None, auth_token=None
        ).extras
        is False
    )
    assert LlmConfig.from_settings(
        Llm(base_url="https://eu.api.anthropic.com"), api_key="k", auth_token=None
    ).extras


async def test_a_model_without_a_price_is_counted_as_the_dearest_and_says_so(bench: Bench) -> None:
    proposer = bench.proposer(model="llama", extras=False)
    bench.plan += [Answer(HEADER + EDIT, input_tokens=1000, output_tokens=10)]
    await proposer.propose(brief())
    assert bench.only_call()["dollars"] == pytest.approx(0.0042)
    assert "llama is not in [llm.prices]" in proposer.price_notes[0]


def test_a_proposer_says_when_its_prices_are_old(bench: Bench) -> None:
    assert bench.proposer(prices_as_of=str(date.today())).price_notes == ()
    (note,) = bench.proposer(prices_as_of="2020-01-01").price_notes
    assert "The price table is of 2020-01-01" in note
    free = {"claude-opus-5-5": Price(input=0.0, output=0.0)}
    assert bench.proposer(prices_as_of="2020-01-01", prices=free).price_notes == ()


def test_building_a_proposer_imports_no_sdk() -> None:
    code = (
        "import sys; from evolve.propose.claude import ClaudeProposer, LlmConfig; "
        "ClaudeProposer(LlmConfig('m'), None); sys.exit('anthropic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
