"""Carries out what a person writes on the `:` line: orders that act go to the engine, the others move the app.

A room of the app between its line to the run (`tui.asking`) and its views (`tui.shell`).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import SuspendNotSupported
from textual.events import Paste

from evolve.model import EvolveError
from tui.asking import AskingApp
from tui.commands.texts import enclosed
from tui.feed import Fault, Feed, Source
from tui.here import History
from tui.keys import LINEAGE, POPULATION
from tui.lending import lent
from tui.messages import Compare, Copy, Fetch, Given, Mark, Open, Reveal, Write
from tui.screens.view import ViewScreen
from tui.state import ViewState
from tui.widgets.ink import Ink, plain

if TYPE_CHECKING:
    from tui.editing import Draft
    from tui.orders import Wish

Doing = Callable[[dict[str, Any]], Awaitable[object]]


class CarryingApp(AskingApp, inherit_bindings=False):
    """An app with a `:` line."""

    def __init__(self, feed: Feed, state: ViewState) -> None:
        """`state` is painted first."""
        super().__init__(feed, state)
        self._history = History()
        self._here: dict[str, Doing] = {
            "goto": self._go_to,
            "open": self._open_page,
            "mark": self._mark_it,
            "view": self._view,
            "filter": self._filter,
            "diff": self._diff,
            "sort": self._sort,
            "export": self._export,
            "help": lambda _: self.run_action("app.keys"),
            "quit": lambda _: self.run_action("app.detach"),
        }

    async def action_command_line(self, begun: str = "", give: bool = False) -> None:
        """Open the `:` line over the view in front; `begun` stands in it already, and is given at once if asked."""
        from tui.screens.command import CommandLine

        screen = self.screen
        if not isinstance(screen, ViewScreen):
            return
        line = next(iter(screen.query(CommandLine)), None)
        if line is None:
            line = CommandLine(self._history)
            await screen.mount(line)
        line.open(self.state, begun, give=give)

    async def on_paste(self, event: Paste) -> None:
        """A pasted order is one; any other text that no input takes does nothing, and is no row of keys."""
        if not isinstance(self.screen, ViewScreen) or self.focused is not None:
            return
        line = plain(event.text.strip())
        if line.startswith(":") and len(event.text.strip().splitlines()) == 1:
            await self.action_command_line(line[1:].strip(), give=event.text.endswith(("\n", "\r")))
        else:
            self.say(
                "Pasted text goes nowhere here; press : or / first, or paste one line that begins with a colon."
            )

    @contextmanager
    def suspend(self) -> Iterator[None]:
        """As Textual's, which never takes the terminal back when what is done meanwhile ends in a fault."""
        with ExitStack() as given:
            suspended = super().suspend()
            suspended.__enter__()
            given.callback(suspended.__exit__, None, None, None)
            yield

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Give the terminal to another program, such as an editor, and take it back afterwards."""
        with ExitStack() as given:
            with suppress(SuspendNotSupported):  # a test without a terminal
                given.enter_context(self.suspend())
            given.enter_context(lent())
            yield

    @on(Write)
    def _write(self, message: Write) -> None:
        from tui.editing import edited, editor

        if not editor(os.environ):
            self._write_here(message)
            return
        try:
            with self.aside():
                draft = edited(
                    message.before,
                    name=message.name,
                    suffix=message.suffix,
                    most=message.most,
                    what=message.what,
                )
        except EvolveError as error:
            self.say(str(error), Ink.WARN)
            return
        self._written(message, draft)

    def _write_here(self, message: Write) -> None:
        """Without an editor of the person's there is one in the app."""
        from tui.editing import keep
        from tui.screens.editor import EditorScreen

        def done(text: str | None) -> None:
            changed = text is not None and text != message.before
            self._written(
                message, keep(text or "", message.name, message.suffix) if changed else None
            )

        self.push_screen(EditorScreen(self.state, message.what, message.before), done)

    def _written(self, message: Write, draft: Draft | None) -> None:
        if draft is None:
            self.say("Nothing was changed, so nothing is sent.")
        else:
            message.done(draft)

    @on(Given)
    async def _carry_out(self, message: Given) -> None:
        wish = message.wish
        if wish.acting:
            self.run_worker(self._enclose(wish), group="send")
        else:
            await self._here[wish.verb](wish.args)

    async def _enclose(self, wish: Wish) -> None:
        """Read the files that an order names, which may be on a slow disk, and send it."""
        try:
            whole = await self._in_feed(partial(enclosed, wish, Path()))
        except (EvolveError, OSError) as error:
            self.say(str(error), Ink.BAD)
            return
        self.ask(whole.verb, whole.words, whole.args)

    # ---- files ---------------------------------------------------------------------------------------------

    def action_export(self) -> None:
        """Ask what is to be written where, and write it."""
        from tui.screens.export import ExportScreen, Wanted

        def decided(wanted: Wanted | None) -> None:
            if wanted is not None:
                self._write_file(wanted.kind, wanted.path, replace=wanted.replace)

        self.push_screen(ExportScreen(self.state), decided)

    def _write_file(self, kind: str, place: Path, *, replace: bool) -> None:
        from evolve.export.writing import export

        path = place.expanduser().absolute()

        def work(source: Source) -> str | Fault:
            try:
                return export(source, kind, path, replace=replace)
            except EvolveError as error:
                return Fault(str(error))

        def done(about: str) -> None:
            near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
            self.post_message(Copy(str(path), f"{near}: {about}. Its path is"))

        self.post_message(Fetch(work, done, "The run"))

    # ---- orders of the app itself --------------------------------------------------------------------------

    async def _go_to(self, args: dict[str, Any]) -> None:
        view = self.current_mode if self.current_mode == LINEAGE else POPULATION
        self.screen.post_message(Reveal(args["candidate"], view))

    async def _open_page(self, args: dict[str, Any]) -> None:
        self.screen.post_message(Open(args["candidate"]))

    async def _mark_it(self, args: dict[str, Any]) -> None:
        self.screen.post_message(Mark(args["candidate"]))

    async def _view(self, args: dict[str, Any]) -> None:
        await self.run_action(f"app.view({args['view']!r})")

    async def _diff(self, args: dict[str, Any]) -> None:
        self.post_message(Compare(args["candidate"], args.get("other")))

    async def _sort(self, args: dict[str, Any]) -> None:
        from tui.ordering import Sort
        from tui.screens.population import PopulationScreen

        await self.run_action(f"app.view({POPULATION!r})")
        if isinstance(self.screen, PopulationScreen):
            self.screen.sort_by(Sort.by(args["column"]))

    async def _export(self, args: dict[str, Any]) -> None:
        from evolve.export.registry import default_name

        run = self.state.snapshot.run if self.state.snapshot is not None else None
        name = args.get("file") or default_name(
            args["kind"], run.name if run is not None else "run"
        )
        self._write_file(args["kind"], Path(name), replace=args["replace"])

    async def _filter(self, args: dict[str, Any]) -> None:
        from tui.screens.filtering import FilteredScreen

        if not isinstance(self.screen, FilteredScreen):
            await self.run_action(f"app.view({POPULATION!r})")
        if isinstance(self.screen, FilteredScreen):
            self.screen.filter_by(args.get("text", ""))
