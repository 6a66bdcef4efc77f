"""Texts of the Tune view: templates, the scratchpad and the directions, edited in the person's own editor.

A text is checked before it is sent, shown as a difference, and kept for another try when it is not taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from evolve.model import EvolveError, UsageError
from evolve.propose.placeholders import BUILT_IN
from evolve.propose.scratchpad import parse
from tui.commands.scratchpad import BLANK
from tui.commands.texts import TEMPLATE
from tui.editing import Draft, edited, editor, keep, open_editor
from tui.keys import REVIEW
from tui.messages import Ask, Fetch, Say
from tui.screens.pages import Page, PageScreen
from tui.screens.view import bindings
from tui.state import ViewState
from tui.tuning import SCRATCHPAD, Kind, Row, Told, Verdict, verdict
from tui.widgets.ink import Line
from tui.widgets.prose import diff_lines

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from tui.feed import Source
    from tui.screens.tune import TuneScreen


@dataclass(frozen=True, slots=True)
class Subject:
    """A text that can be sent."""

    key: str  # "prompts.mutate" or "scratchpad"
    what: str  # "the template of mutate"
    name: str  # of the file while it is edited
    suffix: str
    before: str  # what is in force

    def ask(self, text: str, draft: Draft | None) -> Ask:
        """The request that brings a text into force."""
        verb = "scratchpad" if self.key == SCRATCHPAD else "set"
        args = {"text": text} if verb == "scratchpad" else {"key": self.key, "value": text}
        return Ask(verb, self.what, args, draft.path if draft is not None else None)

    def verdict(self, source: Source, text: str) -> Verdict:
        """What the engine's rules say about a text."""
        if self.key != SCRATCHPAD:
            return verdict(source, self.key, text)
        try:
            return Verdict(True, str(parse(text)))
        except UsageError as error:
            return Verdict(False, f"That is no scratchpad: {error}.")


