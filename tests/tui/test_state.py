"""The view state: readings come in, answers arrive, words are chosen; all without a terminal."""

from dataclasses import replace

import pytest

from evolve.beliefs import Belief
from evolve.model import Command, CommandState, Event, Run
from evolve.outlook import Outlook
from evolve.view import EngineView, Playback
from tests.tui.recording import candidate, event, snapshot
from tui.state import (
    EVENTS_KEPT,
    Asked,
    Reading,
    ViewState,
    advice,
    belief,
    connection_word,
    engine_word,
    pending,
    wished_size,
    with_answer,
    with_asked,
    with_notice,
    with_reading,
)
from tui.widgets.panels import notice_line


def state_with(**engine):
    base = EngineView("running", 1, 0.3, "")
    return ViewState(snapshot=snapshot(engine=replace(base, **engine)))


def clock_of(moment):
    return f"<{moment:.0f}>"


@pytest.mark.parametrize(
    ("engine", "word"),
    [
        ({}, "live"),
        ({"heartbeat_age": 6.2}, "stale 6s"),
        ({"state": "dead", "heartbeat_age": 90.0}, "dead"),
        ({"state": "none", "heartbeat_age": None}, "no engine"),
    ],
)
def test_the_connection_word_says_how_old_the_screen_is(engine, word):
    assert connection_word(state_with(**engine)).text == word


def test_a_journal_that_cannot_be_read_is_a_lost_connection_and_keeps_the_last_screen():
    before = ViewState(snapshot=snapshot())
    after = with_reading(before, Reading(error="The journal cannot be read: disk I/O error."))
    assert connection_word(after).text == "lost"
    assert after.snapshot is before.snapshot
    assert "disk I/O error" in advice(after, clock_of).text
    assert with_reading(after, Reading(snapshot=snapshot())).error == ""


def test_a_dead_engine_comes_with_since_when_and_how_to_go_on():
    state = state_with(state="dead", heartbeat_age=100.0)
    text = advice(replace(state, attach="autoresearch -C /w"), clock_of).text
    assert f"<{state.snapshot.time - 100:.0f}>" in text
    assert "autoresearch -C /w run" in text


def test_what_was_said_before_does_not_hide_that_the_engine_died_or_the_recording_ended():
    dead = state_with(state="dead", heartbeat_age=100.0).snapshot
    said = with_notice(ViewState(snapshot=snapshot()), "#1 is pinned.")
    died = with_reading(said, Reading(snapshot=dead))
    assert died.notice.text == ""
    again = with_notice(died, "Copied.")  # what comes after it is heard
    assert with_reading(again, Reading(snapshot=dead)).notice.text == "Copied."
    end = replace(snapshot(), playback=Playback(1.0, False, 0.0, snapshot().time))
    changed = Event(10**6, 0.0, "setting", "population.size: 8 → 9", None, {"who": "eve"})
    over = replace(end, recent=(*end.recent, changed))
    assert with_reading(said, Reading(snapshot=over)).notice.text == ""


def test_where_it_is_narrow_a_dead_engine_still_says_how_to_go_on():
    state = state_with(state="dead", heartbeat_age=100.0)
    (line,) = notice_line(state, 60, 1)
    assert "".join(text for text, _ in line).endswith("Resume with: autoresearch run")


def test_a_workspace_without_a_run_says_how_to_start():
    empty = snapshot(None, run=None, engine=EngineView("none", None, None, ""))
    assert "autoresearch run" in advice(ViewState(snapshot=empty), clock_of).text


def test_a_run_that_ended_by_itself_says_why():
    run = Run(**{**_fields(snapshot().run), "state": "finished", "reason": "12 candidates."})
    ended = ViewState(snapshot=snapshot(None, run=run, engine=EngineView("none", None, None, "")))
    assert engine_word(ended).text == "FINISHED"
    assert "12 candidates." in advice(ended, clock_of).text


def _fields(value):
    return {name: getattr(value, name) for name in type(value).__slots__}


def test_a_command_is_pending_until_the_engine_answers():
    state = with_asked(state_with(), Asked(7, "pause"))
    assert pending(state) == ("pause",)
    waiting = Command(7, 0.0, "me", "pause", {})
    assert pending(with_answer(state, waiting)) == ("pause",)
    done = replace(waiting, state=CommandState.DONE, answer="Paused.")
    after = with_answer(state, done)
    assert pending(after) == ()
    assert after.notice.text == "Paused."


def test_a_refused_command_says_why():
    state = with_asked(state_with(), Asked(7, "population 0", "population.size", "0"))
    refused = Command(7, 0.0, "me", "set", {}, CommandState.REFUSED, "At least 2.")
    after = with_reading(state, Reading(answers=(refused,)))
    assert after.notice.text == "Refused: At least 2."
    assert wished_size(after) == 12


def test_a_second_plus_counts_from_the_first():
    state = state_with()
    assert wished_size(state) == 12
    state = with_asked(state, Asked(1, "population 13", "population.size", "13"))
    assert wished_size(state) == 13


def test_events_are_appended_once_and_the_oldest_are_forgotten():
    state = with_reading(ViewState(), Reading(events=tuple(event(n) for n in range(1, 11))))
    state = with_reading(state, Reading(events=tuple(event(n) for n in range(8, 13))))
    assert [e.id for e in state.events] == list(range(1, 13))
    state = with_reading(
        state, Reading(events=tuple(event(n) for n in range(13, EVENTS_KEPT + 20)))
    )
    assert len(state.events) == EVENTS_KEPT
    assert state.events[-1].id == EVENTS_KEPT + 19


def test_the_newest_belief_about_a_candidate_counts():
    old, new = Belief(2.0, 0.02, 0.5, 1, "provisional"), Belief(2.1, 0.01, 0.2, 2, "confirmed")
    state = ViewState(beliefs={1: old, 2: old})
    assert belief(state, candidate(1)) == old
    assert belief(state, candidate(3)) is None
    looked = replace(state, snapshot=snapshot(outlook=Outlook(beliefs={1: new})))
    assert belief(looked, candidate(1)) == new
    assert belief(looked, candidate(2)) == old
