"""One search of the contest: a method with a seed, at a fixed number of trainings, then its answer measured afresh.

Every method starts from the same train.py, trains on the same task (the rehearsal's own, unless told otherwise) in
the same harness, and may use the same number of trainings, repeats included. What it hands over at the end is then
trained with seeds that no search has used, and only that counts. A killed search goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.samplers import KnobSearch
from evolve import settings as config
from evolve.boot import data_config
from evolve.engine import GRACE
from evolve.journal import Journal
from evolve.levels import sandbox_level
from evolve.lineage import Lineage
from evolve.model import NothingToDo
from evolve.places import JOURNAL, LOCK, STATE
from evolve.serving import serve
from evolve.slot import DetachedSlot
from evolve.workspace import create
from harness import experiment
from harness.apart import prepare_apart
from harness.spec import AuditPlan, Budget, ExperimentSpec, Limits, Result

METHODS = ("ours", "greedy", "random", "tpe")
FRESH = 1_000_000  # the first seed of the final measurement; searches stay far below
APART = 1_000  # seeds of one search, so that two searches do not share their luck
# The score of an honest script is the same with and without the blind audit, which costs a fifth of a rehearsal.
COMMON = {"profile": "cpu", "llm.proposer": "builtin", "scoring.audit_probes": "0"}
# karpathy/autoresearch's loop: one branch, one training an idea, strictly better is kept.
GREEDY = {
    "acceptance.policy": "greedy",
    "population.size": "1",
    "operators.crossover": "0",
    "pruning.enabled": "false",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What one search handed over."""

    method: str
    seed: int
    experiments: int  # trainings of the search
    claimed: float  # bits per byte, by the search's own trainings of it
    confirmed: tuple[float, ...]  # of the same source, at fresh seeds
    lines: str = ""  # what it is, in words

    @property
    def score(self) -> float:
        """The mean of the fresh trainings, bits per byte."""
        return statistics.fmean(self.confirmed)


class ShiftedSlot(DetachedSlot):
    """The engine's own slot, with the seeds of this search: luck must not be the same for all."""

    def __init__(self, lease: Path, shift: int) -> None:
        super().__init__(lease, GRACE)
        self._shift = shift

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        """Train with the shifted seed, and report the engine's."""
        result = await super().run(replace(spec, seed=spec.seed + self._shift), directory)
        return replace(result, seed=spec.seed)


class Bench:
    """One task: a workspace with the start, and what a training of any source comes to."""

    def __init__(self, folder: Path, overrides: dict[str, str]) -> None:
        self.workspace = folder / "work"
        if not self.workspace.exists():
            create(self.workspace)
        self.overrides = COMMON | overrides
        self.settings = config.load(self.workspace, gpu=False, overrides=self.overrides)
        self._level = sandbox_level(self.settings, allow_weak=True)
        self._dataset = prepare_apart(data_config(self.settings), lambda message, fraction: None)
        self._trained = folder / "fresh"

    @property
    def start(self) -> str:
        """The source that every search begins with."""
        lineage = Lineage(self.workspace, self.settings.workspace.script, "main", "check")
        return lineage.source(lineage.head()[0])

    def train(self, source: str, seed: int) -> Result:
        """Train and score a source once."""
        settings, budget = self.settings, self.settings.budget
        spec = ExperimentSpec(
            name=f"contest-{seed}",
            source=source,
            seed=seed,
            dataset=str(self._dataset.path),
            budget=Budget(
                budget.kind, budget.seconds if budget.kind == "seconds" else budget.tokens
            ),
            sandbox=self._level,
            limits=Limits(
                wall_seconds=budget.wall_limit,
                threads=settings.sandbox.threads,
                log_mb=settings.sandbox.log_mb,
            ),
            eval_tokens=settings.data.eval_tokens,
            audit=AuditPlan(probes=0),
        )
        return experiment.run(spec, self._trained, lambda progress: None, lambda: None)

    def confirm(self, source: str, times: int) -> tuple[float, ...]:
        """Scores at the seeds that belong to nobody. Raises SystemExit where a training fails: no number then."""
        scores = []
        for seed in range(FRESH, FRESH + times):
            result = self.train(source, seed)
            if result.val_bpb is None:
                raise SystemExit(f"the final measurement failed: {result.outcome}: {result.reason}")
            scores.append(result.val_bpb)
        return tuple(scores)


def by_engine(
    bench: Bench, method: str, seed: int, experiments: int
) -> tuple[str, float, int, str]:
    """Our search, or the ancestor's loop, in the engine itself; returns (source, claim, trainings, words)."""
    overrides = bench.overrides | {
        "stop.experiments": str(experiments),
        "stop.candidates": "0",
        **(GREEDY if method == "greedy" else {}),
    }
    lease = bench.workspace / STATE / LOCK
    with contextlib.suppress(
        NothingToDo
    ):  # it had ended before, and only its measurement is missing
        serve(
            bench.workspace,
            overrides=overrides,
            name=f"{method}{seed}",
            allow_weak_sandbox=True,
            slot=ShiftedSlot(lease, APART * (seed + 1)),
        )
    with Journal.reader(bench.workspace / STATE / JOURNAL) as journal:
        run, tally = journal.run(), journal.tally()
        assert run.incumbent is not None
        best = journal.candidate(run.incumbent)
        assert best.mean is not None
        lineage = Lineage(bench.workspace, bench.settings.workspace.script, "main", run.name)
        words = f"{best.label} {best.title}; main moved {tally.promotions} times"
        return lineage.source(best.commit), best.mean, tally.experiments, words


def by_sampler(
    bench: Bench, method: str, seed: int, experiments: int, diary: Path
) -> tuple[str, float, int, str]:
    """Random search or TPE over the constants of the start; one training a trial, the best score is handed over."""
    search = KnobSearch(bench.start, seed, random=method == "random")
    told: list[tuple[float, str, str]] = []
    done = diary.read_text(encoding="utf-8").splitlines() if diary.exists() else []
    for number in range(experiments):
        source, words = search.ask()
        if number < len(done):
            score = json.loads(done[number])["score"]
        else:
            score = bench.train(source, APART * (seed + 1)).val_bpb
            with diary.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"score": score, "words": words}) + "\n")
        search.tell(score)
        if score is not None:
            told.append((score, source, words))
    claim, source, words = min(told)
    return source, claim, experiments, words


def contest(
    method: str,
    seed: int,
    *,
    folder: Path,
    experiments: int,
    fresh: int,
    overrides: dict[str, str],
) -> Found:
    """Carry out one search and measure what it hands over."""
    bench = Bench(folder, overrides)
    if method in ("ours", "greedy"):
        source, claim, spent, words = by_engine(bench, method, seed, experiments)
    else:
        source, claim, spent, words = by_sampler(
            bench, method, seed, experiments, folder / "trials.jsonl"
        )
    return Found(method, seed, spent, claim, bench.confirm(source, fresh), words)


def main() -> int:
    """The process of one search: prints what it found as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("seed", type=int)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--experiments", type=int, required=True)
    parser.add_argument("--fresh", type=int, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    overrides = dict(item.split("=", 1) for item in given.set)
    found = contest(
        given.method,
        given.seed,
        folder=given.folder,
        experiments=given.experiments,
        fresh=given.fresh,
        overrides=overrides,
    )
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
