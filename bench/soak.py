"""A long night in minutes: one engine over thousands of candidates, and whether anything grows that should not.

`python -m bench soak --candidates 2000`. The training takes no time, everything else is the real engine on a temporary
workspace: journal, git, worktrees, policies, built-in proposer, vetting, results.tsv, experiment folders with logs. Every
so many candidates it is weighed; at the end stands a table, and what was not flat.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from statistics import fmean

from evolve.model import Operator
from evolve.propose.operators import Brief, Proposal, ProposalFailed
from harness.rundir import LOG, write_result, write_smoke, write_spec
from harness.spec import AuditReport, CurvePoint, ExperimentSpec, Outcome, Result, SmokeResult

EVERY = 50  # candidates between two samples
WARM_UP = 0.25  # share of the samples in which caches may still fill
LOG_BYTES = 20_000  # of the log that each training leaves
POINTS = 20  # of each training's curve


@dataclass(frozen=True, slots=True)
class Sample:
    """The engine's process and its workspace at one moment; rates are those since the sample before."""

    candidates: int
    wall_ms: float  # a candidate
    own_ms: float  # processor time of the engine's process, a candidate
    git_ms: float  # processor time of the commands that it ran, a candidate
    rss_mb: float
    fds: int
    threads: int
    children: int
    temporary: int  # files under the temporary folder of this soak
    folders: int  # under experiments
    worktrees: int
    journal_kb: float  # a candidate, all in all
    git_kb: float  # a candidate, all in all


# Of each figure: by how much it may be larger at the end than after the warm-up, by the line through its samples: as a share,
# and in its own unit, whichever allows more.
FLAT: dict[str, tuple[float, float]] = {
    "wall_ms": (0.35, 30.0),
    "own_ms": (0.25, 15.0),
    "git_ms": (0.25, 10.0),
    "rss_mb": (0.08, 6.0),
    "fds": (0.0, 2.5),
    "threads": (0.0, 2.5),
    "children": (0.0, 0.5),
    "temporary": (0.0, 2.5),
    "folders": (0.1, 12.0),
    "worktrees": (0.0, 3.0),
    "journal_kb": (0.15, 1.0),
    "git_kb": (0.25, 3.0),
}


def growth(samples: Sequence[Sample], figure: str) -> tuple[float, float]:
    """Where a figure stands after the warm-up and at the end, by the least-squares line through its samples."""
    points = [(s.candidates, float(getattr(s, figure))) for s in samples]
    points = points[int(WARM_UP * len(points)) :]
    centre, middle = fmean(x for x, _ in points), fmean(y for _, y in points)
    width = sum((x - centre) ** 2 for x, _ in points)
    slope = sum((x - centre) * (y - middle) for x, y in points) / width if width else 0.0
    return middle + slope * (points[0][0] - centre), middle + slope * (points[-1][0] - centre)


def not_flat(samples: Sequence[Sample]) -> list[str]:
    """What has grown by more than `FLAT` allows, a sentence each; empty when all is well. At least 8 samples."""
    if len(samples) < 8:
        raise ValueError(f"{len(samples)} samples say nothing of a trend; take at least 8.")
    found = []
    for figure, (share, most) in FLAT.items():
        first, last = growth(samples, figure)
        if last - first > max(share * abs(first), most):
            per = 1000 * (last - first) / max(1, samples[-1].candidates - samples[0].candidates)
            found.append(f"{figure} grows from {first:.1f} to {last:.1f} ({per:+.1f} in 1,000).")
    return found


