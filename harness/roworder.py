"""The rows of a training: a fresh permutation of them an epoch, fixed by the seed and by nothing else.

Rows of a warm-up are tokens of the data in no order: they carry how frequent each token is and nothing else, however
many are drawn. Drawing them never moves the order of the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(slots=True)
class RowOrder:
    """The order of the training rows: a fresh permutation per epoch, fixed by the seed."""

    rows: int
    seed: int
    epoch: int = 0
    _left: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def take(self, count: int) -> npt.NDArray[np.int64]:
        """The next `count` row numbers, across the end of an epoch where need be."""
        parts = []
        while count:
            if not len(self._left):
                self.epoch += 1
                generator = np.random.default_rng([self.seed, self.epoch])
                self._left = generator.permutation(self.rows)
            parts.append(self._left[:count])
            self._left = self._left[count:]
            count -= len(parts[-1])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)


POOL = 256  # rows of data whose tokens, shuffled, make the rows of a warm-up


class Rows:
    """Rows of data in the order of the seed, and rows without any.

    Uniformly random tokens would say even less, but a script that takes its first steps on them pays for it to the
    end: measured, they cost a model with tables of token pairs 5 % of its score.
    """

    def __init__(self, rows: npt.NDArray[np.uint16], seed: int) -> None:
        """`rows`: uint16[n, T+1], each beginning with BOS."""
        self.length = rows.shape[1] - 1
        self._rows = rows
        self._pool: npt.NDArray[np.uint16] | None = None
        self._order = RowOrder(len(rows), seed)
        self._random = np.random.default_rng([seed, 0])  # epochs count from 1

    def next_into(self, slot: npt.NDArray[np.uint16]) -> int:
        """Put the next rows into `slot`, uint16[B, t+1] with t ≤ T; returns their epoch, from 1 on."""
        batch, width = slot.shape
        numbers = self._order.take(batch)
        if width == self._rows.shape[1]:
            np.take(self._rows, numbers, axis=0, out=slot, mode="clip")  # "clip": no buffer between
        else:
            slot[:] = self._rows[numbers, :width]  # the start of each row, where a document begins
        return self._order.epoch

    def random_into(self, slot: npt.NDArray[np.uint16]) -> int:
        """Put tokens in no order behind BOS into `slot`, uint16[B, t+1]; returns the epoch that they stand before."""
        if self._pool is None:
            self._pool = self._rows[:POOL].flatten()
        drawn = self._random.integers(0, len(self._pool), slot.shape, np.uint32)
        np.take(self._pool, drawn, out=slot, mode="clip")
        slot[:, 0] = self._rows[0, 0]
        return max(1, self._order.epoch)
