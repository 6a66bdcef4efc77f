"""Cheats of the class “time” are carried out, and must end as their cases say."""

from __future__ import annotations

import pytest

from tests.cheats.catalogue import of_every_run
from tests.cheats.stand import Stand

CHEATS = of_every_run("time")


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_comes_to_nothing(stand: Stand, name: str) -> None:
    run, complaints = stand.carry_out(CHEATS[name])
    assert not complaints, f"{run.reason}\n{run.log[-3000:]}"
