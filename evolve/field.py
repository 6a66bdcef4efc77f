"""What all scores of a run say together of everybody: a Gaussian tree, kept up to date score by score. Pure.

A child's true score lies about its parents' (off by the run's drift, for most changes do harm, and its spread apart), and
its measurements about its own: one pass up (what children say of their parent) and one pass down (what parents say of
their child) is exact belief propagation (Pearl 1988). A child of two says nothing of either. A new score changes what is
said on its way up only; what is said down is worked out when somebody asks. In 100,000 candidates that is a
thousandth of the work, and the figures are those of both whole passes, bit for bit.

Only the standard library, because clients compute with it too. Candidates go by numbers from 1; 0 is nobody.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from dataclasses import asdict, dataclass

from evolve.noise import Noise, child_drift, child_spread

EXACT = 1_000  # scores up to which the basis is counted anew with every one
STEP = 0.005  # share of new scores after which it is, from then on
_SURPRISE = (
    1.5  # standard deviations beyond which a child says no more about its parent (Huber 1964)
)
_Found = MutableMapping[int, float] | MutableSequence[float]


@dataclass(frozen=True, slots=True)
class Basis:
    """What beliefs rest on besides a candidate's own line: counted from all scores of a run."""

    noise: Noise
    luck: Mapping[int, float]  # seed to what it adds to a score
    drift: float  # by how much children are worse than their first parents
    spread: float  # how far apart
    scores: int  # that it was counted from

    def holds(self, scores: int) -> bool:
        """Is it still good enough when there are so many scores, or is it to be counted anew?"""
        if scores <= EXACT:
            return scores == self.scores
        return self.scores <= scores < self.scores + max(1.0, STEP * self.scores)

    def as_text(self) -> str:
        """For the journal, so that clients and the next engine go by the very same."""
        return json.dumps(asdict(self) | {"luck": list(self.luck.items())})

    @classmethod
    def from_text(cls, text: str) -> Basis:
        """The inverse of `as_text`."""
        told = json.loads(text)
        luck = {int(seed): float(effect) for seed, effect in told["luck"]}
        return cls(**told | {"noise": Noise(**told["noise"]), "luck": luck})


def basis(noise: Noise, luck: Mapping[int, float], scores: int, deltas: Sequence[float]) -> Basis:
    """`deltas`: child minus first parent, both measured and without the luck of seeds."""
    return Basis(noise, luck, child_drift(deltas), child_spread(deltas, noise), scores)


def deltas(mean: Sequence[float], precision: Sequence[float], first: Sequence[int]) -> list[float]:
    """For `basis`, of everybody with a score whose first parent has one; all by number."""
    return [
        mean[number] - mean[parent]
        for number, parent in enumerate(first)
        if precision[number] and precision[parent]
    ]


