"""What proposers are told, as the journal keeps it: scratchpads and the templates of prompts. A part of the journal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Literal

from evolve.model import Note
from evolve.writer import Writer

Source = Literal["model", "builtin", "human"]


class Notes(Writer):
    """The steps of the scratchpad and of the templates. Nothing is ever overwritten."""

    def write_scratchpad(self, text: str, *, source: Source, who: str, settled: int) -> Note:
        """A new version of the scratchpad is in force; `settled` children had a verdict by then."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO scratchpad (run, time, source, who, settled, text) VALUES (?, ?, ?, ?, ?, ?)",
                (self.run_id(), time.time(), source, who, settled, text),
            )
            self._event(
                "scratchpad",
                f"The scratchpad was rewritten by {who}, after {settled} children.",
                data={"source": source, "settled": settled},
            )
        note = self.scratchpad()
        assert note is not None  # noqa: S101 - it was written a moment ago
        return note

    def keep_templates(self, templates: Iterable[tuple[str, str, str]]) -> None:
        """Keep (version, operator, text) of templates before a prompt is made from them; known ones stay as they are."""
        with self._transaction():
            self._db.executemany(
                """INSERT INTO prompt (version, operator, time, text) SELECT :version, :operator, :time, :text
                WHERE NOT EXISTS (SELECT 1 FROM prompt WHERE version = :version AND operator = :operator)""",
                [
                    {"version": version, "operator": operator, "time": time.time(), "text": text}
                    for version, operator, text in templates
                ],
            )
