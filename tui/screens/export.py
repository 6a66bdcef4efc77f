"""The question what of a run is to be written to which file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Input

from evolve.export.registry import KINDS, Kind, default_name, ending
from evolve.model import UsageError
from tui.screens.confirm import Box
from tui.state import ViewState
from tui.widgets.canvas import Pane
from tui.widgets.ink import Ink, Line, wrap
from tui.widgets.tables import pad, words

if TYPE_CHECKING:
    from textual.app import ComposeResult

LONGEST = 400  # characters of a path
NAMES = max(len(kind.name) for kind in KINDS) + 2  # columns of a name in the list


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written, and where."""

    kind: str
    path: Path
    replace: bool = False


class ExportScreen(Box[Wanted]):
    """Up and down choose what, the line below says where. A file that is there needs a second enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "choose(-1)", "before"),
        Binding("down,tab", "choose(1)", "after"),
        Binding("escape,ctrl+c", "leave", "leave", priority=True),
    ]

    def __init__(self, state: ViewState) -> None:
        """The names of the files begin with the run's."""
        super().__init__(state)
        run = state.snapshot.run if state.snapshot is not None else None
        self._run = run.name if run is not None else "run"
        self._kind = KINDS[0]
        self._note = ""
        self._asked_about: Path | None = None  # the file that is there already

    def content(self) -> ComposeResult:
        """What can be written, and the path."""
        pane = Pane(self._paint, id="kinds")
        pane.styles.height = len(KINDS) + 6
        yield pane
        entry = Input(default_name(self._kind.name, self._run), id="word", max_length=LONGEST)
        entry.cursor_blink = False
        yield entry

    def _paint(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        lines: list[Line] = [(("Export", Ink.BOLD),), ()]
        for kind in KINDS:
            chosen = kind == self._kind
            sign = "> " if chosen else "  "
            ink = Ink.BOLD if chosen else Ink.PLAIN
            lines.append(((f"{sign}{pad(kind.name, NAMES)}{_about(kind)}", ink),))
        note = self._note or "up and down choose, enter writes the file, esc leaves"
        told = wrap(words(state, note), columns)[:3]
        return [*lines, (), *[((line, Ink.WARN if self._note else Ink.DIM),) for line in told]]

    def _say(self, note: str) -> None:
        self._note = note
        self.query_one("#kinds", Pane).repaint()

    def action_choose(self, by: int) -> None:
        """Another kind; the name of the file follows."""
        self._kind = KINDS[(KINDS.index(self._kind) + by) % len(KINDS)]
        entry = self.query_one(Input)
        entry.value = default_name(self._kind.name, self._run)
        entry.cursor_position = len(entry.value)
        self._say("")

    @on(Input.Submitted)
    def _given(self, event: Input.Submitted) -> None:
        path = Path(event.value.strip()).expanduser().absolute()
        try:
            form = self._kind.form(ending(path))
        except UsageError as error:
            self._say(str(error))
            return
        if not path.parent.is_dir():
            self._say(f"There is no folder {path.parent}.")
        elif path.is_dir() and not form.is_folder:
            self._say("That is a folder.")
        elif path.exists() and path != self._asked_about:
            self._asked_about = path
            self._say(f"{path} is there already; enter again replaces it.")
        else:
            self.dismiss(Wanted(self._kind.name, path, replace=path == self._asked_about))

    def action_leave(self) -> None:
        """Write nothing."""
        self.dismiss(None)


def _about(kind: Kind) -> str:
    """`every candidate, a table (.tsv .csv)`."""
    return f"{kind.about} ({' '.join(suffix or 'folder' for suffix in kind.suffixes)})"
