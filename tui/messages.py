"""What the screens tell the app: intents. A screen never talks to the journal; the app sends and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from tui.editing import Draft
    from tui.feed import Source
    from tui.orders import Wish


@dataclass
class Ask(Message):
    """Please send this command to the engine."""

    verb: str
    words: str  # for the notice line while it is pending
    args: dict[str, Any] = field(default_factory=dict)
    kept: Path | None = None  # holds what a person wrote for it until the engine has taken it


@dataclass
class Copy(Message):
    """Please put this text on the clipboard."""

    text: str
    what: str


@dataclass
class Open(Message):
    """Please show everything about this candidate; `order` are its neighbours in the list, itself included."""

    candidate: int
    order: tuple[int, ...] = ()


@dataclass
class Say(Message):
    """Please say this in the notice line."""

    text: str


@dataclass
class Fetch(Message):
    """Please ask the journal: `work` runs in the reading thread, `done` gets its answer in the app's.

    `about` begins the sentence that is said when it cannot be answered: "The source of #12". With `failed` that
    sentence goes there instead of into the notice line.
    """

    work: Callable[[Source], Any]
    done: Callable[[Any], None]
    about: str
    failed: Callable[[str], None] | None = None


@dataclass
class Compare(Message):
    """Please show what differs between two candidates in the Diff view; without `left`, the right one's first parent."""

    right: int
    left: int | None = None


@dataclass
class Visit(Message):
    """Please open a shell where this candidate's script is."""

    candidate: int


@dataclass
class Reveal(Message):
    """Please show this candidate in another view, with the cursor on it."""

    candidate: int
    view: str


@dataclass
class Shown(Message):
    """These candidates are on the screen or about to be: please read their texts and what is believed of them."""

    numbers: tuple[int, ...]


@dataclass
class Mark(Message):
    """Please mark this candidate, or take its mark away."""

    candidate: int


@dataclass
class Write(Message):
    """Please open the person's editor on a copy of `before`; `done` gets what was written, unless that is nothing.

    The other fields are those of `tui.editing.edited`.
    """

    before: str
    name: str
    suffix: str
    most: int  # bytes
    what: str
    done: Callable[[Draft], None]


@dataclass
class Given(Message):
    """Please carry out this order, which a person wrote on the `:` line."""

    wish: Wish
