"""Kills engines at random instants and at every crash point, and looks for anything that was lost or left behind.

    make fuzz RUN="--kills 300 --seed 7 --minutes 30"

The schedule follows from the seed alone. An episode in which something was wrong keeps its workspace and prints the
line that plays it again.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.play import Play, Report
from tests.fuzz.schedule import campaign


def main(argv: list[str] | None = None) -> int:
    """Returns 1 when something was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--kills", type=int, default=60, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, metavar="S", help="of the schedule; default: a new one")
    parser.add_argument(
        "--minutes", type=float, default=30, metavar="M", help="begin no episode later"
    )
    parser.add_argument("--episode", type=int, metavar="E", help="only this one")
    parser.add_argument("--keep", action="store_true", help="go on after a failure")
    args = parser.parse_args(argv)
    seed = random.randrange(10**6) if args.seed is None else args.seed
    base = Path(tempfile.mkdtemp(prefix="autoresearch-fuzz-"))
    print(f"Seed {seed}, {args.kills} kills, in {base}", flush=True)
    begun, reports = time.monotonic(), []
    for episode in campaign(seed, args.kills):
        if args.episode not in (None, episode.number):
            continue
        if time.monotonic() - begun > args.minutes * 60:
            print(f"The time is over before episode {episode.number}.")
            break
        try:
            report = Play(episode, seed, base / f"episode-{episode.number}").run()
        except KeyboardInterrupt:
            print(f"Interrupted in episode {episode.number}.")
            break
        reports.append(report)
        _tell(report, time.monotonic() - begun)
        if report.problems:
            again = f"--seed {seed} --kills {args.kills} --episode {episode.number}"
            print(f'  Again: make fuzz RUN="{again}"', flush=True)
            if not args.keep:
                break
    _sum_up(reports, seed, time.monotonic() - begun)
    if any(report.problems for report in reports):
        return 1
    shutil.rmtree(base)
    return 0


def _tell(report: Report, elapsed: float) -> None:
    episode = report.episode
    words = ", ".join(f"{kind} {count}" for kind, count in sorted(report.kinds.items()))
    print(
        f"{elapsed:6.0f} s  episode {episode.number} ({episode.training}, {episode.proposer}): {words}; "
        f"{report.candidates} candidates, {report.trainings} trainings, {report.facts} facts, "
        f"{len(report.problems)} problems",
        flush=True,
    )
    for problem in report.problems:
        print(f"  {problem}", flush=True)


def _sum_up(reports: list[Report], seed: int, seconds: float) -> None:
    kinds = sum((report.kinds for report in reports), Counter[str]())
    points = sum((report.points for report in reports), Counter[str]())
    vain = sum((report.in_vain for report in reports), Counter[str]())
    problems = sum(len(report.problems) for report in reports)
    boots = [took for report in reports for took in report.boots]
    launches = [took for report in reports for took in report.launches]
    print(f"\nSeed {seed}: {kinds.total()} kills in {seconds:.0f} s, {problems} problems")
    print(f"  kinds       {', '.join(f'{k} {n}' for k, n in kinds.most_common())}")
    print(f"  points      {len(points)}: {', '.join(f'{k} {n}' for k, n in points.most_common())}")
    print(f"  in vain     {', '.join(f'{k} {n}' for k, n in vain.most_common()) or 'none'}")
    print(f"  boot        {_spread(boots)}")
    print(f"  to training {_spread(launches)}")
    print(
        f"  {sum(r.candidates for r in reports)} candidates, {sum(r.trainings for r in reports)} trainings, "
        f"{sum(r.facts for r in reports)} facts watched, {sum(r.requests for r in reports)} requests of a "
        f"person, {sum(r.calls for r in reports)} calls of a language model"
    )


def _spread(values: list[float]) -> str:
    if not values:
        return "none"
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return (
        f"n = {len(ordered)}, median {statistics.median(ordered):.2f} s, 95 % {p95:.2f} s, "
        f"largest {ordered[-1]:.2f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
