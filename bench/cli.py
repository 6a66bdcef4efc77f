"""How long a person waits for the command line."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 11


def run() -> list[tuple[str, str, str]]:
    """Median wall time of `autoresearch --help`, and of Python alone for comparison."""
    bare = _median([sys.executable, "-c", "pass"])
    help_ = _median([sys.executable, "-m", "tui", "--help"])
    loaded = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys, tui.cli; print(*[m for m in ('textual', 'torch', 'anthropic') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    return [
        (f"autoresearch --help, median of {RUNS}", f"{help_:.0f} ms", "<= 120 ms"),
        ("  of which Python itself", f"{bare:.0f} ms", ""),
        ("  heavy modules imported", loaded or "none", "none"),
    ]


def _median(argv: list[str]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)
