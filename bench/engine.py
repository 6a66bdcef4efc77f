"""What the engine costs beside the trainings: CPU and memory per candidate, and the gap between two trainings.

The training sleeps and returns a made-up score, so everything else (journal, git, policies, proposers, vetting)
is the real engine on a temporary workspace. The language model is the real claude proposer against a loopback
server that answers late.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.spec import AuditReport, ExperimentSpec, Outcome, Result, SmokeResult

CANDIDATES = 40
TRAINING = 0.5  # seconds
DELAYS = (0, 1, 30)  # seconds that the language model thinks
CLAUDE_CANDIDATES = 12


class SleepingSlot:
    """A slot whose trainings cost nothing but time."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._ended: float | None = None

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        """Sleep, then report a score that depends on nothing but the source and the seed."""
        if self._ended is not None:
            self.gaps.append(time.perf_counter() - self._ended)
        await asyncio.sleep(TRAINING)
        rng = random.Random(spec.source)
        score = 2.0 + rng.gauss(0, 0.02) + random.Random(f"{spec.source}{spec.seed}").gauss(0, 0.01)
        self._ended = time.perf_counter()
        audited = AuditReport(True, "slept", score) if spec.audit.probes_for(score) else None
        return Result(
            Outcome.OK,
            "slept",
            val_bpb=score,
            sealed_bpb=score if spec.sealed else None,
            seed=spec.seed,
            train_seconds=TRAINING,
            audit=audited,
        )

    async def adopt(self, directory: Path) -> Result | None:
        """Nothing survives in here."""
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
        """A sleep ends soon anyway."""


def run() -> list[tuple[str, str, str]]:
    """One engine with the built-in proposer, then one per delay of the language model; each in its own process."""
    rows = []
    alone = _measure(None, CANDIDATES)
    rows += [
        (f"engine CPU per candidate (n = {CANDIDATES})", f"{alone['cpu_ms']:.0f} ms", "<= 50 ms"),
        ("engine RSS", f"{alone['rss_mb']:.0f} MB", "<= 100 MB"),
        ("gap between trainings, built-in proposer, median / max", _gap(alone), "< 1 s"),
    ]
    for delay in DELAYS:
        told = _measure(delay, CLAUDE_CANDIDATES)
        rows.append(
            (f"gap, language model answers after {delay} s, median / max", _gap(told), "< 1 s")
        )
    return rows


def _gap(figures: dict[str, float]) -> str:
    return f"{figures['gap_median']:.3f} / {figures['gap_max']:.3f} s"


def _measure(delay: float | None, candidates: int) -> dict[str, float]:
    code = f"from bench.engine import child; child({delay!r}, {candidates})"
    environment = {**os.environ, "ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(f"the engine's benchmark failed: {done.stderr.strip()[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def child(delay: float | None, candidates: int) -> None:
    """Run one engine here and print its figures as JSON."""
    from evolve.serving import serve
    from evolve.workspace import create

    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "work"
        create(workspace)
        overrides = {
            "profile": "cpu",
            "data.local_mb": "2",
            "stop.candidates": str(candidates),
            "acceptance.max_repeats": "2",
        }
        slot = SleepingSlot()
        if delay is not None:
            from bench.late_model import LateModel

            model = LateModel(delay)
            os.environ["ANTHROPIC_API_KEY"] = "bench"
            overrides |= {"llm.base_url": model.url}
        before = _cpu()
        serve(workspace, overrides=overrides, allow_weak_sandbox=True, slot=slot)
        print(
            json.dumps(
                {
                    "cpu_ms": 1000 * (_cpu() - before) / candidates,
                    "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    "gap_median": statistics.median(slot.gaps),
                    "gap_max": max(slot.gaps),
                }
            )
        )


def _cpu() -> float:
    """CPU seconds of this process and of the git commands that it ran."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
