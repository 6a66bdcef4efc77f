"""What becomes of the children that wait when main moves: pure, and with a real engine, journal and git."""

from __future__ import annotations

import asyncio
from pathlib import Path

from evolve.model import CandidateState, Operator, Verdict
from evolve.propose.novelty import holds
from evolve.restock import Restocked, Waiting, restock
from harness.spec import ExperimentSpec, Result
from tests.evolve.test_engine import until
from tests.evolve.test_precautions import (
    SCRIPT,
    Answering,
    child,
    engine_at_work,
    told,
    with_a_past,
)
from tests.evolve.workbench import scored

LIVING = frozenset({3, 5, 9})


def test_children_of_main_go_first_and_the_others_keep_their_order() -> None:
    queue = [Waiting(20, (3,)), Waiting(21, (9,)), Waiting(22, (5,)), Waiting(23, (5, 9))]
    assert restock(queue, 9, LIVING) == Restocked((21, 23, 20, 22), ())


def test_a_child_whose_edited_parent_has_left_goes_and_its_donor_may_have_left() -> None:
    found = restock([Waiting(20, (4,)), Waiting(21, (3, 4))], 9, LIVING)
    assert found.order == (21,)
    assert found.dropped == ((20, "Its parent #4 left the population when #9 became main."),)


def test_what_main_does_already_goes() -> None:
    found = restock([Waiting(20, (3,), in_main=True)], 9, LIVING)
    assert found.dropped == ((20, "Main is #9 now, which does all of it already."),)


def test_what_a_person_wished_for_stays_and_goes_first_and_a_repair_has_no_living_parent() -> None:
    queue = [
        Waiting(20, (9,)),
        Waiting(21, (4,), wished=True, in_main=True),
        Waiting(22, (4,), repairs=True),
    ]
    assert restock(queue, 9, LIVING) == Restocked((21, 20, 22), ())


def test_an_idea_is_in_main_when_all_its_lines_are_and_none_of_those_it_removed() -> None:
    parent = "a = 1\nb = 2\nc = 3\n"
    idea = "a = 1\nb = 200\nc = 3\nd = 4\n"
    assert holds("a = 7\nb = 201\nc = 3\nd = 4\n", parent, idea)  # but for a third digit
    assert not holds("a = 7\nb = 200\nc = 3\n", parent, idea)
    assert not holds("a = 7\nb = 2\nb = 200\nd = 4\n", parent, idea)


class Scoring(Answering):
    """One script is truly better than the others."""

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        await asyncio.sleep(0.01)
        return scored(spec, (1.5 if "WINNER" in spec.source else 2.05) + 0.001 * (spec.seed % 2))


async def test_when_main_moves_the_queue_is_sorted_out(tmp_path: Path) -> None:
    with with_a_past(tmp_path, **{"population.buffer": "1"}) as ready:
        journal = ready.context.journal
        main, other, leaving = sorted(c.id for c in journal.living())
        journal.mark(leaving, banned=True)  # so it leaves when the population is looked at next
        source = f"{SCRIPT}\nWINNER = 1\n"
        winner = child(ready, source)
        orphan = child(ready, f"{SCRIPT}\nORPHAN = 1\n", parents=(leaving,))
        first = ready.context.lineage.source(journal.candidate(other).commit)
        known = child(ready, f"{first}\nWINNER = 1\n", parents=(other,))
        later = child(ready, f"{first}\nLATER = 1\n", parents=(other,))
        heir = child(ready, f"{source}\nHEIR = 1\n", parents=(winner,))
        human = child(ready, f"{SCRIPT}\nHUMAN = 1\n", operator=Operator.HUMAN)
        async with engine_at_work(ready, Scoring()):  # type: ignore[arg-type]
            await until(lambda: journal.candidate(later).verdict is not None)
        assert journal.candidate(winner).verdict is Verdict.PROMOTED
        assert not journal.candidate(leaving).alive
        for number in (orphan, known):
            assert journal.candidate(number).state is CandidateState.DROPPED
            assert not journal.experiments(number)
        assert f"Its parent #{leaving} left" in journal.candidate(orphan).verdict_reason
        assert "does all of it already" in journal.candidate(known).verdict_reason
        order = sorted((human, heir, later), key=lambda n: journal.experiments(n)[0].id)
        assert order == [human, heir, later]
        assert told(ready, "queue") == [
            f"Main's children go first; the queue is now #{human}, #{heir}, #{later}."
        ]
        assert (main, journal.candidate(other).alive) == (1, True)
