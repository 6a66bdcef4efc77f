"""`make bench`: prints one table of what autoresearch itself costs, measured now, on this machine."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

ROOMS = ("cli", "app", "meter", "scoring", "integrity", "engine", "length")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen benchmarks and print name, value and aim; `soak` is one by itself, with options of its own."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["soak"]:
        from bench import soak

        return soak.main(given[1:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "rooms", nargs="*", metavar="ROOM", help=f"of {', '.join(ROOMS)}; default all"
    )
    rooms = parser.parse_args(given).rooms or ROOMS
    if unknown := set(rooms) - set(ROOMS):
        parser.error(f"no such room: {', '.join(sorted(unknown))}; choose from {', '.join(ROOMS)}")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(f"{'what':58} {'measured':>22}  aim")
    for room in rooms:
        for name, value, aim in importlib.import_module(f"bench.{room}").run():
            print(f"{name:58} {value:>22}  {aim}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
