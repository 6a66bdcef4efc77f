"""A stand on which cheats are carried out, and a secret for them to find."""

from __future__ import annotations

import pytest

from harness import sandbox
from tests.cheats.stand import SECRET, Stand


@pytest.fixture(scope="session")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    """Skips where bubblewrap does not hold: no other level prevents all that a case here says is prevented."""
    report = sandbox.probe()
    if sandbox.BUBBLEWRAP not in report.available:
        pytest.skip(
            f"cheats are carried out in bubblewrap, which does not hold here: {report.advice}"
        )
    return Stand(tmp_path_factory.mktemp("cheats"))


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
