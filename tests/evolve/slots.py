"""Slots whose trainings only sleep, and settings of a run that is ready at once: engines whose loops are real."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from harness.spec import ExperimentSpec, Outcome, Result, SmokeResult
from tests.evolve.workbench import scored

TRAINING = 0.05  # seconds


class ShortSlot:
    """Trainings that only sleep; one script, a person's own, is truly better than the rest."""

    def __init__(self) -> None:
        self.seeds: dict[str, list[int]] = {}

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        self.seeds.setdefault(spec.source, []).append(spec.seed)
        await asyncio.sleep(TRAINING)
        score = 2.0 + 0.002 * (spec.seed % 3) - 0.2 * ("BETTER_5" in spec.source)
        return scored(spec, score)

    async def adopt(self, directory: Path) -> Result | None:
        return None

    async def smoke(self, spec: ExperimentSpec, directory: Path) -> SmokeResult:
        """Everything comes through."""
        return SmokeResult(Outcome.OK, "slept")

    async def adopt_smoke(self, directory: Path) -> SmokeResult | None:
        """Nothing survives in here."""
        return None

    def prune(self, reason: str) -> bool:
        """It prints no loss, so nobody asks."""
        return True

    def stop(self, reason: str) -> None:
        """It ends soon by itself."""


def overrides(tmp_path: Path, **more: str) -> dict[str, str]:
    text = tmp_path / "text"
    text.mkdir(exist_ok=True)
    for number in range(40):
        (text / f"{number}.txt").write_text(f"Document {number} speaks of many things.\n" * 60)
    return {
        "profile": "cpu",
        "data.source": str(text),
        "data.sequence_length": "64",
        "data.vocabulary": "300",
        "data.eval_tokens": "1024",
        "llm.proposer": "builtin",
        "stop.candidates": "100",
    } | more


def sets_up_namespaces() -> bool:
    """May this user make file systems that only one process sees?"""
    try:
        cell = ["bwrap", "--bind", "/", "/", "--tmpfs", "/mnt", "true"]
        return subprocess.run(cell, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
