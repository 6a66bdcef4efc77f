"""Questions about who steered a run: every change of a live setting, and every request with its answer.

A part of the journal's reader. It writes nothing and imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Sequence

from evolve import rows
from evolve.callbook import CallBook
from evolve.model import Command, SettingChange


class ChangeBook(CallBook):
    """A connection to the journal that knows who changed what."""

    def setting_changes(self, limit: int = 1000) -> tuple[SettingChange, ...]:
        """The last changes of live settings in the newest run, newest first."""
        found = self._all(
            f"{rows.CHANGE} WHERE run = ? ORDER BY id DESC LIMIT ?", (self.run_id(), limit)
        )
        return tuple(SettingChange(**dict(row)) for row in found)

    def commands(self, limit: int = 1000) -> tuple[Command, ...]:
        """The last requests of clients since the newest run began, answered or not, newest first."""
        found = self._all(
            f"{rows.COMMAND} WHERE time >= (SELECT created FROM run WHERE id = ?) "  # noqa: S608 - our own words
            "ORDER BY id DESC LIMIT ?",
            (self.run_id(), limit),
        )
        return tuple(rows.command(row) for row in found)


def person(who: str) -> str:
    """The name in `maria on gpu-a`: the app says where it runs, the commands do not."""
    return who.partition(" on ")[0]


def to_undo(changes: Sequence[SettingChange], who: str) -> SettingChange | None:
    """The change of `who` that an undo takes back, or None; `changes` newest first, as the journal gives them.

    A change that put a value back takes the one that it undid off the stack, so undoing again goes further back.
    """
    stack: list[SettingChange] = []
    for change in reversed(changes):
        if person(change.who) != person(who):
            continue
        top = stack[-1] if stack else None
        if top is not None and (top.key, top.old, top.new) == (change.key, change.new, change.old):
            stack.pop()
        else:
            stack.append(change)
    return stack[-1] if stack else None
