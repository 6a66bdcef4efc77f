"""What a person does to the selected candidate: the same keys on every view that has one.

A view says which candidate is selected, by its number alone. What is decided from (is it pinned, does it wait) is
asked of the journal at that moment, so a list that is a second old never sends the opposite of what was meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from textual.screen import Screen

from tui.messages import Ask, Copy, Fetch, Mark, Say
from tui.state import ViewState, waiting

if TYPE_CHECKING:
    from evolve.model import Candidate

Act = Callable[["Candidate"], None]


class Selected(Protocol):
    """A row about one candidate, however much the list knows of it."""

    @property
    def id(self) -> int:
        """The candidate's number."""
        ...


class ActingScreen(Screen[None], inherit_bindings=False):
    """A screen whose keys act on one candidate."""

    @property
    def shown(self) -> ViewState:
        """The state on the screen."""
        raise LookupError(f"{type(self).__name__} shows nothing")

    def selected(self) -> Selected | None:
        """The candidate that the keys act on."""
        return None

    def _say(self, text: str) -> None:
        self.post_message(Say(text))

    def _with_selected(self, act: Act) -> None:
        """Ask the journal for the selected candidate and go on with it."""
        chosen = self.selected()
        if chosen is None:
            self._say("No candidate is selected.")
            return
        number = chosen.id
        self.post_message(Fetch(lambda source: source.candidate(number), act, f"#{number}"))

    def _acting(self, act: Act) -> None:
        """The same for a key that changes the run."""
        if self.shown.read_only:
            self._say("This app only watches (read-only).")
        else:
            self._with_selected(act)

    def _ask(self, verb: str, candidate: Candidate, **more: object) -> None:
        words = " ".join([verb, candidate.label, *(str(value) for value in more.values())])
        self.post_message(Ask(verb, words, {"candidate": candidate.id, **more}))

    def _confirm(self, question: str, then: Callable[[], object]) -> None:
        """Ask a question that `y` answers; anything else leaves everything as it is."""
        if not self.is_current:  # the person has gone elsewhere meanwhile
            return
        from tui.screens.confirm import Confirm

        def decided(yes: bool | None) -> None:
            if yes:
                then()

        self.app.push_screen(Confirm(self.shown, question), decided)

    # ---- looking -----------------------------------------------------------------------------------------

    def action_copy(self) -> None:
        """Copy a line about the candidate: number, score, commit, title."""

        def copy(candidate: Candidate) -> None:
            score = "-" if candidate.mean is None else f"{candidate.mean:.6f}"
            line = f"{candidate.label}\t{score}\t{candidate.commit}\t{candidate.title}"
            self.post_message(Copy(line, candidate.label))

        self._with_selected(copy)

    def action_mark(self) -> None:
        """Mark the candidate, or take its mark away."""
        if (chosen := self.selected()) is None:
            self._say("No candidate is selected.")
        else:
            self.post_message(Mark(chosen.id))

    # ---- acting ------------------------------------------------------------------------------------------

    def action_pin(self) -> None:
        """Keep the candidate in the population whatever happens, or no longer."""
        self._acting(lambda c: self._ask("unpin" if c.pinned else "pin", c))

    def action_ban(self) -> None:
        """Let the candidate have no more children, or take that back."""

        def ban(candidate: Candidate) -> None:
            if candidate.banned:
                self._ask("unban", candidate)
                return
            question = f"Ban {candidate.label}? It will have no more children: {candidate.title}"
            self._confirm(question, lambda: self._ask("ban", candidate))

        self._acting(ban)

    def action_drop(self) -> None:
        """Drop the candidate from the queue, after asking."""

        def drop(candidate: Candidate) -> None:
            if not waiting(candidate):
                self._say(
                    f"{candidate.label} does not wait in the queue; only a waiting one can be dropped."
                )
                return
            question = (
                f"Drop {candidate.label} from the queue? It will not be trained: {candidate.title}"
            )
            self._confirm(question, lambda: self._ask("drop", candidate))

        self._acting(drop)

    def action_kill(self) -> None:
        """End the training that runs now, after asking."""
        snapshot = self.shown.snapshot
        running = snapshot.running if snapshot is not None else None
        if self.shown.read_only:
            self._say("This app only watches (read-only).")
        elif running is None:
            self._say("No training is running.")
        else:
            label = running.candidate.label
            question = f"End the training of {label} now? What it has learned so far is lost."
            self._confirm(question, lambda: self.post_message(Ask("kill", f"kill {label}")))

    def action_queue(self, by: int) -> None:
        """Move the candidate in the queue by places."""

        def move(candidate: Candidate) -> None:
            if not waiting(candidate):
                self._say(f"{candidate.label} does not wait in the queue; tab goes there.")
            else:
                self._ask("move", candidate, by=by)

        self._acting(move)