class Field(Mapping[int, float]):
    """The corrected score of everybody who has one, by number."""

    def __init__(
        self,
        first: Sequence[int],
        other: Sequence[int],
        mean: Iterable[float],
        precision: Iterable[float],
        by: Basis,
    ) -> None:
        """All by number, with somebody at 0 who is nobody: parents (0 = none) and what own scores say of each.

        A precision of 0 means no score. Parents have smaller numbers than their children.
        """
        self.basis = by
        self._first, self._other = array("i", first), array("i", other)
        self._mean, self._precision = array("d", mean), array("d", precision)
        # Own scores with what children say of them, and what each child says of its parent (precision 0: nothing).
        self._below_mean, self._below = array("d", self._mean), array("d", self._precision)
        blank = bytes(8 * len(self._mean))
        self._word, self._weight = array("d", blank), array("d", blank)
        # The children of one parent, youngest first: the first of them, and to each the next.
        self._youngest = array("i", bytes(4 * len(self._mean)))
        self._next = array("i", bytes(4 * len(self._mean)))
        for number in range(1, len(self._mean)):
            self._link(number)
        for number in range(len(self._mean) - 1, 0, -1):
            if self._says(number):
                self._take(self._first[number], number)
        self._found_mean: _Found = {}
        self._found: _Found = {}
        self._size = sum(1 for known in self._precision if known)

    # ---- what is new ----------------------------------------------------------------------------------------

    def extend(self, first: Sequence[int], other: Sequence[int]) -> None:
        """More candidates, without a score so far."""
        begin = len(self._mean)
        self._first.extend(first)
        self._other.extend(other)
        blank = bytes(8 * len(first))
        for column in (self._mean, self._precision, self._below_mean, self._below):
            column.frombytes(blank)
        self._word.frombytes(blank)
        self._weight.frombytes(blank)
        self._youngest.frombytes(bytes(4 * len(first)))
        self._next.frombytes(bytes(4 * len(first)))
        for number in range(begin, len(self._mean)):
            self._link(number)
        self._forget()

    def put(self, number: int, mean: float, precision: float) -> bool:
        """What somebody's own scores say by now. False when that takes a new field, because they say nothing any more."""
        before = self._precision[number]
        if (before, self._mean[number]) == (precision, mean):
            return True
        if not precision:
            return False
        self._size += not before
        self._mean[number], self._precision[number] = mean, precision
        for child in self._children(number):
            self._says(child)  # how far it is believed goes by its parent's own scores
        self._gather(number)
        before_word = self._word[number], self._weight[number]
        while self._says(number) and before_word != (self._word[number], self._weight[number]):
            number = self._first[number]
            before_word = self._word[number], self._weight[number]
            self._gather(number)
        self._forget()
        return True

    # ---- questions ------------------------------------------------------------------------------------------

    @property
    def numbers(self) -> int:
        """How many candidates it knows, with a score or without."""
        return len(self._mean) - 1

    def own(self, number: int) -> tuple[float, float]:
        """Mean and precision of somebody's own scores; zeros without one."""
        return self._mean[number], self._precision[number]

    def __getitem__(self, number: int) -> float:
        if number not in self:
            raise KeyError(number)
        self._find(number)
        return self._found_mean[number]

    def __contains__(self, number: object) -> bool:
        return (
            isinstance(number, int)
            and 0 < number < len(self._precision)
            and self._precision[number] > 0
        )

    def __iter__(self) -> Iterator[int]:
        return (number for number, known in enumerate(self._precision) if known)

    def __len__(self) -> int:
        return self._size

    def levels(self) -> Sequence[float]:
        """The corrected scores by number, from 0 on; nan = no score."""
        self.everybody()
        return array(
            "d",
            (
                level if known else math.nan
                for level, known in zip(self._found_mean, self._precision, strict=True)
            ),
        )

    def sd(self, number: int) -> float:
        """How sure the corrected score of a candidate is: one standard deviation."""
        self._find(number)
        return 1 / math.sqrt(self._found[number])

    def everybody(self) -> None:
        """Work out all of them now, for whoever asks for most."""
        if isinstance(self._found, array):
            return
        mean, found = array("d", self._below_mean), array("d", self._below)
        for number, known in enumerate(self._precision):
            if known:
                mean[number], found[number] = self._down(number, mean, found)
        self._found_mean, self._found = mean, found

    def score_for(
        self, first: int, other: int, mean: float, luck: float, precision: float
    ) -> float:
        """The single score that would give a child of these, who has none yet, this corrected score.

        `luck` of the seed that it would be trained with, `precision` of a score there. Without a parent that has a
        score it is the score itself.
        """
        about, weight = self._from_parents(first, other)
        return luck + mean + weight / precision * (mean - about) if weight else luck + mean

    # ---- private --------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._found_mean, self._found = {}, {}

    def _link(self, number: int) -> None:
        parent = self._first[number]
        if parent and not self._other[number]:
            self._next[number] = self._youngest[parent]
            self._youngest[parent] = number

    def _children(self, number: int) -> Iterator[int]:
        child = self._youngest[number]
        while child:
            yield child
            child = self._next[child]

    def _says(self, number: int) -> bool:
        """What a child of one says of its parent, as far as it can be believed: wrecks say nothing, nor do wonders."""
        parent = self._first[number]
        if not parent or self._other[number]:
            return False
        if not self._precision[number] or not self._precision[parent]:
            return False
        own, by = self._mean[parent], self.basis
        word = self._below_mean[number] - by.drift
        weight = 1 / (1 / self._below[number] + by.spread**2)
        reach = _SURPRISE * math.sqrt(1 / weight + 1 / self._precision[parent])
        self._word[number] = min(own + reach, max(own - reach, word))
        self._weight[number] = weight
        return True

    def _gather(self, number: int) -> None:
        """Own scores and what all children say."""
        self._below_mean[number] = self._mean[number]
        self._below[number] = self._precision[number]
        for child in self._children(number):
            if self._weight[child]:
                self._take(number, child)

    def _take(self, parent: int, child: int) -> None:
        below, weight = self._below[parent], self._weight[child]
        total = below + weight
        self._below_mean[parent] = (
            self._below_mean[parent] * below + self._word[child] * weight
        ) / total
        self._below[parent] = total

    def _find(self, number: int) -> None:
        """Work out one, and its ancestors before it."""
        found = self._found
        if isinstance(found, array):
            return
        assert isinstance(found, dict)  # noqa: S101 - one of the two
        open_ = [number]
        while open_:
            at = open_[-1]
            missing = [
                parent
                for parent in (self._first[at], self._other[at])
                if parent and self._precision[parent] and parent not in found
            ]
            if missing and at not in found:
                open_ += missing
                continue
            if at not in found:
                self._found_mean[at], found[at] = self._down(at, self._found_mean, found)
            open_.pop()

    def _down(self, number: int, mean: _Found, found: _Found) -> tuple[float, float]:
        """Mean and precision of what own scores and relatives say; `mean` and `found` know those of the parents."""
        below_mean, below = self._below_mean[number], self._below[number]
        weight, word = self._weight[number], self._word[number]
        about, doubt, heads = 0.0, 0.0, 0
        for parent in (self._first[number], self._other[number]):
            if not parent or not self._precision[parent]:
                continue
            # What is known of a parent but for what this very child said.
            known = found[parent] - weight
            total = mean[parent] * found[parent] - word * weight
            about += total / known if weight else mean[parent]
            doubt += 1 / known
            heads += 1
        if not heads:
            return below_mean, below
        told = 1 / (1 / (heads / doubt) + self.basis.spread**2)
        known = below + told
        return (below_mean * below + (about / heads + self.basis.drift) * told) / known, known

    def _from_parents(self, first: int, other: int) -> tuple[float, float]:
        """What they say of a child who says nothing: about where it lies, with which precision (0: nothing)."""
        about, doubt, heads = 0.0, 0.0, 0
        for parent in (first, other):
            if parent in self:
                about += self[parent]
                doubt += 1 / self._found[parent]
                heads += 1
        if not heads:
            return 0.0, 0.0
        return (
            about / heads + self.basis.drift,
            1 / (1 / (heads / doubt) + self.basis.spread**2),
        )
