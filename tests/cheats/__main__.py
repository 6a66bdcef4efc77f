"""`python -m tests.cheats [--write] [NAME …]`: carry out all cheats and honest variants, or those with a name like this.

Two at a time, some ten minutes on two cores. With `--write`, docs/integrity.md is made from what came of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from harness import sandbox
from tests.cheats import document, workers
from tests.cheats.catalogue import cheats
from tests.cheats.document import Carried
from tests.cheats.honest import PROBES, SEEDS, VARIANTS

AT_ONCE = 2


def main(argv: Sequence[str]) -> int:
    """Returns 1 when something did not end as it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.cheats", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/integrity.md")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="parts of names; default: everything"
    )
    args = parser.parse_args(argv)
    if args.write and args.names:
        parser.error("--write wants everything to be run: leave the names out")
    if sandbox.BUBBLEWRAP not in (report := sandbox.probe()).available:
        print(f"Cheats are carried out in bubblewrap, which does not hold here: {report.advice}")
        return 1

    def wanted(name: str) -> bool:
        return not args.names or any(part in name for part in args.names)

    chosen = {name: cheat for name, cheat in cheats().items() if wanted(name)}
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(AT_ONCE, get_context("spawn"), workers.begin, (folder,)) as pool,
    ):
        tried = {name: pool.submit(workers.carry_out, name) for name in chosen}
        varied = {
            v: [pool.submit(workers.vary, v, seed) for seed in SEEDS] for v in VARIANTS if wanted(v)
        }
        carried = {name: _told(name, attempt.result()) for name, attempt in tried.items()}
        honest = {name: [run.result() for run in runs] for name, runs in varied.items()}
    for name, runs in honest.items():
        print(f"{name}: {', '.join(run.reason for run in runs)}")
    if args.write:
        document.write(chosen, carried, honest, PROBES)
    odd = [name for name, attempt in carried.items() if attempt.complaints]
    odd += [name for name, runs in honest.items() if any(run.bpb is None for run in runs)]
    print(
        f"{len(carried) + len(honest) - len(odd)} as they should, otherwise: {', '.join(odd) or 'none'}"
    )
    return 1 if odd else 0


def _told(name: str, carried: Carried) -> Carried:
    """What came of a cheat, in a line."""
    mark = "; ".join(carried.complaints) or "as it should"
    print(f"{name}: {carried.run.reason} [{mark}]", flush=True)
    return carried


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
