"""The code of every candidate of a run, as far as it takes to know it again: 8 bytes each instead of a source."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolve.reader import Reader


class Codes(Container[str]):
    """The hashes of `vetting.code_hash` that a run has seen. A proposer's thread may ask while it grows."""

    def __init__(self) -> None:
        """None yet."""
        self._run = 0
        self._last = 0  # candidate that is in it
        # 64 bits of each: in 100,000 candidates two agree by chance once in 4 thousand million runs.
        self._known: set[int] = set()

    def update(self, journal: Reader) -> None:
        """Take in who is new."""
        if journal.run_id() != self._run:
            self._run, self._last, self._known = journal.run_id(), 0, set()
        for number, digest in journal.code_hashes(self._last):
            self._known.add(hash(digest))
            self._last = number

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and hash(digest) in self._known
