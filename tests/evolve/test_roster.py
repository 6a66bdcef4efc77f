"""The roster of a run on a real journal: what it tells, that it reads only what is new, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve import beliefs, seeds
from evolve.client import Client
from evolve.evidence import Evidence
from evolve.model import Candidate, CandidateState, Operator, Verdict
from evolve.places import JOURNAL, STATE
from evolve.reader import Reader
from evolve.roster import Roster, read
from tests.tui.live_run import LiveRun
from tests.tui.many import write
from tests.tui.recording import candidate


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose run has 2,000 candidates."""
    folder = tmp_path_factory.mktemp("long")
    write(folder, 2_000)
    return folder


@pytest.fixture
def journal(long_run: Path) -> Iterator[Reader]:
    with Reader.open(long_run / STATE / JOURNAL) as reader:
        yield reader


def whole(reader: Reader) -> Roster:
    roster = read(reader, Roster(), 700)
    pages = 1
    while not roster.complete:
        roster = read(reader, roster, 700)
        pages += 1
    assert pages == 3
    return roster


def alike(roster: Roster, known: Candidate) -> None:
    """The roster says of a candidate what the journal says."""
    told = roster.candidate(known.id)
    for name in ("state", "alive", "verdict", "outcome", "children", "pinned", "banned"):
        assert getattr(told, name) == getattr(known, name), name
    assert len(told.scores) == len(known.scores)
    assert bool(told.voided) == bool(known.voided)


def test_it_tells_of_everybody_what_the_journal_tells(journal: Reader) -> None:
    roster = whole(journal)
    everybody = journal.candidates()
    assert len(roster) == len(everybody) == 2_000
    for known in everybody:
        told = roster.candidate(known.id)
        for name in ("parents", "operator", "state", "alive", "verdict", "outcome", "children", "generation",
                     "created", "category", "proposer", "pinned", "banned"):  # fmt: skip
            assert getattr(told, name) == getattr(known, name), name
        assert told.mean == pytest.approx(known.mean)
        assert len(told.fitness) == len(known.fitness)
        alike(roster, known)


def test_a_second_look_reads_what_is_new_and_nothing_else(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        client = Client(tmp_path)
        first = client.roster(Roster())
        assert (len(first), first.complete) == (1, True)
        assert client.roster(first) is first
        number = run.add("a child")
        second = client.roster(first)
        assert second.since(first.version) == (1, 2), "the parent has a child more"
        assert (len(first), first.children[0], second.children[0]) == (1, 0, 1), (
            "a roster never changes"
        )
        run.train(number)
        run.finish(2.1, CandidateState.JUDGED)
        run.journal.judge(number, Verdict.KEPT, "within 2 sigma of main", alive=True)
        third = client.roster(second)
        assert third.since(second.version) == (2,)
        assert third.alive(2)
        assert third.mean[1] == 2.1
        run.journal.mark(1, pinned=True)
        run.journal.set_alive(2, False)
        fourth = client.roster(third)
        assert fourth.since(third.version) == fourth.since(second.version) == (1, 2)
        assert not fourth.alive(2)
        now = run.journal.candidate(2)
        alike(fourth, now)
        assert third.candidate(2).alive != now.alive
        assert fourth.since(fourth.version) == ()
        client.close()


def test_what_changes_while_pages_are_read_is_not_lost(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        for _ in range(9):
            run.add("a child")
        client = Client(tmp_path)
        roster = client.roster(Roster(), 4)
        run.journal.mark(2, banned=True)
        run.add("one more", Operator.CROSSOVER, (3, 2))
        while not roster.complete:
            roster = client.roster(roster, 4)
        roster = client.roster(roster, 4)
        assert roster.candidate(2).banned
        assert roster.parents(11) == (3, 2)
        assert roster.children[2] == 1
        client.close()


def test_another_run_and_a_replay_that_turns_back_begin_anew(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        run.add("a child")
        client = Client(tmp_path)
        roster = client.roster(Roster())
        later = roster.with_rows((), roster.stamp + 5)
        assert read(run.journal, later).stamp == roster.stamp
        run.journal.set_run_state("finished", "Done.")
        run.journal.create_run(
            name="nov22", branch="main", base_commit="0" * 40, settings={}, fingerprint={}
        )
        run.add("baseline", Operator.SEED, ())
        again = client.roster(roster)
        assert (again.run, len(again)) == (2, 1)
        client.close()


def test_evidence_in_columns_says_what_lists_of_candidates_say(journal: Reader) -> None:
    everybody, tables = journal.candidates(), journal.fitness_tables()
    noise, main = seeds.measured(tables.values()), journal.run().incumbent
    evidence = Evidence()
    evidence.update(journal)
    assert evidence.noise.sigma == pytest.approx(noise.sigma, rel=1e-12)
    assert evidence.noise.share == pytest.approx(noise.share, rel=1e-12)
    asked = set(range(1, 2_000, 37)) | {main}
    told = evidence.beliefs(journal, main, asked)
    expected = beliefs.beliefs(everybody, noise, main, tables, asked)
    assert told.keys() == expected.keys()
    assert told[main].better is None
    for number, belief in expected.items():
        assert told[number].mean == pytest.approx(belief.mean, rel=1e-12)
        assert told[number].sd == pytest.approx(belief.sd, rel=1e-12)
        assert told[number].better == pytest.approx(belief.better, abs=1e-12)
        assert (told[number].n, told[number].word) == (belief.n, belief.word)


def test_evidence_takes_in_new_repeated_and_discounted_scores(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        kept = Evidence()
        for score in (2.1, 2.11, 2.09):
            number = run.add("a child")
            run.train(number)
            run.finish(score, CandidateState.CONTENDER)
            kept.update(run.journal)
        experiment = run.journal.start_experiment(
            2, purpose=run.journal.experiments(2)[0].purpose, seed=8
        )
        run.finish(2.13, CandidateState.CONTENDER)
        kept.update(run.journal)
        assert dict(kept.table(2)) == {7: 2.1, 8: 2.13}
        run.journal.discount(experiment.id, "drift")
        kept.update(run.journal)
        fresh = Evidence()
        fresh.update(run.journal)
        assert dict(kept.table(2)) == {7: 2.1}
        assert kept.noise == fresh.noise
        assert dict(kept.field()) == dict(fresh.field())
        assert len(kept.field()) == 4
        with pytest.raises(KeyError):
            kept.field()[5]


def test_the_first_snapshot_of_a_long_run_can_leave_out_what_takes_long(tmp_path: Path) -> None:
    write(tmp_path, 3_100)
    client = Client(tmp_path, hurry=True)
    first, second = client.snapshot(), client.snapshot()
    assert first.outlook.hurried
    assert not first.outlook.beliefs
    assert [c.id for c in first.population], "the population is there all the same"
    assert not second.outlook.hurried
    assert {c.id for c in second.population} <= second.outlook.beliefs.keys()
    client.close()
    patient = Client(tmp_path)
    assert not patient.snapshot().outlook.hurried
    patient.close()


def test_a_candidate_in_memory_and_its_row_agree() -> None:
    from evolve.roster import row_of

    known = candidate(3, verdict=None, state=CandidateState.READY, scores=(), parents=(2, 1))
    roster = Roster(1).with_rows(map(row_of, (candidate(1), candidate(2), known)), 0)
    alike(roster, known)
    assert roster.active(3)
    assert roster.parents(3) == (2, 1)
