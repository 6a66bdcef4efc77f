"""The order of the training rows: a fresh permutation an epoch, fixed by the seed and by nothing else."""

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
