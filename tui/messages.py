"""What the screens tell the app: intents. A screen never talks to the journal; the app sends and reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from textual.message import Message


@dataclass
class Ask(Message):
    """Please send this command to the engine."""

    verb: str
    words: str  # for the notice line while it is pending
    args: dict[str, Any] = field(default_factory=dict)


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
