"""What clients are told of everything that can be tuned, and that a running engine goes by it from the next proposal on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evolve import settings as config
from evolve.boot import boot
from evolve.client import Client
from evolve.engine import Engine
from evolve.model import CommandState, UsageError, Verdict
from evolve.stop import Pace, StopRules, StopState, standings
from tests.evolve.test_engine import ShortSlot, ask, overrides, until, workspace  # noqa: F401 - a fixture
from tests.evolve.workbench import baseline, judged, open_journal


def test_a_clients_settings_are_checked_as_the_engine_checks_them(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        journal.change_setting("population.size", "6", "9", "ann")
    client = Client(tmp_path)
    assert client.checked("population.size", "12") == "12"
    assert client.checked("llm.effort", "high") == '"high"'
    for key, value in (
        ("population.size", "0"),
        ("population.islands", "6"),
        ("budget.tokens", "1"),
        ("prompts.mutate", "{parents} {parnets}"),
        ("population.sise", "1"),
    ):
        with pytest.raises(UsageError) as engine:
            config.change(config.change(config.Settings(), "population.size", "9"), key, value)
        with pytest.raises(UsageError) as told:
            client.checked(key, value)
        assert str(told.value) == str(engine.value)


def test_everything_that_can_be_tuned_is_told_with_who_changed_it(tmp_path: Path) -> None:
    client = Client(tmp_path)
    assert client.tuning() is None
    (tmp_path / "program.md").write_text("Look at attention.\n")
    with open_journal(tmp_path) as journal:
        baseline(journal)
        journal.change_setting("population.size", "6", "9", "ann")
        tuning = client.tuning()
    assert {d.key for d in tuning.described if d.key.startswith("llm.prices.")} == {"llm.prices.m"}
    assert (tuning.values["population.size"], tuning.defaults["population.size"]) == ("9", "6")
    (change,) = tuning.changes
    assert (change.who, change.old, change.new, change.applied_from) == ("ann", "6", "9", 2)
    assert tuning.directions == "Look at attention.\n"


def test_stop_rules_tell_how_far_they_are_used_and_what_is_left() -> None:
    rules = StopRules(candidates=50, hours=8, target_bpb=0.97, plateau=10)
    told = {
        s.rule: s
        for s in standings(rules, StopState(12, 2.0, 1.0, 0.98, 3, 20), Pace(12.0, 15.0, 0.0))
    }
    assert set(told) == {"candidates", "hours", "target_bpb", "plateau"}
    assert told["candidates"].hours == pytest.approx(38 / 12)
    assert told["hours"].hours == 6.0
    assert told["plateau"].hours is None
    assert (told["candidates"].share, told["target_bpb"].share) == (0.24, 0.0)
    assert standings(rules, StopState(0, 0, 0, None, 0), Pace())[0].hours is None


def test_the_pace_is_that_of_the_last_trainings(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        assert journal.pace().candidates == 0
        judged(journal, 0.9, Verdict.KEPT)
        pace = journal.pace()
        assert pace.experiments == pytest.approx(2 * pace.candidates)
        assert pace.dollars == 0


async def test_a_changed_weight_reaches_the_next_proposal(workspace: Path, tmp_path: Path) -> None:  # noqa: F811
    with boot(
        workspace,
        overrides=overrides(tmp_path),
        name=None,
        allow_weak_sandbox=True,
        on_event=None,
    ) as ready:
        engine = asyncio.create_task(Engine(ready, ShortSlot()).run())
        client = Client(workspace)
        await until(lambda: client.snapshot().incumbent is not None)
        for operator in ("crossover", "tune"):
            done = await ask(client, "set", key=f"operators.{operator}", value="0")
            assert done.state is CommandState.DONE, done.answer
        refused = await ask(client, "set", key="operators.mutate", value="lots")
        with pytest.raises(UsageError) as told:
            client.checked("operators.mutate", "lots")
        assert refused.answer == str(told.value)
        first = max(c.applied_from for c in client.setting_changes())
        # One proposal may have been on its way when the weights changed.
        await until(lambda: len(client.candidates()) >= first + 3)
        made = [c.operator for c in client.candidates() if c.id > first]
        assert set(made) == {"mutate"}
        assert client.tuning().asked[0].state is CommandState.REFUSED
        await ask(client, "stop")
        assert await asyncio.wait_for(engine, 20) == 0
