"""View 5, Tune: what a running search is steered by, who changed it, and what each value has come to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.containers import Horizontal

from evolve.toml_text import text_of
from tui.keys import TUNE
from tui.messages import Ask, Copy, Fetch, Say
from tui.screens.entry import EntryScreen
from tui.screens.pages import Page
from tui.screens.tune_texts import Texts
from tui.screens.view import bindings
from tui.state import ViewState, only_watches
from tui.stepping import step
from tui.tuning import Kind, Row, Told, rows_of, shown, verdict, wished
from tui.widgets.rowlist import ListSpec, RowList
from tui.widgets.tune import list_row, title
from tui.widgets.tunepages import heading, page

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from evolve.promptbook import Prompt
    from evolve.tunable import Tuning
    from tui.tuning import Verdict


class TuneScreen(EntryScreen):
    """A list of everything that can be tuned, and beside it what there is to know about the selected row."""

    VIEW = TUNE
    CSS_PATH = "tune.tcss"
    BINDINGS = bindings(TUNE)

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._told = Told()
        self._rows: tuple[Row, ...] = ()
        self._listed: tuple[Row, ...] = ()
        self._filtered_by = ""
        self._asked_at: object = None  # what the last question to the journal was about
        self._prompts_at: object = None
        self._texts = Texts(self, lambda: self._told)
        spec = ListSpec[Row](
            rows=self._list_rows,
            identity=lambda row: row.id,
            paint=lambda state, row, columns: list_row(state, self._told, row, columns),
            title=title,
            empty=self._empty,
        )
        self._list = RowList(spec, id="tunables")
        self._list.add_class("-active")
        self._page = Page(
            lambda _: heading(self._list.selected),
            lambda state, columns: page(state, self._told, self._list.selected, columns),
            id="about",
        )

    def body(self) -> ComposeResult:
        """The list and the page, and the line on which values are typed."""
        with Horizontal(classes="body"):
            yield self._list
            yield self._page
        yield from self.entry_lines()

    # ---- what is known ---------------------------------------------------------------------------------

    def show(self, state: ViewState) -> None:
        """Show a state; the journal is asked anew when something happened that this view tells of."""
        if (snapshot := state.snapshot) is not None and snapshot.run is not None:
            live = dict(snapshot.settings)
            if live != self._told.live:
                self._told = replace(self._told, live=live)
            newest = snapshot.recent[-1].id if snapshot.recent else 0
            self._ask_journal(state, (snapshot.run.id, newest, live))
        super().show(state)

    def _ask_journal(self, state: ViewState, now: object) -> None:
        if now == self._asked_at:
            return
        self._asked_at = now
        self.post_message(Fetch(lambda source: source.tuning(), self._take, "What can be tuned"))
        assert state.snapshot is not None  # noqa: S101 - asked by its run
        texts = [pair for pair in state.snapshot.settings if pair[0].startswith("prompts.")]
        came_to = (state.snapshot.run, state.snapshot.experiments, texts)
        if came_to != self._prompts_at:
            self._prompts_at = came_to
            self.post_message(Fetch(lambda source: source.prompts(), self._take_prompts, "Prompts"))

    def look_again(self) -> None:
        """Something changed that the journal does not tell, such as the file of directions."""
        self.post_message(Fetch(lambda source: source.tuning(), self._take, "What can be tuned"))

    def _take(self, found: Tuning | None) -> None:
        self._retell(replace(self._told, tuning=found))

    def _take_prompts(self, found: tuple[Prompt, ...]) -> None:
        self._retell(replace(self._told, prompts=tuple(found)))

    def _retell(self, told: Told) -> None:
        self._told = told
        self._rows = rows_of(told)
        super().show(self.shown)

    def _list_rows(self, state: ViewState) -> tuple[Row, ...]:
        """The rows that match the filter; the same object while neither has changed."""
        if not self.filter_text:
            return self._rows
        terms = self.filter_text.lower().split()
        found = tuple(row for row in self._rows if _matches(row, terms))
        if found != self._listed:
            self._listed = found
        return self._listed

    def _empty(self, state: ViewState) -> str:
        if self.filter_text:
            return "Nothing matches the filter; esc clears it."
        return "Reading the settings." if state.snapshot and state.snapshot.run else "No run yet."

    # ---- moving ----------------------------------------------------------------------------------------

    def current(self) -> RowList[Row]:
        """The list."""
        return self._list

    def _turn_page(self) -> None:
        """The cursor may be on another row: show what there is to say about that."""
        self._page.scroll_to_row(0)

    def action_move(self, by: int) -> None:
        """Move the cursor, scroll the page, or turn the value that is being typed."""
        if self.entering is not None:
            self.turn_entry(step, -by)
        elif self._list.active:
            self._list.move(by)
            self._turn_page()
        else:
            self._page.scroll_rows(by)

    def action_page(self, by: int) -> None:
        """By screens."""
        if self._list.active:
            self._list.page(by)
            self._turn_page()
        else:
            self._page.scroll_rows(by * max(1, self._page.size.height - 2))

    def action_edge(self, direction: int) -> None:
        """To the first or the last row or line."""
        if self._list.active:
            self._list.edge(direction)
            self._turn_page()
        else:
            self._page.scroll_rows(direction * 1_000_000)

    def action_group(self, by: int) -> None:
        """To the group before or after this one."""
        rows, here = self._list.rows, self._list.selected
        places = [n for n, row in enumerate(rows) if row.kind is Kind.GROUP]
        at = rows.index(here) if here is not None else 0
        beyond = [n for n in places if (n > at if by > 0 else n < at)]
        if beyond:
            self._list.move((beyond[0] if by > 0 else beyond[-1]) - at)
            self._turn_page()

    def action_next_pane(self) -> None:
        """Give the keys to the page, or back to the list."""
        if self.entering is None:
            self._list.active = not self._list.active
            self._list.set_class(self._list.active, "-active")
            self._page.set_class(not self._list.active, "-active")

    def action_back(self) -> None:
        """From the page to the list, then a refusal off the screen, then the filter away."""
        row = self._list.selected
        if not self._list.active:
            self.action_next_pane()
        elif row is not None and (refused := self._told.refusal(row.key, self.shown.who)):
            self._retell(replace(self._told, seen=self._told.seen | {refused.id}))
        else:
            super().action_back()

    # ---- changing --------------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Change a value, or read a text."""
        row = self._list.selected
        if row is None or self.entering is not None:
            return
        if row.kind is Kind.SETTING and self._list.active and not only_watches(self.shown):
            self.action_edit()
        else:
            self.action_next_pane()

    def action_edit(self) -> None:
        """Type a value, or open the editor on a text."""
        row = self._list.selected
        if row is None or not self._may_act(row):
            return
        if row.setting is None:
            self._texts.edit(row)
            return
        setting, key = row.setting, row.key
        value = text_of(wished(self.shown, self._told, key))
        self.enter_value(setting, value, lambda text: self._set(key, text))

    def action_step(self, by: int) -> None:
        """Turn a number or a choice by one."""
        row = self._list.selected
        if row is None or not self._may_act(row):
            return
        value = wished(self.shown, self._told, row.key)
        turned = None if row.setting is None else step(row.setting, value, by)
        if turned is not None:
            self._send(row.key, turned)
        elif row.setting is not None and row.setting.kind in ("whole", "number"):
            self.post_message(Say(f"{row.key} is {row.setting.type}; there are no steps beyond."))
        else:
            self.post_message(Say("There are no steps here; e edits it."))

    def action_switch(self) -> None:
        """Turn a switch."""
        row = self._list.selected
        if row is not None and row.setting is not None and row.setting.kind == "switch":
            self.action_step(1)
        else:
            self.post_message(Say("This is no switch; e edits it."))

    def action_restore(self) -> None:
        """Put the default back; of an older text, that text."""
        row = self._list.selected
        if row is None or not self._may_act(row):
            return
        if row.setting is None:
            self._texts.restore(row)
        elif wished(self.shown, self._told, row.key) == self._told.default(row.key):
            self.post_message(Say(f"{row.key} has its default."))
        else:
            self._send(row.key, self._told.default(row.key))

    def _may_act(self, row: Row) -> bool:
        """Is there something to change in this row? Otherwise it is said why not."""
        why = only_watches(self.shown)
        if not why and row.setting is not None and not row.setting.live:
            key = row.key
            self.post_message(
                Fetch(
                    lambda source: verdict(source, key, ""), self._say_why, f"Why {key} is frozen"
                )
            )
            return False
        if not why and row.kind in (Kind.GROUP, Kind.CHANGE, Kind.REQUEST):
            why = "There is nothing to change in this line."
        if why:
            self.post_message(Say(why))
        return not why

    def _say_why(self, found: Verdict) -> None:
        self.post_message(Say(found.said))

    def _send(self, key: str, text: str) -> None:
        """Send a value that was not typed, once the engine's rules have passed it."""

        def told(found: Verdict) -> None:
            if found.fits:
                self._set(key, text)
            else:
                self.post_message(Say(found.said))

        self.post_message(
            Fetch(lambda source: verdict(source, key, text), told, f"What {key} may be")
        )

    def _set(self, key: str, text: str) -> None:
        self.post_message(Ask("set", f"{key} {shown(text)}", {"key": key, "value": text}))

    def action_copy(self) -> None:
        """Copy a setting as a line of TOML, or a text."""
        row = self._list.selected
        if row is None or row.kind is Kind.GROUP:
            self.post_message(Say("There is nothing to copy here."))
        elif row.setting is not None:
            self.post_message(Copy(f"{row.key} = {self._told.value(row.key)}", row.key))
        else:
            self.post_message(Copy(self._texts.text_of(row), heading(row)))


def _matches(row: Row, terms: list[str]) -> bool:
    told: list[Any] = [row.name, row.label, row.group, row.setting.doc if row.setting else ""]
    words = " ".join(map(str, told)).lower()
    return row.kind is not Kind.GROUP and all(term in words for term in terms)
