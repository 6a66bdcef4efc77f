"""What a person can tune in a run, as clients see it: every setting with its limits, who changed what, what is used up.

It reads and decides nothing. A value is checked by the very functions with which the engine will check it. Importing
this module imports the settings, so clients do it when somebody wants to tune, and not at their start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evolve import settings as config
from evolve.keys import A_PRICE, Described
from evolve.model import Command, Note, Run, SettingChange
from evolve.toml_text import is_live

if TYPE_CHECKING:
    from evolve.reader import Reader

PRICES = "llm.prices"
_LATEST = 400  # changes, requests and scratchpads that are told of
_SHOWN = 1 << 16  # characters of the directions


@dataclass(frozen=True, slots=True)
class Tuning:
    """Everything that can be turned, at one instant."""

    described: tuple[Described, ...]  # in the order of the documentation
    sections: Mapping[str, str]  # what each section is about
    values: Mapping[str, str]  # in force: dotted key to TOML
    defaults: Mapping[str, str]  # what they would be, had nobody set any
    changes: tuple[SettingChange, ...]  # newest first
    asked: tuple[Command, ...]  # requests to the engine, newest first
    pads: tuple[Note, ...]  # scratchpads, newest first
    program: Path  # the file with a person's directions
    directions: str  # what it holds, as far as it is shown
    candidates: int  # made so far

    def last_change(self, key: str) -> SettingChange | None:
        """The newest change of a setting."""
        return next((change for change in self.changes if change.key == key), None)


def look(journal: Reader, run: Run, workspace: Path) -> Tuning:
    """What can be tuned in `run` now."""
    values = journal.settings_in_force()
    program = workspace / str(run.settings.get("workspace", {}).get("program", "program.md"))
    return Tuning(
        described=described(values),
        sections=config.sections(),
        values=values,
        defaults=config.defaults(str(run.settings.get("profile", "gpu"))),
        changes=journal.setting_changes(_LATEST),
        asked=journal.commands(_LATEST),
        pads=journal.scratchpads(_LATEST),
        program=program,
        directions=_beginning(program),
        candidates=journal.tally().candidates,
    )


def checked(in_force: Mapping[str, str], key: str, value: str) -> str:
    """`value` as the engine would take it for `key`, as TOML. Raises UsageError with the engine's own sentence."""
    changed = config.flatten(config.change(config.rebuilt(in_force), key, value))
    return changed[key]


# ---- private ---------------------------------------------------------------------------------------------


def _beginning(path: Path) -> str:
    """The first part of a file of text; empty when there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_SHOWN)
    except OSError:
        return ""


def described(values: Mapping[str, str]) -> tuple[Described, ...]:
    """Every setting; the table of prices as one for each model that has a price."""
    rows: list[Described] = []
    for row in config.reference():
        if row.key != PRICES:
            rows.append(row)
            continue
        models = sorted(key for key in values if key.startswith(f"{PRICES}."))
        rows += [
            Described(key, A_PRICE, values[key], row.doc, is_live(key), "table") for key in models
        ]
    return tuple(rows)
