"""`make bench-search`: our search against greedy, random search and TPE at equal numbers of trainings.

Runs bench.contest once a method and seed, several at a time, and puts the table into docs/search.md. A search that
was interrupted goes on, and one that has ended is not repeated, as long as the folder stays.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.comparison import table
from bench.contest import METHODS

DOC = Path(__file__).parents[1] / "docs" / "search.md"
BEGIN, END = "<!-- bench-search: begin -->", "<!-- bench-search: end -->"
NAMES = {
    "ours": "autoresearch, built-in proposer",
    "greedy": "the ancestor's greedy loop, same proposer",
    "random": "random search over the constants",
    "tpe": "TPE (optuna) over the constants",
}


def main() -> int:
    """Run what is missing, then report."""
    parser = argparse.ArgumentParser(prog="python -m bench.search", description=__doc__)
    parser.add_argument("--experiments", type=int, default=40, help="trainings a search (40)")
    parser.add_argument("--seeds", type=int, default=5, help="searches a method (5)")
    parser.add_argument(
        "--fresh", type=int, default=5, help="trainings of what each hands over (5)"
    )
    parser.add_argument(
        "--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="searches at a time"
    )
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated")
    parser.add_argument("--folder", type=Path, default=Path(".bench/search"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; 0: when done")
    parser.add_argument("--write", action="store_true", help="put the table into docs/search.md")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + given.seconds if given.seconds else None
    # Seed by seed, so that an interrupted contest has complete rounds.
    jobs = [(m, s) for s in range(given.seeds) for m in given.methods.split(",")]
    with ThreadPoolExecutor(given.jobs) as pool:
        list(pool.map(lambda job: _search(given, job[0], job[1], deadline), jobs))
    text = report(given.folder, given.methods.split(","), given.experiments, given.fresh)
    print(text)
    if given.write:
        write(text)
    return 0


def _search(given: argparse.Namespace, method: str, seed: int, deadline: float | None) -> None:
    """One search in its own process, unless it has ended before."""
    folder = given.folder / f"{method}-{seed}"
    answer = folder / "found.json"
    if answer.exists():
        return
    left = None if deadline is None else deadline - time.monotonic()
    if left is not None and left < 5:
        return
    folder.mkdir(exist_ok=True)
    line = [sys.executable, "-m", "bench.contest", method, str(seed), "--folder", str(folder)]
    line += ["--experiments", str(given.experiments), "--fresh", str(given.fresh)]
    line += [part for item in given.set for part in ("--set", item)]
    with (folder / "log.txt").open("a") as log:
        try:
            done = subprocess.run(
                line, stdout=subprocess.PIPE, stderr=log, text=True, timeout=left, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"{method} {seed}: not finished in time; the next call goes on", flush=True)
            return
    if done.returncode:
        print(f"{method} {seed}: failed, see {folder / 'log.txt'}", flush=True)
        return
    partial = answer.with_suffix(".tmp")
    partial.write_text(done.stdout.splitlines()[-1], encoding="utf-8")
    partial.rename(answer)
    print(f"{method} {seed}: {done.stdout.splitlines()[-1]}", flush=True)


def report(folder: Path, methods: list[str], experiments: int, fresh: int) -> str:
    """The table of all searches that have ended, in Markdown, with the command behind it."""
    scores: dict[str, list[float]] = {}
    claims: dict[str, list[float]] = {}
    for method in methods:
        for path in sorted(folder.glob(f"{method}-*/found.json")):
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["experiments"] > experiments + 1:  # the one in the slot may end beyond it
                raise SystemExit(f"{path} used {found['experiments']} trainings: not comparable")
            mean = sum(found["confirmed"]) / len(found["confirmed"])
            scores.setdefault(NAMES[method], []).append(mean)
            claims.setdefault(NAMES[method], []).append(found["claimed"])
    if NAMES["ours"] not in scores:
        return "No search of ours has ended yet."
    return (
        f"{experiments} trainings a search, repeats and the baseline's among them; what a search hands over is then "
        f"trained {fresh} times with fresh seeds. Bits per byte, lower is better. "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}.\n\n"
        + table(scores, claims, NAMES["ours"])
    )


def write(text: str) -> None:
    """Replace the table in docs/search.md."""
    old = DOC.read_text(encoding="utf-8")
    new = re.sub(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda match: f"{BEGIN}\n{text}\n{END}",
        old,
        flags=re.S,
    )
    DOC.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
