"""Keeps an engine alive: starts it as a child, waits, and starts a fresh one when it was killed or had a fault of its own.

An engine holds a data set, numpy, git and a language model's client; what kills it at night (the out-of-memory killer, a
fault of a library, one of ours) does not touch this process, which imports nothing and does nothing but wait. Every
end that an engine knows how to come to is passed on. What a fresh engine goes on from is the journal's business
alone; if this process is killed, the engine lives on and comes to its own end. The idea is Erlang's supervisor: a
limit on how often, and a pause that grows.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evolve.lock import EngineLock
from evolve.model import EvolveError
from evolve.places import KEEPER, STATE
from harness.crashpoints import VARIABLE, reached

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

PAUSES = (1.0, 5.0, 30.0, 120.0, 300.0)  # seconds before the first, second, … fresh engine
HOUR = 3600.0  # seconds in which at most so many are started
FORGIVEN = (
    600.0  # seconds of life after which an engine's death has nothing to do with the one before
)
RESTARTS = 5  # within an hour, unless a person says otherwise
FAULT = 70  # EX_SOFTWARE: the exit code of an engine that met an exception that nobody expected
TOLD = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)  # what we pass on

Spawn = Callable[
    [Sequence[str], int], int
]  # words for the engine, descriptor of its line to us -> its pid


@dataclass
class Deaths:
    """When engines died, on the monotonic clock; decides whether another one is started, and when."""

    limit: int  # fresh engines within an hour; 0 = none
    times: list[float] = field(default_factory=list)

    def pause(self, born: float, died: float) -> float | None:
        """Seconds to wait before a fresh engine is started for one that lived from `born` to `died`; None = no more."""
        if died - born >= FORGIVEN:
            self.times.clear()
        self.times = [when for when in self.times if died - when < HOUR]
        if len(self.times) >= self.limit:
            return None
        self.times.append(died)
        return PAUSES[min(len(self.times), len(PAUSES)) - 1]


@dataclass(frozen=True, slots=True)
class Death:
    """How one engine came to an end."""

    code: int  # as of `os.waitstatus_to_exitcode`: -N for signal N
    begun: bool  # its run had begun
    fault: str  # the exception that nobody expected, in a line; empty when it told of none
    at: float  # unix seconds

    @property
    def known(self) -> bool:
        """Did it come to its own end?"""
        return self.code >= 0 and self.code != FAULT

    def __str__(self) -> str:
        """`The engine was killed (SIGKILL) at 04:50:11`: the beginning of a sentence."""
        when = time.strftime("%H:%M:%S", time.localtime(self.at))
        if self.code >= 0:
            return (
                f"The engine met a fault of its own ({self.fault or 'it left no word'}) at {when}"
            )
        try:
            name = signal.Signals(-self.code).name
        except ValueError:
            name = f"signal {-self.code}"
        return f"The engine was killed ({name}) at {when}"


class Line:
    """An engine's end of its line to the keeper: one-way, never in its way."""

    def __init__(self, descriptor: int | None) -> None:
        """`descriptor`: the pipe that the keeper gave us; None where nobody keeps us."""
        self._descriptor = descriptor
        if descriptor is not None:
            os.set_inheritable(descriptor, False)

    def begun(self) -> None:
        """The run has begun: from now on a death is a reason to start anew."""
        self._say("begun")

    def fault(self, error: BaseException) -> None:
        """Tell what this engine dies of."""
        self._say("fault " + f"{type(error).__name__}: {error}".splitlines()[0][:300])

    def _say(self, words: str) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # the keeper was killed
                os.write(self._descriptor, f"{words}\n".encode())


