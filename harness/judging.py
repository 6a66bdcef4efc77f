"""The arithmetic of the score: cross-entropy of logits against targets that stay in this process.

Nats are kept on the device and read once, at the end, so that nothing waits while logits arrive. It believes
nothing about the logits but their shape, which its caller has checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

# Bytes of float32 at a time: a slot of half-precision logits is never widened as a whole.
WORKSPACE = 64 << 20


@dataclass(slots=True)
class Tally:
    """Sums over the scored tokens; special tokens, which stand for no bytes, are in neither."""

    nats: float = 0.0
    tokens: int = 0
    count: int = 0  # bytes

    @property
    def bpb(self) -> float:
        """Bits per byte; infinite without any bytes."""
        return self.nats / (math.log(2) * self.count) if self.count else math.inf


class Invalid(Exception):
    """The logits cannot be scored. `outcome` is "nan" or "invalid"."""

    def __init__(self, outcome: str, reason: str) -> None:
        """`reason` is a sentence for a person."""
        super().__init__(reason)
        self.outcome = outcome


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Nats per token in float32: logits [R, T, V] of any float type, targets int64 [R, T] -> [R, T].

    A NaN or +inf anywhere in a row of logits makes its result non-finite; -inf is a legitimate zero probability.
    """
    import torch

    tokens = max(1, WORKSPACE // (4 * logits.shape[2]))
    parts = zip(logits.flatten(0, 1).split(tokens), targets.flatten().split(tokens), strict=True)
    return torch.cat(
        [
            -part.log_softmax(1, dtype=torch.float32).gather(1, chosen.unsqueeze(1)).squeeze(1)
            for part, chosen in parts
        ]
    ).view(targets.shape)


class Judge:
    """Scores logits on one device: made early, on the CPU; `begin` takes the targets to the device."""

    def __init__(self, rows: npt.NDArray[np.uint16], byte_table: npt.NDArray[np.int32]) -> None:
        """`rows`: uint16[n, T+1] validation rows; `byte_table`: int32[V] bytes of each token."""
        targets = rows[:, 1:].copy()  # [n, T]; `finish` wipes it
        self._narrow, self._bytes = targets.view(np.int16), byte_table[targets]

    def begin(self, device: str) -> None:
        """Get ready on `device`: not before the weights are committed."""
        import torch

        # [n, T]; uint16 in the guise of int16
        self._targets = torch.from_numpy(self._narrow).to(device)
        self._nats = torch.zeros(self._narrow.shape, dtype=torch.float32, device=device)

    def score(self, first: int, logits: torch.Tensor) -> None:
        """Take rows `first`… of logits [R, T, V], which lie in private memory, on the device."""
        here = slice(first, first + len(logits))
        self._nats[here] = cross_entropy(logits, self._targets[here].long() & 0xFFFF)

    def finish(self) -> npt.NDArray[np.float32]:
        """Wait for all of it: nats of every token, float32[n, T]. Raises Invalid when a logit was not finite."""
        nats: npt.NDArray[np.float32] = self._nats.cpu().numpy()
        self._targets.zero_()  # a later process may be given this memory as it is
        broken = np.flatnonzero((~np.isfinite(nats) & (self._bytes > 0)).any(1))
        if len(broken):
            raise Invalid(
                "nan",
                "The model's logits are not finite in validation rows "
                f"{int(broken[0])} and following.",
            )
        return nats

    def tally(self, nats: npt.NDArray[np.float32], part: slice) -> Tally:
        """Sums over some of the rows, of what `finish` returned."""
        size, counted = self._bytes[part], self._bytes[part] > 0
        return Tally(
            nats=float(nats[part].sum(dtype=np.float64, where=counted)),
            tokens=int(counted.sum()),
            count=int(size.sum(dtype=np.int64)),
        )
