"""An outage of hours: told once at either end, asked about for nothing, with waits that grow to ten minutes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest

from evolve.propose.operators import ProposerUnavailable
from evolve.resting import Rests

NAME = "claude-opus-5-5"


@dataclass
class Story:
    """A journal of which only the story matters."""

    told: list[str] = field(default_factory=list)
    made: int = 0

    def next_candidate_id(self) -> int:
        return 1 + self.made

    def made_since(self, number: int) -> int:
        return self.made + 1 - number

    def record_event(self, kind: str, text: str, data: object = None) -> None:
        assert kind == "llm"
        self.told.append(text)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_night_without_a_network_is_two_lines_and_sixty_questions() -> None:
    story, clock = Story(), Clock()
    rests = Rests(story, clock)  # type: ignore[arg-type]
    down = "Anthropic cannot be reached."
    rests.begin(NAME, ProposerUnavailable(down, 30.0), [])
    asked, end = 0, clock.now + 10 * 3600
    while clock.now < end:
        clock.now += 5.0
        story.made += clock.now % 300 == 0
        for name in rests.out([NAME]):
            asked += 1
            rests.prolong(name, ProposerUnavailable(down, 30.0), [])
    assert 60 <= asked <= 66
    assert rests.words()[0].endswith("(Anthropic cannot be reached)")
    rests.answered(NAME)
    first, last = story.told
    assert first == (
        "Anthropic cannot be reached. The built-in proposer goes on. Asked again in 30 s, and then from time to time."
    )
    assert last == (
        f"{NAME} answers again after 10 h 0 min; the built-in proposer made {story.made} children meanwhile."
    )
    rests.answered(NAME)
    assert len(story.told) == 2
    assert rests.words() == []


def test_what_takes_a_person_is_told_even_within_an_outage_and_waits_for_one() -> None:
    story, clock = Story(), Clock()
    rests = Rests(story, clock)  # type: ignore[arg-type]
    rests.begin(NAME, ProposerUnavailable("Busy.", 30.0), ["claude-haiku-5-5", NAME])
    clock.now += 31
    assert rests.out([NAME]) == [NAME]
    rests.prolong(NAME, ProposerUnavailable("The key was revoked.", None), [])
    assert story.told[0].startswith("Busy. claude-haiku-5-5 and the built-in proposer go on.")
    assert story.told[1] == "The key was revoked. The built-in proposer goes on."
    clock.now += 1e6
    assert rests.rests(NAME)
    assert rests.out([NAME]) == []
    assert "until something in [llm] is set" in rests.words()[0]
    rests.ask_again()
    assert not rests.rests(NAME)
    assert rests.out([NAME]) == [NAME]


@pytest.mark.parametrize("asked_for", [0.0, 30.0, 3600.0])
def test_a_wait_that_a_server_asked_for_is_never_shortened(asked_for: float) -> None:
    clock = Clock()
    rests = Rests(Story(), clock)  # type: ignore[arg-type]
    rests.begin(NAME, ProposerUnavailable("Busy.", asked_for), [])
    waits = []
    for _ in range(12):
        start = clock.now
        while rests.rests(NAME):
            clock.now += 1.0
        waits.append(clock.now - start)
        rests.prolong(NAME, ProposerUnavailable("Busy.", asked_for), [])
    assert waits == sorted(waits)
    assert waits[-1] == max(600.0, asked_for)
    assert not math.isinf(sum(waits))
