"""How each kind of kill is carried out on a booted engine. What must be true afterwards is the audit's to say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.schedule import Kill
from tests.fuzz.workshop import BEGUN, BOOT, ROOT, Engine, Workshop, children_of, slay

LATEST = 2.5  # seconds after a boot to an `instant` kill
AWAITED = (
    12.0  # seconds in which something awaited (a point, a git command, a training) has to come
)
WRITES = 12  # writes of the journal to wait for, at most
CLOSE = 0.004  # seconds behind a write
PATIENCE = 60.0  # seconds in which a real training starts its meter and its scorer
LONG = 12.0  # seconds in which a real training passes every point
FREEZE = 1.5  # seconds that a frozen engine stands still, at most
TWINS = 3  # engines started at once, beside the one that lives
LOOK = 0.002
REFUSED = re.compile(r"n(other)? engine .*works (in|here)").search


@dataclass(frozen=True)
class Deed:
    """What a kill came to."""

    came: bool  # did what it waited for happen, or was the engine killed for want of it?
    dead: bool  # is the engine dead?
    problem: str = ""
    heir: Engine | None = None  # the engine that lives in the place of the one that was given


def carry_out(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """Do it; an engine that is to die is dead afterwards."""
    return _KINDS[kill.kind](kill, shop, engine)


def stop_runners(shop: Workshop) -> None:
    """End every runner and what it has started."""
    slay(*shop.runners())


def _wait(until: Callable[[], bool], patience: float = AWAITED) -> bool:
    begun = time.monotonic()
    while time.monotonic() - begun < patience:
        if until():
            return True
        time.sleep(LOOK)
    return False


# ---- the engine ------------------------------------------------------------------------------------------------


def _instant(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    time.sleep(kill.delay * (LONG if shop.training == "real" else LATEST))
    engine.kill()
    return Deed(True, True)


def _write(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """Close behind a write: what follows a commit has not happened yet."""
    log = shop.journal.with_name("journal.db-wal")
    before, left = _stamp(log), 1 + int(kill.delay * WRITES)

    def written() -> bool:
        nonlocal before, left
        if (now := _stamp(log)) != before:
            before, left = now, left - 1
        return left <= 0

    came = _wait(written)
    time.sleep(kill.delay * CLOSE)
    engine.kill()
    return Deed(came, True)


def _point(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """It kills itself; a runner at its point dies without its engine, which goes on until it is killed, too."""
    other = kill.point.startswith(("runner.", "meter.", "scorer.", "committed."))
    if other:
        time.sleep(kill.delay * (LONG if shop.training == "real" else LATEST))
    else:
        _wait(lambda: not engine.alive)
    came = not engine.alive
    if engine.alive:
        engine.kill()
    return Deed(came or other, True)


def _frozen(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """As under a debugger or in a swapping machine: it stands still in the middle, goes on, and is killed later."""
    time.sleep(kill.delay)
    os.kill(engine.pid, signal.SIGSTOP)
    time.sleep(0.2 + kill.delay * FREEZE)
    os.kill(engine.pid, signal.SIGCONT)
    time.sleep(kill.delay)
    problem = "" if engine.alive else "An engine that stood still for a moment has ended."
    engine.kill()
    return Deed(True, True, problem)


def _git(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """In the middle of a git command: git first, so that its locks stay, then the engine."""
    time.sleep(kill.delay * LATEST / 2)
    found: list[int] = []

    def running() -> bool:
        found[:] = [pid for pid, name in children_of(engine.pid) if name.startswith("git")]
        return bool(found)

    came = _wait(running)
    engine_first = kill.delay < 0.5
    slay(*((engine.pid, *found) if engine_first else (*found, engine.pid)))
    engine.process.wait()
    return Deed(came, True)


def _both(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """The engine and, a moment earlier or later, its runner."""
    came = _wait(lambda: bool(shop.runners()))
    time.sleep(kill.delay * 0.2)
    slay(*(shop.runners() if kill.delay < 0.5 else ()), engine.pid)
    slay(*shop.runners())
    engine.process.wait()
    return Deed(came, True)


def _everything(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """As when the power goes, with the page cache spared: every process of the workspace."""
    time.sleep(kill.delay * LATEST)
    slay(engine.pid, *shop.processes())
    engine.process.wait()
    slay(*shop.processes())  # what was being started at that moment
    return Deed(True, True)


# ---- others ------------------------------------------------------------------------------------------------------


def _runner(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """The runner alone: the engine has to take note and train again."""
    came = _wait(lambda: bool(shop.runners()))
    time.sleep(kill.delay * 0.2)
    slay(*shop.runners())
    return _goes_on(engine, came, "whose runner was killed")


def _trusted(name: str) -> Callable[[Kill, Workshop, Engine], Deed]:
    def deed(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
        came = _wait(lambda: bool(shop.helpers(name)), PATIENCE)
        time.sleep(kill.delay * 0.5)
        slay(*shop.helpers(name))
        return _goes_on(engine, came, f"whose {name} was killed")

    return deed


def _twins(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """Several engines at once, beside a living one or where there is none: one works, the others say who does."""
    living: list[Engine] = [engine]
    if kill.delay < 0.5:
        engine.kill()
        living = []
    started = [shop.start() for _ in range(TWINS)]
    _wait(lambda: sum(other.alive for other in started) == 1 - len(living), 60)
    living += [other for other in started if other.alive]
    ended = [other for other in started if not other.alive]
    strange = [
        other for other in ended if other.process.returncode != 1 or not REFUSED(other.said())
    ]
    if len(living) == 1 and not strange and living[0].boots() is not None:
        return Deed(True, False, heir=living[0])
    told = [f"{other.process.returncode}: {other.said()[-300:]}" for other in (*strange, *living)]
    for other in (engine, *started):
        other.kill()
    return Deed(
        True,
        True,
        f"{len(living)} of {len(started)} engines live that were started at once: {told}",
    )


def _keeper(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """Three deaths: an engine, which its keeper has to follow up; the keeper, of no concern to the engine; that one."""
    engine.kill()
    keeper = shop.start(keeper=True)
    try:
        if keeper.boots() is None:
            return Deed(True, True, f"A keeper's engine did not boot: {keeper.said()[-400:]}")
        time.sleep(kill.delay * LATEST)
        slay(*(pid for pid, _ in children_of(keeper.pid)))
        if not _wait(lambda: len(BEGUN.findall(keeper.said())) > 1, BOOT):
            return Deed(True, True, f"No engine followed a killed one: {keeper.said()[-400:]}")
        living = [pid for pid, _ in children_of(keeper.pid)]
        keeper.kill()
        time.sleep(kill.delay)
        alive = all(Path(f"/proc/{pid}").exists() for pid in living)
        slay(*living)
        if len(living) == 1 and alive:
            return Deed(True, True)
        return Deed(True, True, f"An engine has ended with its keeper: {keeper.said()[-400:]}")
    finally:
        slay(keeper.pid, *(pid for pid, _ in children_of(keeper.pid)))
        keeper.process.wait()


def at_keeper(kill: Kill, shop: Workshop) -> Deed:
    """A keeper that dies at a point of its own: beside an engine, which goes on, or behind one that it would follow up."""
    keeper = shop.start(kill.point, keeper=True)
    if kill.point == "keeper.before-restart":
        if keeper.boots() is None:
            return Deed(True, True, f"A keeper's engine did not boot: {keeper.said()[-400:]}")
        slay(*(pid for pid, _ in children_of(keeper.pid)))
        came = keeper.ends(AWAITED)
        if not came:
            keeper.kill()
        return Deed(came, True)
    came = _wait(lambda: not keeper.alive)
    booted = _wait(lambda: bool(BEGUN.search(keeper.said())), BOOT)
    time.sleep(kill.delay)
    slay(keeper.pid, *shop.engines())
    keeper.process.wait()
    problem = "" if booted else f"No engine outlived its keeper: {keeper.said()[-400:]}"
    return Deed(came, True, problem)


def _app(kill: Kill, shop: Workshop, engine: Engine) -> Deed:
    """An app that looks at the engine is killed, or its terminal hangs up: no business of the engine's."""
    number = signal.SIGKILL if kill.delay < 0.5 else signal.SIGHUP
    main = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    app = subprocess.Popen(
        [sys.executable, "-c", main, *shop.command("attach")],
        env=shop.environment() | {"TERM": "xterm-256color"},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    came = _wait(lambda: any(True for _ in children_of(app.pid)))
    time.sleep(0.5 + kill.delay)
    for pid, _ in children_of(app.pid):
        os.kill(pid, number)
    slay(app.pid)
    app.wait()
    if app.stdin:
        app.stdin.close()
    return _goes_on(engine, came, "whose app was killed")


def _goes_on(engine: Engine, came: bool, who: str) -> Deed:
    time.sleep(0.3)
    if engine.alive:
        return Deed(came, False)
    return Deed(came, True, f"An engine {who} has ended: {engine.said()[-300:]}")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return status.st_size, status.st_mtime_ns


_KINDS: dict[str, Callable[[Kill, Workshop, Engine], Deed]] = {
    "instant": _instant,
    "write": _write,
    "point": _point,
    "commit": _point,
    "frozen": _frozen,
    "git": _git,
    "both": _both,
    "everything": _everything,
    "runner": _runner,
    "meter": _trusted("meter"),
    "scorer": _trusted("scorer"),
    "twins": _twins,
    "app": _app,
    "keeper": _keeper,
}
