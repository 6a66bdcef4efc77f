"""A short campaign of the fuzzer, and the promises of its schedule. `make fuzz` plays longer ones."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from harness.crashpoints import POINTS
from tests.fuzz.play import Play
from tests.fuzz.schedule import Episode, Kill, campaign, points

SEED = 20
# Passed with the first promotion, with an answer of a language model or when a population is full: longer campaigns do.
LATE = ("settle.", "ratchet.", "worktree.", "command.", "settings.", "keeper.", "rundir.")


def test_the_schedule_follows_from_the_seed_alone() -> None:
    assert campaign(7, 90) == campaign(7, 90)
    assert campaign(7, 90) != campaign(8, 90)
    assert campaign(7, 90)[:3] == campaign(7, 300)[:3]  # so one episode can be played again


def test_a_long_campaign_has_every_kind_and_every_point() -> None:
    kills = [kill for episode in campaign(7, 900) for kill in episode.kills]
    assert [kill.number for kill in kills] == list(range(1, 901))
    named = {kill.point for kill in kills}
    engine = {point for place in ("first", "sleep", "claude", "real") for point in points(place)}
    assert named - {""} == engine
    elsewhere = set(POINTS) - engine
    assert {point.split(".")[0] for point in elsewhere} <= {"repair", "compilecache"}
    assert Counter(kill.kind for kill in kills)["twins"] >= 15
    assert all(before.number < after.number for before, after in pairwise(kills))


def play(tmp_path: Path, *kills: Kill) -> Counter[str]:
    """One episode; returns the points at which a process died."""
    report = Play(Episode(1, "sleep", "builtin", kills), SEED, tmp_path / "episode").run()
    assert report.problems == []
    assert report.candidates > 1
    assert report.facts > 50
    return report.points


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_an_engine_killed_at_each_crash_point_loses_nothing(tmp_path: Path) -> None:
    quick = [p for p in ("boot.seeding", *points("sleep")) if not p.startswith(LATE)]
    kills = [
        Kill(i + 1, "point", p, 1, 0.2, unseen=i % 2 == 0, anew=i % 4 != 0)
        for i, p in enumerate(quick)
    ]
    assert set(play(tmp_path, *kills)) == set(quick)


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_an_engine_killed_at_random_loses_nothing(tmp_path: Path) -> None:
    kinds = ("instant", "write", "both", "app", "git", "twins", "boot", "keeper")
    play(
        tmp_path,
        *(
            Kill(i + 1, kind, "", 1, (i * 0.37) % 1, i % 2 == 0, i % 3 != 0)
            for i, kind in enumerate(kinds)
        ),
    )
