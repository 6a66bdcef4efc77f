"""Constants are found with their meaning, turned at their exact place, and guided by the history."""

import random
from collections import Counter
from pathlib import Path

import pytest

from evolve.model import Operator
from evolve.propose.knobs import Turn, apply_turns, find_knobs, in_force, turn
from evolve.propose.lessons import learn, parse_change
from evolve.propose.moves import classify
from evolve.propose.operators import Attempt
from evolve.propose.presets import Setting, read_budget
from evolve.propose.vetting import vet

PLAIN = Path(__file__).with_name("plain_train.txt").read_text()  # in the ancestor's manner
OURS = (Path(__file__).parents[2] / "trainer" / "train.py").read_text()
NOTHING = learn((), None)
CPU = read_budget("400,000 tokens on a CPU")


def attempt(number: int, change: str, delta: float | None, status: str = "rejected") -> Attempt:
    return Attempt(number, (1,), Operator.TUNE, change, "optimizer", (change,), status, delta)


def chosen(source: str, history: tuple[Attempt, ...], setting: Setting = CPU) -> Counter[str]:
    lessons = learn(history, 0.01)
    turns = [turn(source, random.Random(seed), lessons, 1, setting) for seed in range(400)]
    return Counter(t[0].knob.name for t in turns if t)


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
    for seed in range(30):
        turns = turn(source, random.Random(seed), NOTHING, 1 + seed % 3, CPU)
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
    for seed in range(300):
        for t in turn(OURS, random.Random(seed), NOTHING, 3, Setting()):
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
    for seed in range(400):
        turns = turn(OURS, random.Random(seed), NOTHING, 1, Setting())
        for t in turns:
            row, _, field = t.knob.name.rpartition(".")
            if field == "dim":
                assert int(t.text) % int(knobs[f"{row}.head_dim"]) == 0
            if field == "head_dim":
                assert int(knobs[f"{row}.dim"]) % int(t.text) == 0


def test_a_smaller_batch_brings_fewer_rows_at_once() -> None:
    for seed in range(400):
        turns = turn(PLAIN, random.Random(seed), NOTHING, 1, Setting())
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
    change = "FINAL_LR_FRAC: 0.1 -> 0.0"
    before = chosen(PLAIN, ())["MATRIX_LR"]
    history = (attempt(2, "MATRIX_LR: 0.03 -> 0.04", -0.05, "promoted"), attempt(3, change, 0.01))
    assert chosen(PLAIN, history)["MATRIX_LR"] > 1.5 * before
    lessons = learn(history, 0.01)
    steps = [
        float(t.text)
        for seed in range(400)
        for t in turn(PLAIN, random.Random(seed), lessons, 1, CPU)
        if t.knob.name == "MATRIX_LR"
    ]
    assert sum(step > 0.04 for step in steps) > 0.8 * len(steps)


def test_a_knob_that_failed_twice_is_left_alone_for_a_while() -> None:
    failures = (
        attempt(2, "MATRIX_LR: 0.04 -> 0.05", 0.03),
        attempt(3, "MATRIX_LR: 0.04 -> 0.03", None, "nan"),
    )
    assert chosen(PLAIN, failures)["MATRIX_LR"] < 0.3 * chosen(PLAIN, ())["MATRIX_LR"]
    later = tuple(attempt(10 + i, f"KNOB{i}: 1 -> 2", 0.1) for i in range(30))
    assert chosen(PLAIN, (*failures, *later))["MATRIX_LR"] > 0.7 * chosen(PLAIN, ())["MATRIX_LR"]


def test_the_same_step_is_never_taken_twice() -> None:
    history = (attempt(2, 'WINDOW_PATTERN: "SSSL" -> "L"', 0.0),)
    lessons = learn(history, 0.01)
    for seed in range(300):
        assert all(
            str(t) != history[0].changes[0]
            for t in turn(PLAIN, random.Random(seed), lessons, 2, CPU)
        )


def test_when_only_tokens_count_size_is_tried_less_often() -> None:
    in_tokens, in_seconds = chosen(PLAIN, (), CPU), chosen(PLAIN, (), Setting())
    assert in_tokens["DEPTH"] < 0.6 * in_seconds["DEPTH"]
