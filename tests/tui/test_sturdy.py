"""What a night on the far side of an SSH connection does to an app: signals, stalls, resizing, pastes, tmux."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from evolve.client import Client
from tests.tui.live_run import LiveRun
from tests.tui.measuring import journal
from tests.tui.pty_harness import APP, ATTACH, KEY_LINE, ROOT, Terminal
from tests.tui.test_terminal import MAIN_SCREEN, opened, restored
from tui.keys import KEYS
from tui.shell import SCREENS

BREAKABLE = (sys.executable, "-m", "tests.tui.breakable")
DOCTOR = f"{sys.executable} -m tui doctor --terminal"
KEY_OF = {
    view: key.keys[0].encode()
    for view in SCREENS
    for key in KEYS
    if key.action == f"app.view('{view}')"
}
# What to type to get there. Every view, and everything that can lie on top of one.
PLACES = {view: KEY_OF[view] for view in SCREENS} | {
    "help": b"?",
    "an input": b"2/muon",
    "a question": b"Q",
    "the command line": b":",
}
DEATHS = {
    signal.SIGTERM: 128 + signal.SIGTERM,
    signal.SIGHUP: 128 + signal.SIGHUP,
    signal.SIGINT: 128 + signal.SIGINT,
    signal.SIGUSR1: 1,  # of tests.tui.breakable: an exception
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("death", DEATHS, ids=lambda number: number.name)
def test_however_the_app_dies_wherever_the_terminal_is_put_back(place, death, tmp_path):
    (tmp_path / ".autoresearch").mkdir()  # where the traceback goes
    with Terminal((*BREAKABLE, "live"), columns=100, rows=30, cwd=tmp_path) as terminal:
        terminal.expect(KEY_LINE)
        terminal.type(PLACES[place])
        terminal.pump(0.4)
        start = len(terminal.written)
        terminal.kill(death)
        assert terminal.wait() == DEATHS[death]
        assert restored(terminal, start)


def typed(shell: Terminal, line: str) -> int:
    return shell.type(line.encode() + b"\r")


@contextlib.contextmanager
def bash(**options):
    with Terminal(["bash", "--norc", "--noprofile", "-i"], **options) as shell:
        typed(shell, "PS1='pro''mpt> '")
        shell.expect(b"prompt> ")
        yield shell


def app_in(shell: Terminal) -> int:
    children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
    return int(children[-1])


def test_after_kill_9_the_doctor_mends_the_terminal():
    with bash(columns=100, rows=30) as shell:
        before = shell.modes()
        typed(shell, " ".join((*APP, "idle")))
        shell.expect(KEY_LINE)
        start = len(shell.written)
        subprocess.run(["kill", "-9", str(app_in(shell))], check=True)
        shell.expect(b"prompt> ", start=start)
        assert MAIN_SCREEN not in shell.written[start:]
        typed(shell, DOCTOR)
        shell.expect(b"This terminal is as it should be", start=start)
        shell.expect(b"prompt> ", start=len(shell.written) - 20)
        for code in (MAIN_SCREEN, b"\x1b[?25h", b"\x1b[?1004l", b"\x1b[<u", b"\x1b[?7h"):
            assert code in shell.written[start:]
        assert shell.modes() == before


def test_ctrl_z_puts_the_app_aside_and_fg_brings_it_back():
    with bash(columns=100, rows=30) as shell:
        typed(shell, " ".join((*APP, "idle")))
        shell.expect(KEY_LINE)
        start = shell.type(b"\x1a")
        shell.expect(b"prompt> ", start=start)
        assert MAIN_SCREEN in shell.written[start:]
        start = typed(shell, "fg")
        shell.expect(b"queue 5", start=start)
        shell.expect(KEY_LINE, start=start)
        start = shell.type(b"2")
        shell.expect(b"what it tries", start=start)
        shell.type(b"q")
        shell.expect(b"Detached", start=start)


def test_without_a_shell_behind_it_the_app_is_not_put_aside():
    with opened(columns=120) as terminal:
        terminal.expect(KEY_LINE)
        start = terminal.type(b"\x1a")
        terminal.expect(b"No shell waits behind this app", start=start)
        terminal.type(b"q")
        assert terminal.wait() == 0


# ---- a terminal that changes its size, does not read, or pastes a book ---------------------------------------


@pytest.mark.parametrize("view", SCREENS)
def test_two_hundred_sizes_and_the_right_frame_at_the_end(view):
    rng = random.Random(3)
    with opened("live", columns=100, rows=30) as terminal:
        terminal.expect(KEY_LINE)
        terminal.type(KEY_OF[view])
        for _ in range(200 if view == "live" else 40):
            terminal.resize(rng.randint(1, 300), rng.randint(1, 100))
            terminal.pump(0.004)
        terminal.pump(1.0)
        start = len(terminal.written)
        terminal.resize(97, 31)
        terminal.expect(b"detach", start=start)
        terminal.pump(0.5)
        assert b"\x1b[31;1H" in terminal.written[start:]
        assert b"\x1b[32;1H" not in terminal.written[start:]
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_an_editor_that_is_not_there_leaves_the_app_in_the_terminal():
    """Textual does not take the terminal back from a program whose start failed."""
    with opened(columns=100, env={"EDITOR": "/nowhere/editor", "VISUAL": ""}) as terminal:
        terminal.expect(KEY_LINE)
        start = terminal.type(b"2i")
        terminal.expect(b"There is no editor /nowhere/editor", start=start)
        start = terminal.type(b"6")
        terminal.expect(b"following", start=start)
        terminal.type(b"q")
        assert terminal.wait() == 0


@pytest.mark.parametrize("before", [b"1", b"2/"], ids=["into a view", "into an input"])
def test_a_pasted_megabyte_does_nothing_and_the_keys_work_afterwards(before):
    with opened(columns=100) as terminal:
        terminal.expect(KEY_LINE)
        terminal.type(before)
        terminal.pump(0.5)
        text = b"\x1b[200~" + b"pxQ2 lorem ipsum\r" * 60_000 + b"\x1b[201~"
        for place in range(0, len(text), 2048):
            terminal.type(text[place : place + 2048])
            terminal.pump(0)
        start = terminal.type(b"\x1b")
        terminal.pump(0.5)
        terminal.type(b"6")
        terminal.expect(b"following", seconds=30, start=start)
        assert b"Stop the search" not in terminal.written
        assert terminal.memory_mb() < 100
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_a_paste_whose_end_was_lost_does_not_swallow_the_keys_for_ever():
    with opened() as terminal:
        terminal.expect(KEY_LINE)
        terminal.type(b"\x1b[200~abc")
        terminal.pump(6.5)
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_a_terminal_that_does_not_read_is_waited_for_without_growing():
    with opened("live", columns=200, rows=60) as terminal:
        terminal.expect(KEY_LINE)
        terminal.pump(1.0)
        before = terminal.memory_mb()
        for _ in range(40):
            terminal.type(b"21")
            time.sleep(0.05)
        time.sleep(2.0)
        assert terminal.memory_mb() < before + 10
        start = len(terminal.written)
        terminal.pump(3.0)
        assert len(terminal.written) > start  # it goes on where it was
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_an_app_whose_terminal_does_not_read_can_be_ended():
    with opened("live", columns=200, rows=60) as terminal:
        terminal.expect(KEY_LINE)
        for _ in range(60):
            terminal.type(b"21")
            time.sleep(0.03)
        terminal.kill(signal.SIGTERM)
        end = time.monotonic() + 10
        status = Path(f"/proc/{terminal.pid}/status")
        while "State:\tZ" not in status.read_text() and time.monotonic() < end:
            time.sleep(0.1)  # without reading what it wrote
        assert "State:\tZ" in status.read_text()


# ---- many kinds of terminals, many apps -----------------------------------------------------------------------


@pytest.mark.parametrize("term", ["linux", "vt100", "screen-256color", "tmux-256color"])
def test_every_usual_terminal_gets_its_own_palette_only(term):
    with opened("live", columns=120, rows=40, env={"TERM": term, "COLORTERM": ""}) as terminal:
        terminal.expect(KEY_LINE)
        terminal.pump(0.5)
        for colour in (b"38;2", b"48;2", b"38;5", b"48;5"):
            assert colour not in terminal.written
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_three_apps_on_one_journal_while_all_of_them_ask():
    with journal("live") as folder, contextlib.ExitStack() as opening:
        apps = [
            opening.enter_context(Terminal((*ATTACH, str(folder)), columns=120, rows=40))
            for _ in range(3)
        ]
        for app in apps:
            app.expect(KEY_LINE)
        for _ in range(4):
            for app in apps:
                app.type(b"+")
                app.pump(0.1)
        client = Client(folder)
        end = time.monotonic() + 20
        while (client.snapshot().pending or len(asked(client)) < 12) and time.monotonic() < end:
            for app in apps:
                app.pump(0.1)
        assert client.snapshot().pending == ()
        assert len(asked(client)) == 12
        client.close()
        for app in apps:
            start = app.type(b"6")
            app.expect(b"following", start=start)
            app.type(b"q")
            assert app.wait() == 0


def asked(client):
    return [event for event in client.events() if "population" in event.text]


def test_a_reader_only_watches(tmp_path):
    argv = (sys.executable, "-m", "tui", "-C", str(tmp_path), "attach", "--read-only")
    with LiveRun(tmp_path) as run:
        run.train(run.add("larger matrix learning rate"), fraction=0.5)
        with Terminal(argv, columns=120, rows=40) as terminal:
            terminal.expect(KEY_LINE)
            assert b"p pause" not in terminal.written
            terminal.type(b"p+Qx")
            terminal.pump(1.0)
            assert run.journal.pending_commands() == ()
            terminal.type(b"q")
            assert terminal.wait() == 0


# ---- tmux, as it comes ----------------------------------------------------------------------------------------


class Tmux:
    """A tmux server of its own with its default configuration."""

    def __init__(self, argv, columns, rows):
        self._name = f"sturdy-{uuid.uuid4().hex[:8]}"
        self("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), *argv)

    def __call__(self, *words):
        line = ["tmux", "-L", self._name, *words]
        env = {**os.environ, "COLUMNS": "80", "LINES": "24"}  # not the size that the terminal has
        done = subprocess.run(line, check=True, capture_output=True, text=True, cwd=ROOT, env=env)
        return done.stdout

    def screen(self):
        return self("capture-pane", "-p")

    def until(self, words, seconds=15):
        end = time.monotonic() + seconds
        while words not in self.screen():
            assert time.monotonic() < end, self.screen()
            time.sleep(0.1)

    def settled(self):
        """The screen when it has not changed for half a second."""
        before, now = "", self.screen()
        while now != before:
            time.sleep(0.5)
            before, now = now, self.screen()
        return now

    def lives(self):
        return (
            subprocess.run(
                ["tmux", "-L", self._name, "has-session"], capture_output=True
            ).returncode
            == 0
        )

    def client(self):
        return Terminal(["tmux", "-L", self._name, "attach"], columns=100, rows=30)


@pytest.fixture
def tmux():
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    session = Tmux((*APP, "idle"), 100, 30)
    yield session
    with contextlib.suppress(subprocess.CalledProcessError):  # it ends with its last session
        session("kill-server")


def test_in_tmux_a_client_detaches_and_comes_back_to_the_same_frame(tmux):
    tmux.until("q detach")
    for _ in range(2):
        with tmux.client() as client:
            client.expect(b"\x1b[?1049h")
            tmux.until("q detach")
            client.type(b"2")
            tmux.until("what it tries")
            client.type(b"\x1b[M \xf0\x30")  # what re-attaching terminals have sent
            client.type(b"1")
            tmux.until("queue 5")
            client.type(b"\x02d")
            assert client.wait() == 0
    tmux("send-keys", "q")
    end = time.monotonic() + 10
    while tmux.lives() and time.monotonic() < end:
        time.sleep(0.05)
    assert not tmux.lives()  # the app was all there was


def test_in_tmux_copying_needs_no_configuration(tmux):
    tmux.until("q detach")
    tmux("send-keys", "y")
    tmux.until("copied to tmux's buffer")
    assert tmux("show-buffer").startswith("#12\t2.0")


def test_after_a_storm_of_sizes_tmux_shows_the_frame_of_a_fresh_start(tmux):
    tmux("resize-window", "-x", "100", "-y", "30")
    tmux.until("q detach")
    fresh = tmux.settled()
    assert "q detach" in fresh.splitlines()[29]
    rng = random.Random(5)
    for _ in range(40):
        tmux("resize-window", "-x", str(rng.randint(2, 300)), "-y", str(rng.randint(2, 100)))
    tmux("resize-window", "-x", "100", "-y", "30")
    end = time.monotonic() + 10
    while tmux.screen() != fresh and time.monotonic() < end:
        time.sleep(0.1)
    print(fresh)
    print(tmux.screen())
    assert tmux.screen() == fresh
