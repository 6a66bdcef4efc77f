"""The shell behind `w`: in a real terminal and back, with ctrl+c, a kill and a signal; copies where there is no worktree."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.client import Client
from tests.evolve.family import Family
from tests.tui.pty_harness import ATTACH, KEY_LINE, Terminal
from tests.tui.recording import candidate
from tests.tui.test_app import Slow, opened
from tui.terminal import given_environment, prepare
from tui.visiting import Script, Visited, copies_of, injection, shell_of, untouched


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path / "work")
    yield made
    made.close()


def attached(family: Family, shell: str, **options: object) -> Terminal:
    env = {"SHELL": shell, "PS1": "PROMPT$ ", "ENV": "", "MINE": "kept"}
    return Terminal((*ATTACH, str(family.folder)), columns=120, rows=36, env=env, **options)


def in_a_shell(terminal: Terminal) -> None:
    """From the first frame into the shell of #2."""
    terminal.expect(KEY_LINE)
    terminal.pump(0.5)
    terminal.type(b":goto 2\r")
    terminal.pump(1.0)
    start = terminal.type(b"w")
    terminal.expect(b"PROMPT$", start=start)


def test_a_shell_in_the_worktree_and_back(family):
    """Nothing is inherited but what the app was given, ctrl+c stays in the shell, and the modes come back."""
    with attached(family, "/bin/sh") as terminal:
        terminal.expect(KEY_LINE)
        terminal.pump(0.5)
        terminal.type(b"2")
        terminal.expect(b"SiLU")
        terminal.type(b":goto 2\r")
        terminal.pump(1.0)
        start = terminal.type(b"w")
        terminal.expect(b"PROMPT$", start=start)
        assert b"\x1b[?1049l" in terminal.written[start:]
        said = bytes(terminal.written[start:])
        assert b"worktrees/2" in said
        assert f"-C {family.folder} inject FILE".encode() in said.replace(b"\r\n", b"")
        assert b"`exit` or ctrl+d brings you back" in said
        inside = terminal.modes()
        assert inside == terminal.modes_before
        start = terminal.type(b"pwd; env | grep -c TEXTUAL_; echo $MINE; ls trainer\r")
        terminal.expect(b"train.py", start=start)
        told = bytes(terminal.written[start:])
        assert b"\r\n0\r\n" in told
        assert b"kept" in told
        terminal.type(b"sleep 100\r")
        terminal.pump(0.5)
        start = terminal.type(b"\x03")
        terminal.expect(b"PROMPT$", start=start)
        start = terminal.type(b"stty -echo; exit\r")
        terminal.expect(b"\x1b[?1049h", start=start)
        terminal.expect(b"gated SiLU", start=start)
        start = terminal.type(b"q")
        assert terminal.wait() == 0
        assert terminal.modes() == terminal.modes_before


def test_a_shell_that_is_killed_gives_the_terminal_back(family):
    with attached(family, "/bin/sh") as terminal:
        in_a_shell(terminal)
        start = terminal.type(b"kill -9 $$\r")
        terminal.expect(b"\x1b[?1049h", start=start)
        terminal.expect(KEY_LINE, start=start)
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_who_asks_the_app_to_end_is_heard_after_the_shell(family):
    with attached(family, "/bin/sh") as terminal:
        in_a_shell(terminal)
        terminal.kill(signal.SIGTERM)
        terminal.pump(0.5)
        terminal.type(b"exit\r")
        assert terminal.wait() == 128 + signal.SIGTERM
        assert terminal.modes() == terminal.modes_before


async def test_without_a_worktree_copies_are_offered_and_kept_only_when_changed(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("SHELL", str(tmp_path / "shell"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\nls > " + str(tmp_path / "seen") + "\n")
    shell.chmod(0o755)
    async with opened(Slow()) as session:
        await session.press("2", "w")
        assert "has no worktree" in session.shows()
        await session.press("n")
        assert not (tmp_path / "seen").exists()
        await session.press("w", "y")
        assert (tmp_path / "seen").read_text().split() == ["parent-6.py", "train.py"]
        assert not list(tmp_path.glob("autoresearch-*"))
        shell.write_text("#!/bin/sh\necho '# mine' >> train.py\n")
        await session.press("w", "y")
        (left,) = tmp_path.glob("autoresearch-12-*")
        assert f"What you changed is in {left}"[:40] in session.shows()
        assert (left / "train.py").read_text().endswith("# mine\n")
        monkeypatch.setenv("SHELL", "/no/such/shell")
        await session.press("w", "y")
        assert "/no/such/shell cannot be started" in session.shows()


async def test_who_only_watches_gets_copies_even_of_a_living_candidate(family):
    client = Client(family.folder)
    async with opened(client, read_only=True, pair=(None, 2)) as session:
        await session.press("4")
        await session.settled()
        await session.press("w")
        await session.settled()
        assert "only watches" in session.shows()
        assert "copy of its train.py" in session.shows()
        await session.press("n")
    client.close()


def test_copies_are_private_and_known_to_be_untouched(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    visit = Visited(candidate(12), None, (Script(12, "a = 1\n"), Script(6, "a = 0\n")))
    folder = copies_of(visit)
    assert folder.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in folder.iterdir()) == ["parent-6.py", "train.py"]
    assert untouched(folder, visit)
    (folder / "note").mkdir()
    assert not untouched(folder, visit)
    (folder / "note").rmdir()
    (folder / "train.py").write_text("a = 2\n")
    assert not untouched(folder, visit)


def test_the_way_to_train_ones_own_file_works_from_where_the_shell_is():
    here = Path("/my runs/one")
    assert "`autoresearch -C '/my runs/one' inject FILE`" in injection("autoresearch", here)
    assert "`autoresearch -C /w inject FILE`" in injection("autoresearch -C /w", here)


def test_the_shell_gets_the_environment_of_before():
    environ = {"SSH_CONNECTION": "x", "MINE": "1"}
    before = dict(environ)
    prepare(environ)
    assert environ != before
    assert given_environment(environ) == before
    assert shell_of({"SHELL": "/bin/zsh"}) == "/bin/zsh"
    assert shell_of({}) == "/bin/sh"
