"""Constants are found with their meaning, turned at their exact place, and guided by the history."""

import random
from collections import Counter
from pathlib import Path

import pytest

from evolve.model import Operator
from evolve.propose.knobs import Turn, apply_turns, find_knobs, in_force
from evolve.propose.lessons import learn, parse_change
from evolve.propose.moves import classify
from evolve.propose.operators import Attempt
from evolve.propose.presets import Setting, read_budget
from evolve.propose.surface import Surface
from evolve.propose.turns import turn
from evolve.propose.vetting import vet

PLAIN = Path(__file__).with_name("plain_train.txt").read_text()  # in the ancestor's manner
OURS = (Path(__file__).parents[2] / "trainer" / "train.py").read_text()
CPU = read_budget("400,000 tokens on a CPU")


def attempt(number: int, change: str, delta: float | None, status: str = "rejected") -> Attempt:
    return Attempt(number, (1,), Operator.TUNE, change, "optimizer", (change,), status, delta)


def turned(
    source: str,
    history: tuple[Attempt, ...] = (),
    setting: Setting = CPU,
    count: int = 1,
    seeds: int = 200,
) -> list[list[Turn]]:
    lessons, surface = learn(history, 0.01), Surface(history, 0.01)
    return [
        turn(source, random.Random(seed), lessons, surface, count, setting) for seed in range(seeds)
    ]


def chosen(source: str, history: tuple[Attempt, ...], setting: Setting = CPU) -> Counter[str]:
    return Counter(turns[0].knob.name for turns in turned(source, history, setting) if turns)


def test_constants_are_found_as_they_are_written() -> None:
    found = {knob.name: knob.text for knob in find_knobs(PLAIN)}
    assert found["MATRIX_LR"] == "0.04"
    assert found["TOTAL_BATCH_SIZE"] == "2**19"
    assert found["ADAM_BETAS[1]"] == "0.95"
    assert found["WINDOW_PATTERN"] == '"SSSL"'
    assert found["Shape.width"] == "768"


def test_all_knobs_of_our_trainer_at_the_top_are_found() -> None:
    found = {knob.name for knob in find_knobs(OURS)}
    assert {"MATRIX_LR", "EMBED_LR", "WARMDOWN", "FINAL_LR", "INIT_SCALE", "QK_GAIN"} <= found
    assert any(name.endswith(".depth") for name in found)


def test_a_field_that_every_maker_sets_is_no_knob() -> None:
    source = PLAIN.replace("asdict(Shape())", "0")
    assert "Shape.width" in {k.name for k in find_knobs(source)}
    assert "Shape.layers" not in {k.name for k in find_knobs(source)}


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("MATRIX_LR", "0.04", "rate"),
        ("WEIGHT_DECAY", "0.2", "decay"),
        ("HEAD_DECAY", "0.01", "decay"),
        ("WARMDOWN_RATIO", "0.5", "phase"),
        ("FINAL_LR_FRAC", "0.0", "fraction"),
        ("ADAM_BETAS[0]", "0.8", "momentum"),
        ("DEPTH", "8", "count"),
        ("N_HEAD", "6", "heads"),
        ("HEAD_DIM", "128", "head_dim"),
        ("SIZES[4].batch", "2048", "batch"),
        ("DEVICE_BATCH_SIZE", "128", "rows"),
        ("BIGRAM_INIT", "0.05", "gain"),
        ("WINDOW_PATTERN", '"SSSL"', "pattern"),
        ("USE_SMEAR", "True", "switch"),
    ],
)
def test_names_of_the_field_have_their_meaning(name: str, text: str, kind: str) -> None:
    found = classify(name, text)
    assert found is not None
    assert found.name == kind


@pytest.mark.parametrize(
    ("name", "text"),
    [("SEED", "42"), ("VOCAB_SIZE", "8192"), ("PEAK_FLOPS[H100]", "989.5e12"), ("NAME", '"gpt"')],
)
def test_what_is_no_idea_is_left_alone(name: str, text: str) -> None:
    assert classify(name, text) is None


