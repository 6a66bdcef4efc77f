"""How the search stands, for clients: what is believed of whom, what is worth trying, and by which rules.

Computed with the engine's own pure code from the journal alone, and kept until the journal has something new that
matters. It writes nothing and imports neither settings nor git nor numpy, because `status` starts through here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from evolve import trends
from evolve.bandit import Share
from evolve.beliefs import Belief
from evolve.callbook import CallFigures
from evolve.credit import shares
from evolve.evidence import Evidence
from evolve.model import Run
from evolve.noise import Noise
from evolve.reader import Reader, Tally
from evolve.roster import Roster
from evolve.trends import Trend
from harness.spec import Outcome

LONG = 3_000  # candidates from which on a first look takes longer than a frame may
POLICY = "policy of {}"  # journal key of the acceptance policy that the run's engine follows


@dataclass(frozen=True, slots=True)
class Pruned:
    """What stopping trainings early has come to."""

    stopped: int
    spared: int  # doomed too, and let finish with a score: the audit of the rule
    wrong: int  # of these, came out better than was foretold to be possible
    failed: bool  # the audit found the rule wrong too often: it is switched off
    words: str  # a sentence for people


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
    pruned: Pruned | None = None  # None while nothing was stopped early
    hurried: bool = False  # True: what takes long was left out, and is there at the next look

    @property
    def composite(self) -> bool:
        """Does selection go by more than val_bpb?"""
        return self.goes_by != "val_bpb"


class Look:
    """Every scored candidate of a run as it is believed to be, at one instant; what was computed is kept."""

    def __init__(
        self, journal: Reader, incumbent: int | None, evidence: Evidence | None = None
    ) -> None:
        """Reads everybody and their scores, or what `evidence` of an earlier look lacks."""
        self._journal, self._incumbent = journal, incumbent
        self._evidence = evidence or Evidence()
        self._evidence.update(journal)
        self._known: dict[int, Belief] = {}
        self._asked: set[int] = set()
        self.noise = self._evidence.noise

    def beliefs(self, only: Collection[int] | None = None) -> dict[int, Belief]:
        """By candidate, of those in `only`; each costs a fraction of a millisecond when it is asked for first."""
        wanted = set(range(1, len(self._evidence.roster) + 1)) if only is None else set(only)
        if fresh := wanted - self._asked:
            self._known |= self._evidence.beliefs(self._journal, self._incumbent, fresh)
            self._asked |= fresh
        return {number: self._known[number] for number in wanted if number in self._known}

    def means(self) -> Mapping[int, float]:
        """The corrected scores, by candidate."""
        return self._evidence.field()

    def trends(self, by: str) -> tuple[Trend, ...]:
        """By one of `trends.KEYS`."""
        evidence = self._evidence
        return trends.trends(evidence.roster, evidence.field().levels(), self.noise.sigma, by)


class Watch:
    """Keeps the last outlook, and computes the parts anew that something has happened to."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._seen: tuple[object, ...] = ()  # what the look was taken at
        self._written: tuple[
            object, ...
        ] = ()  # the connection, and what was written when it looked last
        self._look: Look | None = None
        self._evidence = Evidence()
        self._basis: object = None  # by which the trends were counted
        self._trends: tuple[Trend, ...] = ()
        self._pruned: Pruned | None = None
        self._spent: tuple[object, ...] = ()  # what the shares and calls were computed from
        self._operators: tuple[Share, ...] = ()
        self._calls: tuple[CallFigures, ...] = ()

    def outlook(
        self,
        journal: Reader,
        run: Run,
        shown: Collection[int],
        *,
        tally: Tally | None = None,
        hurry: bool = False,
    ) -> Outlook:
        """How the run stands, with the beliefs of the candidates in `shown`; `tally` where it has been counted.

        With `hurry` a first look at a long run leaves out whatever everybody has to be read for.
        """
        told = run.settings.get("acceptance", {})
        rules = Outlook(
            policy=journal.meta(POLICY.format(run.name)) or told.get("policy", "confirmed"),
            goes_by=run.fingerprint.get("metric", "val_bpb"),
            memory_limit=run.fingerprint.get("memory_limit", "none"),
        )
        if self._look is None and journal.next_candidate_id() > LONG:
            from evolve import told as telling  # which knows this module

            tally = tally or journal.tally()
            if known := telling.outlook(journal, run.name, tally, shown):
                return replace(
                    known,
                    policy=rules.policy,
                    goes_by=rules.goes_by,
                    memory_limit=rules.memory_limit,
                    calls=journal.call_figures(),
                )
            if hurry:
                return replace(rules, hurried=True)
        look = self._current(journal, run, tally)
        return replace(
            rules,
            noise=look.noise if look.noise.n else None,
            beliefs=look.beliefs(shown),
            trends=self._trends,
            operators=self._operators,
            calls=self._calls,
            pruned=self._pruned,
        )

    def beliefs(
        self, journal: Reader, run: Run, only: Collection[int] | None = None
    ) -> dict[int, Belief]:
        """What is believed of every scored candidate, or of those in `only`."""
        return self._current(journal, run).beliefs(only)

    def roster(self, journal: Reader, limit: int) -> Roster:
        """Every candidate, at most `limit` rows further than the last time; the same object when nothing is new."""
        return self._evidence.list_on(journal, limit)

    def trends(self, journal: Reader, run: Run, by: str) -> tuple[Trend, ...]:
        """By one of `trends.KEYS`."""
        return self._current(journal, run).trends(by)

    def _current(self, journal: Reader, run: Run, tally: Tally | None = None) -> Look:
        """The look of now: the last one, unless a training or a verdict has come since."""
        written = journal, *journal.written()
        if self._look is not None and written == self._written:
            return self._look
        tally = tally or journal.tally()
        seen = (run.id, run.incumbent, tally.experiments, tally.settled, tally.candidates)
        if self._look is None or seen != self._seen:
            self._look, self._seen = Look(journal, run.incumbent, self._evidence), seen
            # In a long run the basis lasts for a while, and so do figures of everybody.
            basis = (run.id, self._evidence.basis)
            if tally.candidates <= LONG or basis != self._basis:
                self._basis = basis
                self._trends = self._look.trends("category")
                self._pruned = pruned(journal)
        spent = (*seen, tally.llm_calls, tally.dollars, *journal.live_settings().items())
        if spent != self._spent:
            believed = self._look.means(), self._look.noise.sigma
            self._operators, self._calls = shares(journal, believed), journal.call_figures()
            self._spent = spent
        self._written = written
        return self._look


def pruned(journal: Reader) -> Pruned | None:
    """What stopping early has come to, of everybody; None while nothing was."""
    if not journal.has_pruned():
        return None
    from evolve.pruning import (  # knows syntax trees, which take 30 ms to import
        audit,
        pruning_report,
    )

    experiments = journal.all_experiments()
    found = audit(experiments)
    return Pruned(
        stopped=sum(e.outcome is Outcome.PRUNED for e in experiments),
        spared=found.finished,
        wrong=found.wrong,
        failed=found.failed,
        words=pruning_report(experiments),
    )
