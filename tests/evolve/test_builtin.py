"""The proposer without a key: every child is new, sound, and what its proposal says it is."""

import asyncio
import dataclasses
import random
from pathlib import Path

import pytest

from evolve.model import Operator
from evolve.propose.builtin import BuiltinProposer
from evolve.propose.knobs import find_knobs
from evolve.propose.lessons import parse_change
from evolve.propose.operators import (
    CATEGORIES,
    Attempt,
    Brief,
    ParentView,
    Proposal,
    ProposalFailed,
)
from evolve.propose.patterns import CATALOGUE
from evolve.propose.vetting import code_hash, vet

OURS = (Path(__file__).parents[2] / "trainer" / "train.py").read_text()
PLAIN = Path(__file__).with_name("plain_train.txt").read_text()
ROOT = ParentView(1, OURS, 2.4)


def brief(operator: Operator, *parents: ParentView, seed: int = 0, **fields: object) -> Brief:
    usual = Brief(
        operator=operator,
        parents=parents,
        ancestor=ROOT if len(parents) == 2 else None,
        program="",
        history=(),
        seed=seed,
        sigma=0.01,
        budget="400,000 tokens on a CPU",
    )
    return dataclasses.replace(usual, **fields)  # type: ignore[arg-type]


async def propose(
    operator: Operator, *parents: ParentView, seed: int = 0, **fields: object
) -> Proposal:
    return await BuiltinProposer().propose(brief(operator, *parents, seed=seed, **fields))


def check(proposal: Proposal, parent: ParentView, known: frozenset[str]) -> None:
    """What must hold for every proposal."""
    assert vet(proposal.source) == []
    assert code_hash(proposal.source) not in known | {code_hash(parent.source)}
    assert 0 < len(proposal.title) <= 72
    assert "\n" not in proposal.title
    assert len(proposal.hypothesis.split()) >= 4
    assert proposal.category in CATEGORIES
    assert proposal.proposer == "builtin"
    assert proposal.changes
    before = {knob.name: knob.text for knob in find_knobs(parent.source)}
    after = {knob.name: knob.text for knob in find_knobs(proposal.source)}
    for change in proposal.changes:
        name, old, new = parse_change(change)
        assert name
        if name in before:
            assert (old, new) == (before[name], after[name])
            assert old != new


async def test_eighty_children_of_our_trainer_are_sound_and_all_different() -> None:
    known: frozenset[str] = frozenset()
    operators = (Operator.TUNE, Operator.MUTATE)
    for seed in range(80):
        proposal = await propose(operators[seed % 2], ROOT, seed=seed, known_hashes=known)
        check(proposal, ROOT, known)
        assert proposal.parents == (1,)
        assert proposal.operator is operators[seed % 2]
        known |= {code_hash(proposal.source)}
    assert len(known) == 80


async def test_tuning_changes_constants_and_nothing_else() -> None:
    for seed in range(20):
        proposal = await propose(Operator.TUNE, ROOT, seed=seed)
        told = {parse_change(change)[0] for change in proposal.changes}
        assert told <= {knob.name for knob in find_knobs(OURS)}
        assert proposal.source.count("\n") == OURS.count("\n")


async def test_mutations_are_patterns_and_bold_turns_in_turn() -> None:
    proposals = [await propose(Operator.MUTATE, ROOT, seed=seed) for seed in range(40)]
    titles = {pattern.title for pattern in CATALOGUE}
    patterns = [p for p in proposals if p.title in titles]
    assert 15 <= len(patterns) <= 36
    assert all(len(p.changes) >= 2 for p in proposals if p not in patterns)


async def test_a_crossover_joins_what_two_parents_changed() -> None:
    rng = random.Random(3)
    tuned = [await propose(Operator.TUNE, ROOT, seed=seed) for seed in range(8)]
    mutated = [await propose(Operator.MUTATE, ROOT, seed=seed) for seed in range(8)]
    for seed in range(15):
        one, other = rng.choice(tuned), rng.choice(mutated)
        if set(one.changes) & set(other.changes):
            continue  # what both have, neither can give
        first, second = ParentView(2, one.source, 2.3), ParentView(3, other.source, 2.35)
        proposal = await propose(Operator.CROSSOVER, first, second, seed=seed)
        check(proposal, first, frozenset({code_hash(second.source)}))
        assert proposal.parents == (2, 3)
        assert proposal.title.startswith("#2 × #3: ")


