"""What a process does that carries cheats out for `python -m tests.cheats`: it has a stand of its own."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cheats.case import TOKENS
from tests.cheats.catalogue import cheats
from tests.cheats.document import Carried
from tests.cheats.honest import PROBES, VARIANTS
from tests.cheats.stand import SECRET, Run, Stand

_stand: list[Stand] = []  # of this process


def begin(folder: str) -> None:
    """Set this process up: a stand with caches of its own, and a secret to be found."""
    own = Path(folder) / str(os.getpid())
    (own / "cache").mkdir(parents=True)
    os.environ.update(
        AUTORESEARCH_CACHE=str(own / "cache"), ANTHROPIC_API_KEY=SECRET, OMP_NUM_THREADS="1"
    )
    _stand.append(Stand(own))


def carry_out(name: str) -> Carried:
    cheat = cheats()[name]
    stand = _stand[0]
    run, complaints = stand.carry_out(cheat)
    honest = None
    if run.bpb is not None:
        honest = stand.honest(cheat.budget, 1 if cheat.second else 0).bpb
    return Carried(run, tuple(complaints), honest)


def vary(name: str, seed: int) -> Run:
    return _stand[0].run(VARIANTS[name], budget=TOKENS, seed=seed, probes=PROBES)