class Texts:
    """The texts of one Tune screen."""

    def __init__(self, screen: TuneScreen, told: Callable[[], Told]) -> None:
        """`told` gives what is known now."""
        self._screen = screen
        self._told = told
        self._drafts: dict[str, Draft] = {}  # by key: what was written and not taken

    def text_of(self, row: Row) -> str:
        """The text of a row; for a change or a request a line about it."""
        if row.prompt is not None:
            return row.prompt.text
        if row.note is not None:
            return row.note.text
        if row.change is not None:
            change = row.change
            return f"{change.key}\t{change.old}\t{change.new}\t{change.who}\t{change.applied_from}"
        if row.request is not None:
            return f"{row.request.verb}\t{row.request.who}\t{row.request.answer}"
        tuning = self._told().tuning
        return str(tuning.program) if tuning is not None and row.kind is Kind.DIRECTIONS else ""

    # ---- editing ---------------------------------------------------------------------------------------

    def edit(self, row: Row) -> None:
        """Open the editor on a row's text, or on what was written for it before and not taken."""
        if row.kind is Kind.DIRECTIONS:
            self._edit_directions()
            return
        subject = self._subject(row)
        text = self._beginning(subject, self.text_of(row) or BLANK)
        if not editor(os.environ):
            self._edit_here(subject, text)
            return
        try:
            with self._screen.app.suspend():
                draft = edited(
                    text, name=subject.name, suffix=subject.suffix, most=TEMPLATE, what=subject.what
                )
        except SuspendNotSupported:
            self._edit_here(subject, text)
        except EvolveError as error:
            self._say(str(error))
        else:
            if draft is None and text == subject.before:
                self._say("Nothing was changed.")
            else:
                self._written(subject, draft or keep(text, subject.name, subject.suffix))

    def _edit_here(self, subject: Subject, text: str) -> None:
        """Without an editor of the person's there is one in the app."""
        from tui.screens.editor import EditorScreen

        def done(written: str | None) -> None:
            if written is None or written == subject.before:
                self._say("Nothing was changed.")
            else:
                self._written(subject, keep(written, subject.name, subject.suffix))

        self._screen.app.push_screen(EditorScreen(self._screen.shown, subject.what, text), done)

    def _edit_directions(self) -> None:
        """The file itself; the engine notices when it is saved."""
        tuning = self._told().tuning
        if tuning is None:
            return
        try:
            with self._screen.app.suspend():
                open_editor(tuning.program)
        except SuspendNotSupported:
            self._say(f"This terminal cannot be lent to an editor; the file is {tuning.program}.")
        except EvolveError as error:
            self._say(
                f"{error} The file is {tuning.program}; a change counts as soon as it is saved."
            )
        self._screen.look_again()

    def _beginning(self, subject: Subject, text: str) -> str:
        """Where editing begins: with what was not taken last time, if that is so."""
        if subject.key in self._drafts:
            return self._drafts[subject.key].text
        refused = self._told().refusal(subject.key, self._screen.shown.who)
        wanted = {} if refused is None else refused.args
        return str(wanted.get("text") or wanted.get("value") or text)

    # ---- sending ---------------------------------------------------------------------------------------

    def restore(self, row: Row) -> None:
        """An earlier text is what is wanted again; on the one in force, the built-in one."""
        if row.kind is Kind.DIRECTIONS:
            self._say("There is no default of your directions.")
            return
        subject = self._subject(row)
        text = self.text_of(row)
        if row.prompt is not None and (row.newest or row.prompt.built_in):
            text = BUILT_IN[row.prompt.operator]
        if text == subject.before:
            self._say(f"That is {subject.what} that is in force.")
        else:
            self._review(subject, text, None)

    def _written(self, subject: Subject, draft: Draft) -> None:
        """A new text is there: check it, show what it changes, and send it when the person says so."""
        old = self._drafts.pop(subject.key, None)
        if old is not None and old.path != draft.path:
            old.discard()
        self._drafts[subject.key] = draft

        def told(found: Verdict) -> None:
            if found.fits:
                self._review(subject, draft.text, draft)
            else:
                self._say(f"{found.said} Your text is kept in {draft.path}; e goes on with it.")

        text = draft.text
        self._screen.post_message(
            Fetch(lambda source: subject.verdict(source, text), told, subject.what.capitalize())
        )

    def _review(self, subject: Subject, text: str, draft: Draft | None) -> None:
        def decided(yes: bool) -> None:
            if yes:
                self._drafts.pop(subject.key, None)
                built_in = text == BUILT_IN.get(subject.key.partition(".")[2])
                self._screen.post_message(subject.ask("" if built_in else text, draft))
            elif draft is not None:
                self._say(
                    f"Nothing was sent. Your text is kept in {draft.path}; e goes on with it."
                )

        self._screen.app.push_screen(ReviewScreen(self._screen.shown, subject, text, decided))

    # ---- private ---------------------------------------------------------------------------------------

    def _subject(self, row: Row) -> Subject:
        told = self._told()
        if row.prompt is None:
            pads = told.tuning.pads if told.tuning is not None else ()
            before = pads[0].text if pads else ""
            return Subject(SCRATCHPAD, "the scratchpad", "scratchpad", ".md", before)
        operator = row.prompt.operator
        before = next(p.text for p in told.prompts if p.operator == operator and p.in_force)
        return Subject(row.key, f"the template of {operator}", operator, ".txt", before)

    def _say(self, text: str) -> None:
        self._screen.post_message(Say(text))


class ReviewScreen(PageScreen):
    """What a text would change, before it is sent."""

    VIEW = REVIEW
    BINDINGS = bindings(REVIEW)

    def __init__(
        self, state: ViewState, subject: Subject, text: str, decided: Callable[[bool], None]
    ) -> None:
        """`text` would take the place of what is in force; `decided` hears what the person says to that."""
        super().__init__(state)
        self._subject, self._text, self._decided = subject, text, decided

    def body(self) -> ComposeResult:
        """The difference."""
        from textual.containers import Vertical

        with Vertical(classes="body"):
            yield Page(lambda _: f"Send {self._subject.what}? y sends it", self._lines, id="review")

    def action_send(self) -> None:
        """Yes."""
        self.dismiss()
        self._decided(True)

    def action_back(self) -> None:
        """No."""
        self.dismiss()
        self._decided(False)

    def _lines(self, state: ViewState, columns: int) -> list[Line]:
        return diff_lines(state, self._subject.before, self._text, ("in force", "yours"), columns)
