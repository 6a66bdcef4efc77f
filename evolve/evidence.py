"""All scores of a run in a few columns, and what follows from them: the noise, and what is believed of everybody.

The same figures as `seeds.measured` and `beliefs.beliefs` give for lists of candidates, in a tenth of the
memory: a client that looks at 100,000 candidates must not hold them. Kept up to date by what the roster says is new: a
score costs what it changes. The engine and its clients use this same code.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from evolve.acceptance import Samples, gain_probability
from evolve.beliefs import Belief, own_evidence, word_for
from evolve.field import EXACT, Basis, Field, basis, deltas
from evolve.noise import Noise, Posterior
from evolve.reader import Reader
from evolve.roster import Roster, read
from evolve.seeds import Table, effects, measured

BASIS = "basis of {}"  # journal key of what the engine of a long run counted last
FEW = 400  # candidates whose scores are read again one by one; after more of them all are
_ALL = 1_000_000_000  # rows of a roster that is read at once


class Evidence:
    """Who stands under whom, and every score that counts, of one run."""

    def __init__(self) -> None:
        """Nothing is known."""
        self.roster = Roster()  # of which the figures are
        self._latest = self.roster
        self._seed = array("q")  # of a candidate's only score
        self._score = array("d")  # its fitness
        self._tables: dict[int, dict[int, float]] = {}  # of those with several scores
        self.basis: Basis | None = None  # None before the first score
        self._field: Field | None = None

    @property
    def noise(self) -> Noise:
        """Of one training of this run."""
        return self.basis.noise if self.basis else measured(())

    def list_on(self, journal: Reader, limit: int) -> Roster:
        """The newest roster, at most `limit` rows further than the last one. Figures follow at the next `update`."""
        self._latest = read(journal, self._latest, limit)
        return self._latest

    def update(self, journal: Reader) -> None:
        """Read what is new."""
        before = self.roster
        roster = self.list_on(journal, _ALL)
        while not roster.complete and len(roster):
            roster = self.list_on(journal, _ALL)
        if roster is before:
            return
        same = roster.run == before.run and len(before) <= len(roster)
        changed = roster.since(before.version) if same and len(before) else None
        if not same:
            self._seed, self._score, self.basis, self._field = array("q"), array("d"), None, None
        self.roster = roster
        missing = bytes(8 * (len(roster) - len(self._seed)))
        self._seed.frombytes(missing)
        self._score.frombytes(missing)
        if changed is None or len(changed) > FEW:
            changed, self._tables = None, {}
            self._take(journal.fitness_rows())
        else:
            for number in changed:
                self._tables.pop(number, None)
            self._take(journal.fitness_rows(changed))
        self._weigh(journal, changed)

    def _weigh(self, journal: Reader, changed: Collection[int] | None) -> None:
        """Let the field follow; `changed`: whose rows are new, None = perhaps everybody's."""
        field, roster, scores = self._field, self.roster, sum(self.roster.runs)
        if field is not None and changed is not None:
            known = field.numbers
            field.extend(roster.parent[known:], roster.other[known:])
            fresh = [number for number in changed if self._own(number) != field.own(number)]
            if not fresh:
                return
            lasting = scores > EXACT and self.basis is not None and self.basis.holds(scores)
            if lasting and all(field.put(number, *self._own(number)) for number in fresh):
                return
        if self.basis is None and scores > EXACT:
            self.basis = _stored(journal)
        if self.basis is None or scores <= EXACT or not self.basis.holds(scores):
            self.basis = self._counted(scores)
        self._field = self._whole(self.basis)

    def _counted(self, scores: int) -> Basis:
        """The basis of all that is known now."""
        tables = self._tables
        repeated = [tables[number] for number in sorted(tables)]
        noise = measured(repeated, self._singles())
        luck = effects(repeated, noise)
        mean, precision = self._evidence(noise, luck)
        first = array("i", [0]) + self.roster.parent
        return basis(noise, luck, scores, deltas(mean, precision, first))

    def _whole(self, by: Basis) -> Field:
        nobody = array("i", [0])
        evidence = self._evidence(by.noise, by.luck)
        return Field(nobody + self.roster.parent, nobody + self.roster.other, *evidence, by)

    def _evidence(
        self, noise: Noise, luck: Mapping[int, float]
    ) -> tuple[array[float], array[float]]:
        """Mean and precision of everybody's own scores by number, from 0 on; nobody's are 0."""
        tables = self._tables
        sure, unsure = 1 / noise.rest**2, 1 / noise.sigma**2
        # Nearly all have one score, at one of a few seeds: what follows from a seed is looked up.
        of_seed = {seed: (bad, sure) for seed, bad in luck.items()}
        strange = (0.0, unsure)
        mean, precision = array("d", [0.0]), array("d", [0.0])
        rows = zip(self.roster.runs, self._seed, self._score, strict=True)
        for number, (runs, seed, score) in enumerate(rows, 1):
            if not runs:
                its_mean = its_precision = 0.0
            elif number in tables:
                its_mean, its_precision = own_evidence(tables[number], luck, noise)
            else:
                bad, its_precision = of_seed.get(seed, strange)
                its_mean = score - bad
            mean.append(its_mean)
            precision.append(its_precision)
        return mean, precision

    def _own(self, number: int) -> tuple[float, float]:
        """The same of one, by the basis in force."""
        if not self.roster.runs[number - 1] or self.basis is None:
            return 0.0, 0.0
        noise, luck = self.basis.noise, self.basis.luck
        if number in self._tables:
            return own_evidence(self._tables[number], luck, noise)
        seed, score = self._seed[number - 1], self._score[number - 1]
        if seed in luck:
            return score - luck[seed], 1 / noise.rest**2
        return score, 1 / noise.sigma**2

    def _take(self, rows: Iterable[Iterable[Any]]) -> None:
        """Scores, oldest first; a candidate's come together or not at all."""
        seen = bytearray(len(self.roster) + 1)
        tables, seeds, scores = self._tables, self._seed, self._score
        for number, seed, score in rows:
            at = number - 1
            if not seen[number]:
                seen[number] = 1
                seeds[at], scores[at] = seed, score
            elif number in tables:
                tables[number][seed] = score
            elif seeds[at] == seed:
                scores[at] = score
            else:
                tables[number] = {seeds[at]: scores[at], seed: score}

    def _singles(self) -> Iterator[float]:
        """The scores of those who have one."""
        tables = self._tables
        return (
            score
            for number, (score, runs) in enumerate(
                zip(self._score, self.roster.runs, strict=True), 1
            )
            if runs and number not in tables
        )

    def table(self, number: int) -> Table:
        """The scores of a candidate by seed; it has at least one."""
        return self._tables.get(number) or {self._seed[number - 1]: self._score[number - 1]}

    # ---- what is believed ----------------------------------------------------------------------------------

    def field(self) -> Field:
        """Mean and precision of everybody who has a score."""
        if self._field is None:
            nobody = array("i", [0])
            return Field(nobody, nobody, (0.0,), (0.0,), basis(self.noise, {}, 0, ()))
        return self._field

    def posterior(self, number: int) -> Posterior:
        """What is believed of one that has a score; raises KeyError for others."""
        field, noise = self.field(), self.noise
        runs = self.roster.runs[number - 1]
        return Posterior(field[number], field.sd(number), runs, noise.freedom)

    def better_than(self, number: int) -> list[int]:
        """Who is believed to be better than one that has a score, ascending."""
        field = self.field()
        rival, levels = field[number], field.levels()
        return [other for other, level in enumerate(levels) if level < rival]

    def score_for(self, number: int, mean: float) -> float:
        """The score in one training, at seed 0, that would give an unmeasured candidate this corrected score."""
        noise, luck = self.noise, self.basis.luck if self.basis else {}
        precision = 1 / (noise.rest if 0 in luck else noise.sigma) ** 2
        first, other = self.roster.parent[number - 1], self.roster.other[number - 1]
        return self.field().score_for(first, other, mean, luck.get(0, 0.0), precision)

    def beliefs(
        self, journal: Reader, incumbent: int | None, only: Collection[int] | None = None
    ) -> dict[int, Belief]:
        """By candidate, of those in `only` who have a score; reads how long their scripts are."""
        field, runs = self.field(), self.roster.runs
        asked = range(1, len(runs) + 1) if only is None else sorted(only)
        wanted = [n for n in asked if 0 < n <= len(runs) and runs[n - 1]]
        rival = incumbent if incumbent in field else None
        lines = journal.lines_of([*wanted, rival] if rival else wanted)
        main = None if rival is None else Samples(self.table(rival), lines[rival])
        return {
            number: Belief(
                mean=field[number],
                sd=field.sd(number),
                better=None
                if main is None or number == rival
                else gain_probability(Samples(self.table(number), lines[number]), main, self.noise),
                n=runs[number - 1],
                word=word_for(runs[number - 1]),
            )
            for number in wanted
        }


def _stored(journal: Reader) -> Basis | None:
    """What the engine of this run counted last, if it has told."""
    run = journal.current_run()
    text = journal.meta(BASIS.format(run.name)) if run else ""
    return Basis.from_text(text) if text else None
