"""What a column of an exported table is: its name, type, unit and meaning. Plain data, from which docs are made, too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    # "int", "float", "bool", "text", "word" (one of few), "time" (unix seconds), "json" (its text), "blob" (long text),
    # "ints", "floats", "texts"
    kind: str
    about: str
    unit: str = ""  # "bpb", "s", "MB", "tokens", "tokens/s", "USD" …
