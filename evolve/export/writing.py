"""One export from beginning to end: gathered at one instant, written in one form, put in its place as a whole."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from evolve.export.registry import Form, Kind, ending, kind_of
from evolve.export.saving import save, save_folder
from evolve.export.selection import EVERYTHING, Selection
from evolve.model import NothingToDo, UsageError

if TYPE_CHECKING:
    from evolve.export.gather import Gathered


class Holder(Protocol):
    """Whoever knows a run: a client, or a recording in its place."""

    def gathered(self) -> AbstractContextManager[Gathered]:
        """All of the newest run at one instant; raises NothingToDo where there is none."""
        ...


def export(
    holder: Holder,
    name: str,
    path: Path,
    *,
    replace: bool = False,
    selection: Selection = EVERYTHING,
) -> str:
    """Write one kind to `path`, in the form that its name asks for; returns what that is, in words.

    Raises UsageError for a form that there is not, NothingToDo without a run, EvolveError when it cannot be written.
    """
    kind = kind_of(name)
    form = kind.form(ending(path))
    with holder.gathered() as gathered:
        gathered = _selected(kind, gathered, selection)
        write = form.load()
        if form.is_folder:
            save_folder(path, lambda folder: write(gathered, folder), replace=replace)
        else:
            save(path, lambda file: write(gathered, file), replace=replace)
        return told(kind, gathered)


def stream(
    holder: Holder, name: str, suffix: str, file: BinaryIO, selection: Selection = EVERYTHING
) -> None:
    """Write one kind to an open file, such as stdout. Raises as `export`."""
    kind = kind_of(name)
    form = kind.form(suffix)
    if form.is_folder:
        raise UsageError(f"An export of {name} is a folder, which cannot go to stdout; name one.")
    with holder.gathered() as gathered:
        form.load()(_selected(kind, gathered, selection), file)


def usual(kind: Kind) -> Form:
    """The form that is written where nobody asked for one."""
    return kind.forms[0]


def told(kind: Kind, gathered: Gathered) -> str:
    """What was written: `the results of 212 candidates`."""
    count = len(gathered.candidates)
    many = "1 candidate" if count == 1 else f"{count} candidates"
    main = f"#{gathered.run.incumbent}"
    words = str(gathered.selection)
    return kind.told.format(count=many, main=main) + (f" ({words})" if words else "")


def _selected(kind: Kind, gathered: Gathered, selection: Selection) -> Gathered:
    if selection == EVERYTHING:
        return gathered
    if not kind.selects:
        raise UsageError(
            f"The {kind.name} of a run belongs together; --since, --kept-only and --category are for tables."
        )
    some = gathered.selected(selection)
    if not some.candidates:
        raise NothingToDo("No candidate is like that; `autoresearch results` lists them all.")
    return some
