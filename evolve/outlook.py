"""How the search stands, for clients: what is believed of whom, what is worth trying, and by which rules.

Computed with the engine's own pure code from the journal alone, and kept until the journal has something new that
matters. It writes nothing and imports neither settings nor git nor numpy, because `status` starts through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from evolve import seeds, trends
from evolve.bandit import Share
from evolve.beliefs import Belief, beliefs
from evolve.callbook import CallFigures
from evolve.credit import shares
from evolve.model import Candidate, Run
from evolve.noise import Noise
from evolve.reader import Reader
from evolve.trends import Trend

POLICY = "policy of {}"  # journal key of the acceptance policy that the run's engine follows


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the search believes and follows at one instant."""

    policy: str = "confirmed"  # of acceptance: "confirmed" or "greedy"
    goes_by: str = "val_bpb"  # what selection goes by, in words
    memory_limit: str = "none"  # the soft one, in words
    noise: Noise | None = None  # None before anything was repeated
    beliefs: Mapping[int, Belief] = field(default_factory=dict)  # by candidate
    trends: tuple[Trend, ...] = ()  # by category, the most tried first
    operators: tuple[Share, ...] = ()  # how the next proposals are shared out, largest share first
    calls: tuple[CallFigures, ...] = ()  # of language models, the most used one first

    @property
    def composite(self) -> bool:
        """Does selection go by more than val_bpb?"""
        return self.goes_by != "val_bpb"


class Look:
    """Every scored candidate of a run as it is believed to be, at one instant."""

    def __init__(self, journal: Reader, incumbent: int | None) -> None:
        self._journal, self._incumbent = journal, incumbent

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """Everybody."""
        return self._journal.candidates()

    @cached_property
    def tables(self) -> dict[int, dict[int, float]]:
        """Candidate to seed to fitness, of the trainings that count."""
        return self._journal.fitness_tables()

    @cached_property
    def noise(self) -> Noise:
        """Of one training."""
        return seeds.measured(self.tables.values())

    @cached_property
    def beliefs(self) -> dict[int, Belief]:
        """By candidate."""
        return beliefs(self.candidates, self.noise, self._incumbent, self.tables)

    def trends(self, by: str) -> tuple[Trend, ...]:
        """By one of `trends.KEYS`."""
        means = {number: belief.mean for number, belief in self.beliefs.items()}
        return trends.trends(self.candidates, means, self.noise.sigma, by)


class Watch:
    """Keeps the last outlook, and computes the parts anew that something has happened to."""

    def __init__(self) -> None:
        self._scores: tuple[object, ...] = ()  # what the beliefs were computed from
        self._look: tuple[Noise | None, dict[int, Belief], tuple[Trend, ...]] = (None, {}, ())
        self._spent: tuple[object, ...] = ()  # what the shares and calls were computed from
        self._costs: tuple[tuple[Share, ...], tuple[CallFigures, ...]] = ((), ())

    def outlook(self, journal: Reader, run: Run, shown: frozenset[int]) -> Outlook:
        """How the run stands, with the beliefs of the candidates in `shown`."""
        self._renew(journal, run)
        noise, believed, found = self._look
        operators, calls = self._costs
        told = run.settings.get("acceptance", {})
        return Outlook(
            policy=journal.meta(POLICY.format(run.name)) or told.get("policy", "confirmed"),
            goes_by=run.fingerprint.get("metric", "val_bpb"),
            memory_limit=run.fingerprint.get("memory_limit", "none"),
            noise=noise,
            beliefs={number: believed[number] for number in shown if number in believed},
            trends=found,
            operators=operators,
            calls=calls,
        )

    def beliefs(self, journal: Reader, run: Run) -> dict[int, Belief]:
        """What is believed of every scored candidate."""
        self._renew(journal, run)
        return self._look[1]

    def _renew(self, journal: Reader, run: Run) -> None:
        tally = journal.tally()
        scores = (run.id, run.incumbent, tally.experiments, tally.settled, tally.candidates)
        if scores != self._scores:
            look = Look(journal, run.incumbent)
            noise = look.noise if look.noise.n else None
            self._look, self._scores = (noise, look.beliefs, look.trends("category")), scores
        spent = (*scores, tally.llm_calls, tally.dollars, *journal.live_settings().items())
        if spent != self._spent:
            self._costs, self._spent = (shares(journal), journal.call_figures()), spent
