"""Random search and TPE over the constants of a train.py, as rivals in the contest.

Both draw from the space that our own operator `tune` uses, begin with the start itself, and are told every score.
"""

from __future__ import annotations

from itertools import islice

from evolve.propose.presets import Setting
from evolve.propose.tpe import STARTUP, TpeSearch, values
from evolve.propose.vetting import code_hash, vet

NEVER = 1_000_000  # trials before the model of TPE is used: random search
DRAWS = 200  # for one variant that is new and may be trained


class KnobSearch:
    """Ask for a source, tell its score."""

    def __init__(self, start: str, seed: int, *, random: bool) -> None:
        """`start`: the source whose constants are turned, for a CPU and a budget in tokens."""
        self._search = TpeSearch(
            start,
            Setting(memory=0.0, counts_tokens=True),
            seed=seed,
            startup=NEVER if random else STARTUP,
        )
        self._start = start
        self._known = {code_hash(start)}
        self._asked: dict[str, str] = {}
        self._first = True

    def ask(self) -> tuple[str, str]:
        """The next source to train, and what it changes; the first one is the start. Raises StopIteration when
        nothing new is left."""
        if self._first:
            self._first = False
            self._asked = values(self._start)
            return self._start, "the start"
        for found in islice(self._search.ask(), DRAWS):
            digest = code_hash(found.source)
            if digest not in self._known and not vet(found.source, (self._start,)):
                self._known.add(digest)
                self._asked = values(found.source)
                return found.source, ", ".join(map(str, found.turns))
        raise StopIteration("no new variant is left")

    def tell(self, score: float | None) -> None:
        """The score of what was asked last, bits per byte; None when it came to none."""
        self._search.tell(self._asked, score)
