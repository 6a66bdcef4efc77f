"""What every test may rely on: one thread for torch, a private cache, no credentials, a git identity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
    os.environ.pop(name, None)
for role in ("AUTHOR", "COMMITTER"):
    os.environ.setdefault(f"GIT_{role}_NAME", "A Tester")
    os.environ.setdefault(f"GIT_{role}_EMAIL", "tester@example.org")


@pytest.fixture(autouse=True)
def _private_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """No test touches the user's cache; tests of one session share prepared data."""
    cache = tmp_path_factory.getbasetemp() / "cache"
    cache.mkdir(exist_ok=True)
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(cache))
    return cache
