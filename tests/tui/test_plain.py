"""A run as plain text and as JSON: aligned, clean, honest about what is not known yet."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from evolve.bandit import Arm, Share
from evolve.beliefs import Belief
from evolve.callbook import CallFigures
from evolve.model import (
    Candidate,
    CandidateState,
    Event,
    Experiment,
    Operator,
    Purpose,
    Run,
    Verdict,
)
from evolve.noise import Noise
from evolve.outlook import Outlook, Pruned
from evolve.trends import Trend
from evolve.view import EngineView, RunningView, Snapshot
from harness.spec import Outcome, Progress
from tui import figures, listing, plain


def candidate(number: int, **changes: Any) -> Candidate:
    usual = Candidate(
        id=number,
        operator=Operator.MUTATE,
        proposer="builtin",
        parents=(1,),
        title=f"idea {number}",
        hypothesis="",
        category="optimizer",
        commit=f"{number:040x}",
        source_sha="",
        code_hash="",
        lines=500,
        created=0.0,
        state=CandidateState.JUDGED,
        verdict=Verdict.REJECTED,
    )
    return replace(usual, **changes)


BASELINE = candidate(
    1,
    operator=Operator.SEED,
    parents=(),
    verdict=Verdict.BASELINE,
    scores=(1.2, 1.202, 1.204),
    alive=True,
)
WINNER = candidate(2, verdict=Verdict.PROMOTED, scores=(1.1, 1.1), alive=True, title="wider MLP")
BELIEFS = {
    1: Belief(1.2019, 0.0012, 0.001, 3, "confirmed"),
    2: Belief(1.1004, 0.00141, None, 2, "confirmed"),
}
OUTLOOK = Outlook(
    noise=Noise(0.002, n=12, share=0.4, sure=0.3, pairs=8),
    beliefs=BELIEFS,
    trends=(
        Trend("optimizer", 12, 11, 1, 1, 2, 0.4, 3.1, "P..k...x.k", 1),
        Trend("size", 2, 2, 0, 0, 0, -1.0, -0.5, "..", 0),
    ),
    operators=(
        Share(Arm("opus", "mutate"), 0.6, 0.5, 20, 6.0, 24.0),
        Share(Arm("builtin", "tune"), 0.3, 0.3, 9, 2.0, 9.0),
        Share(Arm("builtin", "mutate"), 0.1, 0.2, 3, 0.0, 3.0),
    ),
    calls=(
        CallFigures("opus", 30, 27, 2, 1, 1.4, 3000, 2400, 900, 60.0),
        CallFigures("haiku", 1, 1, 0, 0, 0.1, 1000, 600, 10, 2.0),
    ),
)
RAN_OUT = candidate(3, verdict=Verdict.FAILED, outcome=Outcome.OOM, category="size")
CHILD = candidate(
    4, operator=Operator.CROSSOVER, parents=(1, 2), state=CandidateState.READY, verdict=None
)


def snapshot(**changes: Any) -> Snapshot:
    run = Run(
        id=1,
        name="nov21",
        created=0.0,
        state="running",
        reason="Started: 400,000 tokens a training.",
        branch="main",
        base_commit="0" * 40,
        settings={},
        fingerprint={},
        incumbent=2,
        sigma=0.002,
    )
    usual = Snapshot(
        time=100.0,
        run=run,
        engine=EngineView("running", 4242, 1.0, "proposing"),
        running=None,
        queue=(CHILD,),
        population=(WINNER, BASELINE),
        incumbent=WINNER,
        recent=(Event(7, 0.0, "verdict", "#2 promoted: main moved", 2),),
        candidates=4,
        experiments=6,
        failures=1,
        promotions=1,
        crossovers=1,
        llm_calls=31,
        dollars=1.5,
        settings=(),
        pending=(),
        gap_seconds=None,
        stop_rules="12 candidates",
        sandbox="bubblewrap",
        rehearsal=False,
        outlook=OUTLOOK,
    )
    return replace(usual, **changes)


def rows(text: str) -> dict[str, str]:
    """`Label  value` lines as a dict; lines without a label are left out."""
    return {
        line[:12].strip(): line[12:]
        for line in text.splitlines()
        if line[:1].strip() and len(line) > 12
    }


def test_status_tells_what_was_stopped_early() -> None:
    report = "4 stopped early, 9 minutes saved; none of the doomed was let finish yet."
    pruned = replace(OUTLOOK, pruned=Pruned(4, 0, 0, False, report))
    assert rows(plain.status(snapshot(outlook=pruned)))["Pruning"] == report
    assert "Pruning" not in rows(plain.status(snapshot()))
    stopped = candidate(5, verdict=Verdict.REJECTED, outcome=Outcome.PRUNED)
    assert "pruned" in listing.results([stopped], {}, None).split()


def words(line: str) -> str:
    """The words of a line, one blank apart."""
    return " ".join(line.split())


def running(progress: Progress | None) -> RunningView:
    experiment = Experiment(9, 4, Purpose.SCREEN, 0, started=88.0)
    return RunningView(experiment, CHILD, progress, (), ())


# ---- status ---------------------------------------------------------------------------------------------


def test_status_says_the_essentials() -> None:
    said = rows(plain.status(snapshot()))
    assert said["Run"] == "nov21, running: Started: 400,000 tokens a training."
    assert said["Engine"] == "running (pid 4242, last heard from 1 s ago)"
    assert said["Proposer"] == "proposing"
    assert said["Incumbent"] == (
        "#2 1.10000 in 2 trainings, corrected 1.10040 ± 0.00141, confirmed  wider MLP"
    )
    assert said["Queue"] == "#4 crossover"
    assert said["So far"] == "4 candidates, 6 trainings, 1 failed, 1 promoted, 1 crossover"
    assert said["Ends after"] == "12 candidates"
    assert said["Sandbox"] == "bubblewrap"


def test_an_engine_that_hangs_or_is_started_again_is_told_from_one_that_works() -> None:
    hangs = replace(snapshot(), engine=EngineView("running", 4242, 41.0, "proposing"))
    assert rows(plain.status(hangs))["Engine"] == (
        "running (pid 4242), but without a sign of life for 41 s: it hangs, or somebody stopped it; "
        "`kill -9 4242` makes way for a fresh one, nothing is lost"
    )
    why = "The engine was killed (SIGKILL) at 04:50:11; it is started again in 5 s."
    again = replace(snapshot(), engine=EngineView("restarting", 4241, 3.0, "", why))
    assert rows(plain.status(again))["Engine"] == f"restarting: {why[:-1]}, last heard from 3 s ago"


def test_status_tells_what_people_asked_for() -> None:
    marked = replace(WINNER, pinned=True, boosted=2)
    wished = candidate(3, wanted=4)
    child = replace(CHILD, pinned=True)
    text = plain.status(
        snapshot(
            population=(marked, replace(BASELINE, banned=True)),
            queue=(child, replace(CHILD, id=5)),
            awaiting=(4,),
            wished=(wished,),
        )
    )
    for words in (
        "promoted, pinned, boosted 2  wider MLP",
        "baseline, banned",
        "#4 crossover (waits for approval, pinned), #5 crossover\n",
        "Again       #3 4x\n",
    ):
        assert words in text
    assert "Again" not in plain.status(snapshot())
    data = json.loads(plain.to_json(snapshot(wished=(wished,), awaiting=(4,))))
    assert (data["awaiting"], data["wished"][0]["wanted"]) == ([4], 4)


def test_status_tells_of_voided_scores_of_drift_and_of_the_sealed_rows() -> None:
    sealed = replace(WINNER, sealed_gain=0.004, sealed_gap=0.0001)
    drift = "The baseline now trains 4.1 % fewer tokens a second\x1b[2J than at the start."
    kinds = (("voided", 2), ("oom", 1))
    said = rows(
        plain.status(
            snapshot(incumbent=sealed, failures=3, voided=2, failed_by_kind=kinds, drift=drift)
        )
    )
    assert "3 failed (2 voided by the audit, 1 oom)" in said["So far"]
    assert said["Drift"].startswith("The baseline now trains 4.1 % fewer")
    assert "\x1b" not in said["Drift"]
    assert ", +0.00400 on the sealed rows (gap +0.00010)  wider MLP" in said["Incumbent"]
    calm = rows(plain.status(snapshot()))
    assert "Drift" not in calm
    assert "sealed" not in calm["Incumbent"]
    assert plain.watch_key(snapshot()) != plain.watch_key(snapshot(drift=drift))


def test_a_score_is_told_as_measured_and_as_believed() -> None:
    assert figures.score(BASELINE, None) == "1.20200 in 3 trainings"
    assert figures.score(CHILD, None) == "not scored yet"
    once = Belief(1.2004, 0.003, 0.61, 1, "provisional")
    assert figures.score(replace(BASELINE, scores=(1.2,)), once) == (
        "1.20000 in 1 training, corrected 1.20040 ± 0.00300, provisional"
    )


def test_status_shows_how_sure_every_score_is() -> None:
    text = plain.status(snapshot())
    _, member = [words(line) for line in text.splitlines() if "wider MLP" in line]
    # the chance of main against itself is none
    assert member == "#2 1.10000 1.10040 ± 0.00141 - 2 confirmed promoted wider MLP"
    (first,) = [words(line) for line in text.splitlines() if line.endswith("idea 1")]
    assert first.startswith("#1 1.20200 1.20190 ± 0.00120 <1 % 3 confirmed baseline")
    assert rows(text)["Noise"] == (
        "0.00200 bpb a training, from 12 repeats; its seed explains 40 % of the variance"
    )
    bare = rows(plain.status(snapshot(outlook=Outlook())))
    assert bare["Noise"] == "not measured yet"


def test_status_tells_by_what_the_search_goes() -> None:
    said = rows(plain.status(snapshot()))
    assert said["Ideas"] == "optimizer 3 of 12, size 0 of 2"
    assert said["Operators"] == "mutate 70 %, tune 30 %"
    assert said["Spent"] == (
        "$1.50 in 31 model calls, 2 refused, 1 failed, 75 % of the input from the cache"
    )
    assert not {"Policy", "Goes by"} & said.keys()
    priced = replace(
        OUTLOOK,
        policy="greedy",
        goes_by="val_bpb, 0.01 for twice the speed",
        memory_limit="70,000 MB, 0.5 for twice as much",
    )
    best = replace(WINNER, fitness=(1.09, 1.07))
    said = rows(plain.status(snapshot(outlook=priced, incumbent=best)))
    assert said["Policy"].startswith("greedy: one better training moves main")
    assert said["Goes by"] == (
        "val_bpb, 0.01 for twice the speed; memory softly limited to 70,000 MB, 0.5 for twice as much"
    )
    assert said["Incumbent"] == (
        "#2 1.10000 in 2 trainings, fitness 1.08000, corrected 1.10040 ± 0.00141, confirmed  wider MLP"
    )


def test_status_shows_the_training_in_the_slot() -> None:
    progress = Progress(
        "training", time=100.0, fraction=0.43, loss=3.41234, tokens_per_second=41_000.0
    )
    said = rows(plain.status(snapshot(running=running(progress))))
    assert said["Training"] == (
        "#4 crossover (screen) training 43%, loss 3.4123, 41,000 tokens/s, 12 s since its start  idea 4"
    )


def test_a_training_without_progress_is_starting() -> None:
    assert "#4 crossover (screen) starting" in plain.status(snapshot(running=running(None)))
    slot = running(None)
    wished = replace(slot, experiment=replace(slot.experiment, wished=True))
    assert "#4 crossover (asked for) starting" in plain.status(snapshot(running=wished))


@pytest.mark.parametrize("state", ["none", "dead"])
def test_a_stopped_engine_says_how_to_go_on(state: str) -> None:
    view = EngineView(state, None, 4000.0, "")
    assert "`autoresearch run` goes on" in rows(plain.status(snapshot(engine=view)))["Engine"]


def test_a_rehearsal_says_so_first() -> None:
    assert plain.status(snapshot(rehearsal=True)).startswith("REHEARSAL")
    assert "REHEARSAL" not in plain.status(snapshot())


def test_candidates_cannot_paint_the_terminal() -> None:
    nasty = replace(WINNER, title="\x1b[2Jgone\x07\r\nnext \x9b31mline\u202e")
    event = Event(8, 0.0, "error", "said \x1b]0;title\x07this\nand that")
    text = plain.status(snapshot(incumbent=nasty, population=(nasty,), recent=(event,)))
    assert not [c for c in text if c != "\n" and not c.isprintable()]
    assert "gone next" in text


# ---- watching -------------------------------------------------------------------------------------------


def at(fraction: float) -> tuple[object, ...]:
    return plain.watch_key(snapshot(running=running(Progress("training", 0.0, fraction))))


def test_watching_is_quiet_within_a_tenth_of_a_training() -> None:
    assert at(0.41) == at(0.49)
    assert at(0.41) != at(0.51)


def test_watching_sees_every_event() -> None:
    later = replace(snapshot(), recent=(Event(8, 0.0, "verdict", "next", 3),))
    assert plain.watch_key(snapshot()) != plain.watch_key(later)


# ---- events ---------------------------------------------------------------------------------------------


def test_an_event_is_one_line_with_its_candidate_named_once() -> None:
    named = plain.event_line(Event(1, 0.0, "finished", "#212 finished 0.97440", 212))
    unnamed = plain.event_line(Event(1, 0.0, "finished", "finished\n0.97440", 212))
    assert named == unnamed
    assert named.split(" ", 1)[1] == "#212 finished 0.97440"
    assert named[2] == named[5] == ":"


def test_a_number_inside_another_is_not_the_candidate() -> None:
    assert "#2 beaten by #21" in plain.event_line(Event(1, 0.0, "verdict", "beaten by #21", 2))


# ---- results --------------------------------------------------------------------------------------------


def test_results_are_aligned_and_mark_the_incumbent() -> None:
    lines = listing.results([BASELINE, WINNER, RAN_OUT, CHILD], BELIEFS, 2).splitlines()
    head, first, second, third, fourth = lines
    assert head.split()[:6] == ["id", "val_bpb", "corrected", "P(better)", "n", "state"]
    assert {line.index("idea") for line in (first, third, fourth)} == {head.index("title")}
    assert second.startswith("*#2")
    assert first.split()[1:9] == ["1.20200", "1.20190", "±", "0.00120", "<1", "%", "3", "confirmed"]
    assert "oom" in third.split()
    assert third.split()[1:6] == ["-", "-", "-", "0", "-"]
    assert "#1x#2" in fourth
    assert "waiting" in fourth
    assert "fitness" not in head


def test_results_show_fitness_beside_the_score_where_they_differ() -> None:
    head, row = listing.results(
        [replace(WINNER, fitness=(1.0, 1.02))], BELIEFS, 2, composite=True
    ).splitlines()
    assert head.split()[1:4] == ["val_bpb", "fitness", "corrected"]
    assert words(row).startswith("*#2 1.10000 1.01000 1.10040 ± 0.00141 - 2 confirmed promoted")


def test_trends_and_operators_are_tables() -> None:
    head, first, second = listing.trends(OUTLOOK.trends, "category").splitlines()
    assert head.split()[0] == "category"
    assert words(first) == "optimizer 12 2 1 1 25 % +0.4 +3.1 1 P..k...x.k"
    assert words(second) == "size 2 0 0 0 0 % -1.0 -0.5 0 .."
    head, first, *_ = listing.shares(OUTLOOK.operators).splitlines()
    rate = f"{OUTLOOK.operators[0].rate:.2f}"
    assert words(first) == f"mutate opus 60 % 50 % 20 6.0 24.0 {rate}"


def test_wide_characters_keep_the_columns() -> None:
    table = plain.table([("学习", "a"), ("ab", "b")])
    assert table.splitlines() == ["学习  a", "ab    b"]


def test_long_titles_are_cut_by_columns() -> None:
    assert plain.one_line("学" * 10, 7) == "学学学…"
    assert plain.one_line("short", 7) == "short"


def test_selection_and_order() -> None:
    everyone = [CHILD, RAN_OUT, BASELINE, WINNER]

    def chosen(kept_only: bool = False, category: str | None = None, sort: str = "id") -> list[int]:
        beliefs = {1: BELIEFS[2], 2: BELIEFS[1]}
        found = listing.select(everyone, beliefs, kept_only=kept_only, category=category, sort=sort)
        return [candidate.id for candidate in found]

    assert chosen() == [1, 2, 3, 4]
    assert chosen(kept_only=True) == [1, 2]
    assert chosen(category="size") == [3]
    assert chosen(sort="bpb") == [2, 1, 3, 4]  # without a score comes last
    assert chosen(sort="corrected") == [1, 2, 3, 4]


def test_every_order_that_the_command_offers_exists() -> None:
    from tui.commands.results import SORTS

    assert set(SORTS) == set(listing.SORT_KEYS)


# ---- JSON -----------------------------------------------------------------------------------------------


def test_json_is_exact_and_valid() -> None:
    odd = Progress("training", time=1.0, loss=math.nan)
    data = json.loads(plain.to_json(snapshot(running=running(odd))))
    assert data["incumbent"]["scores"] == [1.1, 1.1]
    assert data["population"][0]["verdict"] == "promoted"
    assert data["running"]["progress"]["loss"] is None  # JSON has no NaN
    assert data["engine"] == {
        "state": "running",
        "pid": 4242,
        "heartbeat_age": 1.0,
        "doing": "proposing",
        "why": "",
    }


def test_json_keeps_text_as_it_is_and_escapes_it() -> None:
    text = plain.to_json({"title": "\x1b[2J"})
    assert "\x1b" not in text
    assert json.loads(text) == {"title": "\x1b[2J"}
