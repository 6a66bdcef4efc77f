"""Honest variants of train.py keep their score under the blind audit."""

from __future__ import annotations

import pytest

from tests.cheats.case import TOKENS
from tests.cheats.honest import PROBES, VARIANTS
from tests.cheats.stand import Stand


@pytest.mark.parametrize("name", [*VARIANTS][2::3])  # all of them: `python -m tests.cheats`
def test_an_honest_variant_passes(stand: Stand, name: str) -> None:
    run = stand.run(VARIANTS[name], budget=TOKENS, seed=2, probes=PROBES)
    assert run.bpb is not None, f"{run.reason}\n{run.log[-3000:]}"
    assert run.audit is not None
    assert run.audit.passed
