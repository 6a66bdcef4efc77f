"""All scores of a run in a few columns, and what follows from them: the noise, and what is believed of everybody.

The same figures as `seeds.measured` and `beliefs.beliefs` give for lists of candidates, bit for bit, in a tenth of the
memory: a client that looks at 100,000 candidates must not hold them. Kept up to date by what the roster says is new.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from evolve.acceptance import Samples, gain_probability
from evolve.beliefs import Belief, Field, Kin, own_evidence, propagated, word_for
from evolve.reader import Reader
from evolve.roster import Roster, read
from evolve.seeds import Table, effects, measured

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
        self.noise = measured(())
        self._field: Field | None = None  # what is believed, once somebody asked

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
        changed = roster.since(before.version) if roster.run == before.run and len(before) else None
        if roster is before:
            return
        self.roster = roster
        missing = bytes(8 * (len(roster) - len(self._seed)))
        self._seed.frombytes(missing)
        self._score.frombytes(missing)
        if changed is None or len(changed) > FEW:
            self._tables = {}
            self._take(journal.fitness_rows())
        else:
            for number in changed:
                self._tables.pop(number, None)
            self._take(journal.fitness_rows(changed))
        self.noise = measured(
            (self._tables[number] for number in sorted(self._tables)), self._singles()
        )
        self._field = None

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
            self._field = self._believed()
        return self._field

    def _believed(self) -> Field:
        noise, tables = self.noise, self._tables
        luck = effects((tables[number] for number in sorted(tables)), noise)
        sure, unsure = 1 / noise.rest**2, 1 / noise.sigma**2
        # Nearly all have one score, at one of a few seeds: what follows from a seed is looked up.
        of_seed = {seed: (bad, sure) for seed, bad in luck.items()}
        strange = (0.0, unsure)
        roster = self.roster
        place = array("i", [-1]) * (len(roster) + 1)  # by number, among those with a score
        mean, precision = array("d"), array("d")
        kin = Kin(array("i"), array("i"), array("b"))
        rows = zip(roster.runs, roster.parent, roster.other, self._seed, self._score, strict=True)
        count = 0
        for number, (runs, first, other, seed, score) in enumerate(rows, 1):
            if not runs:
                continue
            place[number] = count
            count += 1
            kin.first.append(place[first])
            kin.second.append(place[other])
            kin.alone.append(first > 0 and not other)
            if number in tables:
                its_mean, its_precision = own_evidence(tables[number], luck, noise)
            else:
                bad, its_precision = of_seed.get(seed, strange)
                its_mean = score - bad
            mean.append(its_mean)
            precision.append(its_precision)
        found_mean, found_precision = propagated(mean, precision, kin, noise)
        return Field(place, found_mean, found_precision)

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