class SoakSlot:
    """A slot whose trainings take no time and leave the files that real ones leave."""

    def __init__(self, every: int, sample: Callable[[], None]) -> None:
        """`sample` is called before every `every`-th first training of a candidate."""
        self._every, self._sample = every, sample
        self._seen = 0

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        """Write spec, log and result, and give a score that depends on the source and the seed alone."""
        self._seen += 1
        if self._seen % self._every == 0:
            self._sample()
        await asyncio.sleep(0)
        score = _truth(spec.source) + random.Random(f"{spec.source}{spec.seed}").gauss(0, 0.003)
        audit = AuditReport(True, "soaked", score) if spec.audit.probes_for(score) else None
        curve = tuple(
            CurvePoint((i + 1) / POINTS, float(i), 1000 * i, score + 3 / (i + 1))
            for i in range(POINTS)
        )
        result = Result(
            Outcome.OK,
            "soaked",
            val_bpb=score,
            sealed_bpb=score if spec.sealed else None,
            seed=spec.seed,
            train_seconds=1.0,
            total_seconds=1.0,
            audit=audit,
            curve=curve,
            log_tail="the end of a log\n" * 50,
        )
        self._leave(directory, spec)
        write_result(directory, result)
        return result

    def _leave(self, directory: Path, spec: ExperimentSpec) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_spec(directory, spec)
        (directory / "lock").write_text(f"{os.getpid()}\n")
        (directory / "runner.log").touch()
        (directory / "progress.jsonl").write_text('{"phase": "training"}\n' * POINTS)
        (directory / LOG).write_text("step 1 loss 3.0\n" * (LOG_BYTES // 16))

    async def smoke(self, spec: ExperimentSpec, directory: Path) -> SmokeResult:
        """Everything comes through."""
        self._leave(directory, spec)
        result = SmokeResult(Outcome.OK, "soaked")
        write_smoke(directory, result)
        return result

    async def adopt(self, directory: Path) -> Result | None:
        """Nothing survives in here."""
        return None

    async def adopt_smoke(self, directory: Path) -> SmokeResult | None:
        """Nothing survives in here."""
        return None

    def prune(self, reason: str) -> bool:
        """It is over before anybody asks."""
        return True

    def stop(self, reason: str) -> None:
        """It is over before anybody asks."""


class QuickProposer:
    """Turns one constant of a parent in some microseconds, where the built-in proposer would take most of the time."""

    name = "builtin"

    def operators(self) -> frozenset[Operator]:
        """Tune and mutate."""
        return frozenset({Operator.TUNE, Operator.MUTATE})

    async def propose(self, brief: Brief) -> Proposal:
        """A child with another number somewhere; raises ProposalFailed where there is none."""
        rng, parent = random.Random(brief.seed), brief.parents[0]
        lines = parent.source.splitlines(keepends=True)
        places = [(at, found) for at, text in enumerate(lines) if (found := _CONSTANT.match(text))]
        if not places:
            raise ProposalFailed("it has no constants")
        place, found = rng.choice(places)
        value = float(found[2].replace("_", "")) * rng.choice((0.5, 0.7, 1.4, 2.0)) or 1.0
        new = f"{value:#.6g}" if "." in found[2] else str(max(1, round(value)))
        lines[place] = f"{found[1]}{new}{lines[place][found.end() :]}"
        change = f"{found[1].split()[0]}: {found[2]} -> {new}"
        return Proposal(
            "".join(lines), brief.operator, "builtin", (parent.id,), change, "", "other", (change,)
        )


_CONSTANT = re.compile(r"([A-Z][A-Z_0-9]+ *(?:: *\w+ *)?= )(\d[\d_]*\.?\d*)(?![\w.*])")


def _truth(source: str) -> float:
    """A landscape in which children lie near their parents and there is always something better: lines add up."""
    return 2.0 + sum(map(_line, source.splitlines()))


@lru_cache(maxsize=100_000)
def _line(line: str) -> float:
    return random.Random(line).gauss(0, 0.003) if "=" in line else 0.0


class Scales:
    """Weighs this process and a workspace."""

    def __init__(self, workspace: Path, every: int, tell: Callable[[Sample], None]) -> None:
        self._workspace, self._every, self._tell = workspace, every, tell
        self.samples: list[Sample] = []
        self._before = self._spent()

    def sample(self) -> None:
        """Take a sample."""
        from evolve.places import EXPERIMENTS, JOURNAL, STATE, WORKTREES

        now = self._spent()
        wall, own, git = (
            1000 * (b - a) / self._every for a, b in zip(self._before, now, strict=True)
        )
        count, state = (len(self.samples) + 1) * self._every, self._workspace / STATE
        status = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        journal = sum(path.stat().st_size for path in state.glob(f"{JOURNAL}*"))
        sample = Sample(
            candidates=count,
            wall_ms=wall,
            own_ms=own,
            git_ms=git,
            rss_mb=int(status["VmRSS"].split()[0]) / 1024,
            fds=sum(1 for _ in Path("/proc/self/fd").iterdir()),
            threads=int(status["Threads"]),
            children=len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
            temporary=sum(1 for _ in Path(tempfile.gettempdir()).iterdir()),
            folders=_entries(state / EXPERIMENTS),
            worktrees=_entries(state / WORKTREES),
            journal_kb=journal / 1024 / count,
            git_kb=_size(self._workspace / ".git") / 1024 / count,
        )
        self.samples.append(sample)
        self._tell(sample)
        self._before = self._spent()  # what the weighing took is nobody's

    @staticmethod
    def _spent() -> tuple[float, float, float]:
        own, children = (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return (
            time.perf_counter(),
            own.ru_utime + own.ru_stime,
            children.ru_utime + children.ru_stime,
        )


def _entries(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0


def _size(folder: Path) -> int:
    """Bytes on the disk under `folder`, as blocks: a loose object takes one whatever it holds."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += 512 * (Path(place) / name).lstat().st_blocks
            except FileNotFoundError:  # a lock or a temporary file of git's
                continue
    return total


def soak(
    candidates: int,
    *,
    every: int = EVERY,
    tell: Callable[[Sample], None] = lambda _: None,
    keep: Path | None = None,
    quick: bool = False,
) -> list[Sample]:
    """Run one engine in this process until `candidates` children are settled.

    `keep`: a folder for its workspace. `quick`: `QuickProposer` makes the children, all else is the engine's.
    """
    from evolve import engine
    from evolve.serving import serve
    from evolve.workspace import create

    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        workspace = (keep or Path(scratch)) / "work"
        create(workspace)
        before, tempfile.tempdir = tempfile.tempdir, scratch
        builtin = vars(engine)["BuiltinProposer"]
        if quick:
            vars(engine)["BuiltinProposer"] = QuickProposer
        try:
            scales = Scales(workspace, every, tell)
            serve(
                workspace,
                overrides={
                    "profile": "cpu",
                    "data.local_mb": "2",
                    "stop.candidates": str(candidates),
                    "acceptance.max_repeats": "2",
                },
                allow_weak_sandbox=True,
                slot=SoakSlot(every, scales.sample),
            )
        finally:
            tempfile.tempdir = before
            vars(engine)["BuiltinProposer"] = builtin
    return scales.samples


def heading() -> str:
    """The names of the columns of `line`."""
    return " ".join(f"{field.name:>10}" for field in fields(Sample))


def line(sample: Sample) -> str:
    """One sample as a line of the table."""
    return " ".join(f"{getattr(sample, field.name):>10.4g}" for field in fields(Sample))


def main(argv: Sequence[str]) -> int:
    """Soak and print; 1 when something was not flat."""
    parser = argparse.ArgumentParser(prog="python -m bench soak", description=__doc__)
    parser.add_argument("--candidates", type=int, default=2000, help="children to be settled")
    parser.add_argument("--every", type=int, default=EVERY, help="children between two samples")
    parser.add_argument("--keep", type=Path, help="a new folder for the workspace, which stays")
    parser.add_argument("--quick", action="store_true", help="children that cost nothing to make")
    parser.add_argument("--profile", action="store_true", help="say where the processor time goes")
    args = parser.parse_args(argv)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(heading())
    profile = cProfile.Profile()
    if args.profile:
        profile.enable()
    samples = soak(
        args.candidates,
        every=args.every,
        tell=lambda s: print(line(s), flush=True),
        keep=args.keep,
        quick=args.quick,
    )
    if args.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("cumulative").print_stats(120)
    faults = not_flat(samples)
    print("\n".join(faults) if faults else "Everything is flat.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
