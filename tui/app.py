"""Opens the app on a workspace and puts the terminal back afterwards, however it ended.

Textual reads its environment once, at import. So this module prepares the terminal and starts the first look
at the journal before it imports the rest, and never imports Textual at its top.
"""

from __future__ import annotations

import ctypes
import gc
import getpass
import os
import shlex
import signal
import sys
from collections.abc import Callable
from concurrent.futures import TimeoutError as StillReading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from evolve.model import EvolveError
from tui.feed import Feed, Source
from tui.state import ViewState, engine_alive, replaying, with_reading
from tui.terminal import (
    TerminalGuard,
    prepare,
    refusal,
    wants_ascii,
)
from tui.widgets.ink import ASCII, UNICODE

if TYPE_CHECKING:
    from textual.app import App

    from tui.replaying import Player

FIRST_LOOK = 1.0  # seconds to wait for the first look, so that the first frame is a full one
SWITCH = 0.0005  # seconds
LARGE = 128 * 1024  # bytes
CRASHED = 1


def run_app(
    workspace: Path,
    read_only: bool = False,
    *,
    ascii_only: bool = False,
    source: Callable[[], Source] | None = None,
    player: Player | None = None,
) -> int:
    """Open the app on `workspace`, or on a recording that `player` plays; return the exit code when it is left.

    `source` opens something else than the workspace's journal, such as a recording; it is called in the
    reading thread. 0 = detached, 1 = the app had a fault of its own, 128 + n = ended by signal n. Raises
    EvolveError when this is not a terminal that the app can use.
    """
    if (reason := refusal(os.environ, (sys.stdin, sys.stdout, sys.stderr))) is not None:
        raise EvolveError(reason)
    prepare(os.environ)
    # Nothing that is loaded at the start is ever garbage; looking through it took a sixth of the time to the
    # first frame. The app switches it on again once it has painted.
    gc.disable()
    # While the feed computes, the thread of the keys gets its turn within this, not within 5 ms each time it waits.
    sys.setswitchinterval(SWITCH)
    _give_memory_back()
    if player is not None:
        source = player.open
    feed = Feed(source or _journal_of(workspace), _who())
    first = feed.thread.submit(feed.look)
    from tui.shell import AutoresearchApp

    state = ViewState(
        read_only=read_only,
        glyphs=ASCII if ascii_only or wants_ascii(os.environ) else UNICODE,
        attach=_attach_command(workspace),
    )
    with suppress(StillReading):  # a slow disk: the app opens empty and fills when the look ends
        state = with_reading(state, first.result(FIRST_LOOK))
    places = workspace / ".autoresearch"
    crash_log = places / "app.log" if places.is_dir() else None
    if player is None:
        app = AutoresearchApp(feed, state, crash_log)
    else:
        from tui.replay_app import ReplayApp

        app = ReplayApp(feed, state, crash_log, player)
    _show(app, feed)
    return _farewell(app.return_code or 0, app.state, crash_log, sys.stdout)


def _give_memory_back() -> None:
    """Have columns of a long run returned to the system once they are outgrown (5 of 74 MB with 100,000 candidates).

    glibc stops doing so by itself after the first large one (`M_MMAP_THRESHOLD` in mallopt(3)); others never stop.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-3, LARGE)


def _show(app: App[int], feed: Feed) -> None:
    """Run the app; whatever happens, the terminal is as it was before."""
    guard = TerminalGuard(sys.stdin, sys.stderr)
    ended = False
    try:
        app.run(mouse=False)
        ended = True
    finally:
        signal.alarm(0)  # a signal handler may have set it, in case the terminal had gone
        feed.close()
        if not ended:
            guard.restore()


def _journal_of(workspace: Path) -> Callable[[], Source]:
    def open_journal() -> Source:
        from evolve.client import Client

        return Client(workspace, hurry=True)

    return open_journal


def _who() -> str:
    """Who asks, for the run's log: `maria on gpu-a`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name} on {os.uname().nodename}"


def _attach_command(workspace: Path) -> str:
    """The command that opens this app again, from where the person is."""
    if workspace.resolve() == Path.cwd():
        return "autoresearch"
    return f"autoresearch -C {shlex.quote(str(workspace))}"


def _farewell(code: int, state: ViewState, crash_log: Path | None, out: TextIO) -> int:
    """Say how to come back."""
    if code == CRASHED:
        where = f" The details are in {crash_log}." if crash_log is not None else ""
        out.write(
            f"The app had a fault of its own; the search is not affected.{where} "
            f"To attach again: {state.attach}\n"
        )
    elif replaying(state):
        out.write("The recording is as it was.\n")
    elif state.snapshot is not None and engine_alive(state.snapshot.engine):
        out.write(f"Detached; the search goes on. To attach again: {state.attach}\n")
    else:
        out.write(f"No search is running here. To go on: {state.attach} run\n")
    return code
