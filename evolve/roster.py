"""Every candidate of a run in a few columns: what a list or a tree of 100,000 of them is sorted and drawn by.

A candidate takes about 60 bytes here and some 2,000 as a `Candidate`, so texts stay in the journal until a row is on the
screen. A roster is a value: bringing it up to date gives a new one, with the rows that were touched since the last look.
It reads nothing itself but through a `Reader`, and writes nothing.
"""

from __future__ import annotations

import json
import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from copy import copy
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from evolve.model import Candidate, CandidateState, Operator, Verdict
from harness.spec import Outcome

if TYPE_CHECKING:
    from evolve.reader import Reader

OPERATORS = tuple(Operator)
STATES = tuple(CandidateState)
VERDICTS: tuple[Verdict | None, ...] = (None, *Verdict)
OUTCOMES: tuple[Outcome | None, ...] = (None, *Outcome)
_ALIVE, _PINNED, _BANNED, _VOIDED = 1, 2, 4, 8
_REMEMBERED = 50  # looks of which a roster still knows what they changed
_MANY = 1_000  # changes of one look that are not worth remembering one by one
_BATCH = 1_000  # rows that are taken in at once
FIRST_PAGE = 4_000  # rows of the first look, so that it is a short one
_NOT_SCORED = math.nan

_OPERATOR = {str(word): place for place, word in enumerate(OPERATORS)}
_STATE = {str(word): place for place, word in enumerate(STATES)}
_VERDICT = {None if word is None else str(word): place for place, word in enumerate(VERDICTS)}
_OUTCOME = {None if word is None else str(word): place for place, word in enumerate(OUTCOMES)}


class Row(NamedTuple):
    """A candidate as `rows.ROSTER` gives it; the scores are JSON lists."""

    id: int
    first: int  # parent, 0 = none
    other: int  # second parent, 0 = none
    operator: str
    state: str
    verdict: str | None
    outcome: str | None
    flags: int
    scores: str
    fitness: str
    children: int
    generation: int
    created: float
    category: str
    maker: str
    prompt_version: str


class Roster:
    """The candidates 1 to `len(roster)` of one run; never changed once it is handed out.

    The columns are arrays by `number - 1`. `version` counts the looks that brought something.
    """

    def __init__(self, run: int = 0) -> None:
        """Nobody yet. `run` tells one run's candidates from another's."""
        self.run = run
        self.stamp = 0  # of the newest change that is in it
        self.complete = False  # False while older rows are still to be read
        self.version = 0
        # numbers changed by the last looks, None for one that changed many
        self._news: tuple[tuple[int, ...] | None, ...] = ()
        self.parent = array("i")  # the first parent, 0 = none
        self.other = array("i")  # the second parent of a crossover, 0 = none
        self.operator = array("b")  # place in `OPERATORS`
        self.state = array("b")  # place in `STATES`
        self.verdict = array("b")  # place in `VERDICTS`
        self.outcome = array("b")  # place in `OUTCOMES`
        self.flags = array("b")
        self.mean = array("d")  # of its val_bpb, nan = not scored
        self.fitness = array("d")  # mean of what selection goes by, nan = not scored
        self.runs = array("h")  # scored trainings
        self.children = array("i")
        self.generation = array("i")
        self.created = array("d")  # unix seconds
        self.category = array("h")  # place in `names`
        self.maker = array("h")  # place in `names`: the model, or the proposer
        self.prompt = array("h")  # place in `names`: the version of its prompt, or nothing
        self.names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.parent)

    def since(self, version: int) -> tuple[int, ...] | None:
        """The numbers that changed after `version`, ascending; None = too many, or too long ago: take all."""
        behind = self.version - version
        if behind < 0 or behind > len(self._news):
            return None
        found: set[int] = set()
        for batch in self._news[len(self._news) - behind :]:
            if batch is None:
                return None
            found.update(batch)
        return tuple(sorted(found))

    def with_rows(
        self, rows: Iterable[Iterable[Any]], stamp: int, limit: int | None = None
    ) -> Roster:
        """A newer roster with these rows, in ascending order of their numbers, in place of what it knew of them.

        `limit`: what was asked for; as many rows as that are not the last ones.
        """
        new = copy(self)
        for name, column in vars(self).items():
            if isinstance(column, array):
                setattr(new, name, column[:])
        names = {name: place for place, name in enumerate(self.names)}
        left, news, count = iter(rows), list[int](), 0
        while batch := tuple(islice(left, _BATCH)):
            numbers = new._take(batch, names)
            count += len(numbers)
            if count <= _MANY:
                news += numbers
        new.names = tuple(names)
        new.stamp, new.complete = stamp, limit is None or count < limit
        new.version = self.version + 1
        new._news = (*self._news[1 - _REMEMBERED :], tuple(news) if count <= _MANY else None)
        return new

    def _take(self, rows: Sequence[Iterable[Any]], names: dict[str, int]) -> Sequence[int]:
        """Take some rows in, column by column, which takes a third of the time of row by row."""
        numbers, first, other, operator, state, verdict, outcome, flags, *rest = zip(
            *rows, strict=True
        )
        scores, fitness, children, generation, created, *words = rest
        mean, runs = zip(*map(_mean, scores), strict=True)
        # By its bytes the same text as the scores: then so is its mean.
        counted = [
            known if score == text else _mean(text)[0]
            for score, text, known in zip(scores, fitness, mean, strict=True)
        ]
        facts: tuple[Sequence[Any], ...] = (
            *(first, other, [_OPERATOR[word] for word in operator]),
            *([_STATE[word] for word in state], [_VERDICT[word] for word in verdict]),
            *([_OUTCOME[word] for word in outcome], flags, mean, counted, runs),
            *(children, generation, created),
            *([names.setdefault(name, len(names)) for name in column] for column in words),
        )
        known = bisect_right(
            numbers, len(self)
        )  # the others are new: a journal numbers from 1 without gaps
        for column, fact in zip(self._columns(), facts, strict=True):
            for number, value in zip(numbers[:known], fact, strict=False):
                column[number - 1] = value
            column.extend(fact[known:])
        return numbers

    def _columns(self) -> tuple[array[Any], ...]:
        return (
            *(self.parent, self.other, self.operator, self.state, self.verdict, self.outcome),
            *(self.flags, self.mean, self.fitness, self.runs, self.children, self.generation),
            *(self.created, self.category, self.maker, self.prompt),
        )

    @property
    def priced(self) -> bool:
        """Does selection go by anything but val_bpb for anybody?"""
        return self.mean.tobytes() != self.fitness.tobytes()

    # ---- one candidate ----------------------------------------------------------------------------------

    def parents(self, number: int) -> tuple[int, ...]:
        """Its parents' numbers, first one first."""
        pair = (self.parent[number - 1], self.other[number - 1])
        return tuple(parent for parent in pair if parent)

    def alive(self, number: int) -> bool:
        """Is it a member of the population?"""
        return bool(self.flags[number - 1] & _ALIVE)

    def failed(self, number: int) -> bool:
        """Did it end without a score that counts?"""
        return VERDICTS[self.verdict[number - 1]] is Verdict.FAILED

    def active(self, number: int) -> bool:
        """Does it wait, train, or wait for a repeat?"""
        return STATES[self.state[number - 1]] in _ACTIVE

    def candidate(self, number: int) -> Candidate:
        """The candidate without its texts, for a row whose text has not been read yet.

        Its scores are as many as it has, each equal to their mean; title, hypothesis, reasons and hashes are empty.
        """
        at = number - 1
        flags, runs = self.flags[at], self.runs[at]
        return Candidate(
            id=number,
            operator=OPERATORS[self.operator[at]],
            proposer=self.names[self.maker[at]],
            parents=self.parents(number),
            title="",
            hypothesis="",
            category=self.names[self.category[at]],
            commit="",
            source_sha="",
            code_hash="",
            lines=0,
            created=self.created[at],
            state=STATES[self.state[at]],
            alive=bool(flags & _ALIVE),
            verdict=VERDICTS[self.verdict[at]],
            provisional=runs < 2,
            generation=self.generation[at],
            scores=(self.mean[at],) * runs,
            fitness=(self.fitness[at],) * runs,
            outcome=OUTCOMES[self.outcome[at]],
            children=self.children[at],
            pinned=bool(flags & _PINNED),
            banned=bool(flags & _BANNED),
            voided="voided" if flags & _VOIDED else "",
        )