async def test_a_crossover_whose_plain_mixes_are_all_known_is_spiced_with_a_turn() -> None:
    tuned = await propose(Operator.TUNE, ROOT, seed=1)
    mutated = await propose(Operator.MUTATE, ROOT, seed=2)
    parents = (ParentView(2, tuned.source, 2.3), ParentView(3, mutated.source, 2.3))
    known: frozenset[str] = frozenset({code_hash(OURS)})
    for seed in range(6):
        proposal = await propose(Operator.CROSSOVER, *parents, seed=seed, known_hashes=known)
        check(proposal, parents[0], known)
        known |= {code_hash(proposal.source)}
    assert len(known) == 7


async def test_parents_that_are_the_same_cannot_be_crossed() -> None:
    twin = ParentView(2, OURS + "\n# the same\n", 2.4)
    with pytest.raises(ProposalFailed, match="no new child by crossover"):
        await propose(Operator.CROSSOVER, ROOT, twin)
    with pytest.raises(ProposalFailed, match="two parents"):
        await propose(Operator.CROSSOVER, ROOT)


async def test_what_takes_a_language_model_is_refused() -> None:
    assert BuiltinProposer().operators() == {Operator.TUNE, Operator.MUTATE, Operator.CROSSOVER}
    for operator in (Operator.REWRITE, Operator.REPAIR):
        with pytest.raises(ProposalFailed, match=operator):
            await propose(operator, ROOT)


async def test_the_same_brief_gives_the_same_child() -> None:
    for operator in (Operator.TUNE, Operator.MUTATE):
        assert await propose(operator, ROOT, seed=7) == await propose(operator, ROOT, seed=7)


async def test_a_script_without_anything_to_change_is_exhausted() -> None:
    bare = ParentView(
        1,
        "from prepare import make_dataloader, evaluate_bpb\n"
        "evaluate_bpb(make_dataloader(0, 1, 1, 'train'), 0, 0)\n",
        None,
    )
    with pytest.raises(ProposalFailed, match="no new child by tune"):
        await propose(Operator.TUNE, bare)


async def test_ancestor_style_scripts_and_their_extra_packages_are_welcome() -> None:
    parent = ParentView(1, PLAIN.replace("import gc\n", "import gc\nimport einops\n"), 1.0)
    for seed in range(10):
        proposal = await propose(Operator.MUTATE if seed % 2 else Operator.TUNE, parent, seed=seed)
        assert vet(proposal.source, [parent.source]) == []


async def test_history_steers_towards_what_helped() -> None:
    change = "WARMDOWN: 0.6 -> 0.75"
    past = Attempt(2, (1,), Operator.TUNE, "", "schedule", (change,), "promoted", -0.1, True)
    found = [await propose(Operator.TUNE, ROOT, seed=seed, history=(past,)) for seed in range(40)]
    guided = [p for p in found if p.changes[0].startswith("WARMDOWN")]
    assert len(guided) >= 4
    assert all("helped before" in p.hypothesis for p in guided)


async def test_the_direction_of_a_plateau_comes_first() -> None:
    for seed in range(10):
        operator = (Operator.TUNE, Operator.MUTATE)[seed % 2]
        proposal = await propose(operator, ROOT, seed=seed, direction="schedule")
        assert proposal.category == "schedule"
    other = await propose(Operator.TUNE, ROOT, direction="systems")
    assert other.changes  # there is nothing of that kind to turn on a CPU, and no child the less


async def test_the_event_loop_runs_on_while_a_child_is_made() -> None:
    turns_of_the_loop = 0
    making = asyncio.create_task(propose(Operator.TUNE, ROOT, seed=1000))
    while not making.done():
        await asyncio.sleep(0)
        turns_of_the_loop += 1
    assert turns_of_the_loop > 10
