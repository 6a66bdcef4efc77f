"""When a run ends, and how that is said beforehand."""

import pytest

from evolve.stop import StopRules, StopState, check, describe

START = StopState(candidates=0, hours=0.0, dollars=0.0, best_bpb=None, since_promotion=0)


def test_without_rules_a_run_goes_on_for_ever() -> None:
    far = StopState(candidates=10**6, hours=999.0, dollars=999.0, best_bpb=0.1, since_promotion=999)
    assert check(StopRules(), far) is None
    assert describe(StopRules()) == "a person stops it"


@pytest.mark.parametrize(
    ("rules", "before", "after", "word"),
    [
        (StopRules(candidates=12), {"candidates": 11}, {"candidates": 12}, "12 candidates"),
        (StopRules(experiments=9), {"experiments": 8}, {"experiments": 9}, "9 trainings"),
        (StopRules(hours=0.5), {"hours": 0.49}, {"hours": 0.5}, "30 minutes"),
        (StopRules(dollars=5), {"dollars": 4.99}, {"dollars": 5.01}, "$5.01 of $5"),
        (StopRules(target_bpb=0.96), {"best_bpb": 0.9601}, {"best_bpb": 0.96}, "target"),
        (StopRules(plateau=3), {"since_promotion": 2}, {"since_promotion": 3}, "plateau"),
    ],
)
def test_each_rule_ends_the_run_with_a_sentence(
    rules: StopRules, before: dict[str, float], after: dict[str, float], word: str
) -> None:
    def state(changes: dict[str, float]) -> StopState:
        fields = {name: getattr(START, name) for name in START.__slots__}
        return StopState(**{**fields, **changes})

    assert check(rules, START) is None
    assert check(rules, state(before)) is None
    sentence = check(rules, state(after))
    assert sentence is not None
    assert word in sentence
    assert sentence.endswith(".")


def test_the_rules_are_shown_beforehand() -> None:
    assert (
        describe(StopRules(candidates=12, hours=1 / 3, dollars=5))
        == "12 candidates, 20 minutes or $5, whichever comes first"
    )
    assert describe(StopRules(candidates=1)) == "1 candidate"
    assert describe(StopRules(experiments=1)) == "1 training"
    assert (
        describe(StopRules(hours=2, plateau=30, target_bpb=0.97))
        == "2 hours, 0.97 bpb or 30 candidates without progress, whichever comes first"
    )
    assert describe(StopRules(hours=1, dollars=2.5)) == "1 hour or $2.50, whichever comes first"