_ACTIVE = frozenset({CandidateState.READY, CandidateState.TRAINING, CandidateState.CONTENDER})


def read(journal: Reader, known: Roster, limit: int = FIRST_PAGE) -> Roster:
    """Bring `known` up to date by at most `limit` rows; the very same roster comes back when nothing is new.

    A first read goes by numbers, so that parents come before their children. It remembers the stamp of the moment it
    began, and what was touched meanwhile comes after it by stamps, which the journal's triggers give out.
    """
    run, newest = journal.run_id(), journal.newest_touch()
    if known.run != run or newest < known.stamp:  # a replay can turn back
        known = Roster(run)
    if known.complete:
        if newest == known.stamp:
            return known
        return known.with_rows(journal.touched_since(known.stamp), newest)
    stamp = known.stamp if len(known) else newest
    if not newest:
        return known
    return known.with_rows(journal.roster_page(len(known), limit), stamp, limit)


def row_of(candidate: Candidate) -> Row:
    """The row of a candidate that is in memory."""
    flags = (_ALIVE, _PINNED, _BANNED, _VOIDED)
    marks = (candidate.alive, candidate.pinned, candidate.banned, bool(candidate.voided))
    return Row(
        id=candidate.id,
        first=(*candidate.parents, 0)[0],
        other=(*candidate.parents, 0, 0)[1],
        operator=str(candidate.operator),
        state=str(candidate.state),
        verdict=None if candidate.verdict is None else str(candidate.verdict),
        outcome=None if candidate.outcome is None else str(candidate.outcome),
        flags=sum(flag for flag, mark in zip(flags, marks, strict=True) if mark),
        scores=json.dumps(candidate.scores),
        fitness=json.dumps(candidate.fitness),
        children=candidate.children,
        generation=candidate.generation,
        created=candidate.created,
        category=candidate.category,
        maker=candidate.model or candidate.proposer,
        prompt_version=candidate.prompt_version,
    )


# ---- private ---------------------------------------------------------------------------------------------


def _mean(scores: str) -> tuple[float, int]:
    """Mean and count of a JSON list of numbers; most hold one, which needs no parser."""
    if scores == "[]":
        return _NOT_SCORED, 0
    if "," not in scores:
        return float(scores[1:-1]), 1
    values = json.loads(scores)
    return sum(values) / len(values), len(values)