def test_an_edit_keeps_comments_and_layout() -> None:
    knob = next(k for k in find_knobs(PLAIN) if k.name == "TOTAL_BATCH_SIZE")
    child = apply_turns(PLAIN, [Turn(knob, "2**18")])
    assert child == PLAIN.replace("2**19", "2**18")
    assert "TOTAL_BATCH_SIZE = 2**18 # tokens a step\n" in child


def test_offsets_count_bytes_so_that_other_alphabets_do_no_harm() -> None:
    source = 'NAME = "größe ±15 日本"; MATRIX_LR = 0.04  # ±\n'
    (knob,) = find_knobs(source)
    assert apply_turns(source, [Turn(knob, "0.05")]) == source.replace("0.04", "0.05")


@pytest.mark.parametrize("source", [PLAIN, OURS], ids=["ancestor-style", "ours"])
def test_turns_change_exactly_what_they_say(source: str) -> None:
    before = {knob.name: knob.text for knob in find_knobs(source)}
    for seed, turns in enumerate(turned(source, count=2, seeds=30)):
        assert turns
        child = apply_turns(source, turns)
        assert child is not None
        after = {knob.name: knob.text for knob in find_knobs(child)}
        told = {t.knob.name: t.text for t in turns}
        assert {name for name in after if after[name] != before[name]} == set(told)
        assert all(after[name] == text for name, text in told.items())
        assert all(parse_change(str(t)) == (t.knob.name, t.knob.text, t.text) for t in turns)
        assert child.count("\n") == source.count("\n")
        if seed < 5:  # a subprocess each
            assert vet(child) == []


def test_steps_stay_in_the_range_that_makes_sense() -> None:
    for turns in turned(OURS, setting=Setting(), count=3):
        for t in turns:
            kind, name = t.knob.kind.name, t.knob.name
            value = t.text.strip("\"'")
            if kind == "phase":
                assert 0.02 <= float(value) <= 1, name
            elif kind == "fraction":
                assert 0 <= float(value) <= 1, name
            elif kind == "momentum":
                assert 0 < float(value) < 1, name
            elif kind in {"rate", "gain"}:
                assert float(value) > 0, name
            elif kind == "pattern":
                assert value.endswith("L"), name
            elif kind == "count":
                assert int(value) >= 1, name


def test_width_and_heads_stay_divisible() -> None:
    knobs = {knob.name: knob.text for knob in find_knobs(OURS)}
    for turns in turned(OURS, setting=Setting(), count=3):
        for t in turns:
            row, _, field = t.knob.name.rpartition(".")
            if field == "dim":
                assert int(t.text) % int(knobs[f"{row}.head_dim"]) == 0
            if field == "head_dim":
                assert int(knobs[f"{row}.dim"]) % int(t.text) == 0


def test_a_smaller_batch_brings_fewer_rows_at_once() -> None:
    for turns in turned(PLAIN, setting=Setting()):
        told = {t.knob.name: t.text for t in turns}
        if told.get("TOTAL_BATCH_SIZE") == "2**18":
            assert told["DEVICE_BATCH_SIZE"] == "64"
            return
    pytest.fail("the batch was never halved")


def test_only_the_presets_of_this_device_are_turned() -> None:
    on_cpu = {k.name for k in in_force(OURS, CPU) if k.name.startswith("SIZES")}
    on_h200 = {
        k.name
        for k in in_force(OURS, read_budget("300 seconds on NVIDIA H200"))
        if k.name.startswith("SIZES")
    }
    small = {
        k.name
        for k in in_force(OURS, read_budget("300 seconds on NVIDIA RTX 3060 (12 GiB)"))
        if k.name.startswith("SIZES")
    }
    rows = [{name.partition(".")[0] for name in group} for group in (on_cpu, on_h200, small)]
    assert [len(row) for row in rows] == [1, 1, 1]
    assert len(set.union(*rows)) == 3


