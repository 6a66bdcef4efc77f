"""The blind audit's arithmetic: where the future is hidden, and what the answers mean."""

from __future__ import annotations

import numpy as np
import pytest

from harness.audit import Findings, Probes, examine, plan

T, V, BOS, COUNT = 32, 50, 49, 640
ROWS = np.random.default_rng(0).integers(0, BOS, (COUNT, T + 1)).astype(np.uint16)
ROWS[:, 0] = BOS
BYTES = np.where(np.arange(V) == BOS, 0, 3).astype(np.int32)
TOLERANCE = 0.5


def drawn(probes: int = 512, rows: np.ndarray = ROWS) -> Probes:
    return plan(rows, BYTES, probes, np.random.default_rng(1))


def losses(seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 6.0, (len(ROWS), T)).astype(np.float32)


def examined(
    gain: float = 0.0, at: float = 1.0, noise: float = 0.0, *, earlier: float = 0.0
) -> Findings:
    """What is found when a share `at` of the places gained `gain` by seeing, under `noise`."""
    probes, seeing = drawn(), losses()
    generator = np.random.default_rng(3)
    blind = seeing[probes.rows] + generator.normal(0, noise, (len(probes.rows), T))
    chosen = generator.random(len(probes.rows)) < at
    blind[np.arange(len(chosen)), probes.cuts - 1] += gain * chosen
    blind[: int(earlier * len(blind)), 0] += 1.0
    # Behind the cut, where other text stands, anything may come.
    blind[np.arange(T) >= probes.cuts[:, None]] = 99.0
    return examine(seeing, blind.astype(np.float32), probes, TOLERANCE)


def test_a_probe_shows_the_row_up_to_its_cut_and_never_what_comes_there() -> None:
    probes = drawn()
    assert len(probes.rows) == len(probes.cuts) == len(probes.shown) == 512
    for row, cut, shown in zip(probes.rows, probes.cuts, probes.shown, strict=True):
        assert 1 <= cut < T
        assert (shown[:cut] == ROWS[row, :cut]).all()
        assert shown[cut] != ROWS[row, cut]
        # What stands there instead is other validation text, of the same place.
        assert any((shown[cut:] == other[cut:]).all() for other in ROWS)


def test_no_probe_shows_what_another_one_hides() -> None:
    probes = drawn()
    assert len(set(probes.rows)) == len(probes.rows)
    probed = {ROWS[row].tobytes() for row in probes.rows}
    lent = [row for row in ROWS if row.tobytes() not in probed]
    for cut, shown in zip(probes.cuts, probes.shown, strict=True):
        assert any((shown[cut:] == row[cut:]).all() for row in lent)


def test_few_rows_give_fewer_probes() -> None:
    assert len(drawn(rows=ROWS[:50]).rows) == 40


def test_the_hidden_token_always_counts() -> None:
    rows = ROWS.copy()
    rows[:, 5] = BOS
    assert not (drawn(rows=rows).cuts == 5).any()


def test_cuts_are_spread_over_the_row_and_differ_from_audit_to_audit() -> None:
    first, second = (plan(ROWS, BYTES, 512, np.random.default_rng()) for _ in range(2))
    assert set(range(1, T)) == set(first.cuts.tolist())
    assert first.cuts.tolist() != second.cuts.tolist()


@pytest.mark.parametrize("rows", [ROWS[:1], np.repeat(ROWS[:1], 9, axis=0)])
def test_without_other_text_there_is_nothing_to_hide_behind(rows: np.ndarray) -> None:
    assert not len(drawn(rows=rows).rows)


@pytest.mark.parametrize("noise", [0.0, 0.0004, 0.005])
def test_honest_arithmetic_passes(noise: float) -> None:
    found = examined(noise=noise)
    assert found.passed
    assert not found.undecided
    assert found.probes == 512
    assert abs(found.mean) <= 0.001 + noise


@pytest.mark.parametrize(
    ("gain", "at"),
    [
        (25.0, 1.0),  # copies the next token
        (0.018, 1.0),  # a small bonus for it
        (5.0, 0.005),  # rarely, but then
    ],
)
def test_whoever_looks_ahead_is_found(gain: float, at: float) -> None:
    found = examined(gain, at, noise=0.001)
    assert not found.passed
    assert "look ahead" in found.reason


def test_a_single_odd_place_asks_for_a_closer_look() -> None:
    probes, seeing = drawn(), losses()
    blind = seeing[probes.rows]
    blind[7, probes.cuts[7] - 1] += 0.6
    found = examine(seeing, blind, probes, TOLERANCE)
    assert found.passed
    assert found.undecided


def test_predictions_that_change_without_a_cause_are_no_function_of_the_weights() -> None:
    found = examined(earlier=0.05)
    assert not found.passed
    assert "although nothing before them did" in found.reason
    assert found.stateful == pytest.approx(
        25 / 512, abs=2 / 512
    )  # at a cut of 1 nothing is earlier
    assert found.largest == pytest.approx(1.0, abs=1e-5)


def test_few_odd_rows_are_arithmetic() -> None:
    assert examined(earlier=2 / 512).passed


def test_tokens_that_a_model_rules_out_are_no_difference() -> None:
    probes, seeing = drawn(), losses()
    seeing[:, 0] = np.inf  # a special token that can never come, so that it is not scored either
    blind = seeing[probes.rows]
    assert examine(seeing, blind, probes, TOLERANCE).passed
    blind[:, 0] = np.nan
    assert not examine(seeing, blind, probes, TOLERANCE).passed


def test_the_missing_of_a_sparse_cheat_is_as_rare_as_promised() -> None:
    """With N probes a cheat at a share f of the places escapes with (1-f)^N + N f (1-f)^(N-1), about."""
    rows = np.random.default_rng(5).integers(0, BOS, (2560, T + 1)).astype(np.uint16)
    seeing = np.random.default_rng(6).uniform(2, 6, (2560, T)).astype(np.float32)
    cheated = np.random.default_rng(7).random((2560, T)) < 0.004
    seeing[cheated] = 0.1
    escaped = 0
    for seed in range(40):
        probes = plan(rows, BYTES, 2048, np.random.default_rng(seed))
        honest = np.where(cheated, 4.0, seeing).astype(np.float32)[probes.rows]
        at = np.arange(len(probes.rows)), probes.cuts - 1
        blind = seeing[probes.rows].copy()
        blind[at] = honest[at]
        escaped += examine(seeing, blind, probes, TOLERANCE).passed
    assert escaped <= 2


def test_a_gain_cannot_hide_in_a_spread_of_its_own() -> None:
    probes, seeing = drawn(), losses()
    blind = seeing[probes.rows]
    blind[np.arange(512), probes.cuts - 1] += np.random.default_rng(4).choice([-0.44, 0.44], 512)
    found = examine(seeing, blind, probes, TOLERANCE)
    assert found.mean - 3 * found.error < 0.002  # which by itself would prove nothing
    assert not found.passed
    assert "times what arithmetic explains" in found.reason


def test_slow_learning_shows_in_the_mean_of_many_small_changes() -> None:
    found = examined(noise=0.02)
    assert found.outliers == 0
    assert found.stateful == 0
    assert not found.passed
    assert "it learns or remembers while it is scored" in found.reason
