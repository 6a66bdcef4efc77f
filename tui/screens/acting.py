"""What a person does to the selected candidate: the same keys on every view that has one.

A view says which candidate is selected, by its number alone. What is decided from (is it pinned, does it wait) is
asked of the journal at that moment, so a list that is a second old never sends the opposite of what was meant.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from textual.screen import Screen

from tui.commands.texts import SCRIPT
from tui.keys import LINEAGE
from tui.messages import Ask, Compare, Copy, Fetch, Mark, Reveal, Say, Visit, Write
from tui.state import ViewState, only_watches, setting, waiting

if TYPE_CHECKING:
    from evolve.model import Candidate
    from tui.editing import Draft

APPROVAL = "approval.required"  # the setting
BOOST = 3  # proposals
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
        if why_not := only_watches(self.shown):
            self._say(why_not)
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

    def action_reveal(self) -> None:
        """Show the candidate in the lineage."""
        if (chosen := self.selected()) is None:
            self._say("No candidate is selected.")
        else:
            self.post_message(Reveal(chosen.id, LINEAGE))

    def action_compare(self) -> None:
        """Show what differs between the candidate and its parent."""
        if (chosen := self.selected()) is None:
            self._say("No candidate is selected.")
        else:
            self.post_message(Compare(chosen.id))

    def action_visit(self) -> None:
        """Open a shell where the candidate's script is."""
        if (chosen := self.selected()) is None:
            self._say("No candidate is selected.")
        else:
            self.post_message(Visit(chosen.id))

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

    def action_boost(self) -> None:
        """Let the next proposals have the candidate as a parent, or take that back."""
        self._acting(lambda c: self._ask("boost", c, times=0 if c.boosted else BOOST))

    def action_remeasure(self) -> None:
        """Train the candidate once more, or take that wish back."""
        self._acting(lambda c: self._ask("remeasure", c, times=0 if c.wanted else 1))

    def action_approve(self) -> None:
        """Let a child that waits for a person's word train."""
        self._acting(lambda c: self._ask("approve", c))

    def action_approval(self) -> None:
        """Let children wait for a person's word from now on, or no longer."""
        required = setting(self.shown, APPROVAL)
        if required is None:
            self._say("Whether children wait for approval is not known yet.")
        else:
            value = "false" if required == "true" else "true"
            words = "approval on" if value == "true" else "approval off"
            self.post_message(Ask("set", words, {"key": APPROVAL, "value": value}))

    def action_inject(self) -> None:
        """Write a candidate by hand, beginning with a copy of the selected one."""
        chosen = self.selected()
        if why_not := only_watches(self.shown):
            self._say(why_not)
        elif chosen is None:
            self._say("No candidate is selected; its script is what you begin with.")
        else:
            number = chosen.id
            self.post_message(
                Fetch(
                    lambda source: source.source(number),
                    partial(self._edit, number),
                    f"The script of #{number}",
                )
            )

    def _edit(self, number: int, before: str) -> None:
        def done(draft: Draft) -> None:
            args = {"source": draft.text, "title": f"#{number}, edited by hand"}
            self.post_message(Ask("inject", f"inject a copy of #{number}", args, draft.path))

        name = f"candidate-{number}"
        self.post_message(Write(before, name, ".py", SCRIPT, "a complete train.py", done))

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
        running = (snapshot.running or snapshot.smoking) if snapshot is not None else None
        if why_not := only_watches(self.shown):
            self._say(why_not)
        elif running is None:
            self._say("No training is running.")
        else:
            label = running.candidate.label
            question = f"End the training of {label} now? It will have no score; a child that has none is dropped."
            self._confirm(question, lambda: self.post_message(Ask("kill", f"kill {label}")))

    def action_queue(self, by: int) -> None:
        """Move the candidate in the queue by places."""

        def move(candidate: Candidate) -> None:
            if not waiting(candidate):
                self._say(f"{candidate.label} does not wait in the queue; tab goes there.")
            else:
                self._ask("move", candidate, by=by)

        self._acting(move)
