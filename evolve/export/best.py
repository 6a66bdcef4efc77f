"""The script that main holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from evolve.model import EvolveError, NothingToDo

if TYPE_CHECKING:
    from evolve.export.gather import Gathered


def write_script(gathered: Gathered, file: BinaryIO) -> None:
    """train.py as main holds it. Raises NothingToDo before the baseline, EvolveError where git does not have it."""
    number = gathered.run.incumbent
    if number is None:
        raise NothingToDo("Main holds nothing yet; the baseline comes first.")
    text = gathered.source(number)
    if text is None:
        raise EvolveError(
            f"git does not have the script of #{number} here; export from the workspace of the run."
        )
    file.write(text.encode())