def test_a_constant_that_nothing_reads_is_not_turned() -> None:
    source = "LOOSE_LR = 0.1\nMATRIX_LR = 0.1\nprint(MATRIX_LR)\n"
    assert [k.name for k in in_force(source, Setting())] == ["MATRIX_LR"]


def test_windows_do_not_matter_where_all_are_full() -> None:
    source = 'WINDOW_DIVISOR = 4\nWINDOW_PATTERN = "{}"\nprint(WINDOW_DIVISOR, WINDOW_PATTERN)\n'
    assert "WINDOW_DIVISOR" in {k.name for k in in_force(source.format("SSL"), Setting())}
    assert "WINDOW_DIVISOR" not in {k.name for k in in_force(source.format("L"), Setting())}


def test_a_knob_that_helped_is_refined_in_the_same_direction() -> None:
    before = chosen(PLAIN, ())["MATRIX_LR"]
    history = (
        attempt(2, "MATRIX_LR: 0.03 -> 0.04", -0.05, "promoted"),
        attempt(3, "FINAL_LR_FRAC: 0.1 -> 0.0", 0.01),
    )
    assert chosen(PLAIN, history)["MATRIX_LR"] > 1.5 * before
    steps = [
        float(t.text)
        for turns in turned(PLAIN, history)
        for t in turns
        if t.knob.name == "MATRIX_LR"
    ]
    assert sum(step > 0.04 for step in steps) > 0.8 * len(steps)


def test_a_knob_that_went_wrong_both_ways_is_left_alone() -> None:
    failures = (
        attempt(2, "MATRIX_LR: 0.04 -> 0.06", 0.05),
        attempt(3, "MATRIX_LR: 0.04 -> 0.03", 0.05),
    )
    assert chosen(PLAIN, failures)["MATRIX_LR"] < 0.4 * chosen(PLAIN, ())["MATRIX_LR"]


def test_a_direction_without_a_score_is_closed_for_a_while_and_the_other_is_not() -> None:
    blown = attempt(2, "MATRIX_LR: 0.04 -> 0.08", None, "nan")
    steps = [
        float(t.text)
        for turns in turned(PLAIN, (blown,), count=4)
        for t in turns
        if t.knob.name == "MATRIX_LR"
    ]
    assert steps
    assert max(steps) < 0.04
    later = tuple(attempt(10 + i, f"KNOB{i}: 1 -> 2", 0.1) for i in range(30))
    again = turned(PLAIN, (blown, *later), count=4)
    assert any(
        t.knob.name == "MATRIX_LR" and float(t.text) > 0.04 for turns in again for t in turns
    )


def test_the_same_step_is_never_taken_twice() -> None:
    history = (attempt(2, 'WINDOW_PATTERN: "SSSL" -> "L"', -0.001),)
    for turns in turned(PLAIN, history, count=3):
        assert all(str(t) != history[0].changes[0] for t in turns)


def test_when_only_tokens_count_more_capacity_is_tried_first_and_less_hardly() -> None:
    """Capacity is free then; on the clock it is paid for with steps."""

    def depths(setting: Setting) -> list[int]:
        return [
            int(t.text)
            for turns in turned(PLAIN, setting=setting, count=3)
            for t in turns
            if t.knob.name == "DEPTH"
        ]

    before = int(next(knob.text for knob in find_knobs(PLAIN) if knob.name == "DEPTH"))
    in_tokens, in_seconds = depths(CPU), depths(Setting())
    assert sum(d > before for d in in_tokens) > 2 * sum(d < before for d in in_tokens)
    assert len(in_tokens) > len(in_seconds) > 0


def test_a_width_may_double_where_capacity_is_free() -> None:
    """Of equal tokens the larger model learns more, so the boldest step is among the first that are drawn."""
    lessons, surface = learn((), 0.02), Surface((), 0.02)
    first = [turn(OURS, random.Random(seed), lessons, surface, 1, CPU)[0] for seed in range(60)]
    widths = [t for t in first if t.knob.kind.name == "width"]
    factors = Counter(float(t.text) / float(t.knob.text) for t in widths)
    assert factors[2.0] >= 3
    assert factors[2.0] > factors[0.5]
