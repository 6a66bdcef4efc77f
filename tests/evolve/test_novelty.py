"""What is new: not the same code with another third digit, and not a dead end once more."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from evolve.model import Operator
from evolve.precedents import precedents
from evolve.propose.builtin import BuiltinProposer
from evolve.propose.novelty import Precedent, change, likeness, novel, rounded
from evolve.propose.operators import Brief, ParentView, ProposalFailed
from evolve.propose.vetting import MAX_BYTES, vet
from tests.evolve.test_precautions import as_good_as_its_number, child, settle, workspace
from tests.evolve.test_vetting import OURS, PLAIN, with_line

RATE = "MATRIX_LR = 0.04"


def rate(value: str) -> str:
    assert PLAIN.count(RATE) == 1
    return PLAIN.replace(RATE, f"MATRIX_LR = {value}")


def known(number: int, source: str, fate: str = "", parent: str = PLAIN) -> Precedent:
    return Precedent(number, rounded(source), change(parent, source), fate)


def said(source: str, *precedents: Precedent, parent: str = PLAIN) -> str:
    problem = novel(source, [parent], precedents)
    assert problem is None or problem.kind == "novelty"
    return str(problem or "")


# ---- the same code ---------------------------------------------------------------------------------------


def test_another_third_digit_is_no_other_code() -> None:
    assert "#7 again, with numbers that hardly differ" in said(
        rate("0.0503"), known(7, rate("0.0501"))
    )
    assert said(rate("0.053"), known(7, rate("0.0501"))) == ""
    assert "hardly differs from its parent" in said(rate("0.0401"))


def test_counts_and_sizes_are_never_rounded() -> None:
    one, other = with_line("LAYERS = 12"), with_line("LAYERS = 13")
    assert said(other, known(3, one)) == ""
    assert "#3 again" in said(with_line("WIDTH = 1025"), known(3, with_line("WIDTH = 1024")))


def test_comments_names_of_seeds_and_layout_are_no_news() -> None:
    assert "#3 again" in said(
        rate("5.0e-2") + "\n# bold and new\nSEED = 9\n", known(3, rate("0.05") + "\nSEED = 1\n")
    )


# ---- dead ends -------------------------------------------------------------------------------------------

IDEA = """
def sharpen(logits, temperature=0.9):
    scaled = logits / temperature
    return scaled - scaled.logsumexp(-1, keepdim=True)


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return x * torch.sigmoid(self.weight)
"""


def test_a_dead_end_is_named_when_it_comes_again() -> None:
    dead = known(17, PLAIN + IDEA, "ran out of memory")
    again = PLAIN + IDEA.replace("temperature=0.9", "temperature=0.93") + "\nEPSILON = 5\n"
    assert said(again, dead) == (
        "it repeats #17, which ran out of memory: 98% of what it changes is the same, and no number differs by more "
        "than 10%"
    )


def test_what_went_well_or_is_not_known_yet_may_be_built_upon() -> None:
    again = PLAIN + IDEA + "\nEPSILON = 5\n"
    assert said(again, known(17, PLAIN + IDEA)) == ""


def test_it_is_what_changes_that_counts_and_not_the_whole_file() -> None:
    """From another parent of the same line, the same change is the same dead end."""
    parent = rate("0.08")
    assert "repeats #17" in said(
        parent + IDEA, known(17, PLAIN + IDEA, "was rejected"), parent=parent
    )
    assert said(parent + IDEA, known(17, with_line("X = 5"), "was rejected"), parent=parent) == ""


def test_the_move_of_a_constant_is_new_when_it_goes_elsewhere() -> None:
    dead = known(9, rate("0.05"), "was rejected")
    assert "repeats #9" in said(rate("0.053"), dead)
    assert said(rate("0.06"), dead) == ""  # further
    assert said(rate("0.03"), dead) == ""  # the other way
    assert said(rate("0.05").replace("0.9", "0.8"), dead) == ""  # with something besides


def test_a_number_deep_in_an_idea_makes_it_another_one_too() -> None:
    dead = known(17, PLAIN + IDEA, "was rejected")
    assert said(PLAIN + IDEA.replace("temperature=0.9", "temperature=0.5"), dead) == ""


def test_lines_that_were_only_moved_are_no_change() -> None:
    assert change("a = 1\nb = 2\n", "b = 2\na = 1\n").size == 0
    assert likeness(change(PLAIN, PLAIN), change(PLAIN, PLAIN)) == 0


@pytest.mark.parametrize(
    "line",
    [
        "x = 1e999",
        "x = -1e-999",
        "x = 10**400",
        f"x = 1{'0' * 600}",
        "x = 0xFFFF_FFFF",
        "x = 1j",
        "x = True",
    ],
)
def test_odd_numbers_break_nothing(line: str) -> None:
    assert said(with_line(line), known(3, with_line("y = 2"), "was rejected")) == ""
    assert "#3 again" in said(with_line(line), known(3, with_line(line)))


# ---- hostile sources -------------------------------------------------------------------------------------


def test_tricks_of_unicode_make_no_new_code() -> None:
    plain, fancy = with_line("scale = 5"), with_line("ｓｃａｌｅ = 5")
    assert vet(fancy) == []
    assert "#3 again" in said(fancy, known(3, plain))  # Python reads both as one name


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 300 + "1" + ")" * 300,
        "x = " + "[" * 500 + "]" * 500,
        "x = " + "-" * 4000 + "1",
        "if 1:\n" + "".join(" " * n + "if 1:\n" for n in range(1, 110)) + " " * 110 + "pass",
        "x" + ".a" * 20_000,
        "x = '" + "\u202e" * 5000 + "'",
        "x = [" + "0.1234," * 8000 + "]",
        "x = " + "9" * 5000,
        "y = '''" + "z" * MAX_BYTES + "'''",
        "\ufeffx = 1\n" * 3,
        "x = '\ud800'",
    ],
    ids=range(11),
)
def test_what_is_too_deep_too_long_or_broken_is_refused_quickly(source: str) -> None:
    begun = time.perf_counter()
    assert vet(with_line(source) if "\ufeff" not in source else source + PLAIN)
    assert time.perf_counter() - begun < 5


# ---- with a journal --------------------------------------------------------------------------------------


def test_precedents_are_siblings_of_any_age_and_what_the_line_tried_of_late(
    tmp_path: Path,
) -> None:
    with workspace(tmp_path, **{"population.size": "2"}) as ready:
        settle(ready, as_good_as_its_number)
        base = ready.context.lineage.source(ready.context.journal.candidate(1).commit)
        for number in range(2, 6):
            child(ready, f"{base}\nVALUE = {10 * number}.5\n" + "EXTRA = 1\n" * number)
        settle(ready, as_good_as_its_number)
        found = precedents(ready.context, (1,))
        assert [p.id for p in found] == [5, 4, 3, 2, 1]
        assert {p.id: p.fate for p in found if p.fate} == {
            4: "was rejected",
            5: "was rejected",
            3: "was rejected",
        }
        grandchild = child(ready, f"{base}\nOTHER = 3\n", parents=(2,))
        near = precedents(ready.context, (grandchild,))
        assert {p.id for p in near} == {1, 2, 3, 4, 5, grandchild} - {1}
        assert "repeats #5, which was rejected" in str(
            novel(
                f"{base}\nVALUE = 51.0\n" + "EXTRA = 1\n" * 5,
                [base],
                precedents(ready.context, (1,)),
            )
        )


def test_the_builtin_proposer_is_not_starved() -> None:
    """It keeps finding children although all before were dead ends."""
    tried: list[Precedent] = []
    sources = {OURS}
    for number in range(14):
        operator = Operator.TUNE if number % 2 else Operator.MUTATE
        brief = Brief(
            operator=operator,
            parents=(ParentView(1, OURS, 2.0),),
            ancestor=None,
            program="",
            history=(),
            seed=random.Random(number).getrandbits(32),
            sigma=0.01,
            budget="300 seconds on a CPU",
            precedents=tuple(tried),
        )
        try:
            proposal = asyncio.run(BuiltinProposer().propose(brief))
        except ProposalFailed:
            pytest.fail(f"nothing new after {number} children")
        assert proposal.source not in sources
        sources.add(proposal.source)
        tried.append(known(number + 2, proposal.source, "was rejected", OURS))
