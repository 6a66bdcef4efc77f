"""The app in a real pseudo terminal: it is quiet, survives stray bytes, and leaves the terminal as it was."""

import base64
import io
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tui.live_run import LiveRun
from tests.tui.pty_harness import APP, KEY_LINE, ROOT, Terminal
from tui.terminal import CLIPBOARD_LIMIT, copy, prepare, refusal, wants_ascii

MAIN_SCREEN, CURSOR, NO_PASTE, NO_FOCUS, NO_KITTY = (
    b"\x1b[?1049l",
    b"\x1b[?25h",
    b"\x1b[?2004l",
    b"\x1b[?1004l",
    b"\x1b[<u",
)


def opened(mode: str = "idle", **options) -> Terminal:
    return Terminal((*APP, mode), **options)


def restored(terminal: Terminal, start: int) -> bool:
    left = bytes(terminal.written[start:])
    wanted = (MAIN_SCREEN, CURSOR, NO_PASTE, NO_FOCUS, NO_KITTY)
    return all(code in left for code in wanted) and terminal.modes() == terminal.modes_before


# ---- leaving -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_puts_the_terminal_back(number):
    with opened() as terminal:
        terminal.expect(KEY_LINE)
        start = len(terminal.written)
        terminal.kill(number)
        assert terminal.wait() == 128 + number
        assert restored(terminal, start)


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_detaching_says_how_to_come_back(key):
    with opened(columns=100) as terminal:
        terminal.expect(KEY_LINE)
        start = terminal.type(key)
        assert terminal.wait() == 0
        assert restored(terminal, start)
        said = terminal.written[start:].partition(MAIN_SCREEN)[2]
        assert b"Detached; the search goes on. To attach again: autoresearch\r\n" in said


def test_a_fault_of_the_app_puts_the_terminal_back_and_is_a_sentence(tmp_path):
    (tmp_path / ".autoresearch").mkdir()
    with opened("crash", cwd=tmp_path, columns=200) as terminal:
        terminal.expect(KEY_LINE)
        start = len(terminal.written)
        assert terminal.wait() == 1
        assert restored(terminal, start)
        said = terminal.written[start:].partition(MAIN_SCREEN)[2]
        assert b"The app had a fault of its own; the search is not affected." in said
        assert b"Traceback" not in said
    log = (tmp_path / ".autoresearch/app.log").read_text()
    assert "RuntimeError: a fault of the app itself" in log


def test_a_terminal_that_goes_away_ends_the_app():
    with opened("live") as terminal:
        terminal.expect(KEY_LINE)
        terminal.hang_up()
        # SIGHUP and the failing read race each other; what counts is that no process stays behind.
        assert terminal.wait(8) != 0


# ---- staying -------------------------------------------------------------------------------------------


def test_nothing_is_written_while_nothing_happens():
    with opened(columns=120, rows=40) as terminal:
        terminal.expect(KEY_LINE)
        terminal.pump(1.0)
        rate, _ = terminal.rate(2.6)  # includes a look that only reads the heartbeat
        assert rate == 0


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
def test_a_view_is_painted_once_and_whole_when_it_opens(columns, rows):
    with opened(columns=columns, rows=rows) as terminal:
        terminal.expect(KEY_LINE)
        terminal.pump(1.0)
        assert terminal.written.count(b"queue 5") == 1
        assert len(terminal.written) < 20_000  # one paint of 120x40 is 7 KB
        for words in (b"PAUSED", b"Nothing is training", b"crossovers", b"#33", b"queue is full"):
            assert words in terminal.written
        start = terminal.type(b"2")
        terminal.expect(b"what it tries", start=start)
        terminal.pump(1.0)
        assert terminal.written[start:].count(b"what it tries") == 1
        start = terminal.type(b"1")
        terminal.expect(b"queue 5", start=start)


def test_a_live_run_costs_little():
    with opened("live", columns=120, rows=40) as terminal:
        terminal.expect(KEY_LINE)
        terminal.pump(1.0)
        assert len(terminal.written) < 20_000
        rate, _ = terminal.rate(2.0)
        assert 0 < rate < 4_000
        assert terminal.memory_mb() < 120


def test_stray_bytes_do_not_end_the_app():
    """A legacy mouse report past column 95, a lone 0xff, and 10,000 random bytes without a key that leaves."""
    noise = random.Random(20260)
    # Without ctrl+c, q, Q and esc, which leave, and ctrl+l, which throws typed bytes away on purpose.
    allowed = bytes(set(range(256)) - {0x03, 0x0C, 0x1B} - set(b"qQ"))
    with opened() as terminal:
        terminal.expect(KEY_LINE)
        terminal.type(b"\x1b[M \xf0\x30\xff")
        for _ in range(20):
            terminal.type(bytes(noise.choice(allowed) for _ in range(500)))
            terminal.pump(0.02)
        start = terminal.type(b"\x03")  # leaves, or answers "no" where a question was open
        if not terminal.pump(2.0, until=MAIN_SCREEN, start=start):
            terminal.type(b"\x03")
        assert terminal.wait() == 0