class Keeper:
    """Keeps one engine of one workspace. `keep` is the whole of it."""

    def __init__(
        self, workspace: Path, spawn: Spawn, say: Callable[[str], None], limit: int
    ) -> None:
        """`spawn` starts an engine, `say` tells a person, `limit` is how many fresh ones may be started in an hour."""
        self._spawn, self._say = spawn, say
        self._deaths = Deaths(limit)
        self._state = workspace / STATE
        self._engine: int | None = None
        self._asked: list[int] = []  # signals that asked us to end
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def keep(self) -> int:
        """Keep an engine until one comes to an end that it knows; returns the exit code.

        Signals that ask us to end go to the engine, once each; what it comes to then is the end, whatever it is.
        """
        words: tuple[str, ...] = ()
        begun, lock = False, None
        with self._listening(), contextlib.ExitStack() as stack:
            while True:
                born = time.monotonic()
                death = self._live(words)
                begun = begun or death.begun
                if death.known or self._asked:
                    return death.code if death.code >= 0 else 128 - death.code
                if not begun:  # it would happen again, and somebody waits to be told
                    self._say(f"{death}, before its run began.")
                    return 1
                lock = lock or self._sign(stack)
                pause = self._deaths.pause(born, time.monotonic())
                if pause is None:
                    return self._give_up(death)
                self._wait(death, pause, lock)
                if self._asked:
                    return self._bury(
                        f"{death}, and somebody asked for the end before it was started again."
                    )
                reached("keeper.before-restart")
                words = ("--after", str(death))

    # ---- private -------------------------------------------------------------------------------------------

    def _live(self, words: Sequence[str], *, heed: bool = True) -> Death:
        """Start an engine and wait for its end; with `heed` it hears what was asked before it was there."""
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                with _blocked():  # else a signal that comes now would reach nobody
                    self._engine = pid = self._spawn(words, theirs)
                    if heed and self._asked:
                        os.kill(pid, self._asked[-1])
            finally:
                os.close(theirs)
            reached("keeper.after-spawn")
            code = self._outlive(pid)
            os.set_blocking(ours, False)
            told = _all_of(ours).decode("utf-8", "replace").splitlines()
        finally:
            os.close(ours)
        faults = [line.partition(" ")[2] for line in told if line.startswith("fault ")]
        return Death(code, "begun" in told, faults[-1] if faults else "", time.time())

    def _outlive(self, pid: int) -> int:
        """Wait for the end of a child; signals are passed on meanwhile."""
        handle = os.pidfd_open(pid)
        try:
            select.select([handle], [], [])
        finally:
            os.close(handle)
        with _blocked():  # its number may be a stranger's from here on
            self._engine = None
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """Pass signals on for as long as this lasts. A hang-up is no reason to end."""
        before = {number: signal.signal(number, self._pass_on) for number in TOLD}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: None)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._asked.append(number)
        if self._engine is not None:
            os.kill(self._engine, number)  # it is ours until it is waited for
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake, b"!")

    def _sign(self, stack: contextlib.ExitStack) -> EngineLock | None:
        """Tell clients that somebody will start an engine anew, for as long as we live."""
        lock = EngineLock(self._state / KEEPER)
        try:
            stack.enter_context(lock)
        except (EvolveError, OSError) as fault:  # they are told less; the engine is what matters
            self._say(f"Clients will not be told of the restart ({fault}).")
            return None
        return lock

    def _wait(self, death: Death, pause: float, lock: EngineLock | None) -> None:
        """The pause before a fresh engine; whoever asks us to end ends it."""
        words = f"{death}; it is started again in {pause:.0f} s."
        self._say(words)
        if lock is not None:
            lock.beat(words)
        select.select([self._woken], [], [], pause)

    def _give_up(self, death: Death) -> int:
        often = (
            f" after {self._deaths.limit} fresh starts within an hour" if self._deaths.limit else ""
        )
        return self._bury(
            f"{death}{often}; nothing is lost, and `autoresearch run` goes on from here."
        )

    def _bury(self, sentence: str) -> int:
        """Say why nobody works here any more: to whoever reads our output, and in the journal."""
        if self._live(("--bury", sentence), heed=False).code:
            self._say("The journal could not be told; `autoresearch doctor` looks for the cause.")
        self._say(sentence)  # the last words, which clients show where the journal has none
        return 128 + self._asked[-1] if self._asked else 1


def engine_line(workspace: Path, argv: Sequence[str]) -> list[str]:
    """The command line of an engine, or of a keeper, in this installation of Python."""
    # -P: a folder named `tui` in the workspace must not stand in for the installed one.
    line = [sys.executable, "-P", "-m", "tui", "-C", str(workspace.resolve())]
    return [*line, "run", "--headless", *argv]


def spawner(workspace: Path, argv: Sequence[str], ready: int | None) -> Spawn:
    """Starts engines that write where we write; the first one gets the descriptor `ready` and tells when it has begun."""

    def spawn(words: Sequence[str], line: int) -> int:
        nonlocal ready
        inherited = [(os.POSIX_SPAWN_DUP2, line, line)]  # onto itself, which makes it inheritable
        told = [] if ready is None else ["--ready-fd", str(ready)]
        environ = dict(os.environ)
        if words:  # one crash is what a test asks for
            environ.pop(VARIABLE, None)
        pid = os.posix_spawn(
            sys.executable,
            engine_line(workspace, [*argv, *told, "--kept", str(line), *words]),
            environ,
            # A session of its own: Ctrl-C reaches it once, through us, and a hang-up of the terminal not at all.
            setsid=True,
            setsigmask=(),
            file_actions=inherited,
        )
        if ready is not None:
            os.close(ready)  # its end closes the pipe
            ready = None
        return pid

    return spawn


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Signals wait."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*TOLD, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _all_of(descriptor: int) -> bytes:
    """What waits in a pipe, at most 64 KiB."""
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return b""
