"""The terminal around the app: what to set before Textual starts, signals, clipboard, and putting it all back.

Nothing here draws, and nothing here imports Textual.
"""

from __future__ import annotations

import base64
import gc
import os
import signal
import subprocess
import termios
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from types import FrameType

# Mouse modes, bracketed paste, focus reports, in-band resize, kitty keys; line wrap, cursor, main screen.
RESET = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l"
    "\x1b[?2004l\x1b[?1004l\x1b[?2048l\x1b[<u\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
)
CLIPBOARD_LIMIT = 74_000  # bytes; terminals drop longer OSC 52 strings
SLOW_FRAMES = "15"  # a second, over SSH
TEXTUAL_DEFAULTS = {
    "TEXTUAL_ANIMATIONS": "none",
    "TEXTUAL_SMOOTH_SCROLL": "0",
    # The terminal's own palette: it fits light and dark, 16 colours and NO_COLOR, and costs the fewest bytes.
    "TEXTUAL_THEME": "ansi-dark",
}
LAST_RESORT = 4  # seconds; after SIGHUP the terminal may be gone, and writing to it may never end


def refusal(environ: Mapping[str, str], streams: Iterable[TextIO]) -> str | None:
    """Why the app cannot open on these streams, or None when it can."""
    if not all(stream.isatty() for stream in streams):
        return "This is not a terminal, so the app stays closed; use: autoresearch status --watch"
    if environ.get("TERM", "") in {"", "dumb", "unknown"}:
        return (
            "This terminal (TERM=dumb or unset) cannot move its cursor; "
            "use: autoresearch status --watch"
        )
    return None


def prepare(environ: MutableMapping[str, str]) -> None:
    """Set Textual's defaults. It reads them once, at import, so this comes first."""
    if environ.get("SSH_CONNECTION"):
        environ.setdefault("TEXTUAL_FPS", SLOW_FRAMES)
    for name, value in TEXTUAL_DEFAULTS.items():
        environ.setdefault(name, value)
    # Where somebody has exported them they say how large the terminal was, whatever it is now.
    for name in ("COLUMNS", "LINES"):
        environ.pop(name, None)


def given_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was before `prepare`, for a program that a person starts from the app."""
    ours = {**TEXTUAL_DEFAULTS, "TEXTUAL_FPS": SLOW_FRAMES}
    return {name: value for name, value in environ.items() if ours.get(name) != value}


def wants_ascii(environ: Mapping[str, str]) -> bool:
    """True when the locale says that the terminal is not UTF-8."""
    language = environ.get("LANG", "")
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = environ.get(name)
        # Python itself sets LC_CTYPE=C.UTF-8 where the locale is C (PEP 538), which says nothing.
        coerced = name == "LC_CTYPE" and value == "C.UTF-8" and language in {"", "C", "POSIX"}
        if value and not coerced:
            return "utf8" not in value.lower().replace("-", "")
    # No locale at all, as in a bare container: terminals are UTF-8, but tmux and the console then are not.
    return "TMUX" in environ or environ.get("TERM") == "linux"


def on_signals(loop: AbstractEventLoop, leave: Callable[[int], None]) -> None:
    """Call `leave(exit_code)` in the loop on SIGTERM, SIGHUP and SIGINT, so that the terminal is put back first.

    These are handlers of Python's own and not of the loop's: a loop that waits for a terminal which does not
    read would never get to its handlers, and the app could not be ended.
    """

    def caught(number: int, _frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            signal.alarm(LAST_RESORT)
        with suppress(RuntimeError):  # the loop has ended already, and the app with it
            loop.call_soon_threadsafe(leave, 128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, caught)


def spare_what_is_loaded() -> None:
    """Look for garbage from now on, but never again in what the start has loaded: it stays until the end."""
    gc.freeze()
    gc.enable()


def mend(stdin: TextIO, stdout: TextIO) -> None:
    """Put a terminal back that a killed app has left behind: its modes, the main screen, the cursor, typing.

    Both must be terminals. Nothing is known of the modes before, so they become those of a usual shell.
    """
    os.write(stdout.fileno(), RESET.encode("ascii"))
    modes = termios.tcgetattr(stdin.fileno())
    modes[0] |= termios.ICRNL | termios.IXON
    modes[1] |= termios.OPOST | termios.ONLCR
    modes[3] |= termios.ECHO | termios.ECHOE | termios.ICANON | termios.ISIG | termios.IEXTEN
    termios.tcsetattr(stdin.fileno(), termios.TCSANOW, modes)


class TerminalGuard:
    """Remembers the terminal's modes and puts them back, whatever happened in between."""

    def __init__(self, stdin: TextIO, stdout: TextIO) -> None:
        """Both must be terminals."""
        self._in, self._out = stdin.fileno(), stdout.fileno()
        self._modes = termios.tcgetattr(self._in)

    def restore(self) -> None:
        """Put the modes back. A terminal that has gone away needs no repair."""
        with suppress(OSError, termios.error):
            os.write(self._out, RESET.encode("ascii"))
            termios.tcsetattr(self._in, termios.TCSANOW, self._modes)


def copy(text: str, environ: Mapping[str, str], write: Callable[[str], None]) -> str:
    """Put `text` on the clipboard and return how, in words.

    Inside tmux the default configuration swallows OSC 52 from programs, but `load-buffer -w` works; elsewhere
    OSC 52 is written with `write`. Long text is cut at `CLIPBOARD_LIMIT` bytes.
    """
    data = text.encode("utf-8")
    cut = len(data) > CLIPBOARD_LIMIT
    data = data[:CLIPBOARD_LIMIT].decode("utf-8", errors="ignore").encode("utf-8")
    note = " (cut: too long for a clipboard)" if cut else ""
    if environ.get("TMUX") and _tmux_took(data):
        return f"copied to tmux's buffer and the clipboard{note}"
    write(f"\x1b]52;c;{base64.b64encode(data).decode('ascii')}\a")
    return f"sent to the terminal's clipboard{note}"


def _tmux_took(data: bytes) -> bool:
    """Load tmux's buffer; False with an old or foreign tmux, where the escape sequence is the next best."""
    command = ["tmux", "load-buffer", "-w", "-"]
    try:
        subprocess.run(command, input=data, check=True, timeout=2, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True