def test_repairing_the_terminal_sets_its_modes_and_paints_again():
    with opened() as terminal:
        terminal.expect(KEY_LINE)
        terminal.pump(0.5)
        start = terminal.type(b"\x0c")
        terminal.expect(b"\x1b[?1049h", start=start)
        terminal.expect(b"population", start=start)
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_no_mouse_is_asked_for():
    with opened() as terminal:
        terminal.expect(KEY_LINE)
        assert b"\x1b[?1000h" not in terminal.written
        assert b"\x1b[?1003h" not in terminal.written


# ---- poor terminals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["attach"], ["replay"], []], ids=["attach", "replay", "alone"])
def test_ascii_and_colours_can_be_asked_for_in_words(command, tmp_path):
    with LiveRun(tmp_path):
        place = [] if command == ["replay"] else ["-C", str(tmp_path)]
        for color, painted in (("none", False), ("16", True)):
            argv = (sys.executable, "-m", "tui", *place, *command, "--ascii", "--color", color)
            with Terminal(argv, columns=100, env={"NO_COLOR": "1"}) as terminal:
                terminal.expect(KEY_LINE)
                terminal.pump(0.5)
                assert terminal.written.isascii()
                assert (
                    re.search(rb"\x1b\[[0-9;]*[39][0-7][;m]", terminal.written) is not None
                ) == painted
                terminal.type(b"q")
                assert terminal.wait() == 0


def test_without_colours_there_are_none():
    with opened(env={"NO_COLOR": "1"}) as terminal:
        terminal.expect(KEY_LINE)
        terminal.pump(0.3)
        for colour in (b"38;2", b"48;2", b"38;5", b"\x1b[31m", b"\x1b[1;32m", b"\x1b[33m"):
            assert colour not in terminal.written


def test_a_terminal_that_is_not_utf8_gets_ascii():
    with opened("live", env={"LANG": "C"}) as terminal:
        terminal.expect(KEY_LINE)
        terminal.pump(0.3)
        assert bytes(terminal.written).isascii()


def test_a_dumb_terminal_is_refused_with_what_to_use():
    with opened(env={"TERM": "dumb"}, columns=200) as terminal:
        assert terminal.wait() != 0
        assert b"autoresearch status --watch" in terminal.written
        assert b"\x1b[?1049h" not in terminal.written


def test_a_pipe_is_refused_before_textual_is_loaded():
    code = (
        "import sys; from pathlib import Path; from tui.app import run_app\n"
        "from evolve.model import EvolveError\n"
        "try: run_app(Path('.'))\n"
        "except EvolveError as error: print(error, 'textual' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "status --watch False" in done.stdout


# ---- pure parts ----------------------------------------------------------------------------------------


class Tty(io.StringIO):
    def isatty(self):
        return True


def test_when_the_app_refuses():
    assert refusal({"TERM": "xterm"}, (Tty(), Tty())) is None
    assert "status --watch" in refusal({"TERM": "xterm"}, (Tty(), io.StringIO()))
    assert "status --watch" in refusal({}, (Tty(), Tty()))


def test_over_ssh_frames_are_fewer_and_nothing_moves_by_itself():
    environ = {"SSH_CONNECTION": "1 2 3 4"}
    prepare(environ)
    assert environ["TEXTUAL_FPS"] == "15"
    assert environ["TEXTUAL_ANIMATIONS"] == "none"
    assert environ["TEXTUAL_SMOOTH_SCROLL"] == "0"
    chosen = {"SSH_CONNECTION": "x", "TEXTUAL_FPS": "30"}
    prepare(chosen)
    assert chosen["TEXTUAL_FPS"] == "30"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LANG": "C.utf8"}, False),
        ({"LANG": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LC_CTYPE": "C.UTF-8"}, False),
        ({"LC_CTYPE": "UTF-8"}, False),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ({}, False),
        ({"TMUX": "/tmp/x"}, True),
        ({"TERM": "linux"}, True),
    ],
)
def test_the_locale_decides_between_braille_and_ascii(environ, expected):
    assert wants_ascii(environ) is expected


def test_copying_sends_an_escape_sequence_and_cuts_what_is_too_long():
    sent = []
    assert copy("héllo", {}, sent.append) == "sent to the terminal's clipboard"
    assert sent == ["\x1b]52;c;" + base64.b64encode("héllo".encode()).decode() + "\a"]
    words = copy("é" * CLIPBOARD_LIMIT, {}, sent.append)
    assert "cut" in words
    assert len(base64.b64decode(sent[1][7:-1])) <= CLIPBOARD_LIMIT


def test_copying_inside_tmux_fills_its_buffer(tmp_path):
    if subprocess.run(["sh", "-c", "command -v tmux"], capture_output=True).returncode:
        pytest.skip("tmux is not installed here; the other route is tested above")
    socket = f"autoresearch-test-{os.getpid()}"
    tmux = ["tmux", "-L", socket, "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "cat"], check=True, cwd=tmp_path)
    try:
        where = subprocess.run(
            [*tmux, "display-message", "-p", "#{socket_path},#{pid},0"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        code = (
            "import os; from tui.terminal import copy\n"
            "print(copy('hello from #17', os.environ, lambda s: None))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "TMUX": where},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "tmux" in done.stdout
        shown = subprocess.run([*tmux, "show-buffer"], capture_output=True, text=True, check=True)
        assert shown.stdout == "hello from #17"
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
        Path(f"/tmp/tmux-{os.getuid()}/{socket}").unlink(missing_ok=True)
