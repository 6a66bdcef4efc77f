"""What a column of an exported table is: its name, type, unit and meaning. Plain data, from which docs are made, too."""

from __future__ import annotations

from dataclasses import dataclass

# Kinds of columns. A `?` behind one means that a cell may be empty.
KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "time": "an instant",
    "word": "one of few words",
    "text": "a line",
    "blob": "a longer text",
    "json": "JSON as text",
    "ints": "a list of whole numbers",
    "floats": "a list of numbers",
    "texts": "a list of lines",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    type: str  # one of `KINDS`, with a `?` where a cell may be empty
    about: str
    unit: str = ""  # "bpb", "s", "MB", "tokens", "tokens/s", "USD" …; a time is unix seconds where it is a number
    source: str = ""  # what the journal calls it, or how SQL gets it, where that is another word
    derived: bool = False  # computed for readers; the journal does not have it

    @property
    def kind(self) -> str:
        """The type without the `?`."""
        return self.type.removesuffix("?")

    @property
    def nullable(self) -> bool:
        """May a cell be empty?"""
        return self.type.endswith("?")

    @property
    def origin(self) -> str:
        """The journal's name for it."""
        return self.source or self.name
