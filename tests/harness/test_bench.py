"""The benchmarks that look into the harness still fit it; their figures are for `make bench`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import integrity, meter, repeats, scoring

SOURCE = repeats.TRAINER.read_text()


def test_scoring_and_meter_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "REPEATS", 1)
    monkeypatch.setattr(scoring, "ROWS", 32)
    monkeypatch.setattr(meter, "SHAPES", ((8, 64),))
    assert [name.split()[0] for name, _, _ in scoring.run()] == ["scoring", "of", "commit"]
    assert len(meter.run()) == 2


def test_what_honesty_costs_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrity, "STARTS", 1)
    monkeypatch.setattr(integrity, "TOKENS", 20_000)
    names = [name for name, _, _ in integrity.run()]
    assert "blind audit of 204 places, rehearsal" in names
    assert any(name.startswith("meter, 8x256") for name in names)


def test_an_edit_must_fit_the_trainer_exactly_once() -> None:
    done = repeats.edited(SOURCE, ["GRAM_DECAY = 0.1=>GRAM_DECAY = 0.001"])
    assert "\nGRAM_DECAY = 0.001 " in done
    assert repeats.SIZE in done
    for edit in ("GRAM_DECAY", "NOT_THERE=>1", "LR=>RL"):
        with pytest.raises(ValueError, match="exactly once"):
            repeats.edited(SOURCE, [edit])


def test_a_folder_without_shards_is_an_error_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        repeats.main([str(tmp_path)])
    assert "has no shard_00000.parquet" in capsys.readouterr().err
