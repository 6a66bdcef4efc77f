"""Carries cheats and honest variants out: real experiments on the stories, and what is wrong with how they ended.

It judges by the rules in `case` only, and shares honest results between the cheats that are compared with them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from evolve.propose.vetting import vet
from harness import experiment
from harness.dataset import Dataset
from harness.spec import AuditPlan, AuditReport, Budget, ExperimentSpec, Result
from tests.cheats.case import LIMITS, Cheat, Edit, apply
from tests.cheats.stories import prepare_stories

ROOT = Path(__file__).parents[2]
SOURCE = (ROOT / "trainer" / "train.py").read_text(encoding="utf-8")
SECRET = "sk-not-for-a-candidate"  # planted in the environment of the harness


@dataclass(frozen=True, slots=True)
class Run:
    """How one experiment ended."""

    outcome: str
    reason: str
    bpb: float | None
    sealed_bpb: float | None = None
    audit: AuditReport | None = None
    log: str = ""
    seconds: float = 0.0


@dataclass
class Stand:
    """A folder in which experiments are run one after another."""

    folder: Path
    sandbox: str = "bubblewrap"
    _honest: dict[tuple[Budget, int], Run] = field(default_factory=dict)
    _dataset: Dataset | None = None

    @property
    def dataset(self) -> Dataset:
        """The stories, prepared once."""
        if self._dataset is None:
            self._dataset = prepare_stories(self.folder / "stories")
        return self._dataset

    def honest(self, budget: Budget, seed: int = 0) -> Run:
        """train.py as it is, unaudited; run once for each budget and seed."""
        if (budget, seed) not in self._honest:
            self._honest[budget, seed] = self.run((), budget=budget, seed=seed)
        return self._honest[budget, seed]

    def run(
        self,
        edits: tuple[Edit, ...],
        *,
        budget: Budget,
        seed: int = 0,
        probes: int = 0,
        **changes: object,
    ) -> Run:
        """One experiment with the edited train.py."""
        source = apply(SOURCE, edits)
        for mark, path in {"@DATASET@": self.dataset.path, "@ROOT@": ROOT}.items():
            source = source.replace(mark, str(path))
        spec = ExperimentSpec(
            name=f"cheat-{os.getpid()}",
            source=source,
            seed=seed,
            dataset=str(self.dataset.path),
            budget=budget,
            sandbox=self.sandbox,
            limits=LIMITS,
            audit=AuditPlan(probes=probes),
        )
        directory = self.folder / "experiment"
        spec = replace(spec, **changes)  # type: ignore[arg-type]
        result = experiment.run(spec, directory, lambda _: None, lambda: None)
        return _run(result, (directory / "run.log").read_text(errors="replace"))

    def carry_out(self, cheat: Cheat) -> tuple[Run, list[str]]:
        """Run a cheat as its case says; returns how it ended, and what is wrong with that."""
        if cheat.vetting:
            problems = [str(problem) for problem in vet(apply(SOURCE, cheat.edits))]
            said = next((text for text in problems if cheat.reason in text), "")
            run = Run("refused" if problems else "accepted", said, None)
            return run, [] if said else [f"vetting says {problems}"]
        options = {"limits": cheat.limits, "sealed": cheat.sealed}
        run = self.run(cheat.edits, budget=cheat.budget, probes=cheat.probes, **options)
        if cheat.second:
            if run.bpb is None:
                return run, [f"the first experiment failed: {run.reason}"]
            run = self.run(
                cheat.second, budget=cheat.budget, seed=1, probes=cheat.probes, **options
            )
        return run, [*self._complaints(cheat, run)]

    def _complaints(self, cheat: Cheat, run: Run) -> list[str]:
        found = []
        if run.outcome != cheat.ended:
            found.append(f"it ended as {run.outcome}, not as {cheat.ended}")
        if cheat.reason not in run.reason:
            found.append(f"{cheat.reason!r} is not in {run.reason!r}")
        if cheat.verdict == "voided" and (run.audit is None or run.audit.passed):
            found.append("no audit voided it")
        found += [f"it did not print {text!r}" for text in cheat.said if text not in run.log]
        found += [f"its log has {text!r}" for text in cheat.unsaid if text in run.log]
        if cheat.leftovers and (left := _commands_with(cheat.leftovers)):
            found.append(f"left behind: {left}")
        if run.bpb is not None and cheat.verdict != "open":
            found += self._odd_score(cheat, run.bpb)
        return found

    def _odd_score(self, cheat: Cheat, bpb: float) -> list[str]:
        if cheat.at_least:
            return [] if bpb >= cheat.at_least else [f"its score of {bpb:.4f} is too good"]
        honest = self.honest(cheat.budget, 1 if cheat.second else 0)
        if honest.bpb is None:
            return [f"the honest file has no score: {honest.reason}"]
        odd = abs(bpb - honest.bpb) > cheat.tolerance
        return [f"its score of {bpb:.6f} is not the honest {honest.bpb:.6f}"] if odd else []


def _run(result: Result, log: str) -> Run:
    return Run(
        outcome=result.outcome.value,
        reason=result.reason,
        bpb=result.val_bpb,
        sealed_bpb=result.sealed_bpb,
        audit=result.audit,
        log=log + "\n".join(result.summary.values()),
        seconds=result.total_seconds,
    )


def _commands_with(mark: str) -> list[str]:
    """Command lines of living processes that hold `mark`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            try:
                line = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:  # it ended while we looked
                continue
            if mark in line:
                found.append(line)
    return found
