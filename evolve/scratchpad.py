"""Has the scratchpad rewritten, every so many children: by a language model where there is one, else from the figures.

It runs beside both loops and never makes either wait. A call is paid through the ledger like every other; an answer
that is no scratchpad changes nothing. What a person wrote stands until the next rewrite, which starts from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from evolve.briefs import review
from evolve.findings import findings
from evolve.model import Note
from evolve.notes import Source
from evolve.outlook import Look
from evolve.propose.operators import (
    LanguageModel,
    ProposalFailed,
    ProposerUnavailable,
    Written,
)
from evolve.propose.prompts import render_review
from evolve.propose.scratchpad import Malformed, Scratchpad, parse
from harness.crashpoints import reached

if TYPE_CHECKING:
    from evolve.context import Context

PURPOSE = "scratchpad"  # of a call, in the ledger


class Writers(Protocol):
    """Who may be asked: `nursery.Nursery` knows which models there are, and which of them rest."""

    def has_model(self) -> bool:
        """Is there a language model in this run at all?"""
        ...

    def awake(self) -> tuple[str, LanguageModel] | None:
        """The first model that does not rest, by name; None while all rest."""
        ...

    def rest(self, name: str, error: ProposerUnavailable) -> None:
        """A model cannot answer: leave it alone for as long as it says."""
        ...

    def answered(self, name: str) -> None:
        """A model has said something, so it rests no more."""
        ...


class Reflection:
    """Looks back at the search from time to time."""

    def __init__(self, context: Context, writers: Writers) -> None:
        self._context = context
        self._writers = writers
        self._tried = 0  # settled children at the last try, whatever came of it

    async def run(self) -> None:
        """Rewrite when it is due; a run that is to stop gets no more of it, unless that is taken back."""
        context = self._context
        self.recall()
        while True:
            context.review_wanted.clear()
            if not context.stopping and self.due():
                await self.rewrite()
            await context.review_wanted.wait()

    def recall(self) -> None:
        """Use the answer that an earlier engine paid for and did not live to write down; it is not bought again."""
        for paid in self._context.journal.unused_answers():
            if paid.asked.purpose == PURPOSE:
                self._tried = self._settled()
                newer = [n for n in self._context.journal.scratchpads() if n.time > paid.time]
                self._take(Written(paid.response, paid.call), paid.model, overtaken=bool(newer))

    def due(self) -> bool:
        """Have enough children got their verdict since the last version, whoever wrote it?"""
        every = self._context.settings.scratchpad.every
        note = self._context.journal.scratchpad()
        last = max(note.settled if note else 0, self._tried)
        return bool(every) and self._settled() - last >= every

    async def rewrite(self) -> None:
        """One new version; the old one stays when nothing usable comes, and while every model rests."""
        self._tried = self._settled()
        if not self._writers.has_model():
            self._from_figures()
        elif (found := self._writers.awake()) is not None:
            await self._by_model(*found)

    # ---- private -----------------------------------------------------------------------------------------

    def _settled(self) -> int:
        return self._context.journal.tally().settled

    def _from_figures(self) -> None:
        context = self._context
        look = Look(context.journal, None, context.believed())
        attempts = review(context).history
        pad = findings(look.trends("category"), attempts, context.noise.sigma, self._by_person())
        self._keep(pad, source="builtin", who="builtin")

    def _by_person(self) -> Scratchpad | None:
        """What a person wrote last, unless a model has worked it in since."""
        for note in self._context.journal.scratchpads():
            if note.source != "builtin":
                return parse(note.text) if note.source == "human" else None
        return None

    async def _by_model(self, name: str, model: LanguageModel) -> None:
        context = self._context
        before, asked = self._newest(), review(context)
        try:
            written = await model.write(PURPOSE, render_review(asked, asked.templates))
        except ProposalFailed as error:
            self._tell(f"The scratchpad stays as it is: {error}")
        except ProposerUnavailable as error:
            self._writers.rest(name, error)
        else:
            self._writers.answered(name)
            reached("scratchpad.before-write")
            self._take(written, name, overtaken=self._newest() != before)

    def _take(self, written: Written, name: str, *, overtaken: bool) -> None:
        """Write an answer down as the new version, or say why not; either way its call is settled with it."""
        journal, call = self._context.journal, (written.call,)
        why = (
            f"A person wrote a scratchpad while {name} did; the person's stands."
            if overtaken
            else ""
        )
        try:
            pad = parse(written.text)
        except Malformed as error:
            why = f"The answer of {name} is no scratchpad: {error}; the old one stays."
        with journal.together():
            if why:
                self._tell(why)
                journal.dismiss_answers(call, why)
            else:
                note = self._keep(pad, source="model", who=name)
                journal.dismiss_answers(call, f"It is version {note.id} of the scratchpad.")

    def _newest(self) -> int:
        note = self._context.journal.scratchpad()
        return note.id if note else 0

    def _keep(self, pad: Scratchpad, *, source: Source, who: str) -> Note:
        journal = self._context.journal
        return journal.write_scratchpad(str(pad), source=source, who=who, settled=self._tried)

    def _tell(self, sentence: str) -> None:
        self._context.journal.record_event("scratchpad", sentence)


def by_person(context: Context, text: str, who: str) -> Scratchpad:
    """A person's version is in force from now on. Raises UsageError when it is none."""
    try:
        pad = parse(text)
    except Malformed as error:
        raise Malformed(
            f"That is no scratchpad: {error}. `autoresearch scratchpad` shows the form."
        ) from None
    settled = context.journal.tally().settled
    context.journal.write_scratchpad(str(pad), source="human", who=who, settled=settled)
    return pad
