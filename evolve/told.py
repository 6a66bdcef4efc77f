"""What the engine of a long run tells its clients, so that `status` need not work it out of 100,000 candidates.

It is the outlook of `outlook.Watch`, as text in the journal: written after a training, read by whoever looks once. A short
run's clients compute it themselves in less time. It imports neither settings nor git nor numpy.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING

from evolve import trends
from evolve.bandit import Arm, Share
from evolve.beliefs import Belief
from evolve.credit import shares
from evolve.noise import Noise
from evolve.outlook import LONG, Outlook, Pruned, pruned
from evolve.rows import as_json

if TYPE_CHECKING:
    from evolve.evidence import Evidence
    from evolve.journal import Journal
    from evolve.reader import Reader, Tally

TOLD = "outlook of {}"  # journal key
_BEHIND = (
    20  # trainings by which a client lets it be older than the journal; the next one mends that
)


class Teller:
    """The engine's side."""

    def __init__(self) -> None:
        self._basis: object = None  # by which the trends were counted
        self._trends: tuple[trends.Trend, ...] = ()
        self._pruned: Pruned | None = None

    def tell(self, journal: Journal, believed: Evidence) -> None:
        """Write down how the search stands by now, in a run that is long enough."""
        if journal.next_candidate_id() <= LONG:
            return
        field, run, tally = believed.field(), journal.run(), journal.tally()
        if believed.basis is not self._basis:
            self._basis, self._pruned = believed.basis, pruned(journal)
            self._trends = trends.trends(
                believed.roster, field.levels(), believed.noise.sigma, "category"
            )
        shown = {*(c.id for c in journal.living()), *([run.incumbent] if run.incumbent else ())}
        beliefs = believed.beliefs(journal, run.incumbent, shown)
        text = as_json({
            "experiments": tally.experiments,
            "noise": asdict(believed.noise),
            "beliefs": {number: asdict(belief) for number, belief in beliefs.items()},
            "trends": [asdict(trend) for trend in self._trends],
            "operators": [asdict(s) for s in shares(journal, (field, believed.noise.sigma))],
            "pruned": None if self._pruned is None else asdict(self._pruned),
        })  # fmt: skip
        key = TOLD.format(run.name)
        if journal.meta(key) != text:
            journal.set_meta(key, text)


def outlook(journal: Reader, run: str, tally: Tally, shown: Collection[int]) -> Outlook | None:
    """What the engine of a run told last, with the beliefs of those in `shown`; None when that is none, or too old.

    A replay that shows an earlier moment finds what was told later, which is none either.
    """
    text = journal.meta(TOLD.format(run))
    if not text:
        return None
    told = json.loads(text)
    if not told["experiments"] <= tally.experiments <= told["experiments"] + _BEHIND:
        return None
    noise = Noise(**told["noise"])
    return Outlook(
        noise=noise if noise.n else None,
        beliefs={int(n): Belief(**b) for n, b in told["beliefs"].items() if int(n) in shown},
        trends=tuple(trends.Trend(**trend) for trend in told["trends"]),
        operators=tuple(Share(**s | {"arm": Arm(**s["arm"])}) for s in told["operators"]),
        pruned=None if told["pruned"] is None else Pruned(**told["pruned"]),
    )
